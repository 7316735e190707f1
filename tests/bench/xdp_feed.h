/* SPDX-License-Identifier: BSD-2-Clause */
/* What xdp.bpf.c makes packets from, and xdp.c sets. */
#ifndef SHUNT_TESTS_BENCH_XDP_FEED_H
#define SHUNT_TESTS_BENCH_XDP_FEED_H

#include "dataplane/core/wire.h"

struct feed {
	u32 flows_bits;     /* packets go round 2^flows_bits flows */
	u32 services_count; /* at 198.18.0.1 and on */
	u32 fresh_every;    /* every so many packets one begins a flow; 0: none */
	u32 until_fresh;
	u64 packets;
	u64 fresh;
	struct ethernet_header ethernet;
} cache_aligned;

#endif
