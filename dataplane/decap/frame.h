/* SPDX-License-Identifier: BSD-2-Clause */
/* From an Ethernet frame to the decision about it: what the programs in the kernel do before the
 * kernel has looked at a frame.
 *
 * They see every frame of the interface, and most are not for them. So the cheap questions come
 * first, and whatever isn't an encapsulated packet for this host (FRAME_PASS) is left to the kernel
 * untouched and uncounted, damaged or not. From there on it is ours: nobody after us looks at the
 * outer headers, so what the kernel would check in them is checked here, IPv4 header checksum, UDP
 * checksum and lengths. Two things that the kernel does before a raw socket gets a packet are not
 * done: fragments are not put together (dropped, under a reason of their own), and outer IPv6
 * extension headers are not walked (the balancer sends none; left to the kernel).
 *
 * What differs, lists and the reading of far bytes, is in the adapter's functions: those of judge.h
 * and the two that are declared here. */
#ifndef SHUNT_DECAP_FRAME_H
#define SHUNT_DECAP_FRAME_H

#include "dataplane/decap/judge.h"

enum { FRAME_PASS = DECAP_VERDICT_COUNT, FRAME_TAGS_MAX = 2 };

/* Ethernet, outer IPv4 with every option, UDP, GUE, inner header with every option, inner ports:
 * what can be read of a frame without tags. */
enum {
	FRAME_HEADERS_BYTES = ETHERNET_HEADER_BYTES + 60 + UDP_HEADER_BYTES + GUE_HEADER_BYTES +
			      60 + UDP_HEADER_BYTES,
};

struct frame {
	u32 l2_bytes; /* Ethernet header and tags; the outer IP header follows */
	u32 overhead_bytes;
	bool outer_v6;
	struct addr destination; /* the outer one */
	struct decap_outer outer;
	struct decap_result result;
};

/* Whether an address is this host's own. */
static bool frame_local(const struct judge *judge, const struct addr *addr);

/* Adds up `len_bytes` of the frame as 16-bit words, from `offset` on, whether the cursor shows them or
 * not. Returns false where they can't be read. */
static bool frame_sum(const struct judge *judge, u32 offset, u32 len_bytes, u64 *sum);

/* An outer IP header, of either family. */
struct frame_ip {
	struct span payload; /* behind header and options, as long as the header says */
	u32 header_bytes;
	u8 protocol;
	bool is_fragment;
	bool is_later_fragment;
	enum decap_verdict damage; /* DECAP_DELIVERED: none */
};

/* Steps over the Ethernet header and at most `tags_max` VLAN tags. Returns the Ethernet type of
 * what follows, 0 where there are more tags or the frame ends. */
static always_inline be16 frame_ethernet(struct span *span, u32 tags_max)
{
	const struct ethernet_header *ethernet = span_pull(span, ETHERNET_HEADER_BYTES);
	be16 type;

	if (!ethernet)
		return 0;
	type = ethernet->type;
	for (u32 i = 0; i < FRAME_TAGS_MAX; i++) {
		const u8 *tag;

		if (i >= tags_max || (type != BE16(ETHERTYPE_VLAN) && type != BE16(ETHERTYPE_QINQ)))
			break;
		tag = span_pull(span, VLAN_TAG_BYTES);
		if (!tag)
			return 0;
		__builtin_memcpy(&type, tag + 2, sizeof(type));
	}
	return type;
}

static always_inline bool frame_v4(const struct judge *judge, struct span span, struct frame *frame,
				   struct frame_ip *ip)
{
	u32 there_bytes = span.left_bytes, header_len, options_len, total_len;
	const struct ipv4_header *header = span_pull(&span, IPV4_HEADER_BYTES);
	u64 sum;

	if (!header || header->version_ihl >> 4 != 4)
		return false;
	header_len = (header->version_ihl & 15) * 4u;
	total_len = be16_to_cpu(header->total_len);
	options_len = header_len - IPV4_HEADER_BYTES;
	sum = csum_words(header, IPV4_HEADER_BYTES / 4);
	hide_value(options_len); /* or clang leaves the bound out, which the verifier needs */
	if (header_len < IPV4_HEADER_BYTES || !span_pull(&span, options_len & 63) ||
	    (header_len > IPV4_HEADER_BYTES &&
	     !frame_sum(judge, frame->l2_bytes + IPV4_HEADER_BYTES, options_len, &sum)))
		return false;
	*ip = (struct frame_ip){
		.payload = span,
		.header_bytes = header_len,
		.protocol = header->protocol,
		.is_fragment = (header->fragment & IPV4_MF_OR_OFFSET) != 0,
		.is_later_fragment = (header->fragment & IPV4_OFFSET) != 0,
	};
	if (total_len < header_len || total_len > there_bytes)
		ip->damage = DECAP_OUTER_TRUNCATED;
	else if (csum_fold(sum) != 0xffff)
		ip->damage = DECAP_OUTER_CHECKSUM;
	ip->payload.left_bytes = total_len - header_len;
	frame->outer.source = addr_from_v4(header->source);
	frame->destination = addr_from_v4(header->destination);
	frame->outer.ecn = header->tos & 3;
	return true;
}

