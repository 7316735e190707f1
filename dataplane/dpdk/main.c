/* SPDX-License-Identifier: BSD-2-Clause */
/* shunt-dpdk: the poll-mode engine.
 *
 * Two threads matter. The worker (worker.c) owns its core and the packets. The main thread
 * sleeps in epoll, talks to shuntd (session.c) and with the kernel (exception.c), and wakes for
 * signals, which are a descriptor among the others. All that can be missing on a machine is looked for before DPDK starts. */
#include "dataplane/dpdk/dpdk.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/config.h"
#include "dataplane/dpdk/eal.h"
#include "dataplane/dpdk/exception.h"
#include "dataplane/dpdk/message.h"
#include "dataplane/dpdk/options.h"
#include "dataplane/dpdk/replay.h"
#include "dataplane/dpdk/session.h"

/* --- Configuration -------------------------------------------------------------------- */

static int config_read(const char *path, struct config **config)
{
	struct config_errors errors;
	size_t len_bytes = 0;
	char *text = NULL;
	int err = config_load(path, config, &errors, &text, &len_bytes);

	for (size_t i = 0; i < errors.count; i++)
		config_error_print(stderr, path, text, len_bytes, &errors.list[i]);
	config_errors_free(&errors);
	free(text);
	if (err == 0)
		return EX_OK;
	if (err == -EINVAL)
		return EX_DATAERR;
	message("cannot read %s: %s", path, strerror(-err));
	return EX_NOINPUT;
}

static int config_suits(const struct config_dataplane *config)
{
	if (config->engine != CONFIG_ENGINE_AUTO && config->engine != CONFIG_ENGINE_DPDK) {
		message("the configuration asks for the engine %s; shunt-dpdk is `engine: dpdk`",
			config_engine_name(config->engine));
		return EX_DATAERR;
	}
	if (config->interfaces_count == 0) {
		message("the configuration names no interface to forward on; add "
			"`dataplane: { interfaces: [ { name: ..., device: ... } ] }`");
		return EX_DATAERR;
	}
	return EX_OK;
}

/* --- The program ---------------------------------------------------------------------- */

struct program {
	struct ports ports;
	struct flow_tables flows;
	struct worker worker;
	struct lane lane; /* of the worker */
	struct exception exception;
	struct session session;
	int signal_fd;
	bool dpdk_started;
};

/* Blocked before DPDK makes its threads, which inherit it. */
static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* What the machine can give: asked first, since too much would wake the kernel's OOM killer. */
static u64 memory_available_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long value, kib = 0, huge_pages = 0, huge_kib = 0;
	char name[64];

	if (!file)
		return UINT64_MAX;
	while (fscanf(file, "%63s %llu%*[^\n]", name, &value) == 2) {
		if (strcmp(name, "MemAvailable:") == 0)
			kib = value;
		else if (strcmp(name, "HugePages_Free:") == 0)
			huge_pages = value;
		else if (strcmp(name, "Hugepagesize:") == 0)
			huge_kib = value;
	}
	fclose(file);
	return (kib + huge_pages * huge_kib) * 1024;
}

static int flows_create(const struct config_dataplane *config, struct flow_tables *flows)
{
	u64 need_bytes = config->flows * 2 / FLOW_BUCKET_ENTRIES * sizeof(struct flow_bucket);
	int err = -ENOMEM;

	if (need_bytes < memory_available_bytes())
		err = flow_tables_create(config->flows, 1, config->flow_timeout_ms, flows);
	if (err == 0)
		return EX_OK;
	flows->fd = -1;
	message("no memory for a flow table of %llu flows, which takes %llu MB (%s): give the "
		"machine more, or lower `flows:`",
		(unsigned long long)config->flows, (unsigned long long)need_bytes / 1000000,
		strerror(-err));
	return EX_UNAVAILABLE;
}

static const char *flows_place(const struct flow_tables *flows)
{
	if (!flows->header)
		return "no table (--no-flows)";
	return flows->huge ? "2 MiB pages" : "4 KiB pages";
}

static int dpdk_start(struct program *program, const struct config_dataplane *config)
{
	const char *pci[PORTS_MAX];
	struct eal_setup setup = {.program = "shunt-dpdk", .pci = pci, .huge_pages = true};
	const struct ports *ports = &program->ports;
	struct eal_core core;
	bool huge_pages;
	char text[400];

	if (eal_core_choose(config->workers, &core, text, sizeof(text)) < 0) {
		message("%s", text);
		return EX_UNAVAILABLE;
	}
	if (core.more)
		message("`workers: %s` names several cores, which come with a later version: core "
			"%d alone is used",
			config->workers, core.cpu);
	for (u32 i = 0; i < ports->count; i++)
		if (ports->list[i].kind == PORT_PCI)
			pci[setup.pci_count++] = ports->list[i].config->device;
	setup.worker_cpu = core.cpu;
	setup.memory_bytes = ports_memory_bytes(ports);
	setup.beside_bytes = program->flows.huge ? 0 : program->flows.size_bytes;
	if (eal_start(&setup, &huge_pages) < 0) {
		message("DPDK does not start, for the reason above");
		return EX_UNAVAILABLE;
	}
	program->dpdk_started = true;
	if (ports_open(&program->ports) < 0)
		return EX_UNAVAILABLE;
	message("engine dpdk with %u port%s, worker on core %d, packets in %s pages, flows in %s",
		ports->count, ports->count == 1 ? "" : "s", core.cpu,
		huge_pages ? "2 MiB" : "4 KiB", flows_place(&program->flows));
	return EX_OK;
}

