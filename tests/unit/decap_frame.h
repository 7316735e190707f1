/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole frames as a balancer sends them, written by hand: RFC 791, 8200, 768, 2003, 2473 and
 * draft-ietf-intarea-gue. */
#ifndef SHUNT_TESTS_DECAP_FRAME_H
#define SHUNT_TESTS_DECAP_FRAME_H

#include "tests/unit/decap_help.h"

enum { WIRE_MAX_BYTES = 2048, GUE_TEST_PORT = 6080 };

enum udp_sum { UDP_SUM_ZERO, UDP_SUM_RIGHT, UDP_SUM_WRONG, UDP_SUM_UNFINISHED };

/* What is put around an inner packet. */
struct wrapping {
	bool v6;
	bool gue;
	bool gue_direct; /* variant 1 */
	u8 ecn;
	u32 tags;
	u32 options_len; /* of outer IPv4 */
	enum udp_sum sum;
	u32 padding_len; /* behind the outer packet, as Ethernet has it */
};

struct wire {
	u8 bytes[WIRE_MAX_BYTES];
	u32 len_bytes;
	u32 l3, payload, inner; /* offsets: outer IP, behind outer IP or UDP, inner IP */
};

static const char *const balancers[] = {"10.0.0.1", "fd00::1"};
static const char *const backends[] = {"10.0.0.254", "fd00::fe"};

static inline u32 wire_ethernet(u8 *bytes, const struct wrapping *how)
{
	static const u8 macs[] = {2, 0, 0, 0, 0, 0xf2, 2, 0, 0, 0, 0, 2};
	u32 at = sizeof(macs);

	memcpy(bytes, macs, sizeof(macs));
	for (u32 i = 0; i < how->tags; i++, at += 4) {
		put16(bytes + at, i + 1 < how->tags ? 0x88a8 : 0x8100);
		put16(bytes + at + 2, 0x2005 + i);
	}
	put16(bytes + at, how->v6 ? 0x86dd : 0x0800);
	return at + 2;
}

static inline u32 wire_ip(u8 *ip, const struct wrapping *how, u8 protocol, u32 payload_len)
{
	struct addr source = addr_of(balancers[how->v6]), backend = addr_of(backends[how->v6]);
	u32 header_len = 20 + how->options_len;

	if (how->v6) {
		ip[0] = 0x60;
		ip[1] = (u8)(how->ecn << 4 | 0x5);
		put16(ip + 4, payload_len);
		ip[6] = protocol;
		ip[7] = 64;
		memcpy(ip + 8, source.bytes, 16);
		memcpy(ip + 24, backend.bytes, 16);
		return 40;
	}
	ip[0] = (u8)(0x40 | header_len / 4);
	ip[1] = (u8)(0xb8 | how->ecn);
	put16(ip + 2, header_len + payload_len);
	put16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, source.bytes + 12, 4);
	memcpy(ip + 16, backend.bytes + 12, 4);
	memset(ip + 20, 1, how->options_len); /* no operation */
	put16(ip + 10, 0xffff & ~(u32)reference_sum(ip, header_len, 0));
	return header_len;
}

/* By RFC 768: over the pseudo header, the header and the data. */
static inline void wire_udp_sum(u8 *ip, bool v6, u8 *udp, u32 len, enum udp_sum how)
{
	u32 pseudo = reference_sum(ip + (v6 ? 8 : 12), v6 ? 32 : 8, 17 + len);
	u32 sum = 0xffff & ~(u32)reference_sum(udp, len, pseudo);

	if (sum == 0)
		sum = 0xffff;
	if (how == UDP_SUM_UNFINISHED)
		put16(udp + 6, pseudo);
	else if (how != UDP_SUM_ZERO)
		put16(udp + 6, how == UDP_SUM_WRONG ? sum ^ 0x1010 : sum);
}

static inline struct wire wire_of(const struct sample *inner, const struct wrapping *how)
{
	struct wire wire = {.l3 = wire_ethernet(wire.bytes, how)};
	bool inner_v4 = inner->bytes[0] >> 4 == 4;
	u8 protocol = inner_v4 ? 4 : 41;
	u32 gue_len = how->gue && !how->gue_direct ? 4 : 0, udp_len = how->gue ? 8 : 0;
	u32 payload_len = udp_len + gue_len + inner->len_bytes;
	u8 *udp;

	wire_ethernet(wire.bytes, how);
	wire.payload =
		wire.l3 + wire_ip(wire.bytes + wire.l3, how, how->gue ? 17 : protocol, payload_len);
	udp = wire.bytes + wire.payload;
	wire.payload += udp_len;
	wire.inner = wire.payload + gue_len;
	memcpy(wire.bytes + wire.inner, inner->bytes, inner->len_bytes);
	if (gue_len)
		wire.bytes[wire.payload + 1] = protocol;
	if (how->gue) {
		put16(udp, 49152);
		put16(udp + 2, GUE_TEST_PORT);
		put16(udp + 4, payload_len);
		wire_udp_sum(wire.bytes + wire.l3, how->v6, udp, payload_len, how->sum);
	}
	wire.len_bytes = wire.inner + inner->len_bytes + how->padding_len;
	return wire;
}

/* After a byte of the outer IPv4 header has changed. */
static inline void wire_seal(struct wire *wire)
{
	u8 *ip = wire->bytes + wire->l3;

	put16(ip + 10, 0);
	put16(ip + 10, 0xffff & ~(u32)reference_sum(ip, (ip[0] & 15) * 4u, 0));
}

#endif
