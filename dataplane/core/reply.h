/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Packets that shunt answers itself. A reply takes the place of the frame that asked for it, and
 * goes out of the port where that came in.
 *
 *     a verdict that may be answered -> reply_consider -> room -> reply_write
 *
 * As with forward_fits and encap_write, the first step decides and copies out what it needs, the
 * engine then makes the room (a reply may begin before its frame, and end before it), and the
 * last step only writes. None of it is on the way of a packet that is forwarded. */
#ifndef SHUNT_CORE_REPLY_H
#define SHUNT_CORE_REPLY_H

#include "icmp.h"
#include "resolve.h"

/* Senders are told of a path's MTU at most ten times a second, by classes of their address: a
 * flood of packets that are too big is not answered by a flood. */
#define REPLY_PAUSE_MS 100

/* As much of a packet that is too big as goes back with the error (RFC 1812 section 4.3.2.3: the
 * whole reply is at most 576 bytes; RFC 4443 section 2.4: at most 1280). */
#define REPLY_QUOTE_V4 528
#define REPLY_QUOTE_V6 1192
#define REPLY_MTU_MIN_V4 68   /* RFC 791 */
#define REPLY_MTU_MIN_V6 1280 /* RFC 8200 section 5: a smaller one is not believed */

struct reply {
	struct question question; /* ARP and neighbour discovery */
	u8 our_mac[6];
	u8 their_mac[6];
	u8 tags[PARSE_TAGS_MAX * VLAN_TAG_BYTES]; /* of the frame, and its Ethernet type */
	be16 type;
	u8 verdict; /* enum verdict: what is written */
	bool v6;
	u8 grown_bytes; /* the reply begins so much before the frame */
	u16 l3_offset;  /* of the frame, and of the reply */
	u16 l4_offset;
	u16 mtu;         /* VERDICT_PATH_MTU: what fits */
	u32 frame_bytes; /* of the reply, from its own beginning */
};

/* A shortest solicitation has no option; the advertisement has one. An error begins with headers of
 * its own. */
enum { REPLY_GROWN_MAX = IPV6_HEADER_BYTES + ICMP_HEADER_BYTES };

_Static_assert(ADVERTISEMENT_FRAME_BYTES - NEIGHBOUR_LINK_BYTES ==
		       ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES + NEIGHBOUR_MESSAGE_BYTES,
	       "every solicitation has room for its answer");

/* --- Whether to answer ---------------------------------------------------------------- */

static always_inline bool reply_arp(const struct env *env, const struct station *station,
				    struct cursor cursor, u32 frame_bytes, struct reply *reply)
{
	if (!station->answers || !arp_read(cursor, station, &reply->question) ||
	    !forward_is_vip(env, false, &reply->question.about))
		return false;
	reply->verdict = VERDICT_ARP;
	reply->frame_bytes = frame_bytes; /* with its padding: it is no shorter than it was */
	return true;
}

static always_inline bool reply_neighbour(const struct env *env, const struct station *station,
					  struct cursor cursor, const struct packet *packet,
					  struct reply *reply)
{
	if (!station->answers || !(packet->flags & PACKET_V6) ||
	    packet->protocol != PROTOCOL_ICMPV6 || packet->l3_offset != ETHERNET_HEADER_BYTES ||
	    packet->l4_offset != IPV6_HEADER_BYTES ||
	    packet->flags & (PACKET_DEFECT | PACKET_FRAGMENT))
		return false;
	if (!solicitation_read(cursor, packet, &reply->question) ||
	    !forward_is_vip(env, true, &reply->question.about))
		return false;
	reply->verdict = VERDICT_NEIGHBOUR;
	reply->grown_bytes = NEIGHBOUR_LINK_BYTES;
	reply->frame_bytes = ADVERTISEMENT_FRAME_BYTES;
	return true;
}

/* Where the answer to an IP packet goes: back, with the tags that it came with. */
static always_inline bool reply_address(struct cursor cursor, const struct packet *packet,
					struct reply *reply)
{
	const struct ethernet_header *ethernet = cursor_pull(&cursor, ETHERNET_HEADER_BYTES);

