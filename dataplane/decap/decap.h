/* SPDX-License-Identifier: BSD-2-Clause */
/* From the bytes a socket delivered to the inner packet to be written: pure functions of those
 * bytes and a policy, so that tests and fuzzers reach all of it without a socket. */
#ifndef SHUNT_DECAP_DECAP_H
#define SHUNT_DECAP_DECAP_H

#include "dataplane/decap/inner.h"
#include "dataplane/decap/prefix.h"

/* What the outer headers said. */
struct decap_outer {
	struct addr source;
	enum decap_carrier carrier;
	u8 ecn;
	bool from_own_device; /* came out of the TUN device: already decapsulated once */
};

struct decap_result {
	struct inner inner; /* only where the verdict is DECAP_DELIVERED */
	u32 carrier_bytes;  /* of GUE's header */
	u8 ecn_before;
	bool ecn_changed;
	bool ecn_unexpected;
	bool checksum_completed;
};

struct decap_policy {
	struct prefix_list from;
	struct prefix_list vips;
};

/* Reads the IPv4 header that a raw IPv4 socket delivers in front of the payload. */
enum decap_verdict decap_outer_v4(const u8 *packet, u32 len_bytes, u32 *offset, u8 *ecn)
	__attribute__((warn_unused_result));

/* Decides on one packet; `payload` is what follows the outer IP or UDP header, and is changed in
 * place (ECN, checksums) where the inner packet is to be delivered. */
enum decap_verdict decap_packet(const struct decap_policy *policy, const struct decap_outer *outer,
				u8 *payload, u32 len_bytes, struct decap_result *result)
	__attribute__((warn_unused_result));

#endif
