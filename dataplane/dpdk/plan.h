/* SPDX-License-Identifier: BSD-2-Clause */
/* A plan: what shunt-dpdk makes of a machine and a configuration, and why. The start follows it,
 * `--plan` prints it. */
#ifndef SHUNT_DPDK_PLAN_H
#define SHUNT_DPDK_PLAN_H

#include "dataplane/dpdk/cores.h"
#include "dataplane/dpdk/eal_line.h"
#include "dataplane/dpdk/machine.h"
#include "dataplane/dpdk/port.h"

#define PLAN_SAYS_MAX 64
#define PLAN_SAYS_BYTES 1024

/* Sentences for the operator, each with the mend. */
struct plan_says {
	char list[PLAN_SAYS_MAX][PLAN_SAYS_BYTES];
	u32 count;
};

struct plan_port {
	const struct port *port;
	const struct machine_nic *nic; /* that it is or stands on; NULL: none that is known */
	u32 queues;                    /* pairs; 0: the device tells them when it is open */
	u32 first_queue;               /* of the NIC */
};

struct plan_memory {
	u64 bytes;
	enum machine_page page;
	int node; /* MACHINE_NO_NODE: wherever the kernel puts it */
};

struct plan {
	struct plan_port ports[PORTS_MAX];
	u32 ports_count;
	struct cores cores; /* chosen */
	u32 workers_count;  /* of them in use: those that find queues, as far as is known */
	char why[192];      /* these cores; empty where the configuration names them */
	char main_cpus[CORES_TEXT_MAX];
	int main_node; /* that all of these are on; MACHINE_NO_NODE: several */
	int node;      /* whose memory is preferred for all; MACHINE_NO_NODE */
	struct plan_memory packets, flows;
	struct eal_line eal;
	struct plan_says faults; /* that the start refuses to go on with */
	struct plan_says warnings;
};

/* Which cores poll which queues. Never looks at the machine itself. */
void plan_cores(struct plan *plan, const struct machine *machine, const struct ports *ports,
		const char *workers);

/* Then where so many bytes lie, and with it what DPDK is started with. */
void plan_memory(struct plan *plan, const struct machine *machine, u64 packets_bytes,
		 u64 flows_bytes);

/* Says what is wrong with how the workers lie on the machine, as the last of plan_cores(). */
void plan_judge(struct plan *plan, const struct machine *machine, const char *workers);

/* Adds a sentence. */
void plan_say(struct plan_says *says, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Cores that were named, but for which a port has no queues, stay idle. */
void plan_say_surplus(struct plan_says *says, const struct cores *cores, u32 used,
		      const struct port *narrowest, u32 queues, const char *workers);

/* Whether DPDK can take the card at this address, NULL for one that isn't there, as its driver stands;
 * if not, the rest of a sentence that begins with "interface NAME". */
bool plan_takes_card(const char *device, const struct machine_nic *nic, char *text,
		     size_t text_bytes);

/* Whether so many workers serve all queues over which the device spreads packets: what it puts into
 * a queue that nobody polls is lost, and nobody counts it. If not, says so. */
bool plan_polls_all(const struct port *port, u32 queues, u32 workers_count, char *text,
		    size_t text_bytes);

/* The nodes of the NICs; returns how many. */
u32 plan_nic_nodes(const struct plan *plan, bool nodes[static MACHINE_NODES_MAX]);

static inline const struct machine_cpu *plan_worker_cpu(const struct plan *plan,
							const struct machine *machine, u32 worker)
{
	return &machine->cpus[plan->cores.list[worker]];
}

#endif
