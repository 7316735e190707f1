/* SPDX-License-Identifier: BSD-2-Clause */
/* What makes a worker slower than its core is: the kernel's other work, its timer, the core's other
 * hyperthread, and memory and cards at another node. */
#include "dataplane/dpdk/plan.h"

#include <stdio.h>
#include <string.h>

/* A list of cores in the making. */
struct picked {
	int list[MACHINE_CPUS_MAX];
	u32 count;
	char names[CORES_TEXT_MAX];
};

static void pick(struct picked *picked, u32 cpu)
{
	picked->list[picked->count++] = (int)cpu;
}

static const char *names_of(struct picked *picked)
{
	cores_format(picked->list, picked->count, picked->names);
	return picked->names;
}

static const char *plural(const struct picked *picked)
{
	return picked->count == 1 ? "" : "s";
}

/* --- The kernel ----------------------------------------------------------------------- */

static void judge_isolation(struct plan *plan, const struct machine *machine)
{
	struct picked shared = {.count = 0}, ticking = {.count = 0};

	for (u32 i = 0; i < plan->workers_count; i++) {
		const struct machine_cpu *cpu = plan_worker_cpu(plan, machine, i);

		if (!cpu->isolated)
			pick(&shared, (u32)plan->cores.list[i]);
		else if (machine->has_tickless && !cpu->tickless)
			pick(&ticking, (u32)plan->cores.list[i]);
	}
	if (shared.count > 0)
		plan_say(&plan->warnings,
			 "core%s %s %s not isolated: packets wait there whenever the kernel runs "
			 "something else; `isolcpus=%s nohz_full=%s` on the kernel's command line "
			 "mends it",
			 plural(&shared), names_of(&shared), shared.count == 1 ? "is" : "are",
			 names_of(&shared), shared.names);
	if (ticking.count > 0)
		plan_say(&plan->warnings,
			 "core%s %s %s isolated, but the kernel's timer interrupts the workers "
			 "there; `nohz_full=%s` on the kernel's command line mends it",
			 plural(&ticking), names_of(&ticking), ticking.count == 1 ? "is" : "are",
			 names_of(&ticking));
}

/* --- Hyperthreads --------------------------------------------------------------------- */

/* The first of the first `count` workers that has a hyperthread of this core; count: none. */
static u32 worker_on_core(const struct plan *plan, const struct machine *machine, u32 count,
			  u32 core)
{
	u32 worker = 0;

	while (worker < count && plan_worker_cpu(plan, machine, worker)->core != core)
		worker++;
	return worker;
}

static bool is_named(const struct plan *plan, u32 cpu)
{
	for (u32 i = 0; i < plan->workers_count; i++)
		if (plan->cores.list[i] == (int)cpu)
			return true;
	return false;
}

static void judge_twins(struct plan *plan, const struct machine *machine)
{
	struct picked second = {.count = 0}, first = {.count = 0};

	for (u32 i = 0; i < plan->workers_count; i++) {
		u32 core = plan_worker_cpu(plan, machine, i)->core;
		u32 before = worker_on_core(plan, machine, i, core);

		if (before == i)
			continue;
		pick(&second, (u32)plan->cores.list[i]);
		pick(&first, (u32)plan->cores.list[before]);
	}
	if (second.count == 0)
		return;
	plan_say(&plan->warnings,
		 "the worker%s on %s and on %s share hyperthreads of the same core%s, which then "
		 "forward%s hardly more than one worker each would: leave %s out of `workers:`",
		 plural(&second), names_of(&first), names_of(&second), plural(&second),
		 second.count == 1 ? "s" : "", names_of(&second));
}

/* Other hyperthreads on which the kernel runs what it likes. Beside a worker that isn't isolated
 * itself they make no difference. */
static void judge_siblings(struct plan *plan, const struct machine *machine)
{
	struct picked busy = {.count = 0};

	for (u32 cpu = 0; cpu < machine->cpus_end; cpu++) {
		const struct machine_cpu *each = &machine->cpus[cpu];
		u32 worker = worker_on_core(plan, machine, plan->workers_count, each->core);

		if (each->online && !each->isolated && !is_named(plan, cpu) &&
		    worker < plan->workers_count &&
		    plan_worker_cpu(plan, machine, worker)->isolated)
			pick(&busy, cpu);
	}
	if (busy.count > 0)
		plan_say(&plan->warnings,
			 "core%s %s %s hyperthread%s of workers' cores and not isolated, so that "
			 "whatever runs there slows the workers down: add %s to `isolcpus=`, or "
			 "`echo off > /sys/devices/system/cpu/smt/control`",
			 plural(&busy), names_of(&busy), busy.count == 1 ? "is a" : "are",
			 plural(&busy), names_of(&busy));
}

/* --- Nodes ---------------------------------------------------------------------------- */

