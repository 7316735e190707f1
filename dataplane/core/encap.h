/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The encapsulator: IPIP (RFC 2003, RFC 2473, RFC 4213) in all four family pairs, GUE
 * (draft-ietf-intarea-gue, variant 0) over IPv4 and IPv6, and L2: a new Ethernet header before
 * the packet as it came, for a backend on the same segment.
 *
 * A backend's record is one cache line that holds the ready outer header. Encapsulation copies
 * it and patches what the packet decides:
 *   TOS / traffic class  copied, DSCP and ECN: RFC 6040 section 4.1, normal mode; RFC 2983
 *   IPv4 DF              copied from IPv4; set for IPv6 inside (RFC 4213 section 3.2)
 *   IPv4 ID              0 with DF (RFC 6864 section 4.1), else the sender's, turned by the flow
 *   entropy              low bits of the outer IPv4 source, IPv6 flow label (RFC 6438), GUE port
 *   UDP checksum         0: RFC 768 over IPv4, RFC 6935 section 5 over IPv6 */
#ifndef SHUNT_CORE_ENCAP_H
#define SHUNT_CORE_ENCAP_H

#include "csum.h"
#include "packet.h"
#include "wire.h"

enum backend_flag {
	BACKEND_PRESENT = 1 << 0,
	BACKEND_NO_NEW = 1 << 1,    /* draining or down: a new connection goes elsewhere */
	BACKEND_REACHABLE = 1 << 2, /* the next hop's MAC is known */
	BACKEND_GUE = 1 << 3,
	BACKEND_OUTER_V6 = 1 << 4,
	BACKEND_L2 = 1 << 5, /* no outer header; excludes the two above */
};

/* What encap_overhead_of() and encap_write_as() go by. None of them: IPIP over IPv4. */
#define BACKEND_FORM (BACKEND_GUE | BACKEND_OUTER_V6 | BACKEND_L2)

/* One backend of one service. All zero: no such backend. */
struct backend {
	struct ethernet_header ethernet;
	union {                        /* all zero for L2 */
		struct ipv4_header v4; /* csum: the folded sum of the template, not complemented */
		struct ipv6_header v6;
	} outer;
	be16 source_mask; /* bits of the outer source's last two bytes that carry entropy */
	u16 mtu;          /* of the next hop, bytes of the outer IP packet */
	u8 flags;         /* enum backend_flag */
	u8 port;          /* index of the interface to send on */
	u32 counter;      /* index of the backend's counter */
} packed_struct;

_Static_assert(sizeof(struct backend) == 64, "one cache line");
_Static_assert(offsetof(struct backend, outer) == 14, "follows the Ethernet header");

enum { ENCAP_OVERHEAD_MAX = IPV6_HEADER_BYTES + UDP_HEADER_BYTES + GUE_HEADER_BYTES };

/* Bytes between the Ethernet header and the inner packet, by BACKEND_FORM. */
static always_inline u32 encap_overhead_of(u8 flags)
{
	u32 ip = flags & BACKEND_OUTER_V6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES;

	if (flags & BACKEND_L2)
		return 0;
	return ip + (flags & BACKEND_GUE ? UDP_HEADER_BYTES + GUE_HEADER_BYTES : 0);
}

/* By how many bytes the new frame begins before the old one, whose VLAN tags it loses: an l2 frame
 * that had some begins later. */
static always_inline int encap_grown_of(const struct packet *packet, u8 flags)
{
	return (int)(ETHERNET_HEADER_BYTES + encap_overhead_of(flags)) - packet->l3_offset;
}

static always_inline u32 encap_overhead(const struct backend *backend)
{
	return encap_overhead_of(backend->flags);
}

static always_inline void encap_gue(u8 *out, const struct packet *packet, u32 entropy)
{
	struct udp_header udp = {
		.source_port = BE16(0xc000 | (entropy & 0x3fff)), /* RFC 6335 section 6: dynamic */
		.destination_port = BE16(GUE_PORT),
		.len = BE16(UDP_HEADER_BYTES + GUE_HEADER_BYTES + packet->l3_len),
		.csum = 0,
	};
	struct gue_header gue = {
		.variant_control_hlen = 0,
		.protocol = packet->flags & PACKET_V6 ? PROTOCOL_IPV6 : PROTOCOL_IPV4,
		.flags = 0,
	};

	__builtin_memcpy(out, &udp, sizeof(udp));
	__builtin_memcpy(out + sizeof(udp), &gue, sizeof(gue));
}

static always_inline void encap_ipv4(u8 *out, const struct backend *backend,
				     const struct packet *packet, u32 entropy, u32 overhead)
{
	struct ipv4_header *ip = (struct ipv4_header *)(out + ETHERNET_HEADER_BYTES);
	be16 spread = BE16(entropy) & backend->source_mask;
	bool df = packet->flags & PACKET_DF;
	be16 total_len = BE16(packet->l3_len + overhead);
	be16 id = df ? 0 : (be16)(packet->id ^ BE16(entropy));
	u64 sum;

	__builtin_memcpy(out, backend, ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES);
	ip->tos = packet->tos;
	ip->total_len = total_len;
	ip->id = id;
	ip->fragment = df ? IPV4_DF : 0;
	/* The template's masked bits are zero, so adding the entropy is setting it. */
	sum = (u64)backend->outer.v4.csum + ((u32)packet->tos << 8) + total_len + id +
	      (df ? IPV4_DF : 0) + spread;
	ip->csum = (be16)~csum_fold(sum);
	ip->source = backend->outer.v4.source | (be32)spread << 16;
}

static always_inline void encap_ipv6(u8 *out, const struct backend *backend,
				     const struct packet *packet, u32 entropy, u32 overhead)
{
	struct ipv6_header *ip = (struct ipv6_header *)(out + ETHERNET_HEADER_BYTES);
	u8 last_bytes[2];
	be16 last;

	__builtin_memcpy(out, backend, ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES);
	ip->version_class_label = BE32(6u << 28 | (u32)packet->tos << 20 | (entropy & 0xfffff));
	ip->payload_len = BE16(packet->l3_len + overhead - IPV6_HEADER_BYTES);
	__builtin_memcpy(&last, backend->outer.v6.source + 14, 2);
	last |= BE16(entropy) & backend->source_mask;
	__builtin_memcpy(last_bytes, &last, 2);
	__builtin_memcpy(ip->source + 14, last_bytes, 2);
}

/* Writes Ethernet and outer headers at `out`, which has room for ETHERNET_HEADER_BYTES and
 * encap_overhead_of(flags) bytes directly before the inner IP header. The flags are the
 * backend's own; where they are constant, so is the length, which BPF must see. */
static always_inline void encap_write_as(u8 *out, const struct backend *backend,
					 const struct packet *packet, u32 entropy, u8 flags)
{
	u32 overhead = encap_overhead_of(flags);

	if (flags & BACKEND_L2) {
		__builtin_memcpy(out, backend, ETHERNET_HEADER_BYTES);
	} else if (flags & BACKEND_OUTER_V6) {
		encap_ipv6(out, backend, packet, entropy, overhead);
		if (flags & BACKEND_GUE)
			encap_gue(out + ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES, packet, entropy);
	} else {
		encap_ipv4(out, backend, packet, entropy, overhead);
		if (flags & BACKEND_GUE)
			encap_gue(out + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES, packet, entropy);
	}
}

static always_inline void encap_write(u8 *out, const struct backend *backend,
				      const struct packet *packet, u32 entropy)
{
	encap_write_as(out, backend, packet, entropy, backend->flags);
}

#endif
