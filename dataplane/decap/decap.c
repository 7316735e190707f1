/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules (judge.h) for packets that a socket delivered. The kernel has checked and removed the
 * outer headers, it has put fragments together, and it gives inner packets to whoever has their
 * destination; what is encapsulated once more comes back by the device, and is known by that. */
#include "dataplane/decap/decap.h"

#include "dataplane/decap/judge.h"

struct judge {
	const struct decap_policy *policy;
};

static bool judge_source_allowed(const struct judge *judge, const struct addr *source)
{
	return prefix_list_allows(&judge->policy->from, source);
}

static enum decap_verdict judge_destination(const struct judge *judge, const struct addr *vip)
{
	return prefix_list_allows(&judge->policy->vips, vip) ? DECAP_DELIVERED
							     : DECAP_INNER_DESTINATION;
}

static bool judge_nested(const struct judge *judge, struct span span, const struct inner *inner)
{
	return false;
}

enum decap_verdict decap_outer_v4(const u8 *packet, u32 len_bytes, u32 *offset, u8 *ecn)
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

enum decap_verdict decap_packet(const struct decap_policy *policy, const struct decap_outer *outer,
				u8 *payload, u32 len_bytes, struct decap_result *result)
{
	const struct judge judge = {.policy = policy};
	struct span span = {.cursor = {payload, payload + len_bytes}, .left_bytes = len_bytes};
	enum decap_verdict verdict;

	*result = (struct decap_result){};
	if (outer->from_own_device)
		return DECAP_NESTED;
	verdict = judge_payload(&judge, outer, span, result);
	if (verdict == DECAP_DELIVERED)
		result->checksum_completed =
			inner_checksum_complete(payload + result->carrier_bytes, &result->inner);
	return verdict;
}
