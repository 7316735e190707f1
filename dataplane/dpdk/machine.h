/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine as the kernel describes it: what a plan (plan.h) is made for. Reading it takes no
 * privilege and changes nothing. */
#ifndef SHUNT_DPDK_MACHINE_H
#define SHUNT_DPDK_MACHINE_H

#include "dataplane/core/base.h"

#define MACHINE_CPUS_MAX 1024
#define MACHINE_NODES_MAX 32 /* DPDK's */
#define MACHINE_NICS_MAX 128
#define MACHINE_NO_NODE (-1) /* also SOCKET_ID_ANY */

enum machine_page { MACHINE_PAGE_4K, MACHINE_PAGE_2M, MACHINE_PAGE_1G, MACHINE_PAGES };

struct machine_cpu {
	bool online, may; /* a thread of ours may be pinned to it */
	bool given;       /* one that isn't pinned runs there */
	bool isolated;    /* the kernel puts nothing else there: isolcpus */
	bool tickless;    /* nor its timer: nohz_full */
	int node;
	u32 core; /* the first hyperthread of the core that it is one of */
};

/* Huge pages, by enum machine_page; those of 4 KiB are not counted. */
struct machine_pages {
	u64 free[MACHINE_PAGES], total[MACHINE_PAGES];
};

struct machine_node {
	bool exists;
	struct machine_pages pages;
};

struct machine_nic {
	char address[16];   /* on the PCI bus, with its domain; else empty */
	char interface[16]; /* the kernel's, where one of its drivers has it; else empty */
	char driver[32];    /* empty: none */
	int node;           /* MACHINE_NO_NODE: near all of them, or nobody knows */
	u32 queues;         /* pairs that the kernel's driver runs; 0: it has none or doesn't say */
	bool has_iommu;
};

struct machine {
	struct machine_cpu cpus[MACHINE_CPUS_MAX];
	u32 cpus_end;
	struct machine_node nodes[MACHINE_NODES_MAX];
	u32 nodes_count;
	struct machine_pages pages;        /* of all nodes */
	bool pages_refused[MACHINE_PAGES]; /* though there are free ones: they count as none */
	bool sysctl_is_2m;                 /* whether vm.nr_hugepages counts pages of 2 MiB */
	bool has_tickless;                 /* whether the kernel knows nohz_full */
	struct machine_nic nics[MACHINE_NICS_MAX]; /* of the PCI bus, then those seen */
	u32 nics_count;
};

/* Reads all of it from the files below root ("" for the real ones). Whatever is missing there is
 * taken for not there; every core that is online counts as one that we may use. */
void machine_read(struct machine *machine, const char *root);

/* Reads the card at one address of the PCI bus; false: there is none. */
bool machine_card(const char *root, const char *address, struct machine_nic *nic);

/* Asks the kernel of what no file tells: which cores we may be pinned to, and whether it gives us
 * huge pages. */
void machine_ask(struct machine *machine);

/* Has this thread, and those that it makes, get memory of that node while there is any. */
void machine_prefer_node(int node);

/* Looks at an interface of the kernel's that is none of a PCI NIC, if it exists. */
void machine_see_interface(struct machine *machine, const char *root, const char *interface);

/* The NIC at an address of the PCI bus, whose domain may be left out, or that of an interface of
 * the kernel's; NULL: none was seen. */
const struct machine_nic *machine_nic_at(const struct machine *machine, const char *address);
const struct machine_nic *machine_nic_of(const struct machine *machine, const char *interface);

#endif
