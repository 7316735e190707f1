/* SPDX-License-Identifier: BSD-2-Clause */
/* The plan is computed from descriptions alone, so that a test can lay out a machine that nobody
 * here has, and so that what `--plan` prints is what a start does: there is no second way.
 *
 * A worker polls, so it takes its core whole: nobody is served by more of them than were set
 * aside. Without a list that means the isolated cores; where none is, one worker on the last core,
 * since a second one would more likely take the time of the programs beside it than have work.
 * Of the isolated ones those count that lie where the NICs do, and one hyperthread of each core:
 * two pollers on one core forward hardly more than one, and each more slowly.
 *
 * Virtual devices have as many queues as their string says. Those of a card are known when DPDK
 * has opened it: the plan takes it that there are enough, and the start then does with less. */
#include "dataplane/dpdk/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/dpdk/device_check.h"

void plan_say(struct plan_says *says, const char *format, ...)
{
	va_list values;

	if (says->count == PLAN_SAYS_MAX)
		return;
	va_start(values, format);
	vsnprintf(says->list[says->count++], PLAN_SAYS_BYTES, format, values);
	va_end(values);
}

/* --- Ports ---------------------------------------------------------------------------- */

static u32 option_number(const char *device, const char *option, u32 otherwise)
{
	char text[16];

	config_device_option(device, option, text, sizeof(text));
	return text[0] == '\0' ? otherwise : (u32)strtoul(text, NULL, 10);
}

static void port_look(struct plan_port *out, const struct machine *machine, const struct port *port)
{
	const char *device = port->config->device;
	const struct port_kind *kind = port->kind;

	*out = (struct plan_port){.port = port, .queues = kind->queues_default};
	if (kind->queues_option)
		out->queues = option_number(device, kind->queues_option, kind->queues_default);
	if (kind->has_iface) {
		out->nic = machine_nic_of(machine, port->kernel_name);
		out->first_queue = option_number(device, "start_queue", 0);
	}
	if (kind->pci)
		out->nic = machine_nic_at(machine, device);
}

/* Drivers from which DPDK can take a card, or beside which it can use it. */
static bool driver_gives(const char *driver)
{
	static const char *const shares[] = {"mlx4_core", "mlx5_core", "mana"};

	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
		if (strcmp(driver, shares[i]) == 0)
			return true;
	return strstr(driver, "vfio") || strstr(driver, "uio");
}

bool plan_takes_card(const char *device, const struct machine_nic *nic, char *text,
		     size_t text_bytes)
{
	const char *iommu =
		nic && !nic->has_iommu
			? "; it stands behind no IOMMU, which vfio-pci needs: switch it on "
			  "in the firmware and by `intel_iommu=on` on the kernel's command "
			  "line, or bind uio_pci_generic"
			: "";

	if (!nic)
		snprintf(text, text_bytes,
			 " should use the PCI device %s, which does not exist here; "
			 "`dpdk-devbind.py --status-dev net` shows what does",
			 device);
	else if (nic->driver[0] == '\0')
		snprintf(text, text_bytes,
			 " should use the PCI device %s, which no driver has: `modprobe vfio-pci; "
			 "dpdk-devbind.py --bind=vfio-pci %s` hands it over%s",
			 device, nic->address, iommu);
	else if (!driver_gives(nic->driver))
		snprintf(text, text_bytes,
			 " should use the PCI device %s, which the kernel's driver %s has%s%s: "
			 "`modprobe vfio-pci; dpdk-devbind.py --bind=vfio-pci %s` hands it over%s",
			 device, nic->driver, nic->interface[0] ? " as " : "", nic->interface,
			 nic->address, iommu);
	else
		return true;
	return false;
}

static void pci_check(struct plan *plan, const struct plan_port *each)
{
	const struct config_interface *config = each->port->config;
	char text[PLAN_SAYS_BYTES / 2];

	if (!plan_takes_card(config->device, each->nic, text, sizeof(text)))
		plan_say(&plan->faults, "interface %s%s", config->name, text);
}

/* --- Cores ---------------------------------------------------------------------------- */

u32 plan_nic_nodes(const struct plan *plan, bool nodes[static MACHINE_NODES_MAX])
{
	u32 count = 0;

	memset(nodes, 0, MACHINE_NODES_MAX * sizeof(*nodes));
	for (u32 i = 0; i < plan->ports_count; i++) {
		const struct machine_nic *nic = plan->ports[i].nic;

		if (!nic || nic->node < 0 || nic->node >= MACHINE_NODES_MAX || nodes[nic->node])
			continue;
		nodes[nic->node] = true;
		count++;
	}
	return count;
}

static bool core_taken(const struct cores *cores, const struct machine *machine, u32 core)
{
	for (u32 i = 0; i < cores->count; i++)
		if (machine->cpus[cores->list[i]].core == core)
			return true;
	return false;
}

static void nodes_format(const bool *nodes, char out[static CORES_TEXT_MAX])
{
	int list[MACHINE_NODES_MAX];
	u32 count = 0;

	for (int node = 0; node < MACHINE_NODES_MAX; node++)
		if (nodes[node])
			list[count++] = node;
	cores_format(list, count, out);
}

