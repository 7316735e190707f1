/* SPDX-License-Identifier: BSD-2-Clause */
/* The process does what a worker does between packets: follows generations, sweeps, counts. It
 * sweeps the very tables that the program writes to, so it never clears what is not surely old
 * (burst_sweep's `beside`), and reads the clock for each bucket: one that was read before a
 * publication, which takes its time, would take the newest flows for the oldest. While the process
 * is away nothing sweeps, and the program takes expired entries for what they are by their ages. */
#include "dataplane/kernel/engine.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "dataplane/session/message.h"
#include "dataplane/kernel/counts.h"
#include "dataplane/state/clock.h"

#define ANNOUNCE_LOOK_MS 100

/* --- The beginning -------------------------------------------------------------------- */

/* Whatever engine the process before was. */
static void sockets_inherit(struct kernel *kernel, const struct hooks *hooks,
			    const struct kernel_port *ports)
{
	for (u32 i = 0; i < hooks->count; i++) {
		for (u32 queue = 0; queue < ports[i].queues_count; queue++) {
			u64 lost = kernel_worker_inherit(kernel, ports[i].first_worker + queue);

			if (lost > 0)
				message("the process before was killed with %llu packet%s of queue "
					"%u of %s in its socket",
					(unsigned long long)lost, lost == 1 ? "" : "s", queue,
					hooks->list[i].kernel_name);
		}
	}
}

/* What the kernel would drop on a dead link, when the program has counted it as sent, the program drops. */
static void links_mute(struct kernel *kernel, const struct hooks *hooks)
{
	for (u32 i = 0; i < hooks->count; i++)
		if (hooks->list[i].ifindex && !hooks->list[i].running)
			kernel_port_mute(kernel, i);
}

int engine_prepare(struct kernel *kernel, const struct hooks *hooks,
		   const struct config_dataplane *config, const char *pin_dir)
{
	struct kernel_port ports[KERNEL_PORTS_MAX];
	struct kernel_layout layout = {
		.ports_count = hooks->count,
		.ports = ports,
		.flows = config->flows,
		.flow_timeout_ms = config->flow_timeout_ms,
	};
	int err;

	layout.workers_count = hooks_ports(hooks, ports);
	err = kernel_open(kernel, &layout, pin_dir);
	if (err)
		return err;
	if (kernel->resumed)
		message("goes on with the tables and flows in %s", pin_dir);
	else if (kernel_pinned(pin_dir))
		message("begins without flows: the tables in %s are of another version, or of other "
			"`flows:`, `flow_timeout:`, interfaces or receive queues",
			pin_dir);
	sockets_inherit(kernel, hooks, ports);
	links_mute(kernel, hooks);
	return 0;
}

/* --- Generations ---------------------------------------------------------------------- */

/* kernel_publish() has waited for the last one's end. */
static void generation_report(const struct engine *engine)
{
	const struct report *report = &engine->current->report;

	if (engine->workers) {
		engine->workers->tell(engine->workers_context, report, engine->tables.generation);
		return;
	}
	for (u32 i = 0; i < report->workers_count; i++) {
		struct report_worker *to = report_worker(report, i);

		to->carrier = REPORT_CARRIER_KERNEL;
		to->lost = engine->kernel->workers[i].lost;
		__atomic_store_n(&to->generation, engine->tables.generation, __ATOMIC_RELEASE);
	}
}

static u32 flow_buckets(const struct attachment *attachment)
{
	return __atomic_load_n(&attachment->flow_buckets, __ATOMIC_ACQUIRE);
}

/* Publishes the arena's present root. Returns 0 or -errno: then the last tables stay. */
static int root_publish(struct engine *engine, const struct attachment *attachment, u64 offset)
{
	struct tables tables;
	int err = arena_tables(&attachment->arena, offset, &tables);

	if (engine->current) /* the counters of the generation that is replaced may go with it */
		kernel_count_up(engine->kernel, &engine->current->report);
	if (!err)
		err = kernel_publish(engine->kernel, &attachment->arena, &tables,
				     flow_buckets(attachment));
	if (!err)
		engine->tables = tables;
	if (!err || err == -EINVAL) /* a root that leads outside its arena never gets better */
		engine->root_offset = offset;
	return err;
}

