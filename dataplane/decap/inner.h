/* SPDX-License-Identifier: BSD-2-Clause */
/* The packet inside: is it one, how long is it, and the ECN field that is changed on its way out
 * of the tunnel. Works on bytes alone, in user space and in BPF.
 *
 * The checks here are those the host can't make for us. The host checks a packet again once it has
 * it, and needs no help with a wrong header checksum. But it would take padding for payload, it
 * can't know that the outer header said "IPv6 inside", and whether it refuses a loopback address
 * depends on its settings (route_localnet, which container platforms set), so those are refused
 * here. */
#ifndef SHUNT_DECAP_INNER_H
#define SHUNT_DECAP_INNER_H

#include "dataplane/core/addr.h"
#include "dataplane/core/csum.h"
#include "dataplane/decap/rules.h"

struct inner {
	u32 len_bytes;         /* by the inner header: padding behind it is not part of it */
	u32 transport_offset;  /* behind the IPv4 header and options, or the fixed IPv6 header */
	u8 transport_protocol; /* IPv6: the first next header */
	bool is_v4;
	bool is_fragment; /* IPv4 only */
	u8 ecn;
	struct addr source;
	struct addr destination;
};

/* 0.0.0.0/8, 127.0.0.0/8, and multicast, reserved or broadcast: never the source or the
 * destination of a packet for a service (RFC 1122 section 3.2.1.3). */
static always_inline bool inner_martian_v4(be32 address)
{
	u8 first = (u8)address;

	return first == 0 || first == 127 || first >= 224;
}

/* Unspecified, loopback, v4-mapped, link-local and multicast (RFC 4291 section 2). */
static always_inline bool inner_martian_v6(const struct addr *addr)
{
	if (addr->bytes[0] == 0xff || (addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80))
		return true;
	return addr_is_v4(addr) ||
	       (addr->halves[0] == 0 && addr->words[2] == 0 && (addr->words[3] & ~BE32(1)) == 0);
}

static always_inline enum decap_verdict inner_check_v4(struct span span, struct inner *inner)
{
	u32 len_bytes = span.left_bytes, header_len, total_len;
	const struct ipv4_header *header = span_pull(&span, IPV4_HEADER_BYTES);

	if (!header)
		return DECAP_INNER_TRUNCATED;
	header_len = (header->version_ihl & 15) * 4u;
	total_len = be16_to_cpu(header->total_len);
	if (header_len < IPV4_HEADER_BYTES || header_len > total_len)
		return DECAP_INNER_HEADER;
	if (total_len > len_bytes)
		return DECAP_INNER_LENGTH;
	if (inner_martian_v4(header->source) || inner_martian_v4(header->destination))
		return DECAP_INNER_MARTIAN;
	*inner = (struct inner){
		.len_bytes = total_len,
		.transport_offset = header_len,
		.transport_protocol = header->protocol,
		.is_v4 = true,
		.is_fragment = (header->fragment & IPV4_MF_OR_OFFSET) != 0,
		.ecn = header->tos & 3,
		.source = addr_from_v4(header->source),
		.destination = addr_from_v4(header->destination),
	};
	return DECAP_DELIVERED;
}

static always_inline enum decap_verdict inner_check_v6(struct span span, struct inner *inner)
{
	const struct ipv6_header *header = span_pull(&span, IPV6_HEADER_BYTES);
	struct addr source, destination;
	u32 payload_len;

	if (!header)
		return DECAP_INNER_TRUNCATED;
	/* Payload length 0 is that of a jumbogram, which no outer header here can carry, or of
	 * a packet with nothing behind its header: the latter is complete, and harmless. */
	payload_len = be16_to_cpu(header->payload_len);
	if (payload_len > span.left_bytes)
		return DECAP_INNER_LENGTH;
	__builtin_memcpy(source.bytes, header->source, sizeof(source));
	__builtin_memcpy(destination.bytes, header->destination, sizeof(destination));
	if (inner_martian_v6(&source) || inner_martian_v6(&destination))
		return DECAP_INNER_MARTIAN;
	*inner = (struct inner){
		.len_bytes = IPV6_HEADER_BYTES + payload_len,
		.transport_offset = IPV6_HEADER_BYTES,
		.transport_protocol = header->next_header,
		.ecn = ((const u8 *)header)[1] >> 4 & 3,
		.source = source,
		.destination = destination,
	};
	return DECAP_DELIVERED;
}

/* Checks bytes that an outer header announced as `protocol` (4 or 41) and describes the packet in
 * `inner`. DECAP_DELIVERED means "nothing against it"; `inner` is filled
 * only then. The IPv4 header checksum is left for the host to judge. */
static always_inline enum decap_verdict inner_check(struct span span, u8 protocol,
						    struct inner *inner)
{
	u32 version = protocol == PROTOCOL_IPV4 ? 4 : 6;
	const u8 *first = span_peek(&span, 1);

	if (!first)
		return DECAP_INNER_TRUNCATED;
	if (*first >> 4 != version)
		return DECAP_INNER_VERSION;
	return version == 4 ? inner_check_v4(span, inner) : inner_check_v6(span, inner);
}

/* Whether what `span` begins with is encapsulated once more, as far as a decapsulator here would
 * take it. A fragment's second half has no port, and is nobody's. */
static always_inline bool inner_is_wrapped(struct span span, const struct inner *inner,
					   be16 gue_port)
{
	u32 offset = inner->transport_offset;
	const struct udp_header *udp;

	if (inner->transport_protocol == PROTOCOL_IPV4 ||
	    inner->transport_protocol == PROTOCOL_IPV6)
		return true;
	if (inner->transport_protocol != PROTOCOL_UDP || inner->is_fragment)
		return false;
	hide_value(offset); /* or clang leaves the bound out, which the verifier needs */
	if (!span_pull(&span, offset & 63))
		return false;
	udp = span_pull(&span, UDP_HEADER_BYTES);
	return udp && udp->destination_port == gue_port;
}

/* Writes the ECN field of the packet that begins at `start`; an IPv4 header checksum follows incrementally (RFC 1624 section 3), so
 * that a wrong one stays wrong. */
static always_inline void inner_ecn_set(u8 *start, struct inner *inner, u8 ecn)
{
	struct ipv4_header *v4 = (struct ipv4_header *)start;
	u16 before, after;

	inner->ecn = ecn;
	if (!inner->is_v4) {
		start[1] = (u8)((start[1] & ~0x30) | ecn << 4);
		return;
	}
	__builtin_memcpy(&before, start, 2);
	start[1] = (u8)((start[1] & ~3) | ecn);
	__builtin_memcpy(&after, start, 2);
	v4->csum = csum_replace(v4->csum, before, after);
}

/* Completes a TCP or UDP checksum that holds the pseudo header's sum only. Returns whether it
 * did. User space alone: in the kernel it is known that such a checksum is unfinished. */
bool inner_checksum_complete(u8 *start, const struct inner *inner);

#endif
