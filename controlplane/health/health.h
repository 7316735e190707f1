/* SPDX-License-Identifier: BSD-2-Clause */
/* What is thought of one backend, from the results of its checks: a pure state machine. Time and
 * randomness are parameters; nothing here waits, connects or logs. */
#ifndef SHUNT_CONTROLPLANE_HEALTH_HEALTH_H
#define SHUNT_CONTROLPLANE_HEALTH_HEALTH_H

#include "dataplane/core/base.h"

struct health {
	bool up;
	bool known;              /* a check has had a result */
	unsigned passed, failed; /* checks in a row, up to the last one; one of them is 0 */
	u64 changed_ms;          /* when `up` changed last, or since when there are checks */
};

/* Up, until a check says otherwise. */
void health_start(struct health *health, u64 now_ms);

/* Takes a result. A backend that is up goes down with the first check of all, or with `fall` in a
 * row; one that is down comes up with `rise` in a row. Returns whether it changed. */
bool health_note(struct health *health, unsigned rise, unsigned fall, bool passed, u64 now_ms);

/* When to check first: somewhere within one interval, so that checks which begin together are
 * spread. *random is the caller's state and changes with each call. */
u64 health_first_delay_ms(u64 *random, u64 interval_ms);

/* From one check to the next: the interval, up to a tenth shorter or longer, so that checks never
 * fall into step. */
u64 health_next_delay_ms(u64 *random, u64 interval_ms);

#endif
