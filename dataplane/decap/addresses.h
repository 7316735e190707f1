/* SPDX-License-Identifier: BSD-2-Clause */
/* Which addresses are this host's. */
#ifndef SHUNT_DECAP_ADDRESSES_H
#define SHUNT_DECAP_ADDRESSES_H

#include "dataplane/decap/prefix.h"

/* A descriptor that becomes readable when an address or an interface of this host comes or
 * goes, or -errno. */
int addresses_watch(void) __attribute__((warn_unused_result));

/* Takes what it has to read: nothing is worth knowing but that something has changed. */
void addresses_drain(int fd);

/* The addresses that interfaces have. Returns how many, at most `max`, or -errno. */
int addresses_list(struct addr *list, u32 max) __attribute__((warn_unused_result));

/* Says of each prefix whose first address the kernel would not deliver to this host that it is
 * not local. */
void addresses_check(const struct prefix_list *vips);

#endif
