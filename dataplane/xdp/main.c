/* SPDX-License-Identifier: BSD-2-Clause */
/* shunt-xdp: where a network card can't be given away. The kernel's program does the work; this
 * process brings it tables, adds up its counters and may end at any time: what it made is pinned. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/config.h"
#include "dataplane/session/message.h"
#include "dataplane/session/start.h"
#include "dataplane/kernel/pins.h"
#include "dataplane/xdp/engines.h"
#include "dataplane/xdp/options.h"
#include "dataplane/xdp/replay.h"

#define LIBXDP_DIR "/sys/fs/bpf/xdp"

/* --- Configuration -------------------------------------------------------------------- */

static int config_suits(const struct config_dataplane *config)
{
	if (config->engine == CONFIG_ENGINE_DPDK) {
		message("the configuration asks for the engine %s; shunt-xdp is `engine: xdp` or "
			"`engine: af_xdp`",
			config_engine_name(config->engine));
		return EX_DATAERR;
	}
	if (config->interfaces_count == 0) {
		message("the configuration names no interface to forward on; add "
			"`dataplane: { interfaces: [ { name: eth0 } ] }`");
		return EX_DATAERR;
	}
	return EX_OK;
}

/* --- The end of it all ----------------------------------------------------------------- */

static int detach(const char *dir)
{
	bool pinned = access(dir, F_OK) == 0;
	bool any;

	if (pinned && pins_lock(dir) < 0)
		return EX_TEMPFAIL;
	any = hooks_detach_others(NULL, dir);
	any |= kernel_unpin(dir);
	if (pinned && rmdir(dir) < 0) {
		message("%s is not empty, and stays: %s", dir, strerror(errno));
		return EX_OSERR;
	}
	rmdir(LIBXDP_DIR); /* which that makes, and makes again: left only where it holds something */
	message(any ? "the program is off its interfaces, and its tables are gone"
		    : "nothing to detach");
	return EX_OK;
}

/* --- The program ---------------------------------------------------------------------- */

struct program {
	struct hooks hooks;
	struct kernel kernel;
	struct engine engine;
	struct workers workers;
	struct session session;
	bool sockets;  /* the engine is af_xdp */
	char why[400]; /* it is what it is */
	int signal_fd, timer_fd, links_fd;
};

static int timer_open(void)
{
	const struct itimerspec every = {
		.it_interval.tv_nsec = ENGINE_LOOK_MS * 1000000,
		.it_value.tv_nsec = ENGINE_LOOK_MS * 1000000,
	};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	return fd >= 0 && timerfd_settime(fd, 0, &every, NULL) == 0 ? fd : -1;
}

/* Sleeps until a signal asks for the end. */
static int loop(struct program *program)
{
	enum { EVENT_SIGNAL, EVENT_SESSION, EVENT_TIMER, EVENT_LINKS };
	struct epoll_event signal_event = {.events = EPOLLIN, .data.u32 = EVENT_SIGNAL};
	struct epoll_event session_event = {.events = EPOLLIN, .data.u32 = EVENT_SESSION};
	struct epoll_event timer_event = {.events = EPOLLIN, .data.u32 = EVENT_TIMER};
	struct epoll_event links_event = {.events = EPOLLIN, .data.u32 = EVENT_LINKS};
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;
	u64 expirations;

	if (epoll_fd < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, program->signal_fd, &signal_event) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, program->session.epoll_fd, &session_event) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, program->timer_fd, &timer_event) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, program->links_fd, &links_event) < 0) {
		message("cannot wait for events: %s", strerror(errno));
		return EX_OSERR;
	}
	session_run(&program->session);
	while (!program->engine.failed) {
		int count = epoll_wait(epoll_fd, &event, 1, -1);

		if (count == 1 && event.data.u32 == EVENT_SIGNAL)
			break;
		if (count == 1 && event.data.u32 == EVENT_SESSION)
			session_run(&program->session);
		if (count == 1 && event.data.u32 == EVENT_TIMER &&
		    read(program->timer_fd, &expirations, sizeof(expirations)) > 0)
			engine_run(&program->engine);
		if (count == 1 && event.data.u32 == EVENT_LINKS) {
			hooks_watch_drain(program->links_fd);
			if (engine_follow_links(&program->engine))
				session_recall(&program->session);
		}
	}
	close(epoll_fd);
	return program->engine.failed ? EX_UNAVAILABLE : EX_OK;
}