	if (!ethernet || ethernet->source[0] & 1)
		return false;
	__builtin_memcpy(reply->their_mac, ethernet->source, 6);
	reply->type = ethernet->type;
	reply->v6 = packet->flags & PACKET_V6;
	reply->l3_offset = packet->l3_offset;
	reply->l4_offset = packet->l4_offset;
	for (int i = 0; i < PARSE_TAGS_MAX; i++) {
		const u8 *tag;

		if (ETHERNET_HEADER_BYTES + i * VLAN_TAG_BYTES >= packet->l3_offset)
			break;
		tag = cursor_pull(&cursor, VLAN_TAG_BYTES);
		if (!tag)
			return false;
		__builtin_memcpy(reply->tags + i * VLAN_TAG_BYTES, tag, VLAN_TAG_BYTES);
	}
	return true;
}

/* An echo request to a VIP. One with IPv4 options or IPv6 extension headers asks for more than an
 * echo, and gets none. */
static always_inline bool reply_echo(struct cursor cursor, u32 frame_bytes,
				     const struct packet *packet, struct reply *reply)
{
	bool v6 = packet->flags & PACKET_V6;
	const struct icmp_header *icmp;

	if (packet->flags & PACKET_FRAGMENT ||
	    packet->l4_offset != (v6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES) ||
	    packet->l3_len - packet->l4_offset < ICMP_HEADER_BYTES ||
	    !reply_address(cursor, packet, reply) ||
	    !cursor_pull(&cursor, packet_bounded_l3(packet->l3_offset)) ||
	    !cursor_pull(&cursor, packet_bounded_l4(packet->l4_offset)))
		return false;
	icmp = cursor_pull(&cursor, ICMP_HEADER_BYTES);
	if (!icmp || icmp->type != (v6 ? ICMPV6_ECHO : ICMP_ECHO) || icmp->code != 0)
		return false;
	reply->verdict = VERDICT_ECHO;
	reply->frame_bytes = frame_bytes;
	return true;
}

/* Whether the sender's class has not been told a moment ago; it is now. */
static inline bool reply_due(const struct env *env, const struct packet *packet)
{
	u64 hash = hash_word(packet->source.halves[0] ^ hash_unkeyed(packet->source.halves[1]),
			     env_seed(env)->fingerprint);
	u32 *told_ms = env_told_ms(env, (u32)(hash >> 32) % ENV_TOLD_CLASSES);
	u32 now_ms = env_now_ms(env);

	if (!told_ms)
		return true;
	/* 0: nobody of the class was ever told. */
	if (*told_ms != 0 && now_ms - *told_ms < REPLY_PAUSE_MS)
		return false;
	*told_ms = now_ms ? now_ms : ~0u;
	return true;
}

/* A packet that is larger than its path: what would fit (RFC 1191, RFC 8201). */
static always_inline bool reply_path_mtu(const struct env *env, struct cursor cursor,
					 const struct packet *packet, const struct backend *backend,
					 struct reply *reply)
{
	bool v6 = packet->flags & PACKET_V6;
	u32 mtu = backend->mtu - encap_overhead(backend);
	u32 quoted_bytes = v6 ? REPLY_QUOTE_V6 : REPLY_QUOTE_V4;

	if (backend->mtu < encap_overhead(backend) ||
	    mtu < (v6 ? REPLY_MTU_MIN_V6 : REPLY_MTU_MIN_V4))
		return false;
	/* RFC 1122 section 3.2.2, RFC 4443 section 2.4: no error about an error, nor, over IPv4,
	 * about a later fragment. */
	if (packet->flags & (v6 ? PACKET_ERROR : PACKET_ERROR | PACKET_LATER) ||
	    packet->l3_len < quoted_bytes ||
	    (u32)(cursor.end - cursor.position) < packet->l3_offset + quoted_bytes ||
	    !reply_address(cursor, packet, reply) || !reply_due(env, packet))
		return false;
	reply->verdict = VERDICT_PATH_MTU;
	reply->mtu = (u16)mtu;
	reply->grown_bytes = (u8)(ICMP_HEADER_BYTES + (v6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES));
	reply->frame_bytes = packet->l3_offset + reply->grown_bytes + quoted_bytes;
	return true;
}

