/* SPDX-License-Identifier: BSD-2-Clause */
/* The worker: one core that does nothing but move packets. */
#ifndef SHUNT_DPDK_WORKER_H
#define SHUNT_DPDK_WORKER_H

#include "dataplane/session/attachment.h"
#include "dataplane/dpdk/relay.h"
#include "dataplane/state/kernel.h"

/* The time, read once a tick of flow ages and by cycle counter between. */
struct worker_clock {
	u64 tick;
	u64 now_ms;
	u64 ms_ends_cycles;
	u64 cycles_per_ms;
	u32 tick_ms;
};

/* Aligned, so that in an array of them no line is written by two. */
struct worker {
	u32 number; /* its queue of every port, its flow table, its block of the report */
	struct relay relay;
	struct worker_clock clock;
	struct burst_sweep sweep;
	struct env_recent recent;
	u64 tables_awaited_cycles; /* until then frames wait for tables; later they are the kernel's */
	u64 *flows_tick; /* where it says that the flow tables are alive; NULL: others do */
	u64 root_offset; /* of the arena in use */
	struct kernel_worker
		*shared; /* with the program that steers to it; NULL: all packets are its own */

	/* Written by the main thread before the worker has tables, and once by the worker: NULL,
	 * when it needs them no more. */
	const struct flow_elder *elder;

	/* The main thread writes `newest`, `stop` and `asked`, the worker `current` and `answered`: no
	 * line is shared by two writers. */
	struct attachment *current cache_aligned; /* in use: every older one may be released */
	u32 answered;
	struct attachment *newest cache_aligned;
	u32 asked;
	bool stop;
	bool running; /* the main thread's own note */
} cache_aligned;

/* A worker over open ports, without flows; it doesn't run yet. */
void worker_prepare(struct worker *worker, u32 number, const struct ports *ports, u32 tick_ms);

/* Gives it its flow table, before it is handed an attachment, and a predecessor's (NULL: there are
 * none). What it may use of them, attachments say. */
void worker_use_flows(struct worker *worker, const struct flow_tables *flows,
		      const struct flow_elder *elder);

/* Has it work beside the kernel's program, for one of whose workers it takes what is steered to it, on
 * that one's memory and by its clock. Whoever has done so carries its counts over, and sweeps. */
void worker_steer(struct worker *worker, struct kernel_worker *shared, struct env env);

/* Whether it may still look into a predecessor's flow tables. */
bool worker_uses_elder(const struct worker *worker);

/* Starts it on its lcore, if it doesn't run: without tables it serves the kernel alone.
 * Main thread. Returns 0 or -errno. */
int worker_start(struct worker *worker) __attribute__((warn_unused_result));

/* Hands it an attachment, which it takes up at a burst's beginning as soon as that has tables;
 * starts it if it doesn't run. Main thread. Returns 0 or -errno. */
int worker_hand(struct worker *worker, struct attachment *attachment)
	__attribute__((warn_unused_result));

/* What the worker uses now, NULL for nothing yet: attachments older than this are nothing to it
 * any more. */
struct attachment *worker_current(const struct worker *worker);

/* Asks it for a sign between two bursts, and whether it has given it, or does not run: then it no
 * longer does what the main thread had forbidden before. */
void worker_ask(struct worker *worker);
bool worker_answered(const struct worker *worker);

/* Asks it to end after its present burst; worker_join() waits until it has. */
void worker_stop(struct worker *worker);
void worker_join(struct worker *worker);

#endif