/* What of the isolated cores auto takes, on which of the nodes; all: on all of them. */
static void take_isolated(struct plan *plan, const struct machine *machine, const bool *nodes,
			  bool all)
{
	u32 far = 0, siblings = 0;
	char names[CORES_TEXT_MAX], where[96] = "";

	for (u32 cpu = 0; cpu < machine->cpus_end; cpu++) {
		const struct machine_cpu *each = &machine->cpus[cpu];

		if (!each->isolated || !each->may)
			continue;
		if (!all && !nodes[each->node])
			far++;
		else if (core_taken(&plan->cores, machine, each->core))
			siblings++;
		else if (plan->cores.count < WORKERS_MAX)
			plan->cores.list[plan->cores.count++] = (int)cpu;
	}
	nodes_format(nodes, names);
	if (far > 0)
		snprintf(where, sizeof(where), " of node %.40s, where the NICs are", names);
	snprintf(plan->why, sizeof(plan->why), " (auto: all that are isolated%s%s)", where,
		 siblings > 0 ? ", one hyperthread of each core" : "");
}

/* The last core that we were given, on a NIC's node if there is one. */
static void take_last(struct plan *plan, const struct machine *machine, const bool *nodes)
{
	int last = 0, near = -1;

	for (u32 cpu = 0; cpu < machine->cpus_end; cpu++) {
		const struct machine_cpu *each = &machine->cpus[cpu];

		if (!each->given || !each->online)
			continue;
		last = (int)cpu;
		if (nodes[each->node])
			near = last;
	}
	plan->cores.list[plan->cores.count++] = near >= 0 ? near : last;
	if (near >= 0 && near != last)
		snprintf(plan->why, sizeof(plan->why),
			 " (auto: no core is isolated, so it is the last one of node %d, where the "
			 "NICs are)",
			 machine->cpus[near].node);
	else
		snprintf(plan->why, sizeof(plan->why),
			 " (auto: no core is isolated, so it is the last one)");
}

static void choose_auto(struct plan *plan, const struct machine *machine)
{
	bool nodes[MACHINE_NODES_MAX], any = false;

	plan_nic_nodes(plan, nodes);
	for (u32 cpu = 0; cpu < machine->cpus_end; cpu++) {
		const struct machine_cpu *each = &machine->cpus[cpu];

		any |= each->isolated && each->may && nodes[each->node];
	}
	take_isolated(plan, machine, nodes, !any);
	if (plan->cores.count == 0)
		take_last(plan, machine, nodes);
}

static void choose_named(struct plan *plan, const struct machine *machine, const char *workers)
{
	int list[CORES_NUMBERS_MAX], forbidden[CORES_NUMBERS_MAX];
	u32 count = cores_parse(workers, list), forbidden_count = 0;
	char names[CORES_TEXT_MAX];

	for (u32 i = 0; i < count; i++) {
		if (plan->cores.count < WORKERS_MAX)
			plan->cores.list[plan->cores.count++] = list[i];
		if (!machine->cpus[list[i]].may)
			forbidden[forbidden_count++] = list[i];
	}
	cores_format(forbidden, forbidden_count, names);
	if (forbidden_count > 0)
		plan_say(
			&plan->faults,
			"no worker may run on core%s %s: `nproc --all` counts the machine's cores, "
			"`taskset -cp $$` shows those of this shell; mend `workers:`",
			forbidden_count == 1 ? "" : "s", names);
	if (count > plan->cores.count)
		plan_say(&plan->warnings,
			 "`workers: %s` names %u cores more than the %u that one process can use",
			 workers, count - plan->cores.count, WORKERS_MAX);
}

/* --- Queues --------------------------------------------------------------------------- */

void plan_say_surplus(struct plan_says *says, const struct cores *cores, u32 used,
		      const struct port *narrowest, u32 queues, const char *workers)
{
	const struct port_kind *kind = narrowest->kind;
	char names[CORES_TEXT_MAX], hint[128];

	cores_format(cores->list + used, cores->count - used, names);
	if (kind->queues_option)
		snprintf(hint, sizeof(hint), "write `%s=%u` into its `device:`",
			 kind->queues_option, cores->count);
	else
		snprintf(hint, sizeof(hint), "the device has no more, so name fewer cores");
	plan_say(says,
		 "core%s %s of `workers: %s` %s not used: each worker needs a pair of queues at "
		 "every interface, and %s (`%s`) has %u: %s",
		 cores->count - used == 1 ? "" : "s", names, workers,
		 cores->count - used == 1 ? "is" : "are", narrowest->config->name,
		 narrowest->config->device, queues, hint);
}

bool plan_polls_all(const struct port *port, u32 queues, u32 workers_count, char *text,
		    size_t text_bytes)
{
	if (!port->kind->spreads_always || queues <= workers_count)
		return true;
	snprintf(text, text_bytes,
		 "interface %s: the device spreads packets over %u queues, but %u worker%s would "
		 "serve them: write `%s=%u`, or name %u cores in `workers:`",
		 port->config->name, queues, workers_count, workers_count == 1 ? "" : "s",
		 port->kind->queues_option, workers_count, queues);
	return false;
}