/* Sleeps until a signal asks for the end. */
static int loop(struct program *program)
{
	enum { EVENT_SIGNAL, EVENT_SESSION, EVENT_EXCEPTION };
	struct epoll_event signal_event = {.events = EPOLLIN, .data.u32 = EVENT_SIGNAL};
	struct epoll_event session_event = {.events = EPOLLIN, .data.u32 = EVENT_SESSION};
	struct epoll_event exception_event = {.events = EPOLLIN, .data.u32 = EVENT_EXCEPTION};
	struct session *session = &program->session;
	struct exception *exception = &program->exception;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;

	if (epoll_fd < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, program->signal_fd, &signal_event) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, session->epoll_fd, &session_event) < 0 ||
	    (exception->epoll_fd >= 0 &&
	     epoll_ctl(epoll_fd, EPOLL_CTL_ADD, exception->epoll_fd, &exception_event) < 0)) {
		message("cannot wait for events: %s", strerror(errno));
		return EX_OSERR;
	}
	session_run(session);
	for (;;) {
		int count = epoll_wait(epoll_fd, &event, 1, exception_wait_ms(exception));

		if (count == 1 && event.data.u32 == EVENT_SIGNAL)
			break;
		if (count == 1 && event.data.u32 == EVENT_SESSION)
			session_run(session);
		if (exception->epoll_fd >= 0)
			exception_run(exception, count == 1 && event.data.u32 == EVENT_EXCEPTION);
	}
	close(epoll_fd);
	return EX_OK;
}

/* The kernel's share of the ports. With one, the worker runs from the start. */
static int kernel_open(struct program *program)
{
	struct exception *exception = &program->exception;
	int err = exception_open(exception, &program->ports, &program->lane, 1);

	exception->first = &program->worker;
	if (err == 0 && exception->epoll_fd >= 0) {
		program->worker.relay.lane = &program->lane;
		err = worker_start(&program->worker);
	}
	if (err == 0)
		return EX_OK;
	message("cannot serve the kernel: %s", strerror(-err));
	return EX_OSERR;
}

static int forward(struct program *program, const struct config_dataplane *config,
		   const char *run_dir)
{
	struct session *session = &program->session;
	int status;

	worker_prepare(&program->worker, &program->ports, flow_tick_ms(config->flow_timeout_ms));
	*session = (struct session){
		.run_dir = run_dir,
		.ports = &program->ports,
		.worker = &program->worker,
		.flows = program->flows.header ? &program->flows : NULL,
	};
	if (session_open(session) < 0) {
		message("cannot wait for shuntd: %s", strerror(errno));
		return EX_OSERR;
	}
	status = kernel_open(program);
	if (status == EX_OK)
		status = loop(program);
	worker_stop(&program->worker);
	exception_close(&program->exception);
	session_close(session);
	return status;
}

static int serve(const struct options *options, const struct config_dataplane *config)
{
	static struct program program = {.flows = {.fd = -1}};
	int status = config_suits(config);

	if (status != EX_OK)
		return status;
	program.signal_fd = signals_open();
	if (program.signal_fd < 0) {
		message("cannot receive signals: %s", strerror(errno));
		return EX_OSERR;
	}
	if (ports_prepare(&program.ports, config->interfaces, config->interfaces_count) < 0)
		return EX_UNAVAILABLE;
	status = options->no_flows ? EX_OK : flows_create(config, &program.flows);
	if (status == EX_OK)
		status = dpdk_start(&program, config);
	if (status == EX_OK)
		status = forward(&program, config, options->run_dir);
	ports_close(&program.ports);
	flow_tables_destroy(&program.flows);
	if (program.dpdk_started)
		rte_eal_cleanup();
	return status;
}

int main(int argc, char **argv)
{
	struct options options;
	struct config *config;
	int status;

	switch (options_parse(argc, argv, &options)) {
	case OPTIONS_DONE:
		return EX_OK;
	case OPTIONS_WRONG:
		return EX_USAGE;
	case OPTIONS_RUN:
		break;
	}
	status = config_read(options.config_path, &config);
	if (status != EX_OK)
		return status;
	status = options.replay ? replay_run(&options, &config->dataplane)
				: serve(&options, &config->dataplane);
	config_free(config);
	return status;
}
