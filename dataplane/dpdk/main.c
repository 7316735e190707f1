/* SPDX-License-Identifier: BSD-2-Clause */
/* shunt-dpdk: the poll-mode engine.
 *
 * Two kinds of threads matter. A worker (worker.c) owns its core, and the packets of one queue of
 * each port. The main thread sleeps in epoll, talks to shuntd (session.c) and with the kernel
 * (exception.c), and wakes for signals, which are a descriptor among the others. All that can be
 * missing on a machine is looked for before DPDK starts. */
#include "dataplane/dpdk/dpdk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/config.h"
#include "dataplane/dpdk/eal.h"
#include "dataplane/dpdk/engine.h"
#include "dataplane/dpdk/exception.h"
#include "dataplane/dpdk/links.h"
#include "dataplane/dpdk/options.h"
#include "dataplane/dpdk/plan_here.h"
#include "dataplane/dpdk/plan_print.h"
#include "dataplane/dpdk/replay.h"
#include "dataplane/dpdk/steering.h"
#include "dataplane/session/message.h"
#include "dataplane/session/start.h"

/* --- Configuration -------------------------------------------------------------------- */

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
	struct flow_tables flows;  /* but for those in the kernel */
	struct steering *steering; /* NULL: the kernel's program has no part in it */
	struct machine machine;
	struct plan plan;
	struct workers workers;
	struct lane lanes[WORKERS_MAX]; /* a worker each */
	struct exception exception;
	struct links links;
	struct session session;
	int signal_fd;
	bool dpdk_started;
};

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

static int flows_create(const struct config_dataplane *config, u32 workers_count,
			struct flow_tables *flows)
{
	u64 least = (u64)workers_count * FLOW_TABLE_MIN_BUCKETS;
	u64 buckets = config->flows * 2 / FLOW_BUCKET_ENTRIES;
	u64 need_bytes = (buckets < least ? least : buckets) * FLOW_TABLE_BUCKET_BYTES;
	int err = -ENOMEM;

	if (need_bytes < memory_available_bytes())
		err = flow_tables_create(config->flows, workers_count, config->flow_timeout_ms,
					 flows);
	if (err == 0)
		return EX_OK;
	flows->fd = -1;
	message("no memory for the flow tables of %u worker%s and %llu flows, which take %llu MB "
		"(%s): give the machine more, or lower `flows:`",
		workers_count, workers_count == 1 ? "" : "s", (unsigned long long)config->flows,
		(unsigned long long)need_bytes / 1000000, strerror(-err));
	return EX_UNAVAILABLE;
}

static const char *flows_place(const struct program *program)
{
	const struct flow_tables *flows = &program->flows;

	if (program->steering)
		return "the kernel's memory";
	if (!flows->header)
		return "no table (--no-flows)";
	return flows->huge ? "2 MiB pages" : "4 KiB pages";
}

static void says_tell(const struct plan_says *says)
{
	for (u32 i = 0; i < says->count; i++)
		message("%s", says->list[i]);
}

/* Says which cores of the plan found no queues, now that the devices are open. */
static void surplus_tell(const struct program *program, const struct config_dataplane *config)
{
	const struct port *narrowest = program->ports.narrowest;
	static struct plan_says says;

	if (narrowest)
		plan_say_surplus(&says, &program->plan.cores, program->ports.workers_count,
				 narrowest, narrowest->queues_max, config->workers);
	says_tell(&says);
}

static void start_tell(const struct program *program)
{
	const struct plan *plan = &program->plan;
	u32 used = program->ports.workers_count;
	char names[CORES_TEXT_MAX];

	cores_format(plan->cores.list, used, names);
	message("engine dpdk with %u port%s, %u worker%s on core%s %s%s, packets in %s pages, "
		"flows in %s",
		program->ports.count, program->ports.count == 1 ? "" : "s", used,
		used == 1 ? "" : "s", used == 1 ? "" : "s", names, plan->why,
		plan_page_name(plan->packets.page), flows_place(program));
}

