/* SPDX-License-Identifier: BSD-2-Clause */
/* Huge pages are found, not demanded. Flow tables are made first and take pages of 2 MiB (a memfd
 * has one kind of page, which shuntd has to map too); packets take what is left of those, else
 * pages of 1 GiB, else none. But a card without an IOMMU is told where its packets lie, and only huge
 * pages stay there: DPDK opens it with none others. */
#include "dataplane/dpdk/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/state/memory.h"

static const u64 page_bytes[MACHINE_PAGES] = {
	[MACHINE_PAGE_4K] = 4096,
	[MACHINE_PAGE_2M] = (u64)2 << 20,
	[MACHINE_PAGE_1G] = (u64)1 << 30,
};

static u64 pages_for(u64 bytes, enum machine_page page)
{
	return (bytes + page_bytes[page] - 1) / page_bytes[page];
}

/* The command that makes so many pages. */
static void command_format(const struct machine *machine, int node, u64 count, char out[static 160])
{
	if (node >= 0)
		snprintf(out, 160,
			 "echo %llu > /sys/devices/system/node/node%d/hugepages/hugepages-2048kB/"
			 "nr_hugepages",
			 (unsigned long long)count, node);
	else if (machine->sysctl_is_2m)
		snprintf(out, 160, "sysctl vm.nr_hugepages=%llu", (unsigned long long)count);
	else
		snprintf(out, 160,
			 "echo %llu > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
			 (unsigned long long)count);
}

/* An interface whose card has no IOMMU before it; NULL: there is none. */
static const struct plan_port *needs_huge(const struct plan *plan)
{
	for (u32 i = 0; i < plan->ports_count; i++)
		if (plan->ports[i].port->kind->pci && plan->ports[i].nic &&
		    strstr(plan->ports[i].nic->driver, "uio"))
			return &plan->ports[i];
	return NULL;
}

/* Why packets get no huge pages, and the mend. */
__attribute__((format(printf, 2, 3))) static void say_small(struct plan *plan, const char *format,
							    ...)
{
	const struct plan_port *port = needs_huge(plan);
	char why[PLAN_SAYS_BYTES / 2];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	if (port)
		plan_say(&plan->faults,
			 "interface %s takes packets in huge pages alone, since the driver %s has "
			 "no IOMMU, but %s",
			 port->port->config->name, port->nic->driver, why);
	else
		plan_say(&plan->warnings, "packets lie in 4 KiB pages, because %s", why);
}

static void say_too_few(struct plan *plan, const struct machine *machine, u64 free, u64 need,
			u64 flows)
{
	u64 others = machine->pages.total[MACHINE_PAGE_2M] - machine->pages.free[MACHINE_PAGE_2M];
	char command[160];

	if (machine->pages_refused[MACHINE_PAGE_2M]) {
		say_small(plan, "the kernel refuses this process the 2 MiB pages that are free: "
				"raise `hugetlb.2MB.max` and `hugetlb.2MB.rsvd.max` of its "
				"control group");
		return;
	}
	command_format(machine, MACHINE_NO_NODE, others + need + flows, command);
	say_small(plan, "too few 2 MiB pages are free, %llu of %llu; `%s` makes them",
		  (unsigned long long)free, (unsigned long long)need, command);
}

/* --- Nodes ---------------------------------------------------------------------------- */

/* Pages of a node that the flows leave. */
static u64 pages_left(const struct plan *plan, const struct machine *machine, int node,
		      enum machine_page page)
{
	u64 free = machine->nodes[node].pages.free[page];

	if (page != plan->flows.page || node != plan->flows.node)
		return free;
	return free - pages_for(plan->flows.bytes, page);
}

/* The command that makes a node have so many pages of 2 MiB left. */
static void node_command_format(const struct plan *plan, const struct machine *machine, int node,
				u64 bytes, char out[static 160])
{
	u64 left = pages_left(plan, machine, node, MACHINE_PAGE_2M);

	command_format(machine, node,
		       machine->nodes[node].pages.total[MACHINE_PAGE_2M] - left +
			       pages_for(bytes, MACHINE_PAGE_2M),
		       out);
}

/* What DPDK takes for itself has to come from the node of its main thread, where that is only one:
 * else it aborts. */
static bool main_node_suffices(const struct plan *plan, const struct machine *machine,
			       enum machine_page page)
{
	return machine->nodes_count < 2 || plan->main_node == MACHINE_NO_NODE ||
	       pages_left(plan, machine, plan->main_node, page) >= pages_for(EAL_OWN_BYTES, page);
}

