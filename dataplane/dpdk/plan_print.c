/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/plan_print.h"

#include <jansson.h>
#include <string.h>

const char *plan_page_name(enum machine_page page)
{
	static const char *const names[MACHINE_PAGES] = {
		[MACHINE_PAGE_4K] = "4 KiB",
		[MACHINE_PAGE_2M] = "2 MiB",
		[MACHINE_PAGE_1G] = "1 GiB",
	};

	return names[page];
}

void plan_eal_format(const struct plan *plan, char out[static PLAN_EAL_BYTES])
{
	char *at = out;

	out[0] = '\0';
	for (int i = 1; i < plan->eal.count; i++) {
		if (i > 1)
			*at++ = ' ';
		at = stpcpy(at, plan->eal.list[i]);
	}
}

/* The cores of the machine, or those that the kernel leaves alone. */
static void cpus_format(const struct machine *machine, bool isolated,
			char out[static CORES_TEXT_MAX])
{
	int list[MACHINE_CPUS_MAX];
	u32 count = 0;

	for (u32 cpu = 0; cpu < machine->cpus_end; cpu++)
		if (machine->cpus[cpu].online && (!isolated || machine->cpus[cpu].isolated))
			list[count++] = (int)cpu;
	cores_format(list, count, out);
}

/* --- Text ----------------------------------------------------------------------------- */

static void print_machine(const struct machine *machine, FILE *out)
{
	char cores[CORES_TEXT_MAX], isolated[CORES_TEXT_MAX];

	cpus_format(machine, false, cores);
	cpus_format(machine, true, isolated);
	fprintf(out, "machine\n  cores %s on %u node%s, isolated: %s\n", cores,
		machine->nodes_count, machine->nodes_count == 1 ? "" : "s",
		isolated[0] ? isolated : "none");
	for (u32 node = 0; node < MACHINE_NODES_MAX; node++) {
		const struct machine_pages *pages = &machine->nodes[node].pages;

		if (!machine->nodes[node].exists)
			continue;
		fprintf(out, "  node %u: free huge pages: %llu of 2 MiB, %llu of 1 GiB\n", node,
			(unsigned long long)pages->free[MACHINE_PAGE_2M],
			(unsigned long long)pages->free[MACHINE_PAGE_1G]);
	}
	for (u32 i = 0; i < machine->nics_count; i++) {
		const struct machine_nic *nic = &machine->nics[i];

		fprintf(out, "  NIC %s%s%s: driver %s", nic->address,
			nic->address[0] && nic->interface[0] ? " " : "", nic->interface,
			nic->driver[0] ? nic->driver : "none");
		if (nic->node >= 0)
			fprintf(out, ", node %d", nic->node);
		if (nic->queues > 0)
			fprintf(out, ", the kernel runs %u queue%s", nic->queues,
				nic->queues == 1 ? "" : "s");
		fputs(nic->address[0] && !nic->has_iommu ? ", no IOMMU\n" : "\n", out);
	}
}

static void print_ports(const struct plan *plan, FILE *out)
{
	fputs("interfaces\n", out);
	for (u32 i = 0; i < plan->ports_count; i++) {
		const struct plan_port *each = &plan->ports[i];

		fprintf(out, "  %s: %s", each->port->config->name, each->port->config->device);
		if (each->nic && each->nic->node >= 0)
			fprintf(out, ", node %d", each->nic->node);
		if (each->queues > 0)
			fprintf(out, ", %u pair%s of queues\n", each->queues,
				each->queues == 1 ? "" : "s");
		else
			fputs(", its queues are known when it is open\n", out);
	}
}

static void print_workers(const struct plan *plan, const struct machine *machine, FILE *out)
{
	char names[CORES_TEXT_MAX];

	cores_format(plan->cores.list, plan->workers_count, names);
	fprintf(out, "workers\n  %u worker%s on core%s %s%s\n", plan->workers_count,
		plan->workers_count == 1 ? "" : "s", plan->workers_count == 1 ? "" : "s", names,
		plan->why);
	for (u32 i = 0; i < plan->workers_count; i++) {
		fprintf(out, "  worker %u: core %d, node %d, polls", i, plan->cores.list[i],
			plan_worker_cpu(plan, machine, i)->node);
		for (u32 k = 0; k < plan->ports_count; k++)
			fprintf(out, "%s queue %u of %s", k == 0 ? "" : ",",
				plan->ports[k].first_queue + i, plan->ports[k].port->config->name);
		fputc('\n', out);
	}
	fprintf(out, "  main thread: sleeps on %s\n", plan->main_cpus);
}

static void print_memory(const char *what, const struct plan_memory *memory, FILE *out)
{
	if (memory->bytes == 0) {
		fprintf(out, "  %s: none\n", what);
		return;
	}
	fprintf(out, "  %s: %llu MB in %s pages", what,
		(unsigned long long)(memory->bytes + 999999) / 1000000,
		plan_page_name(memory->page));
	if (memory->node >= 0)
		fprintf(out, " of node %d\n", memory->node);
	else
		fputs(", wherever the kernel puts them\n", out);
}

