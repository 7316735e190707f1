/* SPDX-License-Identifier: BSD-2-Clause */
/* AF_XDP sockets that DPDK's driver makes, kept from bringing a program of their own along. */
#ifndef SHUNT_DPDK_XSK_H
#define SHUNT_DPDK_XSK_H

#include "dataplane/core/base.h"

/* From now on the sockets that are made on this interface (one a process) come without libxdp's
 * program, and whatever program is there stays when DPDK closes its device. */
void xsk_guard(const char *kernel_name, u32 ifindex);

/* The descriptor of the socket on one of its queues, or -1. It is the driver's. */
int xsk_guarded(u32 queue);

#endif
