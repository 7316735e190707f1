/* SPDX-License-Identifier: BSD-2-Clause */
/* The packet inside: is it one, how long is it, and the two fields that are changed on its way
 * out of the tunnel. Works on bytes alone; no I/O. */
#ifndef SHUNT_DECAP_INNER_H
#define SHUNT_DECAP_INNER_H

#include "dataplane/core/addr.h"
#include "dataplane/decap/verdict.h"

enum { INNER_PROTOCOL_IPV4 = 4, INNER_PROTOCOL_IPV6 = 41 };

struct inner {
	u8 *start;
	u32 len_bytes;         /* by the inner header: padding behind it is not part of it */
	u32 transport_offset;  /* behind the IPv4 header and options, or the fixed IPv6 header */
	u8 transport_protocol; /* IPv6: the first next header */
	bool is_v4;
	bool is_fragment; /* IPv4 only */
	u8 ecn;
	struct addr source;
	struct addr destination;
};

/* Checks `len_bytes` bytes that an outer header announced as `protocol` (4 or 41) and describes
 * the packet in `inner`, which points into `bytes`. DECAP_DELIVERED means "nothing against it";
 * `inner` is filled only then. The IPv4 header checksum is left for the host to judge. */
enum decap_verdict inner_check(u8 *bytes, u32 len_bytes, u8 protocol, struct inner *inner)
	__attribute__((warn_unused_result));

/* Writes the ECN field; an IPv4 header checksum follows incrementally (RFC 1624 section 3), so
 * that a wrong one stays wrong. */
void inner_ecn_set(struct inner *inner, u8 ecn);

/* Completes a TCP or UDP checksum that holds the pseudo header's sum only. Returns whether it
 * did. */
bool inner_checksum_complete(struct inner *inner);

#endif
