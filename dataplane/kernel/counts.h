/* SPDX-License-Identifier: BSD-2-Clause */
/* What the program has counted, and what of it reports have been told. */
#ifndef SHUNT_KERNEL_COUNTS_H
#define SHUNT_KERNEL_COUNTS_H

#include "dataplane/state/kernel.h"
#include "dataplane/state/report.h"

/* Adds to a report what the counters of so many workers have beyond what was told, and notes it. */
void counts_up(struct kernel_count *counts, u32 workers_count, u32 counters_count,
	       const struct report *report);

/* The same for what is pinned by a layout before, once its program has been replaced: all that it has
 * counted, unless it is of another version. */
void counts_up_pinned(const char *pin_dir, const struct report *report);

#endif
