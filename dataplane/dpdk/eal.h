/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting DPDK's environment layer. */
#ifndef SHUNT_DPDK_EAL_H
#define SHUNT_DPDK_EAL_H

#include "config/config.h"

#define EAL_WORKER_LCORE 1 /* 0 is the main thread */
#define EAL_NO_WORKER -1

/* What a worker list such as "2-5,7" or "auto" comes to. */
struct eal_core {
	int cpu;
	bool more; /* the list names further cores */
};

/* The worker's core: the first of the list; for "auto" the first isolated core, else the last
 * one that this process may run on. Returns 0, or -EINVAL (a core that it may not run on) with
 * a sentence in message. */
int eal_core_choose(const char *workers, struct eal_core *core, char *message, size_t message_bytes)
	__attribute__((warn_unused_result));

struct eal_setup {
	const char *program;
	const char *const *pci; /* "0000:01:00.0[,options]" each; other devices come later */
	size_t pci_count;
	int worker_cpu;     /* or EAL_NO_WORKER */
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
