/* SPDX-License-Identifier: BSD-2-Clause */
/* A GUE receiver must drop what it doesn't understand: an unknown flag may stand for a field that
 * changes the payload (a checksum, encryption, a fragment), and private data that nobody agreed
 * on must not be ignored. The balancer sends neither, so any extension here is a packet that
 * isn't ours. */
#include "dataplane/decap/decap.h"

enum {
	IPV4_HEADER_MIN = 20,
	GUE_HEADER = 4,
	GUE_CONTROL_BIT = 0x20,
	GUE_LENGTH_MASK = 0x1f,
};

struct ecn_choice decap_ecn(u8 inner, u8 outer)
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
static enum decap_verdict gue_direct(u8 first, u32 *offset, u8 *protocol)
{
	u32 version = first >> 4;

	if (version != 4 && version != 6)
		return DECAP_GUE_VARIANT;
	*offset = 0;
	*protocol = version == 4 ? INNER_PROTOCOL_IPV4 : INNER_PROTOCOL_IPV6;
	return DECAP_DELIVERED;
}

enum decap_verdict decap_gue(const u8 *payload, u32 len_bytes, u32 *offset, u8 *protocol)
{
	u32 variant;

	if (len_bytes == 0)
		return DECAP_GUE_TRUNCATED;
	variant = payload[0] >> 6;
	if (variant == 1)
		return gue_direct(payload[0], offset, protocol);
	if (variant != 0)
		return DECAP_GUE_VARIANT;
	if (len_bytes < GUE_HEADER)
		return DECAP_GUE_TRUNCATED;
	if (payload[0] & GUE_CONTROL_BIT)
		return DECAP_GUE_CONTROL;
	if (payload[2] | payload[3])
		return DECAP_GUE_FLAGS;
	/* No flag is set, so whatever the length field announces is private data. */
	if (payload[0] & GUE_LENGTH_MASK)
		return DECAP_GUE_PRIVATE;
	if (payload[1] != INNER_PROTOCOL_IPV4 && payload[1] != INNER_PROTOCOL_IPV6)
		return DECAP_GUE_PROTOCOL;
	*offset = GUE_HEADER;
	*protocol = payload[1];
	return DECAP_DELIVERED;
}

enum decap_verdict decap_outer_v4(const u8 *packet, u32 len_bytes, u32 *offset, u8 *ecn)
{
	u32 header_len;

	if (len_bytes < IPV4_HEADER_MIN)
		return DECAP_OUTER_TRUNCATED;
	header_len = (packet[0] & 15) * 4u;
	if (header_len < IPV4_HEADER_MIN || header_len > len_bytes)
		return DECAP_OUTER_TRUNCATED;
	*offset = header_len;
	*ecn = packet[1] & 3;
	return DECAP_DELIVERED;
}

static enum decap_verdict carrier_open(enum decap_carrier carrier, const u8 *payload, u32 len_bytes,
				       u32 *offset, u8 *protocol)
{
	if (carrier == CARRIER_GUE)
		return decap_gue(payload, len_bytes, offset, protocol);
	*offset = 0;
	*protocol = carrier == CARRIER_PROTOCOL_4 ? INNER_PROTOCOL_IPV4 : INNER_PROTOCOL_IPV6;
	return DECAP_DELIVERED;
}

enum decap_verdict decap_packet(const struct decap_policy *policy, const struct decap_outer *outer,
				u8 *payload, u32 len_bytes, struct decap_result *result)
{
	enum decap_verdict verdict;
	struct ecn_choice choice;
	u32 offset;
	u8 protocol;

	*result = (struct decap_result){};
	if (outer->from_own_device)
		return DECAP_NESTED;
	if (!prefix_list_allows(&policy->from, &outer->source))
		return DECAP_OUTER_SOURCE;
	verdict = carrier_open(outer->carrier, payload, len_bytes, &offset, &protocol);
	if (verdict != DECAP_DELIVERED)
		return verdict;
	verdict = inner_check(payload + offset, len_bytes - offset, protocol, &result->inner);
	if (verdict != DECAP_DELIVERED)
		return verdict;
	if (!prefix_list_allows(&policy->vips, &result->inner.destination))
		return DECAP_INNER_DESTINATION;
	choice = decap_ecn(result->inner.ecn, outer->ecn);
	result->ecn_unexpected = choice.unexpected;
	if (choice.drop)
		return DECAP_ECN;
	result->ecn_changed = choice.ecn != result->inner.ecn;
	if (result->ecn_changed)
		inner_ecn_set(&result->inner, choice.ecn);
	result->checksum_completed = inner_checksum_complete(&result->inner);
	return DECAP_DELIVERED;
}
