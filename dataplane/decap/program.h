/* SPDX-License-Identifier: BSD-2-Clause */
/* What the programs in the kernel (bpf/decap.bpf.c) share with the process that loads them. */
#ifndef SHUNT_DECAP_PROGRAM_H
#define SHUNT_DECAP_PROGRAM_H

#include "dataplane/core/addr.h"
#include "dataplane/decap/verdict.h"

enum {
	DECAP_PREFIXES_MAX = 64,
	DECAP_ADDRESSES_MAX = 4096,
};

/* Key of a trie. The family comes first, so that ::/0 holds no IPv4 address, which lies in ::/0 as
 * the v4-mapped address that it is here. */
struct decap_prefix_key {
	u32 len_bits; /* of the family and the address */
	u8 family;    /* 4 or 6 */
	u8 bytes[16];
	u8 zero[3];
};

enum { DECAP_FAMILY_BITS = 8 };

/* Set before loading. */
struct decap_settings {
	be16 gue_port;
	bool from_any;
	bool vips_any;
};

/* One for each CPU. */
struct decap_counts {
	u64 verdicts[DECAP_VERDICT_COUNT];
	u64 notes[DECAP_NOTE_COUNT];
};

_Static_assert(sizeof(struct decap_prefix_key) == 24, "a map's key");
_Static_assert(sizeof(struct decap_settings) == 4, "read-only data of a program");

#endif