static void say_main_node(struct plan *plan, const struct machine *machine)
{
	char command[160];

	node_command_format(plan, machine, plan->main_node, EAL_OWN_BYTES, command);
	say_small(plan,
		  "DPDK needs %llu free 2 MiB pages on node %d, where its main thread runs, and "
		  "%llu are there; `%s` makes them",
		  (unsigned long long)pages_for(EAL_OWN_BYTES, MACHINE_PAGE_2M), plan->main_node,
		  (unsigned long long)pages_left(plan, machine, plan->main_node, MACHINE_PAGE_2M),
		  command);
}

/* DPDK takes packets' memory from that node if it can. */
static void node_check(struct plan *plan, const struct machine *machine)
{
	struct plan_memory *packets = &plan->packets;
	bool with_main = plan->main_node == packets->node || plan->main_node == MACHINE_NO_NODE;
	u64 need_bytes = packets->bytes + (with_main ? EAL_OWN_BYTES : 0);
	u64 need = pages_for(need_bytes, packets->page);
	u64 left = pages_left(plan, machine, packets->node, packets->page);
	char command[160];

	if (left >= need)
		return;
	node_command_format(plan, machine, packets->node, need_bytes, command);
	plan_say(&plan->warnings,
		 "packets lie in the memory of other nodes too, because node %d has %llu free "
		 "pages of the %llu that they take; `%s` makes them",
		 packets->node, (unsigned long long)left, (unsigned long long)need, command);
	packets->node = MACHINE_NO_NODE;
}

static void packets_place(struct plan *plan, const struct machine *machine, u64 free_2m, u64 flows)
{
	struct plan_memory *packets = &plan->packets;
	u64 need_bytes = packets->bytes + EAL_OWN_BYTES;
	u64 need_2m = pages_for(need_bytes, MACHINE_PAGE_2M);
	u64 need_1g = pages_for(need_bytes, MACHINE_PAGE_1G);

	if (need_2m <= free_2m && main_node_suffices(plan, machine, MACHINE_PAGE_2M))
		packets->page = MACHINE_PAGE_2M;
	else if (need_1g <= machine->pages.free[MACHINE_PAGE_1G] &&
		 main_node_suffices(plan, machine, MACHINE_PAGE_1G))
		packets->page = MACHINE_PAGE_1G;
	else if (need_2m <= free_2m)
		say_main_node(plan, machine);
	else
		say_too_few(plan, machine, free_2m, need_2m, flows);
	if (packets->node != MACHINE_NO_NODE && packets->page != MACHINE_PAGE_4K)
		node_check(plan, machine);
}

static void line_make(struct plan *plan)
{
	const char *pci[PORTS_MAX];
	struct eal_setup setup = {
		.program = "shunt-dpdk",
		.pci = pci,
		.main_cpus = plan->main_cpus,
		.worker_cpus = plan->cores.list,
		.workers_count = plan->workers_count,
		.memory_bytes = plan->packets.bytes,
		.huge_pages = plan->packets.page != MACHINE_PAGE_4K,
	};

	for (u32 i = 0; i < plan->ports_count; i++) {
		const struct port *port = plan->ports[i].port;

		setup.shares_memory |= port->kind->shares_memory;
		if (port->kind->pci)
			pci[setup.pci_count++] = port->config->device;
	}
	eal_line_make(&plan->eal, &setup);
}

void plan_memory(struct plan *plan, const struct machine *machine, u64 packets_bytes,
		 u64 flows_bytes)
{
	u64 free_2m = machine->pages.free[MACHINE_PAGE_2M];
	u64 flows_2m = pages_for(memory_huge_bytes(flows_bytes), MACHINE_PAGE_2M);
	bool flows_huge = flows_2m > 0 && flows_2m <= free_2m;

	plan->flows = (struct plan_memory){
		.bytes = flows_bytes,
		.page = flows_huge ? MACHINE_PAGE_2M : MACHINE_PAGE_4K,
		.node = plan->node,
	};
	if (flows_huge && plan->node != MACHINE_NO_NODE &&
	    flows_2m > machine->nodes[plan->node].pages.free[MACHINE_PAGE_2M])
		plan->flows.node = MACHINE_NO_NODE;
	plan->packets = (struct plan_memory){.bytes = packets_bytes, .node = plan->node};
	packets_place(plan, machine, flows_huge ? free_2m - flows_2m : free_2m, flows_2m);
	line_make(plan);
}
