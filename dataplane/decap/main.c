/* SPDX-License-Identifier: BSD-2-Clause */
/* shunt-decap: on a backend, takes off what the balancer put on: in the kernel (modes xdp and tc), or
 * here and through a TUN device (mode tun).
 *
 * In mode tun everything that needs a privilege (the device, raw sockets, large socket buffers) happens
 * before the first packet; then every capability is given up, since what follows reads bytes
 * from the network. Closing the device's descriptor removes the device and needs none, so no way
 * of ending the process leaves it behind, not even a kill.
 *
 * One thread, one epoll set, signals as a descriptor among the others. */
#include "dataplane/decap/addresses.h"
#include "dataplane/decap/kernel.h"
#include "dataplane/decap/message.h"
#include "dataplane/decap/options.h"
#include "dataplane/decap/receive.h"

#include <cap-ng.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

/* What an epoll event is about: a source's number, or one of these. */
enum { EVENT_SIGNAL = RECEIVE_SOURCES, EVENT_DEVICE, EVENT_ADDRESSES, EVENT_COUNT };

struct program {
	struct options options;
	struct counters counters;
	struct tun tun;
	struct receiver *receiver;
	struct kernel *kernel; /* NULL in mode tun, which has the device and the receiver instead */
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
	if (program->epoll_fd < 0)
		return false;
	if (!event_add(program, program->signal_fd, EVENT_SIGNAL))
		return false;
	if (program->kernel)
		return event_add(program, kernel_fd(program->kernel), EVENT_ADDRESSES);
	if (!event_add(program, program->tun.fd, EVENT_DEVICE))
		return false;
	for (u32 i = 0; i < RECEIVE_SOURCES; i++) {
		int fd = receiver_fd(program->receiver, i);

		if (fd >= 0 && !event_add(program, fd, i))
			return false;
	}
	return true;
}

/* The modes in the kernel keep what detaching takes; they read nothing from the network.
 * The bounding set needs CAP_SETPCAP, which a program with file capabilities doesn't have; there
 * PR_SET_NO_NEW_PRIVS alone keeps capabilities from coming back. */
static void privileges_drop(const struct program *program)
{
	bool dropped;

	capng_get_caps_process();
	capng_clear(CAPNG_SELECT_BOTH);
	if (program->kernel)
		capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN,
			      CAP_SYS_ADMIN, CAP_BPF, -1);
	dropped = capng_apply(CAPNG_SELECT_BOTH) == 0 || capng_apply(CAPNG_SELECT_CAPS) == 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !dropped)
		message("could not give up all privileges: running on with them");
}

static bool counters_publish(const struct program *program)
{
	const char *path = program->options.stats_path;
	int status = path ? counters_save(&program->counters, path) : 0;

	if (status != 0)
		message("cannot write %s: %s", path, strerror(-status));
	return status == 0;
}

static void counters_report(struct program *program)
{
	if (program->kernel)
		kernel_count(program->kernel, &program->counters);
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

/* Returns false once the device is gone: somebody removed it. */
static bool device_handle(struct program *program)
{
	int count = tun_discard(&program->tun);

	if (count >= 0) {
		program->counters.notes[NOTE_DEVICE_READ] += (u64)count;
		return true;
	}
	message("device %s is gone: start shunt-decap again to have it back",
		program->options.device);
	return false;
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
			if (what == EVENT_DEVICE && !device_handle(program))
				return EX_UNAVAILABLE;
			if (what == EVENT_ADDRESSES && !kernel_refresh(program->kernel))
				return EX_UNAVAILABLE;
			if (what < RECEIVE_SOURCES)
				receiver_run(program->receiver, what);
		}
	}
}

static int serve(struct program *program)
{
	const struct options *options = &program->options;
	int status;

	/* Before any capability goes: a path that can't be written is a mistake to tell now. */
	if (!counters_publish(program))
		return EX_UNAVAILABLE;
	if (!events_open(program)) {
		message("cannot wait for packets: %s", strerror(errno));
		return EX_UNAVAILABLE;
	}
	privileges_drop(program);
	if (options->policy.from.count == 0)
		message("without --from, encapsulated packets are accepted from any address");
	addresses_check(&options->policy.vips);
	message("ready: IPIP and GUE (UDP port %u) %s %s", options->gue_port,
		program->kernel ? "are taken off at interface" : "go to device",
		program->kernel ? options->interface : options->device);
	status = loop(program);
	counters_report(program);
	return status;
}

static int tun_run(struct program *program)
{
	const struct options *options = &program->options;
	int status = EX_UNAVAILABLE;

	if (tun_open(&program->tun, options->device, options->mtu) != 0)
		return status;
	if (receiver_open(&program->receiver, options->gue_port, &options->policy, &program->tun,
			  &program->counters) == 0) {
		status = serve(program);
		receiver_close(program->receiver);
	}
	tun_close(&program->tun);
	return status;
}

static int kernel_run(struct program *program)
{
	int status;

	if (kernel_open(&program->kernel, &program->options) != 0)
		return EX_UNAVAILABLE;
	status = serve(program);
	kernel_close(program->kernel);
	return status;
}

int main(int argc, char **argv)
{
	static struct program program = {.epoll_fd = -1};
	struct options *options = &program.options;
	enum options_outcome outcome = options_parse(argc, argv, options);
	int status;

	if (outcome != OPTIONS_RUN)
		return outcome == OPTIONS_DONE ? EX_OK : EX_USAGE;
	program.signal_fd = signals_open();
	if (program.signal_fd < 0) {
		message("cannot receive signals: %s", strerror(errno));
		return EX_UNAVAILABLE;
	}
	status = options->mode == MODE_TUN ? tun_run(&program) : kernel_run(&program);
	if (program.epoll_fd >= 0)
		close(program.epoll_fd);
	close(program.signal_fd);
	return status;
}
