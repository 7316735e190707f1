/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker: a thread that moves what comes in through its queues. It has at least one queue of every
 * interface, and sends by them: no socket is used by two threads. */
#ifndef SHUNT_XDP_WORKER_H
#define SHUNT_XDP_WORKER_H

#include <pthread.h>

#include "dataplane/burst/burst.h"
#include "dataplane/kernel/view.h"
#include "dataplane/xdp/queue.h"

#define WORKER_BURST 32

struct worker {
	/* Set before it runs. */
	struct queue *queues[KERNEL_WORKERS_MAX];
	u32 queues_count;
	struct queue *out[KERNEL_PORTS_MAX]; /* the one of each port that it sends by */
	u32 ports_count;
	struct buffers buffers;
	u32 tick_ms;
	bool sleeps; /* when there is nothing to do */

	/* Its own. */
	struct tables tables;
	u64 root_offset;
	u64 now_ms;
	struct burst burst;
	pthread_t thread;
	bool running; /* the main thread's note */

	/* The main thread writes `newest` and `stop`, the worker `current`. */
	struct view *current cache_aligned;
	struct view *newest cache_aligned;
	bool stop;
} cache_aligned;

/* Hands it a view, which it takes up between two bursts; starts it if it doesn't run. Main thread.
 * Returns 0 or -errno. */
int worker_hand(struct worker *worker, struct view *view) __attribute__((warn_unused_result));

/* What it uses, NULL for nothing yet. */
static inline struct view *worker_current(const struct worker *worker)
{
	return __atomic_load_n(&worker->current, __ATOMIC_ACQUIRE);
}

/* Its thread's work, once: moves what has come in. Returns how many frames that were; *unsent says
 * whether something has yet to go out. */
u32 worker_round(struct worker *worker, bool *unsent);

/* Asks it to end when it has sent all that came; worker_join() waits until it has. */
void worker_stop(struct worker *worker);
void worker_join(struct worker *worker);

#endif
