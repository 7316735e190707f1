/* SPDX-License-Identifier: BSD-2-Clause */
/* Which cores the workers get, as the kernel numbers them. */
#ifndef SHUNT_DPDK_CORES_H
#define SHUNT_DPDK_CORES_H

#include "dataplane/core/base.h"

#define WORKERS_MAX 127 /* DPDK's threads, without the main one */
#define CORES_TEXT_MAX 640

struct cores {
	int list[WORKERS_MAX]; /* in the order of the configuration */
	u32 count;
	u32 beyond;      /* further ones that were named: past WORKERS_MAX */
	const char *why; /* of a choice of our own; empty where the configuration names them */
};

/* What `workers:` comes to: the cores of a list such as "2-5,7"; for "auto" the isolated ones,
 * else the last one that this process may run on. Returns 0, or -EINVAL (cores that it may not
 * run on) with a sentence in text. */
int cores_choose(const char *workers, struct cores *cores, char *text, size_t text_bytes)
	__attribute__((warn_unused_result));

/* Writes "0-3,7" for that. */
void cores_format(const int *list, u32 count, char out[static CORES_TEXT_MAX]);

/* Says which of the cores the kernel lets others run on too, and what mends it. */
void cores_warn(const int *list, u32 count);

#endif
