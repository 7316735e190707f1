/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine's burst with a look at the cycle counter after every stage. */
#ifndef SHUNT_TESTS_BENCH_STAGES_H
#define SHUNT_TESTS_BENCH_STAGES_H

#include "dataplane/dpdk/relay.h"

#define STAGES_COUNT 9

extern const char *const stages_names[STAGES_COUNT];

/* relay_burst(), and adds the cycles that each stage took to cycles[]. */
void stages_relay_burst(struct relay *relay, const struct port *port, struct rte_mbuf **mbufs,
			u32 count, struct report_worker *report, u64 cycles[static STAGES_COUNT]);

#endif
