/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs in the kernel (bpf/decap.bpf.c) and the process share: keys of their lists. The
 * counters are struct counters, in verdict.h. */
#ifndef SHUNT_DECAP_KERNEL_MAPS_H
#define SHUNT_DECAP_KERNEL_MAPS_H

#include "dataplane/core/addr.h"

/* A prefix of one family, as an LPM trie wants it. The family is part of what has to match, so that
 * ::/0 is every IPv6 address and no IPv4 one, as in prefix.h. */
struct list_key {
	u32 len_bits; /* of what follows */
	u32 family;   /* 4 or 6 */
	struct addr addr;
};

enum {
	LIST_FAMILY_BITS = 32,
	LIST_KEY_BITS = LIST_FAMILY_BITS + 128,
	LIST_PREFIXES_MAX = 64, /* --from, --vip */
	LIST_LOCAL_MAX = 16384, /* addresses of this host */
};

static inline struct list_key list_key_of(const struct addr *addr, bool is_v4, u32 len_bits)
{
	return (struct list_key){
		.len_bits = LIST_FAMILY_BITS + len_bits,
		.family = is_v4 ? 4 : 6,
		.addr = *addr,
	};
}

#endif
