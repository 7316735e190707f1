/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/decap/decap.h"

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
	verdict = decap_carrier_open(outer->carrier, payload, len_bytes, &offset, &protocol);
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
