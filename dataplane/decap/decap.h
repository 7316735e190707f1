/* SPDX-License-Identifier: BSD-2-Clause */
/* From the bytes a socket delivered to the inner packet to be written: pure functions of those
 * bytes and a policy, so that tests and fuzzers reach all of it without a socket. */
#ifndef SHUNT_DECAP_DECAP_H
#define SHUNT_DECAP_DECAP_H

#include "dataplane/decap/inner.h"
#include "dataplane/decap/prefix.h"

enum { ECN_NOT_ECT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3 };

/* What carried the inner packet. */
enum decap_carrier { CARRIER_PROTOCOL_4, CARRIER_PROTOCOL_41, CARRIER_GUE };

/* What the outer headers said, as far as the payload doesn't. */
struct decap_outer {
	struct addr source;
	enum decap_carrier carrier;
	u8 ecn;
	bool from_own_device; /* came out of the TUN device: already decapsulated once */
};

struct decap_policy {
	struct prefix_list from;
	struct prefix_list vips;
};

struct decap_result {
	struct inner inner; /* only where the verdict is DECAP_DELIVERED */
	bool ecn_changed;
	bool ecn_unexpected;
	bool checksum_completed;
};

struct ecn_choice {
	u8 ecn;
	bool drop;
	bool unexpected;
};

/* The ECN field of the packet that leaves the tunnel: RFC 6040 section 4.2, figure 4. Only the
 * two low bits of either argument count. `unexpected` stands for its (!) and (!!!). */
struct ecn_choice decap_ecn(u8 inner, u8 outer);

/* Reads the GUE header that fills the start of a UDP payload (draft-ietf-intarea-gue sections 3
 * and 4): variant 0 with IPv4 or IPv6 inside, or variant 1, which has no header at all. On
 * DECAP_DELIVERED the inner packet begins at `offset` and is of IP protocol `protocol`. */
enum decap_verdict decap_gue(const u8 *payload, u32 len_bytes, u32 *offset, u8 *protocol)
	__attribute__((warn_unused_result));

/* Reads the IPv4 header that a raw IPv4 socket delivers in front of the payload. */
enum decap_verdict decap_outer_v4(const u8 *packet, u32 len_bytes, u32 *offset, u8 *ecn)
	__attribute__((warn_unused_result));

/* Decides on one packet; `payload` is what follows the outer IP or UDP header, and is changed in
 * place (ECN, checksums) where the inner packet is to be delivered. */
enum decap_verdict decap_packet(const struct decap_policy *policy, const struct decap_outer *outer,
				u8 *payload, u32 len_bytes, struct decap_result *result)
	__attribute__((warn_unused_result));

#endif
