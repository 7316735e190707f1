/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting DPDK's environment layer. */
#ifndef SHUNT_DPDK_EAL_H
#define SHUNT_DPDK_EAL_H

#include "config/config.h"

/* DPDK's number of a worker's thread; 0 is the main one. */
static inline u32 eal_worker_lcore(u32 worker)
{
	return 1 + worker;
}

struct eal_setup {
	const char *program;
	const char *const *pci; /* "0000:01:00.0[,options]" each; other devices come later */
	size_t pci_count;
	const int *worker_cpus;
	u32 workers_count;  /* 0: all is done in the main thread */
	u64 memory_bytes;   /* what pools and rings will need */
	u64 beside_bytes;   /* what else of this process would be better off on huge pages */
	bool shares_memory; /* with another process, by descriptor */
	bool huge_pages;    /* wanted; whether there are any is found out */
};

/* Starts it. *huge_pages tells whether it runs on huge pages. Returns 0 or -errno; DPDK has then
 * said why on standard error. */
int eal_start(const struct eal_setup *setup, bool *huge_pages) __attribute__((warn_unused_result));

/* Whether a device string names a PCI device and not a virtual one. */
bool eal_device_is_pci(const char *device);

#endif