static int forward(struct program *program, const struct engine_options *options,
		   const struct config_dataplane *config)
{
	struct session *session = &program->session;
	int status;

	program->engine = (struct engine){
		.kernel = &program->kernel,
		.hooks = &program->hooks,
		.workers = program->sockets ? &af_xdp_workers : NULL,
		.workers_context = &program->workers,
		.session = program->sockets ? &af_xdp_engine : &xdp_engine,
		.packet_socket = engine_packet_socket(config),
	};
	*session = (struct session){
		.run_dir = options->shared.run_dir,
		.engine = program->engine.session,
		.context = &program->engine,
		.workers_count = program->kernel.control->workers_count,
		.why = program->why,
		.flows = options->shared.no_flows ? NULL : &program->kernel.flows,
		.flows_in_use = program->kernel.resumed,
		.flows_settled = true, /* they are pinned, not deposited */
	};
	if (session_open(session) < 0) {
		message("cannot wait for shuntd: %s", strerror(errno));
		return EX_OSERR;
	}
	status = loop(program);
	if (program->sockets) {
		workers_stop(&program->workers, &program->kernel);
		engine_run(&program->engine); /* counts the last packets */
	}
	engine_tell_end(&program->engine);
	session_close(session);
	announcer_free(&program->engine.announcer);
	return status;
}

/* af_xdp, where it is asked for or can be. Nothing has been changed yet. */
static int engine_choose(struct program *program, const struct engine_options *options,
			 const struct config_dataplane *config)
{
	char text[300];
	int err;

	snprintf(program->why, sizeof(program->why), "`engine: %s` in the configuration",
		 config_engine_name(config->engine));
	if (config->engine == CONFIG_ENGINE_XDP)
		return EX_OK;
	err = workers_open(&program->workers, &program->hooks, options->buffers_count,
			   options->busy_poll, text, sizeof(text));
	program->sockets = err == 0;
	if (err && config->engine == CONFIG_ENGINE_AF_XDP) {
		message("%s", text);
		return EX_UNAVAILABLE;
	}
	if (config->engine == CONFIG_ENGINE_AUTO)
		snprintf(program->why, sizeof(program->why),
			 err ? "`engine: auto`, no device is given to DPDK, and %s"
			     : "`engine: auto`, no device is given to DPDK, and sockets can be "
			       "made%s",
			 err ? text : "");
	if (err)
		message("engine xdp: %s", program->why);
	return EX_OK;
}

static int kernel_prepare(struct program *program, const struct engine_options *options,
			  const struct config_dataplane *config)
{
	int err;

	if (engine_prepare(&program->kernel, &program->hooks, config, options->shared.pin_dir) < 0)
		return EX_UNAVAILABLE;
	err = program->sockets ? workers_join_kernel(&program->workers, &program->kernel) : 0;
	if (err) {
		message("the sockets cannot be handed to the program: %s", strerror(-err));
		return EX_UNAVAILABLE;
	}
	return EX_OK;
}

static int serve(const struct engine_options *options, const struct config_dataplane *config)
{
	static struct program program;
	const struct config_interface *dpdk = config_dpdk_interface(config);
	int status = config_suits(config);

	if (status != EX_OK)
		return status;
	if (config->engine == CONFIG_ENGINE_AUTO && dpdk) {
		message("`engine: auto`, and `device: %s` is DPDK's: shunt-dpdk forwards",
			dpdk->device);
		return start_other("shunt-dpdk", &options->shared);
	}
	program.signal_fd = start_signals();
	program.timer_fd = timer_open();
	program.links_fd = hooks_watch();
	if (program.signal_fd < 0 || program.timer_fd < 0 || program.links_fd < 0) {
		message("cannot receive signals: %s", strerror(errno));
		return EX_OSERR;
	}
	if (hooks_find(&program.hooks, config, options->shared.pin_dir) < 0 || kernel_probe() < 0 ||
	    pins_lock(options->shared.pin_dir) < 0)
		return EX_UNAVAILABLE;
	status = engine_choose(&program, options, config);
	if (status == EX_OK)
		status = kernel_prepare(&program, options, config);
	if (status == EX_OK)
		status = forward(&program, options, config);
	workers_close(&program.workers);
	if (program.kernel.skeleton)
		kernel_close(&program.kernel);
	return status;
}

int main(int argc, char **argv)
{
	struct engine_options options;
	struct config *config;
	int status;

	message_program = "shunt-xdp";
	switch (options_parse(argc, argv, &options)) {
	case OPTIONS_DONE:
		return EX_OK;
	case OPTIONS_WRONG:
		return EX_USAGE;
	case OPTIONS_RUN:
		break;
	}
	kernel_print(options.verbose);
	if (options.detach)
		return detach(options.shared.pin_dir);
	status = start_config(options.shared.config_path, &config);
	if (status != EX_OK)
		return status;
	status = options.shared.replay ? replay_run(&options.shared, &config->dataplane)
				       : serve(&options, &config->dataplane);
	config_free(config);
	return status;
}