static void print_says(const char *title, const struct plan_says *says, FILE *out)
{
	for (u32 i = 0; i < says->count; i++)
		fprintf(out, "%s: %s\n", title, says->list[i]);
}

void plan_print(const struct plan *plan, const struct machine *machine, FILE *out)
{
	char eal[PLAN_EAL_BYTES];

	print_machine(machine, out);
	print_ports(plan, out);
	print_workers(plan, machine, out);
	fputs("memory\n", out);
	print_memory("packets", &plan->packets, out);
	print_memory("flows", &plan->flows, out);
	plan_eal_format(plan, eal);
	fprintf(out, "DPDK gets\n  %s\n", eal);
	print_says("warning", &plan->warnings, out);
	print_says("does not start", &plan->faults, out);
}

/* --- JSON ----------------------------------------------------------------------------- */

static json_t *text_or_null(const char *text)
{
	return text[0] ? json_string(text) : json_null();
}

static json_t *node_json(int node)
{
	return node >= 0 ? json_integer(node) : json_null();
}

static json_t *count_or_null(u32 count)
{
	return count > 0 ? json_integer(count) : json_null();
}

static json_t *machine_json(const struct machine *machine)
{
	char cores[CORES_TEXT_MAX], isolated[CORES_TEXT_MAX];
	json_t *nodes = json_array(), *nics = json_array();

	for (int node = 0; node < MACHINE_NODES_MAX; node++) {
		const u64 *free = machine->nodes[node].pages.free;

		if (machine->nodes[node].exists)
			json_array_append_new(nodes, json_pack("{s:i, s:I, s:I}", "node", node,
							       "free_2_mib_pages",
							       (json_int_t)free[MACHINE_PAGE_2M],
							       "free_1_gib_pages",
							       (json_int_t)free[MACHINE_PAGE_1G]));
	}
	for (u32 i = 0; i < machine->nics_count; i++) {
		const struct machine_nic *nic = &machine->nics[i];

		json_array_append_new(nics, json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "address",
						      text_or_null(nic->address), "interface",
						      text_or_null(nic->interface), "driver",
						      text_or_null(nic->driver), "node",
						      node_json(nic->node), "kernel_queues",
						      count_or_null(nic->queues), "iommu",
						      nic->has_iommu));
	}
	cpus_format(machine, false, cores);
	cpus_format(machine, true, isolated);
	return json_pack("{s:s, s:s, s:o, s:o}", "cores", cores, "isolated", isolated, "nodes",
			 nodes, "nics", nics);
}

static json_t *workers_json(const struct plan *plan, const struct machine *machine)
{
	json_t *workers = json_array();

	for (u32 i = 0; i < plan->workers_count; i++) {
		json_t *queues = json_array();

		for (u32 k = 0; k < plan->ports_count; k++)
			json_array_append_new(queues,
					      json_pack("{s:s, s:i}", "interface",
							plan->ports[k].port->config->name, "queue",
							(int)(plan->ports[k].first_queue + i)));
		json_array_append_new(workers, json_pack("{s:i, s:i, s:i, s:o}", "worker", (int)i,
							 "core", plan->cores.list[i], "node",
							 plan_worker_cpu(plan, machine, i)->node,
							 "queues", queues));
	}
	return workers;
}

static json_t *ports_json(const struct plan *plan)
{
	json_t *ports = json_array();

	for (u32 i = 0; i < plan->ports_count; i++) {
		const struct plan_port *each = &plan->ports[i];

		json_array_append_new(
			ports, json_pack("{s:s, s:s, s:o, s:o}", "name", each->port->config->name,
					 "device", each->port->config->device, "node",
					 node_json(each->nic ? each->nic->node : MACHINE_NO_NODE),
					 "queues", count_or_null(each->queues)));
	}
	return ports;
}

static json_t *memory_json(const struct plan_memory *memory)
{
	return json_pack("{s:I, s:s, s:o}", "bytes", (json_int_t)memory->bytes, "pages",
			 plan_page_name(memory->page), "node", node_json(memory->node));
}

static json_t *says_json(const struct plan_says *says)
{
	json_t *list = json_array();

	for (u32 i = 0; i < says->count; i++)
		json_array_append_new(list, json_string(says->list[i]));
	return list;
}

static json_t *eal_json(const struct plan *plan)
{
	json_t *list = json_array();

	for (int i = 1; i < plan->eal.count; i++)
		json_array_append_new(list, json_string(plan->eal.list[i]));
	return list;
}

bool plan_print_json(const struct plan *plan, const struct machine *machine, FILE *out)
{
	json_t *json =
		json_pack("{s:o, s:o, s:o, s:s, s:s, s:{s:o, s:o}, s:o, s:o, s:o}", "machine",
			  machine_json(machine), "interfaces", ports_json(plan), "workers",
			  workers_json(plan, machine), "why", plan->why, "main_cores",
			  plan->main_cpus, "memory", "packets", memory_json(&plan->packets),
			  "flows", memory_json(&plan->flows), "eal", eal_json(plan), "warnings",
			  says_json(&plan->warnings), "faults", says_json(&plan->faults));
	bool written = json && json_dumpf(json, out, JSON_INDENT(2)) == 0 && fputc('\n', out) >= 0;

	json_decref(json);
	return written;
}