static always_inline bool frame_v6(struct span span, struct frame *frame, struct frame_ip *ip)
{
	const struct ipv6_header *header = span_pull(&span, IPV6_HEADER_BYTES);
	const struct fragment_header *fragment;
	u32 payload_len;

	if (!header || *(const u8 *)header >> 4 != 6)
		return false;
	payload_len = be16_to_cpu(header->payload_len);
	*ip = (struct frame_ip){
		.payload = span,
		.header_bytes = IPV6_HEADER_BYTES,
		.protocol = header->next_header,
	};
	if (payload_len > span.left_bytes)
		ip->damage = DECAP_OUTER_TRUNCATED;
	ip->payload.left_bytes = payload_len;
	if (header->next_header == PROTOCOL_FRAGMENT) {
		fragment = span_pull(&ip->payload, EXTENSION_UNIT_BYTES);
		if (!fragment)
			return false;
		ip->protocol = fragment->next_header;
		ip->is_fragment = true;
		ip->is_later_fragment = (fragment->offset & FRAGMENT_OFFSET) != 0;
	}
	__builtin_memcpy(frame->outer.source.bytes, header->source, 16);
	__builtin_memcpy(frame->destination.bytes, header->destination, 16);
	frame->outer.ecn = ((const u8 *)header)[1] >> 4 & 3;
	/* In here that would be an IPv4 address, on the wire it is nobody's; the kernel drops it. */
	return !addr_is_v4(&frame->outer.source) && !addr_is_v4(&frame->destination);
}

/* Whether this is one of the three carriers; which one. */
static always_inline bool frame_carrier(const struct frame_ip *ip, be16 gue_port,
					enum decap_carrier *carrier)
{
	const struct udp_header *udp;

	if (ip->protocol == PROTOCOL_IPV4 || ip->protocol == PROTOCOL_IPV6) {
		*carrier = ip->protocol == PROTOCOL_IPV4 ? CARRIER_PROTOCOL_4 : CARRIER_PROTOCOL_41;
		return true;
	}
	if (ip->protocol != PROTOCOL_UDP || ip->is_later_fragment)
		return false;
	*carrier = CARRIER_GUE;
	udp = span_peek(&ip->payload, UDP_HEADER_BYTES);
	return udp && udp->destination_port == gue_port;
}

/* The pseudo header's sum. In an IPv4 address as struct addr holds it, what stands before the four
 * bytes sums up to 0xffff, which is zero in one's complement: both families are one. */
static always_inline u64 frame_pseudo_sum(const struct frame *frame, const struct udp_header *udp)
{
	return csum_words(&frame->outer.source, 4) + csum_words(&frame->destination, 4) +
	       BE16(PROTOCOL_UDP) + udp->len;
}

/* Leaves of the outer payload what the UDP header carries (RFC 768); a checksum of 0 is none, over
 * IPv6 too (RFC 6935 section 5). */
static always_inline enum decap_verdict frame_udp(const struct judge *judge,
						  const struct frame *frame, struct frame_ip *ip)
{
	const struct udp_header *udp = span_pull(&ip->payload, UDP_HEADER_BYTES);
	u64 sum;
	u32 len;

	if (!udp)
		return DECAP_OUTER_TRUNCATED;
	len = be16_to_cpu(udp->len);
	if (len < UDP_HEADER_BYTES || len - UDP_HEADER_BYTES > ip->payload.left_bytes)
		return DECAP_OUTER_TRUNCATED;
	ip->payload.left_bytes = len - UDP_HEADER_BYTES;
	if (udp->csum == 0)
		return DECAP_DELIVERED;
	sum = frame_pseudo_sum(frame, udp);
	if (udp->csum == csum_fold(sum)) /* left to hardware that this packet never met */
		return DECAP_DELIVERED;
	if (!frame_sum(judge, frame->l2_bytes + ip->header_bytes, len, &sum) ||
	    csum_fold(sum) != 0xffff)
		return DECAP_OUTER_CHECKSUM;
	return DECAP_DELIVERED;
}

/* Decides on a frame of `frame_bytes`, which the cursor may show the first part of only. On
 * DECAP_DELIVERED the inner packet's ECN field is set, and `overhead_bytes` behind the first
 * `l2_bytes` are to be taken out. `frame` is all zero before. */
static always_inline enum decap_verdict frame_decide(const struct judge *judge,
						     struct cursor cursor, u32 frame_bytes,
						     u32 tags_max, be16 gue_port,
						     struct frame *frame)
{
	struct span span = {.cursor = cursor, .left_bytes = frame_bytes};
	be16 type = frame_ethernet(&span, tags_max);
	enum decap_verdict verdict;
	struct frame_ip ip;

	frame->outer_v6 = type == BE16(ETHERTYPE_IPV6);
	frame->l2_bytes = frame_bytes - span.left_bytes;
	if (!(type == BE16(ETHERTYPE_IPV4) ? frame_v4(judge, span, frame, &ip)
	      : frame->outer_v6            ? frame_v6(span, frame, &ip)
					   : false))
		return (enum decap_verdict)FRAME_PASS;
	if (!frame_carrier(&ip, gue_port, &frame->outer.carrier))
		return (enum decap_verdict)FRAME_PASS;
	if (!frame_local(judge, &frame->destination))
		return (enum decap_verdict)FRAME_PASS;
	if (ip.damage != DECAP_DELIVERED)
		return ip.damage;
	if (ip.is_fragment)
		return DECAP_OUTER_FRAGMENT;
	if (frame->outer.carrier == CARRIER_GUE) {
		verdict = frame_udp(judge, frame, &ip);
		ip.header_bytes += UDP_HEADER_BYTES;
		if (verdict != DECAP_DELIVERED)
			return verdict;
	}
	verdict = judge_payload(judge, &frame->outer, ip.payload, &frame->result);
	frame->overhead_bytes = ip.header_bytes + frame->result.carrier_bytes;
	return verdict;
}

#endif
