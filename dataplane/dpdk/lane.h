/* SPDX-License-Identifier: BSD-2-Clause */
/* A lane: how packets change hands between a worker and the main thread.
 *
 * Two rings, each with one producer and one consumer, so neither side ever waits for the other:
 * what the kernel is to have goes up, and what the kernel sends comes down. An mbuf that went up
 * comes down again to be freed. The main thread may be interrupted at any moment; if that
 * happened between two steps of a change to the pool of packets, the worker would have to wait
 * until it runs again. So the main thread never touches that pool, and of the pool of its own it
 * only takes. */
#ifndef SHUNT_DPDK_LANE_H
#define SHUNT_DPDK_LANE_H

#include "dataplane/core/base.h"

#define LANE_ENTRIES 512 /* of a ring; it holds one less */

/* What is to become of an mbuf, in its `port`: on the way up, the index of the port where it came
 * in; on the way down, that of the port to send it on, or one of these. */
#define LANE_SPENT 0xffff /* the kernel has it: free it */
#define LANE_LOST 0xfffe  /* the kernel could not take it: count and free it */

struct rte_ring;

/* Aligned, so that in an array of them no line is written by two workers. */
struct lane {
	struct rte_ring *up;   /* worker to main thread */
	struct rte_ring *down; /* main thread to worker */

	/* The worker's counts since it began, with tables or without: see struct report_worker. */
	u64 exceptions_lost, kernel_sent, kernel_lost;
} cache_aligned;

/* Makes the rings of a worker. Returns 0 or -errno. */
int lane_create(struct lane *lane, unsigned worker) __attribute__((warn_unused_result));

/* Frees them and what they hold; both sides have stopped. */
void lane_destroy(struct lane *lane);

#endif
