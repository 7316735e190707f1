/* SPDX-License-Identifier: BSD-2-Clause */
/* The plan for the machine that this runs on. */
#ifndef SHUNT_DPDK_PLAN_HERE_H
#define SHUNT_DPDK_PLAN_HERE_H

#include "dataplane/dpdk/plan.h"

/* Looks at the machine, and makes the plan for it; flows: entries, 0 for no table. */
void plan_here(struct plan *plan, struct machine *machine, const struct ports *ports,
	       const char *workers, u64 flows);

#endif
