/* SPDX-License-Identifier: BSD-2-Clause */
/* What the outer headers ask for: the rules that all modes share, compiled for user space and for
 * BPF.
 *
 * A GUE receiver must drop what it doesn't understand: an unknown flag may stand for a field that
 * changes the payload (a checksum, encryption, a fragment), and private data that nobody agreed
 * on must not be ignored. The balancer sends neither, so any extension here is a packet that
 * isn't ours. */
#ifndef SHUNT_DECAP_RULES_H
#define SHUNT_DECAP_RULES_H

#include "dataplane/core/wire.h"
#include "dataplane/decap/verdict.h"

enum { ECN_NOT_ECT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3 };

enum { GUE_CONTROL_BIT = 0x20, GUE_LENGTH_MASK = 0x1f };

/* What carried the inner packet. */
enum decap_carrier { CARRIER_PROTOCOL_4, CARRIER_PROTOCOL_41, CARRIER_GUE };

struct ecn_choice {
	u8 ecn;
	bool drop;
	bool unexpected;
};

/* The ECN field of the packet that leaves the tunnel: RFC 6040 section 4.2, figure 4. Only the
 * two low bits of either argument count. `unexpected` stands for its (!) and (!!!). */
static always_inline struct ecn_choice decap_ecn(u8 inner, u8 outer)
{
	/* Rows are the inner field, columns the outer. */
	/* clang-format off */
	static const struct ecn_choice table[4][4] = {
		[ECN_NOT_ECT] = {
			[ECN_NOT_ECT] = {.ecn = ECN_NOT_ECT},
			[ECN_ECT1]    = {.ecn = ECN_NOT_ECT, .unexpected = true},
			[ECN_ECT0]    = {.ecn = ECN_NOT_ECT, .unexpected = true},
			[ECN_CE]      = {.ecn = ECN_NOT_ECT, .unexpected = true, .drop = true},
		},
		[ECN_ECT1] = {
			[ECN_NOT_ECT] = {.ecn = ECN_ECT1},
			[ECN_ECT1]    = {.ecn = ECN_ECT1},
			[ECN_ECT0]    = {.ecn = ECN_ECT1, .unexpected = true},
			[ECN_CE]      = {.ecn = ECN_CE},
		},
		[ECN_ECT0] = {
			[ECN_NOT_ECT] = {.ecn = ECN_ECT0},
			[ECN_ECT1]    = {.ecn = ECN_ECT1},
			[ECN_ECT0]    = {.ecn = ECN_ECT0},
			[ECN_CE]      = {.ecn = ECN_CE},
		},
		[ECN_CE] = {
			[ECN_NOT_ECT] = {.ecn = ECN_CE},
			[ECN_ECT1]    = {.ecn = ECN_CE, .unexpected = true},
			[ECN_ECT0]    = {.ecn = ECN_CE},
			[ECN_CE]      = {.ecn = ECN_CE},
		},
	};
	/* clang-format on */

	return table[inner & 3][outer & 3];
}

/* Variant 1 is recognised by the version nibble of the IP header it begins with: 0100 and 0110
 * both start with the variant bits 01. */
static always_inline enum decap_verdict gue_direct(u8 first, u32 *offset, u8 *protocol)
{
	u32 version = first >> 4;

	if (version != 4 && version != 6)
		return DECAP_GUE_VARIANT;
	*offset = 0;
	*protocol = version == 4 ? PROTOCOL_IPV4 : PROTOCOL_IPV6;
	return DECAP_DELIVERED;
}

/* Reads the GUE header that fills the start of a UDP payload (draft-ietf-intarea-gue sections 3
 * and 4): variant 0 with IPv4 or IPv6 inside, or variant 1, which has no header at all. On
 * DECAP_DELIVERED the inner packet begins at `offset` and is of IP protocol `protocol`. Reads no
 * more than the first GUE_HEADER_BYTES. */
static always_inline enum decap_verdict decap_gue(const u8 *payload, u32 len_bytes, u32 *offset,
						  u8 *protocol)
{
	u32 variant;

	if (len_bytes == 0)
		return DECAP_GUE_TRUNCATED;
	variant = payload[0] >> 6;
	if (variant == 1)
		return gue_direct(payload[0], offset, protocol);
	if (variant != 0)
		return DECAP_GUE_VARIANT;
	if (len_bytes < GUE_HEADER_BYTES)
		return DECAP_GUE_TRUNCATED;
	if (payload[0] & GUE_CONTROL_BIT)
		return DECAP_GUE_CONTROL;
	if (payload[2] | payload[3])
		return DECAP_GUE_FLAGS;
	/* No flag is set, so whatever the length field announces is private data. */
	if (payload[0] & GUE_LENGTH_MASK)
		return DECAP_GUE_PRIVATE;
	if (payload[1] != PROTOCOL_IPV4 && payload[1] != PROTOCOL_IPV6)
		return DECAP_GUE_PROTOCOL;
	*offset = GUE_HEADER_BYTES;
	*protocol = payload[1];
	return DECAP_DELIVERED;
}

/* Reads the length and the ECN field of an IPv4 header that `len_bytes` bytes begin with; of
 * these it reads no more than IPV4_HEADER_BYTES. */
static always_inline enum decap_verdict decap_outer_v4(const u8 *packet, u32 len_bytes, u32 *offset,
						       u8 *ecn)
{
	u32 header_len;

	if (len_bytes < IPV4_HEADER_BYTES)
		return DECAP_OUTER_TRUNCATED;
	header_len = (packet[0] & 15) * 4u;
	if (header_len < IPV4_HEADER_BYTES || header_len > len_bytes)
		return DECAP_OUTER_TRUNCATED;
	*offset = header_len;
	*ecn = packet[1] & 3;
	return DECAP_DELIVERED;
}

/* Where the inner packet begins, behind the outer IP or UDP header, and its IP protocol. */
static always_inline enum decap_verdict decap_carrier_open(enum decap_carrier carrier,
							   const u8 *payload, u32 len_bytes,
							   u32 *offset, u8 *protocol)
{
	if (carrier == CARRIER_GUE)
		return decap_gue(payload, len_bytes, offset, protocol);
	*offset = 0;
	*protocol = carrier == CARRIER_PROTOCOL_4 ? PROTOCOL_IPV4 : PROTOCOL_IPV6;
	return DECAP_DELIVERED;
}

#endif
