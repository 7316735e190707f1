/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole decision about an inner packet, once its outer headers have been read: one order of
 * checks for every mode. What differs, where the lists of addresses are kept, is three small
 * functions that each adapter defines: decap.c over arrays, bpf/decap.bpf.c over maps. */
#ifndef SHUNT_DECAP_JUDGE_H
#define SHUNT_DECAP_JUDGE_H

#include "dataplane/decap/decap.h"

struct judge; /* the adapter's */

/* Whether the sender is one of --from, where there are any. */
static bool judge_source_allowed(const struct judge *judge, const struct addr *source);

/* DECAP_DELIVERED if packets to this address are wanted here, else the reason that they are not. */
static enum decap_verdict judge_destination(const struct judge *judge, const struct addr *vip);

/* Whether the inner packet is encapsulated again, and would not be noticed elsewhere. */
static bool judge_nested(const struct judge *judge, struct span span, const struct inner *inner);

/* Sets the inner ECN field by both of them: RFC 6040. */
static always_inline enum decap_verdict judge_ecn(u8 *start, const struct decap_outer *outer,
						  struct decap_result *result)
{
	struct ecn_choice choice = decap_ecn(result->inner.ecn, outer->ecn);

	result->ecn_unexpected = choice.unexpected;
	if (choice.drop)
		return DECAP_ECN;
	result->ecn_before = result->inner.ecn;
	result->ecn_changed = choice.ecn != result->inner.ecn;
	if (result->ecn_changed)
		inner_ecn_set(start, &result->inner, choice.ecn);
	return DECAP_DELIVERED;
}

/* Decides on what follows the outer IP or UDP header; changes it in place (ECN) where the inner
 * packet is to be delivered. `result` is all zero before. */
static always_inline enum decap_verdict judge_payload(const struct judge *judge,
						      const struct decap_outer *outer,
						      struct span payload,
						      struct decap_result *result)
{
	u32 before_bytes = payload.left_bytes;
	enum decap_verdict verdict;
	u8 protocol;

	if (!judge_source_allowed(judge, &outer->source))
		return DECAP_OUTER_SOURCE;
	verdict = carrier_open(outer->carrier, &payload, &protocol);
	if (verdict != DECAP_DELIVERED)
		return verdict;
	result->carrier_bytes = before_bytes - payload.left_bytes;
	verdict = inner_check(payload, protocol, &result->inner);
	if (verdict != DECAP_DELIVERED)
		return verdict;
	verdict = judge_destination(judge, &result->inner.destination);
	if (verdict != DECAP_DELIVERED)
		return verdict;
	if (judge_nested(judge, payload, &result->inner))
		return DECAP_NESTED;
	return judge_ecn(payload.cursor.position, outer, result);
}

#endif
