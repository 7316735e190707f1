/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs in the kernel (bpf/decap.bpf.c) as the process has them: loaded, with the lists that
 * they go by and the counters that they keep. Where they are attached is attach.h. */
#ifndef SHUNT_DECAP_KERNEL_H
#define SHUNT_DECAP_KERNEL_H

#include "dataplane/decap/decap.h"
#include "dataplane/decap/options.h"

struct decap_bpf; /* of bpf/decap.skel.h */

struct kernel {
	struct decap_bpf *skeleton;
	u32 generation; /* of the list of local addresses */
	bool full;      /* it has no room for them all, which has been said */
};

/* Loads the program of a mode with its lists, --from and --vip. Returns 0, or -errno after a message
 * that says what is missing. Nothing has been attached. */
int kernel_open(struct kernel *kernel, const struct options *options)
	__attribute__((warn_unused_result));

void kernel_close(struct kernel *kernel);

/* The loaded program. */
int kernel_program_fd(const struct kernel *kernel, enum mode_kind kind);

/* Makes the list of local addresses what this host has now; no address that stays is missing from it
 * meanwhile. Returns 0 or -errno. */
int kernel_local_refresh(struct kernel *kernel) __attribute__((warn_unused_result));

/* Whether an entry of that list covers a prefix. */
bool kernel_local_covers(const struct kernel *kernel, const struct prefix *prefix);

/* Adds up the counters of all CPUs. */
int kernel_counters_read(const struct kernel *kernel, struct counters *counters)
	__attribute__((warn_unused_result));

/* A second copy of the skeleton over the same maps, not loaded, for libxdp: NULL where memory is
 * short. */
struct decap_bpf *kernel_copy_open(const struct kernel *kernel);

#endif
