/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The memory that core.bpf.c shares with the test that drives it: one structure, its only
 * global, mapped into the test. Sizes are the test fixture's. */
#ifndef SHUNT_BPF_CHECK_STATE_H
#define SHUNT_BPF_CHECK_STATE_H

#include "dataplane/core/reply.h"

enum {
	CHECK_SERVICE_BUCKETS = 32,
	CHECK_SERVICES = CHECK_SERVICE_BUCKETS * SERVICE_BUCKET_KEYS,
	CHECK_BACKENDS = 18,
	CHECK_MAGLEV = 4096,
	CHECK_FLOW_BUCKETS = 23,
};

struct check_state {
	struct service_bucket buckets[CHECK_SERVICE_BUCKETS];
	struct service services[CHECK_SERVICES];
	struct backend backends[CHECK_BACKENDS];
	struct flow_bucket flows[CHECK_FLOW_BUCKETS];
	struct flow_owners flow_owners[CHECK_FLOW_BUCKETS];
	u16 maglev[CHECK_MAGLEV]; /* maglev_offset of a service counts bytes from here */
	struct fragment_bucket fragments[FRAGMENT_BUCKETS];
	u32 told_ms[ENV_TOLD_CLASSES];
	struct hash_seed seed;
	struct station station;
	u32 now_ms;
	u8 tick;
	bool unmatched_pass;
	u8 prefixes[2][SERVICE_PREFIXES_MAX];

	/* Scratch. */
	struct packet packet;
	struct packet embedded;
	struct flow_key key;
	u32 service; /* index of its record */
	struct reply reply;

	/* Out: of the last packet. */
	u32 verdict;
	u32 backend_number;
	u32 l3_len;
};

#endif