/* Starts DPDK and the ports: only then is it known how many workers find queues. */
static int dpdk_start(struct program *program, const struct config_dataplane *config)
{
	struct ports *ports = &program->ports;
	char eal[PLAN_EAL_BYTES];
	int status = EX_OK;

	plan_eal_format(&program->plan, eal);
	message("DPDK gets %s", eal);
	if (eal_start(&program->plan.eal) < 0) {
		message("DPDK does not start, for the reason above");
		return EX_UNAVAILABLE;
	}
	program->dpdk_started = true;
	ports->node = program->plan.packets.node;
	if (ports_open(ports, program->plan.workers_count) < 0)
		return EX_UNAVAILABLE;
	surplus_tell(program, config);
	if (program->flows.header && program->flows.workers_count != ports->workers_count) {
		flow_tables_destroy(&program->flows);
		status = flows_create(config, ports->workers_count, &program->flows);
	}
	if (status == EX_OK)
		start_tell(program);
	return status;
}

/* Sleeps until a signal asks for the end. */
static int loop(struct program *program)
{
	enum { EVENT_SIGNAL, EVENT_SESSION, EVENT_EXCEPTION, EVENT_STEERING, EVENT_LINKS };
	struct epoll_event signal_event = {.events = EPOLLIN, .data.u32 = EVENT_SIGNAL};
	struct epoll_event session_event = {.events = EPOLLIN, .data.u32 = EVENT_SESSION};
	struct epoll_event exception_event = {.events = EPOLLIN, .data.u32 = EVENT_EXCEPTION};
	struct epoll_event steering_event = {.events = EPOLLIN, .data.u32 = EVENT_STEERING};
	struct epoll_event links_event = {.events = EPOLLIN, .data.u32 = EVENT_LINKS};
	struct session *session = &program->session;
	struct steering *steering = program->steering;
	struct exception *exception = &program->exception;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;
	int status = EX_OK;

	if (epoll_fd < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, program->signal_fd, &signal_event) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, session->epoll_fd, &session_event) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, program->links.timer_fd, &links_event) < 0 ||
	    (exception->epoll_fd >= 0 &&
	     epoll_ctl(epoll_fd, EPOLL_CTL_ADD, exception->epoll_fd, &exception_event) < 0) ||
	    (steering && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, steering_epoll_fd(steering),
				   &steering_event) < 0)) {
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
		if (count == 1 && event.data.u32 == EVENT_LINKS && links_run(&program->links))
			session_retell(session);
		if (program->links.restart) {
			status = EX_TEMPFAIL;
			break;
		}
		if (exception->epoll_fd >= 0)
			exception_run(exception, count == 1 && event.data.u32 == EVENT_EXCEPTION);
		if (count == 1 && event.data.u32 == EVENT_STEERING &&
		    !steering_run(steering, session)) {
			status = EX_UNAVAILABLE;
			break;
		}
	}
	close(epoll_fd);
	return status;
}

/* The kernel's share of the ports. With one, the workers run from the start. */
static int kernel_share(struct program *program)
{
	struct exception *exception = &program->exception;
	struct workers *workers = &program->workers;
	int err = exception_open(exception, &program->ports, program->lanes, workers->count);

	exception->first = &workers->list[0];
	if (err == 0 && exception->epoll_fd >= 0)
		err = workers_serve_kernel(workers, program->lanes);
	if (err == 0)
		return EX_OK;
	message("cannot serve the kernel: %s", strerror(-err));
	return EX_OSERR;
}

/* What was amiss with the links before anyone asks. */
static int links_begin(struct program *program)
{
	int err = links_open(&program->links, &program->ports, &program->workers);

	if (err == 0)
		return EX_OK;
	message("cannot watch the links: %s", strerror(-err));
	return EX_OSERR;
}

