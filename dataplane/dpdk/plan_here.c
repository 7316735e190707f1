/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/plan_here.h"

#include "dataplane/state/flow_table.h"

void plan_here(struct plan *plan, struct machine *machine, const struct ports *ports,
	       const char *workers, u64 flows)
{
	u64 flows_bytes = 0;

	machine_read(machine, "");
	for (u32 i = 0; i < ports->count; i++)
		if (ports->list[i].kernel_name[0] != '\0')
			machine_see_interface(machine, "", ports->list[i].kernel_name);
	machine_ask(machine);
	plan_cores(plan, machine, ports, workers);
	if (flows > 0)
		flows_bytes = flow_tables_bytes(plan->workers_count,
						flow_tables_buckets(flows, plan->workers_count));
	plan_memory(plan, machine, ports_memory_bytes(ports, plan->workers_count), flows_bytes);
}