/* Says so once of each root; it is tried again. */
static void publish_failed(struct engine *engine, const struct attachment *attachment, u64 offset,
			   int err)
{
	if (engine->said_of == attachment && engine->said_root == offset)
		return;
	engine->said_of = attachment;
	engine->said_root = offset;
	report_worker(&attachment->report, 0)->roots_refused++;
	message("new tables cannot be put into the kernel (%s); it forwards on with the last ones",
		strerror(-err));
}

static void attached_tell(struct engine *engine)
{
	struct attach_message hello;

	engine->session->describe(engine, &hello);
	for (u32 i = 0; i < hello.ports_count; i++)
		message("engine %s on %s, %s", engine->session->name, hello.ports[i].kernel_name,
			hello.ports[i].state);
}

/* The program goes onto the interfaces when it has tables: at no moment does it drop for want of
 * them. Only then are its maps pinned, in place of those of a program that it has replaced: a crash
 * at any moment leaves the last program that forwards. */
static void attach_once(struct engine *engine)
{
	struct kernel *kernel = engine->kernel;

	if (engine->attached || engine->failed)
		return;
	engine->failed = hooks_attach(engine->hooks, kernel);
	if (!engine->failed && !kernel->resumed)
		counts_up_pinned(kernel->pin_dir, &engine->current->report);
	if (!engine->failed)
		engine->failed = kernel_pin(kernel);
	engine->attached = engine->failed == 0;
	if (!engine->attached)
		return;
	hooks_detach_others(engine->hooks, kernel->pin_dir);
	attached_tell(engine);
}

/* A new root of the arena in use; and flow tables that were cleared for it may be used again. */
static void follow(struct engine *engine)
{
	const struct attachment *attachment = engine->current;
	u64 offset = arena_root_offset(&attachment->arena);
	int err = 0;

	if (offset != engine->root_offset)
		err = root_publish(engine, attachment, offset);
	if (err)
		publish_failed(engine, attachment, offset, err);
	__atomic_store_n(&engine->kernel->control->flow_buckets, flow_buckets(attachment),
			 __ATOMIC_RELEASE);
}

/* --- The session's calls -------------------------------------------------------------- */

void engine_describe(void *context, struct attach_message *hello)
{
	const struct engine *engine = context;

	hello->ports_count = engine->hooks->count;
	for (u32 i = 0; i < engine->hooks->count; i++)
		hook_describe(&engine->hooks->list[i], &hello->ports[i]);
}

/* Goes over to the attachment that was handed over last. What can't be done now is tried again with
 * the next look. Returns 0 or -errno. */
static int take_up(struct engine *engine)
{
	struct attachment *attachment = engine->wanted;
	u64 offset = arena_root_offset(&attachment->arena);
	int err = offset ? root_publish(engine, attachment, offset) : -EAGAIN;

	if (err) {
		publish_failed(engine, attachment, offset, err);
		return err;
	}
	if (engine->current)
		for (u32 i = 0; i < attachment->report.workers_count; i++)
			report_carry_over(&engine->current->report, &attachment->report, i);
	engine->current = attachment;
	generation_report(engine);
	attach_once(engine);
	return engine->workers ? engine->workers->hand(engine->workers_context, attachment) : 0;
}

int engine_hand(void *context, struct attachment *attachment)
{
	struct engine *engine = context;

	engine->wanted = attachment;
	return take_up(engine);
}

/* Both the program and the threads beside it may use what the session keeps. */
struct attachment *engine_oldest(void *context, struct attachment *newest)
{
	const struct engine *engine = context;
	const struct attachment *workers;
	struct attachment *oldest = NULL;

	if (!engine->workers)
		return engine->current;
	workers = engine->workers->oldest(engine->workers_context);
	for (struct attachment *each = newest; workers && each; each = each->older)
		if (each == engine->current || each == workers)
			oldest = each;
	return oldest;
}

bool engine_all_at(void *context, const struct attachment *attachment)
{
	const struct engine *engine = context;

	return engine->current == attachment &&
	       (!engine->workers || engine->workers->all_at(engine->workers_context, attachment));
}

/* --- Interfaces that change ----------------------------------------------------------- */

/* One that has come back has no program. */
static void attach_again(struct engine *engine)
{
	bool due = false;

	for (u32 i = 0; i < engine->hooks->count; i++)
		due |= engine->hooks->list[i].ifindex != engine->hooks->list[i].on;
	if (due && engine->attached && hooks_attach(engine->hooks, engine->kernel) == 0)
		attached_tell(engine);
}