/* Stage: a frame got `verdict` and is not forwarded; is it answered? If so, reply->verdict is what
 * it has now, and *reply says what room that takes; nothing is changed yet. `backend` is that of a
 * packet that does not fit. */
static inline bool reply_consider(const struct env *env, const struct station *station,
				  struct cursor cursor, u32 frame_bytes,
				  const struct packet *packet, enum verdict verdict,
				  const struct backend *backend, struct reply *reply)
{
	reply->grown_bytes = 0;
	reply->l3_offset = ETHERNET_HEADER_BYTES;
	reply->v6 = false;
	__builtin_memcpy(reply->our_mac, station->mac, 6);
	if (verdict == VERDICT_NOT_IP)
		return reply_arp(env, station, cursor, frame_bytes, reply);
	if (verdict == VERDICT_TOO_BIG_DF)
		return reply_path_mtu(env, cursor, packet, backend, reply);
	if (verdict == VERDICT_ICMP && reply_echo(cursor, frame_bytes, packet, reply))
		return true;
	join_paths();
	return (verdict == VERDICT_ICMP || verdict == VERDICT_OTHER_ADDRESS) &&
	       reply_neighbour(env, station, cursor, packet, reply);
}

/* --- The answer ----------------------------------------------------------------------- */

/* Ethernet header and tags. */
static always_inline void reply_write_link(u8 *out, const struct reply *reply)
{
	struct ethernet_header ethernet = {.type = reply->type};

	__builtin_memcpy(ethernet.destination, reply->their_mac, 6);
	__builtin_memcpy(ethernet.source, reply->our_mac, 6);
	__builtin_memcpy(out, &ethernet, sizeof(ethernet));
	if (reply->l3_offset >= ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES)
		__builtin_memcpy(out + ETHERNET_HEADER_BYTES, reply->tags, VLAN_TAG_BYTES);
	if (reply->l3_offset >= ETHERNET_HEADER_BYTES + 2 * VLAN_TAG_BYTES)
		__builtin_memcpy(out + ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES,
				 reply->tags + VLAN_TAG_BYTES, VLAN_TAG_BYTES);
}

/* Turns the request round where it stands. Checksums are mended, never made: one that was wrong is
 * wrong afterwards (RFC 1624 section 3). */
static always_inline void reply_write_echo(u8 *l3, bool v6)
{
	struct icmp_header *icmp;
	struct addr source;

	if (v6) {
		struct ipv6_header *ip = (struct ipv6_header *)l3;

		__builtin_memcpy(&source, ip->source, 16);
		__builtin_memcpy(ip->source, ip->destination, 16);
		__builtin_memcpy(ip->destination, &source, 16);
		ip->hop_limit = 64;
		icmp = (struct icmp_header *)(l3 + IPV6_HEADER_BYTES);
		icmp->type = ICMPV6_ECHO_REPLY;
		icmp->csum = csum_replace(icmp->csum, BE16(ICMPV6_ECHO << 8),
					  BE16(ICMPV6_ECHO_REPLY << 8));
	} else {
		struct ipv4_header *ip = (struct ipv4_header *)l3;
		be32 from = ip->source;

		ip->csum = csum_replace(ip->csum, BE16(ip->ttl << 8), BE16(64 << 8));
		ip->ttl = 64;
		ip->source = ip->destination;
		ip->destination = from;
		icmp = (struct icmp_header *)(l3 + IPV4_HEADER_BYTES);
		icmp->type = ICMP_ECHO_REPLY;
		icmp->csum = csum_replace(icmp->csum, BE16(ICMP_ECHO << 8), 0);
		/* Nothing but zeros may be left to sum, and then only the other zero is right; it
		 * is right after anything else that sums to zero, too. */
		if (icmp->csum == 0)
			icmp->csum = 0xffff;
	}
}

