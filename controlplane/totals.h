/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters summed over dataplanes, that never fall while shuntd lives.
 *
 * A dataplane's counts live in its report. A report that gives way to another, or whose
 * dataplane goes, leaves behind what the next one doesn't take over. Counter numbers are given
 * to others once a service or backend is gone for good: then the new owner starts from 0. */
#ifndef SHUNT_CONTROLPLANE_TOTALS_H
#define SHUNT_CONTROLPLANE_TOTALS_H

#include "dataplane/state/report.h"

struct totals;

int totals_create(struct totals **totals) __attribute__((warn_unused_result));
void totals_destroy(struct totals *totals);

/* Counts a report in and takes its mapping over. `before`: the same dataplane's report so far,
 * which is unmapped, or NULL; then one that the process left when its connection broke takes
 * that place. Returns what stays valid until it is `before`, or totals_leave(), or NULL without
 * memory: then nothing was taken over. */
const struct report *totals_join(struct totals *totals, u32 pid, const struct report *before,
				 const struct report *report) __attribute__((warn_unused_result));

/* The dataplane has gone; what it counted stays. */
void totals_leave(struct totals *totals, const struct report *report);

/* Says whose a counter is, by a number that identifies it; another owner's counts are taken
 * off. Returns 0 or -ENOMEM. */
int totals_own(struct totals *totals, u32 counter, u64 owner) __attribute__((warn_unused_result));

u64 totals_verdict(const struct totals *totals, enum verdict verdict);
struct report_traffic totals_traffic(const struct totals *totals, u32 counter);

#endif
