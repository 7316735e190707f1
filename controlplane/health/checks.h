/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks: one for each backend of a service that has a `check`. They run over the loop, feed
 * `struct health`, and tell when a backend changes; what comes of it is the plan's and the
 * control's.
 *
 * A check belongs to a service (by what its packets look like) and a backend's address. It goes
 * on through a reload for as long as both stay. */
#ifndef SHUNT_CONTROLPLANE_HEALTH_CHECKS_H
#define SHUNT_CONTROLPLANE_HEALTH_CHECKS_H

#include "controlplane/loop.h"
#include "controlplane/plan.h"

#define CHECKS_IN_FLIGHT_MAX 256 /* connections at a time; more wait their turn */
#define CHECK_TEXT_MAX 160

struct checks;

/* A backend went up or down; not called while a call into the checks is under way. */
typedef void checks_changed_callback(void *context);

/* random: any number; two balancers should not have the same. Returns 0 or -ENOMEM. */
int checks_create(struct loop *loop, u64 random, checks_changed_callback *changed, void *context,
		  struct checks **checks) __attribute__((warn_unused_result));
void checks_destroy(struct checks *checks);

/* Gives the plan's backends their checks and what these have found, and judges it. Nothing runs
 * differently before checks_commit(); checks_abandon() takes it back, and the plan must then go.
 * Returns 0 or -ENOMEM: then there is nothing to take back. */
int checks_prepare(struct checks *checks, struct plan *plan) __attribute__((warn_unused_result));
void checks_commit(struct checks *checks);
void checks_abandon(struct checks *checks);

/* Brings the plan up to what its checks have found. Returns whether another set of backends takes
 * new flows than before. */
bool checks_judge(struct plan *plan);

/* What is known of one backend; texts are the check's own, valid until the loop's next turn. */
struct check_view {
	bool up;
	unsigned passed, failed; /* checks in a row */
	s64 since_s;             /* of the Unix epoch: when it changed last */
	const char *reason;
	const char *last_result; /* NULL: none yet */
	u64 last_check_ago_ms;
};

struct check_view check_view(const struct check *check);

#endif
