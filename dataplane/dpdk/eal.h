/* SPDX-License-Identifier: BSD-2-Clause */
/* Starting DPDK's environment layer. */
#ifndef SHUNT_DPDK_EAL_H
#define SHUNT_DPDK_EAL_H

#include "dataplane/dpdk/eal_line.h"

/* Starts it with a command line, which stays in use until the program ends. Returns 0 or -errno;
 * DPDK has then said why on standard error. */
int eal_start(struct eal_line *line) __attribute__((warn_unused_result));

#endif
