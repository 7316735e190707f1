/* SPDX-License-Identifier: BSD-2-Clause */
/* All workers, as the main thread sees them. */
#ifndef SHUNT_DPDK_WORKERS_H
#define SHUNT_DPDK_WORKERS_H

#include "dataplane/dpdk/cores.h"
#include "dataplane/dpdk/worker.h"

struct workers {
	struct worker list[WORKERS_MAX];
	u32 count;
	const int *cores; /* the caller's */
};

void workers_prepare(struct workers *workers, u32 count, const int *cores,
		     const struct ports *ports, u32 tick_ms);

/* Gives each its flow table, before they run, and those of a predecessor (NULL: there are none). */
void workers_use_flows(struct workers *workers, const struct flow_tables *flows,
		       const struct flow_elder *elder);

/* Whether one of them may still look into a predecessor's flow tables. */
bool workers_use_elder(const struct workers *workers);

/* Gives each its lane to the kernel, in the order of the array, and starts them all. Returns 0, or
 * -errno of one that does not start. */
int workers_serve_kernel(struct workers *workers, struct lane *lanes)
	__attribute__((warn_unused_result));

/* Hands all of them an attachment. Returns 0, or -errno of one that does not start. */
int workers_hand(struct workers *workers, struct attachment *attachment)
	__attribute__((warn_unused_result));

/* The oldest attachment that one of them may still use, or NULL while one uses none yet. */
struct attachment *workers_oldest(const struct workers *workers, struct attachment *newest);

/* Whether all of them use this attachment: what they counted is carried over. */
bool workers_all_at(const struct workers *workers, const struct attachment *attachment);

/* Asks all of them for a sign between two bursts, and whether all have given it. */
void workers_ask(struct workers *workers);
bool workers_answered(const struct workers *workers);

/* Ends them all and waits. */
void workers_stop(struct workers *workers);

#endif
