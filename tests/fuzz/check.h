/* SPDX-License-Identifier: BSD-2-Clause */
/* What holds of everything that goes out, whatever came in: lengths agree, checksums are valid. Read
 * from the bytes alone, with the tests' own sums. */
#ifndef SHUNT_TESTS_FUZZ_CHECK_H
#define SHUNT_TESTS_FUZZ_CHECK_H

#include "tests/unit/fixture.h"

/* Where a frame's IP header begins: behind at most two VLAN tags. */
static inline u32 check_l3_offset(const u8 *frame, u32 len)
{
	u32 at = 12;

	for (u32 i = 0; i < 2 && len >= at + 4; i++)
		if (get16(frame + at) == 0x8100 || get16(frame + at) == 0x88a8)
			at += 4;
	return at + 2;
}

/* The outermost IP header of a frame says how long the frame is; IPv4's checksum is valid. Returns
 * the header's length. */
static inline u32 check_ip(const u8 *ip, u32 len)
{
	frame_require(len >= 20);
	if (ip[0] >> 4 == 6) {
		frame_require(len >= 40 && get16(ip + 4) + 40 == len);
		return 40;
	}
	frame_require(ip[0] >> 4 == 4 && get16(ip + 2) == len && frame_ipv4_is_sealed(ip));
	return (ip[0] & 15u) * 4u;
}

/* A forwarded frame: what came in follows what the backend's record demands. */
static inline void check_wrapped(const u8 *frame, u32 frame_bytes, const struct backend *backend,
				 const u8 *inner, u32 inner_bytes)
{
	u32 overhead = encap_overhead(backend), header;
	const u8 *outer = frame + 14;

	frame_require(frame_bytes == 14 + overhead + inner_bytes);
	frame_require(memcmp(outer + overhead, inner, inner_bytes) == 0);
	frame_require(memcmp(frame, backend->ethernet.destination, 6) == 0);
	frame_require(get16(frame + 12) == (outer[0] >> 4 == 6 ? 0x86ddu : 0x0800u));
	header = check_ip(outer, frame_bytes - 14);
	frame_require(backend->flags & BACKEND_L2 || header == (outer[0] >> 4 == 6 ? 40 : 20));
	if (backend->flags & BACKEND_GUE) {
		frame_require(get16(outer + header + 4) == frame_bytes - 14 - header);
		frame_require(get16(outer + header + 6) == 0); /* RFC 768, RFC 6935: none */
	}
}

/* Whether the ICMP message of a packet without options has a valid checksum. */
static inline bool check_icmp_is_sealed(const u8 *ip)
{
	bool v6 = ip[0] >> 4 == 6;
	u32 len = v6 ? get16(ip + 4) : get16(ip + 2) - 20;
	u32 pseudo = v6 ? frame_sum(ip + 8, 32, len + FRAME_ICMPV6) : 0;

	return frame_sum(ip + (v6 ? 40 : 20), len, pseudo) == 0xffff;
}

/* A reply goes back to who asked, from us; an echo's checksum is as right as the request's. */
static inline void check_reply(enum verdict verdict, const u8 *request, u32 request_bytes,
			       const u8 *reply, u32 reply_bytes)
{
	u32 at = check_l3_offset(request, request_bytes);

	frame_require(reply_bytes >= 42 && !(reply[6] & 1));
	frame_require(memcmp(reply + 6, frame_our_mac, 6) == 0);
	switch (verdict) {
	case VERDICT_ECHO:
		frame_require(reply_bytes == request_bytes);
		frame_require(memcmp(reply, request + 6, 6) == 0);
		frame_require(check_icmp_is_sealed(reply + at) ==
			      check_icmp_is_sealed(request + at));
		if (reply[at] >> 4 == 4)
			frame_require(frame_ipv4_is_sealed(reply + at));
		break;
	case VERDICT_PATH_MTU:
		frame_require(memcmp(reply, request + 6, 6) == 0);
		check_ip(reply + at, reply_bytes - at);
		frame_require(check_icmp_is_sealed(reply + at));
		break;
	case VERDICT_NEIGHBOUR:
		check_ip(reply + 14, reply_bytes - 14);
		frame_require(check_icmp_is_sealed(reply + 14));
		break;
	default:
		frame_require(verdict == VERDICT_ARP && get16(reply + 12) == 0x0806);
	}
}

/* Both tables of a fixture as they were at first: an input must not know its predecessor. */
static inline void check_forget(struct fixture *fixture)
{
	memset(fixture->env.flows, 0, fixture->env.flow_buckets * sizeof(struct flow_bucket));
	memset(&fixture->recent, 0, sizeof(fixture->recent));
}

#endif