/* One pair a port and worker: as many workers as the narrowest port has pairs. */
static void queues_share_out(struct plan *plan, const char *workers)
{
	const struct plan_port *narrowest = NULL;
	char text[PLAN_SAYS_BYTES];

	plan->workers_count = plan->cores.count;
	for (u32 i = 0; i < plan->ports_count; i++) {
		const struct plan_port *each = &plan->ports[i];

		if (each->queues == 0 || each->queues >= plan->workers_count)
			continue;
		plan->workers_count = each->queues;
		narrowest = each;
	}
	if (narrowest)
		plan_say_surplus(&plan->warnings, &plan->cores, plan->workers_count,
				 narrowest->port, narrowest->queues, workers);
	for (u32 i = 0; i < plan->ports_count; i++)
		if (!plan_polls_all(plan->ports[i].port, plan->ports[i].queues, plan->workers_count,
				    text, sizeof(text)))
			plan_say(&plan->faults, "%s", text);
}

static bool is_worker(const struct plan *plan, u32 cpu)
{
	for (u32 i = 0; i < plan->workers_count; i++)
		if (plan->cores.list[i] == (int)cpu)
			return true;
	return false;
}

/* Where all of it had best lie: at the NICs, else at the workers; nowhere in particular if these
 * lie on several nodes, or the machine has only one. */
static int node_choose(const struct plan *plan, const struct machine *machine)
{
	bool nodes[MACHINE_NODES_MAX];
	int node = MACHINE_NO_NODE;

	if (machine->nodes_count < 2)
		return MACHINE_NO_NODE;
	switch (plan_nic_nodes(plan, nodes)) {
	case 0:
		node = plan_worker_cpu(plan, machine, 0)->node;
		for (u32 i = 1; i < plan->workers_count; i++)
			if (plan_worker_cpu(plan, machine, i)->node != node)
				return MACHINE_NO_NODE;
		return node;
	case 1:
		while (!nodes[++node])
			;
		return node;
	default:
		return MACHINE_NO_NODE;
	}
}

/* The cores that we were given, on one node or (MACHINE_NO_NODE) all, with those of the workers or
 * without. */
static u32 given_list(const struct plan *plan, const struct machine *machine, int node,
		      bool with_workers, int list[static MACHINE_CPUS_MAX])
{
	u32 count = 0;

	for (u32 cpu = 0; cpu < machine->cpus_end; cpu++) {
		const struct machine_cpu *each = &machine->cpus[cpu];

		if (each->given && (node == MACHINE_NO_NODE || each->node == node) &&
		    (with_workers || !is_worker(plan, cpu)))
			list[count++] = (int)cpu;
	}
	return count;
}

/* What the main thread may run on: cores that we were given, without the workers', and where the
 * memory is, since DPDK has its own where that thread runs. */
static void main_choose(struct plan *plan, const struct machine *machine)
{
	int list[MACHINE_CPUS_MAX];
	u32 count = given_list(plan, machine, plan->node, false, list);

	if (count == 0)
		count = given_list(plan, machine, MACHINE_NO_NODE, false, list);
	if (count == 0) {
		count = given_list(plan, machine, MACHINE_NO_NODE, true, list);
		if (count == 0)
			list[count++] = 0;
		cores_format(list, count, plan->main_cpus);
		plan_say(&plan->warnings,
			 "no core is left beside the workers', so that they share core%s %s with "
			 "the main thread: name one core less in `workers:`, or give this process "
			 "another one",
			 count == 1 ? "" : "s", plan->main_cpus);
	}
	cores_format(list, count, plan->main_cpus);
	plan->main_node = machine->cpus[list[0]].node;
	for (u32 i = 1; i < count; i++)
		if (machine->cpus[list[i]].node != plan->main_node)
			plan->main_node = MACHINE_NO_NODE;
}

void plan_cores(struct plan *plan, const struct machine *machine, const struct ports *ports,
		const char *workers)
{
	*plan = (struct plan){.ports_count = ports->count};
	for (u32 i = 0; i < ports->count; i++) {
		port_look(&plan->ports[i], machine, &ports->list[i]);
		if (ports->list[i].config->device[0] == '\0')
			plan_say(&plan->faults,
				 "interface %s has no `device:`, which tells shunt-dpdk what to "
				 "open",
				 ports->list[i].config->name);
		if (ports->list[i].kind->pci)
			pci_check(plan, &plan->ports[i]);
	}
	if (workers[0] == '\0')
		workers = "auto";
	if (strcmp(workers, "auto") == 0)
		choose_auto(plan, machine);
	else
		choose_named(plan, machine, workers);
	queues_share_out(plan, workers);
	plan->node = node_choose(plan, machine);
	main_choose(plan, machine);
	plan_judge(plan, machine, workers);
}