/* Cores of a node that would serve: one hyperthread each, the last ones, isolated ones alone
 * if there are any. Returns whether these are isolated. */
static bool cores_of_node(const struct machine *machine, int node, u32 wanted, struct picked *out)
{
	struct picked found = {.count = 0};
	bool isolated = false;

	for (u32 cpu = 0; cpu < machine->cpus_end; cpu++) {
		const struct machine_cpu *each = &machine->cpus[cpu];

		if (!each->may || each->node != node || each->core != cpu ||
		    (isolated && !each->isolated))
			continue;
		if (each->isolated && !isolated) {
			isolated = true;
			found.count = 0;
		}
		pick(&found, cpu);
	}
	out->count = 0;
	for (u32 i = found.count > wanted ? found.count - wanted : 0; i < found.count; i++)
		pick(out, (u32)found.list[i]);
	return isolated;
}

static void mend_format(const struct plan *plan, const struct machine *machine, int node,
			bool automatic, char *out, size_t out_bytes)
{
	struct picked better;
	bool isolated = cores_of_node(machine, node, plan->workers_count, &better);

	if (better.count == 0)
		snprintf(out, out_bytes,
			 "node %d has no core for them, so put the card into a "
			 "slot of another node",
			 node);
	else if (automatic && !isolated)
		snprintf(out, out_bytes,
			 "`isolcpus=%s nohz_full=%s` on the kernel's command line mends it",
			 names_of(&better), names_of(&better));
	else
		snprintf(out, out_bytes, "`workers: %s` mends it", names_of(&better));
}

static void judge_node(struct plan *plan, const struct machine *machine,
		       const struct plan_port *port, bool automatic)
{
	struct picked far = {.count = 0};
	char mend[2 * CORES_TEXT_MAX + 128];

	for (u32 i = 0; i < plan->workers_count; i++)
		if (plan_worker_cpu(plan, machine, i)->node != port->nic->node)
			pick(&far, (u32)plan->cores.list[i]);
	if (far.count == 0)
		return;
	mend_format(plan, machine, port->nic->node, automatic, mend, sizeof(mend));
	plan_say(&plan->warnings,
		 "core%s %s lie%s on another node than interface %s, which is on node %d, so that "
		 "each packet crosses between them: %s",
		 plural(&far), names_of(&far), far.count == 1 ? "s" : "", port->port->config->name,
		 port->nic->node, mend);
}

static void judge_nodes(struct plan *plan, const struct machine *machine, bool automatic)
{
	bool nodes[MACHINE_NODES_MAX];
	struct picked all = {.count = 0};

	if (machine->nodes_count < 2)
		return;
	if (plan_nic_nodes(plan, nodes) <= 1) {
		for (u32 i = 0; i < plan->ports_count; i++)
			if (plan->ports[i].nic && plan->ports[i].nic->node >= 0)
				judge_node(plan, machine, &plan->ports[i], automatic);
		return;
	}
	for (u32 node = 0; node < MACHINE_NODES_MAX; node++)
		if (nodes[node])
			pick(&all, node);
	plan_say(
		&plan->warnings,
		"the interfaces' cards are on nodes %s, and each worker polls all of them, so that "
		"packets cross between the nodes: put the cards into slots of one node",
		names_of(&all));
}

/* --- Queues --------------------------------------------------------------------------- */

static void judge_queues(struct plan *plan, const struct plan_port *port)
{
	const struct machine_nic *nic = port->nic;
	u32 last = port->first_queue + plan->workers_count;

	if (!nic || nic->queues == 0 || nic->queues >= last)
		return;
	if (port->port->kind->pci)
		plan_say(&plan->warnings,
			 "interface %s needs a pair of queues for each of %u workers, and the "
			 "kernel's driver runs %u on %s: if `ethtool -l %s` shows no more, name "
			 "fewer cores, or give a virtual machine's card more on its host "
			 "(`queues=%u`)",
			 port->port->config->name, plan->workers_count, nic->queues, nic->interface,
			 nic->interface, plan->workers_count);
	else if (port->port->kind->takes_whole_nic)
		plan_say(&plan->warnings,
			 "interface %s listens at queues %u to %u of %s, which has %u: `ethtool -L "
			 "%s combined %u` gives it more",
			 port->port->config->name, port->first_queue, last - 1, nic->interface,
			 nic->queues, nic->interface, last);
}

void plan_judge(struct plan *plan, const struct machine *machine, const char *workers)
{
	judge_isolation(plan, machine);
	judge_twins(plan, machine);
	judge_siblings(plan, machine);
	judge_nodes(plan, machine, strcmp(workers, "auto") == 0);
	for (u32 i = 0; i < plan->ports_count; i++)
		judge_queues(plan, &plan->ports[i]);
}
