/* SPDX-License-Identifier: BSD-2-Clause */
/* A plan as text and as JSON: docs/shunt-dpdk.8. */
#ifndef SHUNT_DPDK_PLAN_PRINT_H
#define SHUNT_DPDK_PLAN_PRINT_H

#include <stdio.h>

#include "dataplane/dpdk/plan.h"

void plan_print(const struct plan *plan, const struct machine *machine, FILE *out);

/* Returns whether it could be written. */
bool plan_print_json(const struct plan *plan, const struct machine *machine, FILE *out);

/* "2 MiB". */
const char *plan_page_name(enum machine_page page);

/* "--lcores=0@(0)", ... in one line, without the program's name. */
#define PLAN_EAL_BYTES sizeof(((struct plan *)0)->eal.text)
void plan_eal_format(const struct plan *plan, char out[static PLAN_EAL_BYTES]);

#endif
