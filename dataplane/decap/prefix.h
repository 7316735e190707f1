/* SPDX-License-Identifier: BSD-2-Clause */
/* Address prefixes: the allow-lists of --from and --vip. */
#ifndef SHUNT_DECAP_PREFIX_H
#define SHUNT_DECAP_PREFIX_H

#include "dataplane/core/addr.h"

struct prefix {
	struct addr addr;
	u8 len_bits; /* of the 128 bits of a v4-mapped address */
	bool is_v4;
};

enum { PREFIX_LIST_MAX = 64 };

struct prefix_list {
	u32 count;
	struct prefix entries[PREFIX_LIST_MAX];
};

/* Reads ADDRESS or ADDRESS/LENGTH of either family. Returns 0, -EINVAL where `text` is no
 * prefix, or -EDOM where address bits are set beyond the length (a likely slip of the pen). */
int prefix_parse(const char *text, struct prefix *prefix) __attribute__((warn_unused_result));

/* Never matches across families: ::/0 is every IPv6 address and no IPv4 one. */
bool prefix_contains(const struct prefix *prefix, const struct addr *addr);

/* 0, or -ENOSPC when the list is full. */
int prefix_list_add(struct prefix_list *list, const struct prefix *prefix)
	__attribute__((warn_unused_result));

/* An empty list allows everything. */
bool prefix_list_allows(const struct prefix_list *list, const struct addr *addr);

#endif
