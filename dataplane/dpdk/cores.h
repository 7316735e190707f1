/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of cores, as the kernel numbers them and writes them: "2-5,7". */
#ifndef SHUNT_DPDK_CORES_H
#define SHUNT_DPDK_CORES_H

#include "dataplane/core/base.h"

#define CORES_NUMBERS_MAX 1024
#define CORES_TEXT_MAX 640
#define WORKERS_MAX 127 /* DPDK's threads, without the main one */

struct cores {
	int list[WORKERS_MAX]; /* in the order of the configuration */
	u32 count;
};

/* Takes a list apart, whatever of the text is one. Returns how many. */
u32 cores_parse(const char *text, int list[static CORES_NUMBERS_MAX]);

/* Writes those that this thread may run on now. */
void cores_format_given(char out[static CORES_TEXT_MAX]);

/* Writes it, "0-3,7". */
void cores_format(const int *list, u32 count, char out[static CORES_TEXT_MAX]);

#endif