static int forward(struct program *program, const struct config_dataplane *config,
		   const struct options *options)
{
	struct session *session = &program->session;
	struct steering *steering = program->steering;
	int status = EX_OK;

	workers_prepare(&program->workers, program->ports.workers_count, program->plan.cores.list,
			&program->ports, flow_tick_ms(config->flow_timeout_ms));
	*session = (struct session){
		.run_dir = options->run_dir,
		.engine = &dpdk_engine,
		.context = &program->workers,
		.why = config->engine == CONFIG_ENGINE_AUTO
			       ? "`engine: auto`, and a device is given to DPDK"
			       : "`engine: dpdk` in the configuration",
		.workers_count = program->workers.count,
		.flows = program->flows.header ? &program->flows : NULL,
	};
	if (steering)
		status = steering_join(steering, &program->workers);
	if (status != EX_OK)
		return status;
	if (steering)
		steering_session(steering, session, options->no_flows);
	if (session_open(session) < 0) {
		message("cannot wait for shuntd: %s", strerror(errno));
		return EX_OSERR;
	}
	status = links_begin(program);
	if (status == EX_OK)
		status = kernel_share(program);
	if (status == EX_OK)
		status = loop(program);
	links_close(&program->links);
	if (steering)
		steering_stop(steering);
	workers_stop(&program->workers);
	if (steering)
		steering_end(steering);
	exception_close(&program->exception);
	session_close(session);
	return status;
}

/* What can be said before anything is made. */
static int plan_tell(const struct program *program)
{
	int err = ports_check(&program->ports);

	says_tell(&program->plan.faults);
	if (err < 0 || program->plan.faults.count > 0)
		return EX_UNAVAILABLE;
	says_tell(&program->plan.warnings);
	return EX_OK;
}

static int plan_show(const struct program *program, bool json)
{
	bool written = true;

	if (json)
		written = plan_print_json(&program->plan, &program->machine, stdout);
	else
		plan_print(&program->plan, &program->machine, stdout);
	if (!written || fflush(stdout) != 0) {
		message("cannot write the plan: %s", strerror(errno));
		return EX_IOERR;
	}
	return program->plan.faults.count > 0 ? EX_UNAVAILABLE : EX_OK;
}

static int serve(const struct engine_options *own, const struct config_dataplane *config)
{
	static struct program program = {.flows = {.fd = -1}};
	const struct options *options = &own->shared;
	int status = config_suits(config);

	if (status != EX_OK)
		return status;
	if (config->engine == CONFIG_ENGINE_AUTO && !config_dpdk_interface(config)) {
		if (own->plan) {
			message("`engine: auto`, and no interface has a `device:` of DPDK's: "
				"shunt-xdp forwards, and has no plan of cores; give a `device:`");
			return EX_DATAERR;
		}
		message("`engine: auto`, and no interface has a `device:` of DPDK's: shunt-xdp "
			"forwards on the kernel's own");
		return start_other("shunt-xdp", options);
	}
	ports_prepare(&program.ports, config->interfaces, config->interfaces_count);
	plan_here(&program.plan, &program.machine, &program.ports, config->workers,
		  options->no_flows ? 0 : config->flows);
	if (own->plan)
		return plan_show(&program, own->json);
	program.signal_fd = start_signals();
	if (program.signal_fd < 0) {
		message("cannot receive signals: %s", strerror(errno));
		return EX_OSERR;
	}
	status = plan_tell(&program);
	if (program.plan.node != MACHINE_NO_NODE)
		machine_prefer_node(program.plan.node);
	if (status == EX_OK)
		status = steering_open(&program.steering, config, &program.ports, options->pin_dir);
	if (status == EX_OK && !options->no_flows && !program.steering)
		status = flows_create(config, program.plan.workers_count, &program.flows);
	if (status == EX_OK)
		status = dpdk_start(&program, config);
	if (status == EX_OK)
		status = forward(&program, config, options);
	ports_close(&program.ports);
	flow_tables_destroy(&program.flows);
	if (program.dpdk_started)
		rte_eal_cleanup();
	if (program.steering)
		steering_close(program.steering);
	return status;
}

int main(int argc, char **argv)
{
	struct engine_options options;
	struct config *config;
	int status;

	message_program = "shunt-dpdk";
	switch (options_parse(argc, argv, &options)) {
	case OPTIONS_DONE:
		return EX_OK;
	case OPTIONS_WRONG:
		return EX_USAGE;
	case OPTIONS_RUN:
		break;
	}
	status = start_config(options.shared.config_path, &config);
	if (status != EX_OK)
		return status;
	status = options.shared.replay ? replay_run(&options.shared, &config->dataplane)
				       : serve(&options, &config->dataplane);
	config_free(config);
	return status;
}