/* The error before the packet that it is about. */
static always_inline void reply_write_path_mtu(u8 *l3, u16 mtu, bool v6)
{
	u32 icmp_bytes = ICMP_HEADER_BYTES + (v6 ? REPLY_QUOTE_V6 : REPLY_QUOTE_V4);
	struct icmp_header icmp = {0};

	if (v6) {
		const struct ipv6_header *about =
			(const struct ipv6_header *)(l3 + IPV6_HEADER_BYTES + ICMP_HEADER_BYTES);
		struct ipv6_header ip = {
			.version_class_label = BE32(6u << 28),
			.payload_len = BE16(icmp_bytes),
			.next_header = PROTOCOL_ICMPV6,
			.hop_limit = 64,
		};

		__builtin_memcpy(ip.source, about->destination, 16);
		__builtin_memcpy(ip.destination, about->source, 16);
		icmp.type = ICMPV6_TOO_BIG;
		icmp.rest = BE32(mtu);
		icmp.csum = (be16)~csum_fold(
			neighbour_pseudo_sum(ip.source, ip.destination, icmp_bytes) +
			csum_words(&icmp, ICMP_HEADER_BYTES / 4) +
			csum_words(about, REPLY_QUOTE_V6 / 4));
		__builtin_memcpy(l3, &ip, sizeof(ip));
		__builtin_memcpy(l3 + sizeof(ip), &icmp, sizeof(icmp));
	} else {
		const struct ipv4_header *about =
			(const struct ipv4_header *)(l3 + IPV4_HEADER_BYTES + ICMP_HEADER_BYTES);
		struct ipv4_header ip = {
			.version_ihl = 0x45,
			.total_len = BE16(IPV4_HEADER_BYTES + icmp_bytes),
			.fragment = IPV4_DF,
			.ttl = 64,
			.protocol = PROTOCOL_ICMP,
			.source = about->destination,
			.destination = about->source,
		};

		ip.csum = (be16)~csum_fold(csum_words(&ip, IPV4_HEADER_BYTES / 4));
		icmp.type = ICMP_UNREACHABLE;
		icmp.code = ICMP_FRAGMENTATION_NEEDED;
		icmp.rest = BE32(mtu);
		icmp.csum = (be16)~csum_fold(csum_words(&icmp, ICMP_HEADER_BYTES / 4) +
					     csum_words(about, REPLY_QUOTE_V4 / 4));
		__builtin_memcpy(l3, &ip, sizeof(ip));
		__builtin_memcpy(l3 + sizeof(ip), &icmp, sizeof(icmp));
	}
}

/* reply_write() where verdict and family are constant, and so the length, which BPF must see; l3 is
 * reply->l3_offset from `out`, and not before its VLAN tags. */
static always_inline void reply_write_as(u8 *out, u8 *l3, const struct reply *reply,
					 enum verdict verdict, bool v6)
{
	const struct question *question = &reply->question;

	switch (verdict) {
	case VERDICT_ARP:
		arp_write(out, ARP_REPLY, reply->our_mac, addr_v4(&question->about),
			  question->asker_mac, addr_v4(&question->asker));
		break;
	case VERDICT_NEIGHBOUR:
		advertisement_write(out, reply->our_mac, &question->about, question->asker_mac,
				    &question->asker);
		break;
	case VERDICT_ECHO:
		reply_write_link(out, reply);
		reply_write_echo(l3, v6);
		break;
	default:
		reply_write_link(out, reply);
		reply_write_path_mtu(l3, reply->mtu, v6);
		break;
	}
}

/* Writes the reply at `out`, which is reply->grown_bytes before the frame's old beginning. */
static inline void reply_write(u8 *out, const struct reply *reply)
{
	reply_write_as(out, out + reply->l3_offset, reply, (enum verdict)reply->verdict, reply->v6);
}

#endif
