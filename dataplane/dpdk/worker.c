/* SPDX-License-Identifier: BSD-2-Clause */
/* Run to completion: receive, process, send, count, and a little housekeeping each round. No
 * lock, no atomic read-modify-write and no system call: what the main thread hands over is one
 * pointer, and the time comes from the cycle counter (the clock itself is read once a tick, and
 * not from the kernel).
 *
 * Workers share nothing that one of them writes: each has its queue of every port, its flow table,
 * its block of the report, its copy of the roots. One thing is said for all of them, once a tick,
 * by the first: that the flow tables are alive.
 *
 * Where the kernel's program steers to it, the worker tells that once a millisecond that it is there, and
 * once a burst what it took; it then reads the program's clock, not its own.
 *
 * An attachment is taken up between two bursts. Counters are carried over here and not by the
 * main thread, because until this moment the old ones still grow. The ports aren't polled before
 * there are tables: a frame is then better off waiting in its queue. Where tables don't come, it
 * is not: who has to mend shuntd may come over this wire, so that after two seconds the kernel gets
 * everything. */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/worker.h"

#include <time.h>

#include "dataplane/dpdk/eal.h"

#define TABLES_AWAITED_MS 2000

/* --- Time ----------------------------------------------------------------------------- */

static u64 clock_now_ms(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

/* CLOCK_MONOTONIC, whose ticks mean the same to the next process. */
static void clock_read(struct worker_clock *clock)
{
	clock->now_ms = clock_now_ms(CLOCK_MONOTONIC);
	clock->tick = flow_tick_of(clock->now_ms, clock->tick_ms);
	clock->ms_ends_cycles = rte_rdtsc() + clock->cycles_per_ms;
}

/* A millisecond or more is over: counts cycles on. */
static void clock_count(struct worker_clock *clock, u64 cycles)
{
	u64 passed_ms = (cycles - clock->ms_ends_cycles) / clock->cycles_per_ms + 1;

	clock->now_ms += passed_ms;
	clock->ms_ends_cycles += passed_ms * clock->cycles_per_ms;
}

/* Leaves the predecessor's flow tables once all their flows have timed out. */
static void elder_leave(struct worker *worker)
{
	if (!worker->elder || !flow_elder_over(worker->elder, worker->clock.tick))
		return;
	worker->relay.env.elder = NULL;
	__atomic_store_n(&worker->elder, NULL, __ATOMIC_RELEASE); /* worker_uses_elder() */
}

/* Once a tick, from the moment on that there are tables: what the main thread lays down before it
 * hands them over is not looked at earlier. */
static void flows_tend(struct worker *worker)
{
	if (worker->flows_tick)
		*worker->flows_tick = worker->clock.tick;
	elder_leave(worker);
}

/* By the coarse clock, as the program has it: it costs no system call. The program reads the line that
 * the heartbeat is in with every frame, so that nothing is written there without need. */
static void clock_follow(struct worker *worker, u64 cycles)
{
	struct worker_clock *clock = &worker->clock;
	u64 now_ms = clock_now_ms(CLOCK_MONOTONIC_COARSE);

	clock->ms_ends_cycles = cycles + clock->cycles_per_ms;
	if (worker->current && worker->shared->heartbeat_ms != now_ms)
		__atomic_store_n(&worker->shared->heartbeat_ms, now_ms, __ATOMIC_RELAXED);
	if (now_ms == clock->now_ms)
		return;
	clock->now_ms = now_ms;
	clock->tick = flow_tick_of(now_ms, clock->tick_ms);
	worker->relay.env.now_ms = (u32)now_ms;
	worker->relay.env.tick = (u8)(clock->tick & FLOW_AGE_MASK);
}

static always_inline void clock_step(struct worker *worker)
{
	struct worker_clock *clock = &worker->clock;
	u64 cycles = rte_rdtsc();

	if (likely(cycles < clock->ms_ends_cycles))
		return;
	if (worker->shared) {
		clock_follow(worker, cycles);
		return;
	}
	clock_count(clock, cycles);
	worker->relay.env.now_ms = (u32)clock->now_ms;
	if (likely(flow_tick_of(clock->now_ms, clock->tick_ms) == clock->tick))
		return;
	clock_read(clock);
	worker->relay.env.tick = (u8)(worker->clock.tick & FLOW_AGE_MASK);
	if (worker->current)
		flows_tend(worker);
}

/* Its block of an attachment's report. */
static always_inline struct report_worker *block(const struct worker *worker,
						 const struct attachment *attachment)
{
	return report_worker(&attachment->report, worker->number);
}

/* --- Tables --------------------------------------------------------------------------- */

/* Goes over to a newer attachment once that has a generation to follow. */
static void take_up(struct worker *worker, struct attachment *newest)
{
	u64 root_offset = 0;

	if (!burst_follow(&newest->arena, &root_offset, &worker->relay.env, block(worker, newest)))
		return;
	worker->root_offset = root_offset;
	if (worker->current && !worker->shared)
		report_carry_over(&worker->current->report, &newest->report, worker->number);
	if (worker->elder && worker->elder->incarnation == newest->incarnation)
		worker->relay.env.elder = worker->elder;
	else
		worker->relay.env.elder = NULL;
	/* Generations of two arenas don't compare. */
	worker->sweep.pending_generation = worker->sweep.passing_generation = 0;
	flows_tend(worker);
	__atomic_store_n(&worker->current, newest, __ATOMIC_RELEASE); /* worker_current() */
}

/* Follows the arena's root, or a newer arena. Returns whether there are tables. */
static always_inline bool follow(struct worker *worker)
{
	/* Pairs with worker_hand(). */
	struct attachment *newest = __atomic_load_n(&worker->newest, __ATOMIC_ACQUIRE);
	struct attachment *current;

	if (unlikely(newest != worker->current))
		take_up(worker, newest);
	current = worker->current;
	if (unlikely(!current))
		return false;
	burst_follow(&current->arena, &worker->root_offset, &worker->relay.env,
		     block(worker, current));
	/* Pairs with the session's release(): the table was cleared before. */
	worker->relay.env.flow_buckets = __atomic_load_n(&current->flow_buckets, __ATOMIC_ACQUIRE);
	return true;
}

/* --- The loop ------------------------------------------------------------------------- */

/* The driver has given the kernel as many buffers anew. */
static void steered_take(struct kernel_worker *shared, u32 count)
{
	kernel_worker_take(shared, count);
	kernel_worker_credit(shared, count);
}

static always_inline void serve_port(struct worker *worker, const struct port *port,
				     struct report_worker *report)
{
	struct rte_mbuf *mbufs[RELAY_BURST];
	u16 count = 0;

	if (likely(port_use(port) != PORT_LEFT))
		count = rte_eth_rx_burst(port->id, worker->relay.queue, mbufs, RELAY_BURST);
	if (count > 0) {
		if (worker->shared)
			steered_take(worker->shared, count);
		relay_burst(&worker->relay, port, mbufs, count, report);
	}
	while (unlikely(hold_pending(&worker->relay.hold, worker->relay.env.recent)) &&
	       relay_release(&worker->relay, report))
		;
}

static always_inline void serve_lane(struct worker *worker)
{
	if (unlikely(!rte_ring_empty(worker->relay.lane->down)))
		relay_lane_take(&worker->relay);
}

static void serve(struct worker *worker)
{
	const struct ports *ports = worker->relay.ports;
	struct report_worker *report = block(worker, worker->current);

	report->heartbeat++;
	for (u32 i = 0; i < ports->count; i++)
		serve_port(worker, &ports->list[i], report);
	if (unlikely(worker->relay.hold.count > 0))
		relay_expire(&worker->relay, report);
	if (worker->relay.lane) {
		serve_lane(worker);
		relay_lane_report(&worker->relay, report);
	}
	if (likely(!worker->shared))
		burst_sweep(&worker->sweep, &worker->relay.env, worker->clock.tick, report);
}

/* There are no tables. */
static void serve_kernel(struct worker *worker)
{
	const struct ports *ports = worker->relay.ports;
	struct rte_mbuf *mbufs[RELAY_BURST];

	rte_pause();
	if (!worker->relay.lane)
		return;
	serve_lane(worker);
	for (u32 i = 0; i < ports->count && rte_rdtsc() > worker->tables_awaited_cycles; i++) {
		const struct port *port = &ports->list[i];
		u16 count = 0;

		if (port->exception && port_use(port) != PORT_LEFT)
			count = rte_eth_rx_burst(port->id, worker->relay.queue, mbufs, RELAY_BURST);
		if (count > 0)
			relay_pass(&worker->relay, port, mbufs, count);
	}
}

/* From here on it knows what the main thread did before it asked, and has ended what it did itself. */
static always_inline void answer(struct worker *worker)
{
	u32 asked = __atomic_load_n(&worker->asked, __ATOMIC_ACQUIRE); /* worker_ask() */

	if (unlikely(asked != worker->answered))
		__atomic_store_n(&worker->answered, asked, __ATOMIC_RELEASE);
}

static int run(void *argument)
{
	struct worker *worker = argument;

	while (likely(!__atomic_load_n(&worker->stop, __ATOMIC_RELAXED))) {
		answer(worker);
		clock_step(worker);
		if (likely(follow(worker)))
			serve(worker);
		else
			serve_kernel(worker);
	}
	return 0;
}

/* --- The main thread's side ----------------------------------------------------------- */

void worker_prepare(struct worker *worker, u32 number, const struct ports *ports, u32 tick_ms)
{
	*worker = (struct worker){
		.number = number,
		.relay = {.ports = ports, .queue = (u16)number},
		.clock = {.tick_ms = tick_ms, .cycles_per_ms = rte_get_tsc_hz() / 1000},
	};
	worker->relay.env.recent = &worker->recent;
}

void worker_use_flows(struct worker *worker, const struct flow_tables *flows,
		      const struct flow_elder *elder)
{
	worker->elder = elder;
	worker->relay.env.flows = flow_tables_of(flows, worker->number);
	worker->relay.env.flow_owners = flow_tables_owners(flows, worker->number);
	if (flows->workers_count > 1)
		worker->relay.env.siblings = (struct flow_others){
			.buckets = flow_tables_of(flows, 0),
			.workers_count = flows->workers_count,
			.buckets_count = flows->buckets_count,
		};
	worker->flows_tick = worker->number == 0 ? &flows->header->last_tick : NULL;
}

void worker_steer(struct worker *worker, struct kernel_worker *shared, struct env env)
{
	worker->shared = shared;
	worker->relay.env = env;
	worker->relay.beside = true;
}

bool worker_uses_elder(const struct worker *worker)
{
	return __atomic_load_n(&worker->elder, __ATOMIC_ACQUIRE) != NULL; /* elder_leave() */
}

int worker_start(struct worker *worker)
{
	int err;

	if (worker->running)
		return 0;
	worker->tables_awaited_cycles =
		rte_rdtsc() + TABLES_AWAITED_MS * worker->clock.cycles_per_ms;
	err = rte_eal_remote_launch(run, worker, eal_worker_lcore(worker->number));
	worker->running = err == 0;
	return err;
}

int worker_hand(struct worker *worker, struct attachment *attachment)
{
	__atomic_store_n(&worker->newest, attachment, __ATOMIC_RELEASE); /* follow() */
	return worker_start(worker);
}

struct attachment *worker_current(const struct worker *worker)
{
	return __atomic_load_n(&worker->current, __ATOMIC_ACQUIRE); /* take_up() */
}

void worker_ask(struct worker *worker)
{
	__atomic_store_n(&worker->asked, worker->asked + 1, __ATOMIC_RELEASE);
}

bool worker_answered(const struct worker *worker)
{
	return !worker->running ||
	       __atomic_load_n(&worker->answered, __ATOMIC_ACQUIRE) == worker->asked;
}

void worker_stop(struct worker *worker)
{
	__atomic_store_n(&worker->stop, true, __ATOMIC_RELAXED);
}

void worker_join(struct worker *worker)
{
	if (!worker->running)
		return;
	rte_eal_wait_lcore(eal_worker_lcore(worker->number));
	worker->running = false;
}
