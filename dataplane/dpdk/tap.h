/* SPDX-License-Identifier: BSD-2-Clause */
/* An interface of the kernel whose wire is a descriptor of ours. */
#ifndef SHUNT_DPDK_TAP_H
#define SHUNT_DPDK_TAP_H

#include "dataplane/core/base.h"

/* Takes over the interface `name` that an earlier process left behind, or makes it: with this
 * MAC, up, and to stay when we end. A new one gets the MTU; one that was there may have a lower
 * one, not a higher one. Returns a non-blocking descriptor, or -errno with half a sentence on
 * what is wrong in text. */
int tap_open(const char *name, const u8 mac[static 6], u16 mtu, char *text, size_t text_bytes)
	__attribute__((warn_unused_result));

/* Whether there is a link; follows what its wire is really worth. */
void tap_carrier(int fd, bool carrier);

/* The MAC that the kernel's interface has now. Returns 0 or -errno (-EBADFD: it was deleted). */
int tap_mac(int fd, u8 mac[static 6]) __attribute__((warn_unused_result));
int tap_mac_set(int fd, const u8 mac[static 6]) __attribute__((warn_unused_result));

/* A descriptor of this process's, somebody else's in it, that is a queue of the interface; or -1. */
int tap_find(const char *name);

#endif
