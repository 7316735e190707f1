/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether XDP works at an interface, found out by doing it. */
#ifndef SHUNT_DPDK_XDP_PROBE_H
#define SHUNT_DPDK_XDP_PROBE_H

/* Loads an XDP program that lets every packet pass, and attaches it for a moment. Returns 0,
 * -EPERM where this process may not load one, or why the interface takes none, as -errno. Where
 * another program is attached already, nothing is touched, and it is 0. */
int xdp_probe(const char *kernel_name);

#endif
