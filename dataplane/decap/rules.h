/* SPDX-License-Identifier: BSD-2-Clause */
/* What a decapsulator may do with a packet, whatever carries it out: the rules that the process
 * behind a TUN device and the programs in the kernel share. Compiled for user space and for BPF;
 * includes nothing but the core.
 *
 * A GUE receiver must drop what it doesn't understand: an unknown flag may stand for a field that
 * changes the payload (a checksum, encryption, a fragment), and private data that nobody agreed
 * on must not be ignored. The balancer sends neither, so any extension here is a packet that
 * isn't ours. */
#ifndef SHUNT_DECAP_RULES_H
#define SHUNT_DECAP_RULES_H

#include "dataplane/core/cursor.h"
#include "dataplane/core/wire.h"
#include "dataplane/decap/verdict.h"

enum { ECN_NOT_ECT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3 };

enum { GUE_CONTROL_BIT = 0x20, GUE_LENGTH_MASK = 0x1f };

/* What carried the inner packet. */
enum decap_carrier { CARRIER_PROTOCOL_4, CARRIER_PROTOCOL_41, CARRIER_GUE };

/* Bytes to be read, and how many of them belong to the packet by the headers read so far: what
 * lies behind is padding, and what lies beyond the cursor's end cannot be looked at here. */
struct span {
	struct cursor cursor;
	u32 left_bytes;
};

/* Returns the next n bytes and steps over them, or NULL where fewer are left. */
static always_inline void *span_pull(struct span *span, u32 n)
{
	if (span->left_bytes < n)
		return NULL;
	span->left_bytes -= n;
	return cursor_pull(&span->cursor, n);
}

/* Returns the next n bytes without stepping over them, or NULL. */
static always_inline void *span_peek(const struct span *span, u32 n)
{
	struct span ahead = *span;

	return span_pull(&ahead, n);
}

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
static always_inline enum decap_verdict gue_direct(u8 first, u8 *protocol)
{
	u32 version = first >> 4;

	if (version != 4 && version != 6)
		return DECAP_GUE_VARIANT;
	*protocol = version == 4 ? PROTOCOL_IPV4 : PROTOCOL_IPV6;
	return DECAP_DELIVERED;
}

/* Reads the GUE header that begins a UDP payload (draft-ietf-intarea-gue sections 3 and 4):
 * variant 0 with IPv4 or IPv6 inside, or variant 1, which has no header at all. On
 * DECAP_DELIVERED the inner packet, of IP protocol `protocol`, is what is left of `payload`. */
static always_inline enum decap_verdict decap_gue(struct span *payload, u8 *protocol)
{
	const u8 *first = span_peek(payload, 1);
	const struct gue_header *gue;

	if (!first)
		return DECAP_GUE_TRUNCATED;
	if (*first >> 6 == 1)
		return gue_direct(*first, protocol);
	if (*first >> 6 != 0)
		return DECAP_GUE_VARIANT;
	gue = span_pull(payload, GUE_HEADER_BYTES);
	if (!gue)
		return DECAP_GUE_TRUNCATED;
	if (gue->variant_control_hlen & GUE_CONTROL_BIT)
		return DECAP_GUE_CONTROL;
	if (gue->flags)
		return DECAP_GUE_FLAGS;
	/* No flag is set, so whatever the length field announces is private data. */
	if (gue->variant_control_hlen & GUE_LENGTH_MASK)
		return DECAP_GUE_PRIVATE;
	if (gue->protocol != PROTOCOL_IPV4 && gue->protocol != PROTOCOL_IPV6)
		return DECAP_GUE_PROTOCOL;
	*protocol = gue->protocol;
	return DECAP_DELIVERED;
}

/* Leaves of `payload`, which follows the outer IP or UDP header, the inner packet. */
static always_inline enum decap_verdict carrier_open(enum decap_carrier carrier,
						     struct span *payload, u8 *protocol)
{
	if (carrier == CARRIER_GUE)
		return decap_gue(payload, protocol);
	*protocol = carrier == CARRIER_PROTOCOL_4 ? PROTOCOL_IPV4 : PROTOCOL_IPV6;
	return DECAP_DELIVERED;
}

#endif
