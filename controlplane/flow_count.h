/* SPDX-License-Identifier: BSD-2-Clause */
/* How many flows each backend holds, counted from the dataplanes' flow tables.
 *
 * A pass walks all tables in slices of about a millisecond, from the loop, and only while
 * somebody wants to know. What it found stands until the next pass is over, or until that has
 * become unknowable: a dataplane that is on its way back may hold flows that nobody sees. */
#ifndef SHUNT_CONTROLPLANE_FLOW_COUNT_H
#define SHUNT_CONTROLPLANE_FLOW_COUNT_H

#include "controlplane/loop.h"
#include "controlplane/plan.h"
#include "controlplane/session.h"

struct flow_count;

enum flow_count_task {
	FLOW_COUNT_NOTHING, /* until flow_count_kick() */
	FLOW_COUNT_LATER,   /* not everything is known yet */
	FLOW_COUNT_NOW,
};

/* What the next pass is to count. */
struct flow_count_job {
	const struct plan *plan; /* for its numbers and its seed; not kept */
	u64 generation;          /* that all dataplanes use by now */
	struct session_flows flows[SESSION_FLOWS_MAX];
	size_t flows_count;
};

/* Asked before each pass; fills the job where it answers FLOW_COUNT_NOW. */
typedef enum flow_count_task flow_count_ask(void *context, struct flow_count_job *job);

int flow_count_create(struct loop *loop, flow_count_ask *ask, void *context,
		      struct flow_count **count) __attribute__((warn_unused_result));
void flow_count_destroy(struct flow_count *count);

/* Something has changed that makes a new count worth while: begins one soon. */
void flow_count_kick(struct flow_count *count);

/* How many living flows the last pass found for a backend. Returns false while that is unknown. Of a
 * backend that is to get no new flows, it is unknown until a pass began after all dataplanes knew of
 * that: what was found earlier may yet grow. */
bool flow_count_of(const struct flow_count *count, const struct plan_service *service,
		   const struct plan_backend *backend, u64 *flows)
	__attribute__((warn_unused_result));

#endif