bool engine_follow_links(struct engine *engine)
{
	struct kernel_port ports[KERNEL_PORTS_MAX];
	int err;

	if (!hooks_follow(engine->hooks))
		return false;
	hooks_ports(engine->hooks, ports);
	err = kernel_ports_write(engine->kernel, ports, engine->hooks->count);
	if (err)
		message("the program cannot be told of a changed interface: %s", strerror(-err));
	links_mute(engine->kernel, engine->hooks);
	announcer_repeat(&engine->announcer);
	attach_again(engine);
	return true;
}

/* --- Housekeeping --------------------------------------------------------------------- */

static void sweep_worker(struct engine *engine, u32 worker, u64 buckets)
{
	const struct flow_tables *flows = &engine->kernel->flows;
	struct env env = {
		.tables = engine->tables,
		.flows = flow_tables_of(flows, worker),
		.flow_buckets = engine->kernel->control->flow_buckets,
	};

	engine->sweeps[worker].beside = true;
	for (u64 k = 0; env.flow_buckets > 0 && k < buckets; k++) {
		u64 tick = flow_tick_of(clock_now_ms(), flows->tick_ms);

		env.tick = (u8)(tick & FLOW_AGE_MASK);
		burst_sweep(&engine->sweeps[worker], &env, tick,
			    report_worker(&engine->current->report, worker));
	}
}

/* As many buckets as keep a whole pass within half of FLOW_SWEEP_TICKS. */
static void sweep(struct engine *engine)
{
	const struct flow_tables *flows = &engine->kernel->flows;
	u64 pass_ms = (u64)flows->tick_ms * FLOW_SWEEP_TICKS / 2;
	u64 now = clock_now_ms();
	u64 buckets = (u64)flows->buckets_count * (now - engine->swept_ms) / (pass_ms | 1) + 1;

	engine->swept_ms = now;
	if (buckets > flows->buckets_count)
		buckets = flows->buckets_count;
	for (u32 i = 0; i < flows->workers_count; i++)
		sweep_worker(engine, i, buckets);
	flows->header->last_tick = flow_tick_of(now, flows->tick_ms);
}

int engine_packet_socket(const struct config_dataplane *config)
{
	bool answers = false;
	int fd = -1;

	for (size_t i = 0; i < config->interfaces_count; i++)
		answers |= config->interfaces[i].answer == CONFIG_ANSWER_ARP;
	if (answers)
		fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (answers && fd < 0)
		message("VIPs are answered for, but not announced (%s): run as root, or with "
			"CAP_NET_RAW",
			strerror(errno));
	return fd;
}

static bool announcement_send(void *context, u32 port, const u8 *frame, u32 frame_bytes)
{
	const struct engine *engine = context;

	return hook_send(&engine->hooks->list[port], engine->packet_socket, frame, frame_bytes);
}

/* Tells a segment whose the VIPs are, where that is ours to do. */
static void announce(struct engine *engine)
{
	struct announcer *announcer = &engine->announcer;
	u64 now = clock_now_ms();

	if (now < engine->announced_ms + ANNOUNCE_LOOK_MS)
		return;
	engine->announced_ms = now;
	announcer->stations_count = engine->hooks->count;
	for (u32 i = 0; i < engine->hooks->count; i++)
		announcer->stations[i] = engine->kernel->control->ports[i].station;
	announcer_run(announcer, engine->current, now, announcement_send, engine);
}

void engine_run(struct engine *engine)
{
	if (engine->wanted != engine->current)
		(void)take_up(engine); /* which says why not */
	if (!engine->current)
		return;
	follow(engine);
	generation_report(engine);
	kernel_count_up(engine->kernel, &engine->current->report);
	for (u32 i = 0; i < engine->current->report.workers_count; i++)
		report_worker(&engine->current->report, i)->heartbeat++;
	if (engine->swept_ms == 0)
		engine->swept_ms = clock_now_ms();
	sweep(engine);
	announce(engine);
}

void engine_tell_end(const struct engine *engine)
{
	if (engine->attached)
		message("ends; the program in the kernel forwards on (shunt-xdp --detach takes it "
			"off)");
}
