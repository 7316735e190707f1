/* SPDX-License-Identifier: BSD-2-Clause */
/* shunt-decap: on a backend, takes off what the balancer put on.
 *
 * Everything that needs a privilege happens before packets are taken; then every capability is
 * given up but those that undoing it takes.
 *
 * One thread, one epoll set, signals as a descriptor among the others. */
#include "dataplane/session/message.h"
#include "dataplane/decap/mode.h"

#include <cap-ng.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

/* What an epoll event is about: one of the mode's descriptors, or this. */
enum { EVENT_SIGNAL = MODE_FDS_MAX, EVENT_COUNT };

struct program {
	struct options options;
	struct counters counters;
	const struct mode *mode;
	int epoll_fd;
	int signal_fd;
};

static bool event_add(const struct program *program, int fd, u32 what)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};

	return epoll_ctl(program->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* SIGPIPE is ignored rather than waited for: a reader of the counters may go away. */
static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static bool events_open(struct program *program)
{
	program->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (program->epoll_fd < 0 || !event_add(program, program->signal_fd, EVENT_SIGNAL))
		return false;
	for (u32 i = 0; i < MODE_FDS_MAX; i++) {
		int fd = program->mode->fd(i);

		if (fd >= 0 && !event_add(program, fd, i))
			return false;
	}
	return true;
}

/* The bounding set needs CAP_SETPCAP, which a program with file capabilities doesn't have; there
 * PR_SET_NO_NEW_PRIVS alone keeps capabilities from coming back. */
static void privileges_drop(const int *kept)
{
	bool dropped;

	capng_get_caps_process();
	capng_clear(CAPNG_SELECT_BOTH);
	for (; *kept >= 0; kept++)
		(void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, (unsigned)*kept);
	dropped = capng_apply(CAPNG_SELECT_BOTH) == 0 || capng_apply(CAPNG_SELECT_CAPS) == 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !dropped)
		message("could not give up all privileges: running on with them");
}

static bool counters_publish(struct program *program)
{
	const char *path = program->options.stats_path;
	int status = path ? counters_save(&program->counters, path) : 0;

	if (status != 0)
		message("cannot write %s: %s", path, strerror(-status));
	return status == 0;
}

static void counters_report(struct program *program)
{
	program->mode->count();
	counters_print(&program->counters, stdout);
	(void)counters_publish(program);
}

/* Returns false once a signal asked for the end. */
static bool signal_handle(struct program *program)
{
	struct signalfd_siginfo info;

	while (read(program->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGUSR1)
			return false;
		counters_report(program);
	}
	return true;
}

static int loop(struct program *program)
{
	struct epoll_event events[EVENT_COUNT];

	for (;;) {
		int count = epoll_wait(program->epoll_fd, events, EVENT_COUNT, -1);

		if (count < 0 && errno != EINTR) {
			message("cannot wait for packets: %s", strerror(errno));
			return EX_UNAVAILABLE;
		}
		for (int i = 0; i < count; i++) {
			u32 what = events[i].data.u32;

			if (what == EVENT_SIGNAL && !signal_handle(program))
				return EX_OK;
			if (what != EVENT_SIGNAL && !program->mode->ready(what))
				return EX_UNAVAILABLE;
		}
	}
}

static int serve(struct program *program)
{
	int status;

	/* Before any capability goes: a path that can't be written is a mistake to tell now. */
	if (!counters_publish(program))
		return EX_UNAVAILABLE;
	if (!events_open(program)) {
		message("cannot wait for packets: %s", strerror(errno));
		return EX_UNAVAILABLE;
	}
	privileges_drop(program->mode->capabilities());
	if (program->options.policy.from.count == 0)
		message("without --from, encapsulated packets are accepted from any address");
	program->mode->announce(&program->options);
	status = loop(program);
	counters_report(program);
	return status;
}

/* The mode that was asked for, or NULL where this build doesn't have it. */
static const struct mode *mode_of(const struct options *options)
{
	if (options->mode == MODE_TUN)
		return &mode_tun;
#ifdef SHUNT_DECAP_BPF
	return &mode_kernel;
#else
	message("this shunt-decap was built without BPF: use --mode tun, or build it where clang, "
		"libbpf, libxdp and bpftool are");
	return NULL;
#endif
}

static int run(struct program *program)
{
	int status;

	program->signal_fd = signals_open();
	if (program->signal_fd < 0) {
		message("cannot receive signals: %s", strerror(errno));
		return EX_UNAVAILABLE;
	}
	if (program->mode->open(&program->options, &program->counters) != 0) {
		close(program->signal_fd);
		return EX_UNAVAILABLE;
	}
	status = serve(program);
	if (program->epoll_fd >= 0)
		close(program->epoll_fd);
	program->mode->close();
	close(program->signal_fd);
	return status;
}

int main(int argc, char **argv)
{
	static struct program program = {.epoll_fd = -1};
	enum options_outcome outcome;

	message_program = "shunt-decap";
	outcome = options_parse(argc, argv, &program.options);
	if (outcome != OPTIONS_RUN)
		return outcome == OPTIONS_DONE ? EX_OK : EX_USAGE;
	program.mode = mode_of(&program.options);
	if (!program.mode)
		return EX_UNAVAILABLE;
#ifdef SHUNT_DECAP_BPF
	if (program.options.detach)
		return mode_kernel_detach(&program.options) == 0 ? EX_OK : EX_UNAVAILABLE;
#endif
	return run(&program);
}
