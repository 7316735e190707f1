/* SPDX-License-Identifier: BSD-2-Clause */
/* The modes xdp and tc: a program in the kernel takes the encapsulation off; the process loads and
 * attaches it, tells it the host's addresses, reads its counters, and takes it away at the end. */
#ifndef SHUNT_DECAP_KERNEL_H
#define SHUNT_DECAP_KERNEL_H

#include "dataplane/decap/counters.h"
#include "dataplane/decap/options.h"

struct kernel;

/* Loads, fills and attaches. Returns 0, or -errno when what is missing has been said on standard
 * error and nothing is left attached. */
int kernel_open(struct kernel **kernel, const struct options *options)
	__attribute__((warn_unused_result));

/* Detaches what was attached. */
void kernel_close(struct kernel *kernel);

/* A descriptor that becomes readable when kernel_refresh() has something to do. */
int kernel_fd(const struct kernel *kernel);

/* Tells the program of addresses that came or went. Returns false, after a message, once the
 * interface is gone. */
bool kernel_refresh(struct kernel *kernel);

/* Sets `counters` to the sums over all CPUs. */
void kernel_count(const struct kernel *kernel, struct counters *counters);

#endif
