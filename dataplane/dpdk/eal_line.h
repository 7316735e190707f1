/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line that DPDK's environment layer (EAL) gets. */
#ifndef SHUNT_DPDK_EAL_LINE_H
#define SHUNT_DPDK_EAL_LINE_H

#include "config/config.h"

#define EAL_OWN_BYTES ((u64)48 << 20) /* DPDK's own needs beside pools and rings */
#define EAL_ARGS_MAX (16 + 2 * CONFIG_INTERFACES_MAX)

/* DPDK's number of a worker's thread; 0 is the main one. */
static inline u32 eal_worker_lcore(u32 worker)
{
	return 1 + worker;
}

struct eal_setup {
	const char *program;
	const char *const *pci; /* "0000:01:00.0[,options]" each; other devices come later */
	size_t pci_count;
	const char *main_cpus; /* "0-1,6": where the main thread may run */
	const int *worker_cpus;
	u32 workers_count;  /* 0: all is done in the main thread */
	u64 memory_bytes;   /* what pools and rings will need */
	bool shares_memory; /* with another process, by descriptor */
	bool huge_pages;    /* there are enough */
};

struct eal_line {
	char *list[EAL_ARGS_MAX + 1]; /* in text; NULL after the last */
	int count;
	size_t used_bytes;
	char text[16384];
};

void eal_line_make(struct eal_line *line, const struct eal_setup *setup);

/* Whether a device string names a PCI device and not a virtual one. */
bool eal_device_is_pci(const char *device);

#endif
