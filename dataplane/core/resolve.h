/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Address resolution for our own addresses, both ways: reading a question (ARP, RFC 826 and
 * RFC 5227; a neighbour solicitation, RFC 4861 and RFC 4862) and writing the answer or, unasked,
 * the announcement, which differ in whom they go to.
 *
 * A question that is not beyond doubt is no question: it stays with whoever would have had it. */
#ifndef SHUNT_CORE_RESOLVE_H
#define SHUNT_CORE_RESOLVE_H

#include "parse.h"

/* Options of a solicitation that is answered, in units of 8 bytes. Longer ones carry signatures
 * (RFC 3971), which we couldn't check. */
#define RESOLVE_OPTION_UNITS_MAX 8

enum {
	ARP_FRAME_BYTES = ETHERNET_HEADER_BYTES + ARP_PACKET_BYTES,
	ADVERTISEMENT_BYTES = NEIGHBOUR_MESSAGE_BYTES + NEIGHBOUR_LINK_BYTES,
	ADVERTISEMENT_FRAME_BYTES = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES + ADVERTISEMENT_BYTES,
};

/* Who wants to know, and about what. */
struct question {
	struct addr about;
	struct addr asker; /* IPv6 ::, IPv4 0.0.0.0: a probe for a duplicate */
	u8 asker_mac[6];
};

/* --- ARP ------------------------------------------------------------------------------ */

/* Whether the frame asks for an IPv4 address. One that asks for the sender's own address tells
 * in place of asking. */
static inline bool arp_read(struct cursor cursor, const struct station *station,
			    struct question *question)
{
	const struct ethernet_header *ethernet = cursor_pull(&cursor, ETHERNET_HEADER_BYTES);
	const struct arp_packet *arp = cursor_pull(&cursor, ARP_PACKET_BYTES);

	if (!ethernet || !arp || ethernet->type != BE16(ETHERTYPE_ARP))
		return false;
	if (arp->hardware != BE16(ARP_ETHERNET) || arp->protocol != BE16(ETHERTYPE_IPV4) ||
	    arp->hardware_len != 6 || arp->protocol_len != 4 || arp->operation != BE16(ARP_REQUEST))
		return false;
	if (arp->sender == arp->target || (arp->sender != 0 && parse_martian_v4(arp->sender)) ||
	    arp->sender_mac[0] & 1 || parse_mac_equal(arp->sender_mac, station->mac))
		return false;
	question->about = addr_from_v4(arp->target);
	question->asker = addr_from_v4(arp->sender);
	__builtin_memcpy(question->asker_mac, arp->sender_mac, 6);
	return true;
}

static inline void ethernet_write(u8 *out, const u8 *destination, const u8 *source, u16 type)
{
	struct ethernet_header ethernet = {.type = BE16(type)};

	__builtin_memcpy(ethernet.destination, destination, 6);
	__builtin_memcpy(ethernet.source, source, 6);
	__builtin_memcpy(out, &ethernet, sizeof(ethernet));
}

/* Writes ARP_FRAME_BYTES: `ours` is at our_mac. An answer goes to who asked; an announcement
 * (RFC 5227 section 2.3) is a request that everyone gets, with `theirs` ours too and no MAC. */
static inline void arp_write(u8 *out, u16 operation, const u8 *our_mac, be32 ours,
			     const u8 *their_mac, be32 theirs)
{
	const u8 everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct arp_packet arp = {
		.hardware = BE16(ARP_ETHERNET),
		.protocol = BE16(ETHERTYPE_IPV4),
		.hardware_len = 6,
		.protocol_len = 4,
		.operation = BE16(operation),
		.sender = ours,
		.target = theirs,
	};

	__builtin_memcpy(arp.sender_mac, our_mac, 6);
	if (operation == ARP_REPLY)
		__builtin_memcpy(arp.target_mac, their_mac, 6);
	ethernet_write(out, operation == ARP_REPLY ? their_mac : everyone, our_mac, ETHERTYPE_ARP);
	__builtin_memcpy(out + ETHERNET_HEADER_BYTES, &arp, sizeof(arp));
}

/* --- Neighbour discovery -------------------------------------------------------------- */

/* RFC 4291 section 2.7.1: ff02::1:ff00:0/104 and the low 24 bits of the address. */
static inline bool solicited_node(const struct addr *group, const struct addr *address)
{
	return group->words[0] == BE32(0xff020000) && group->words[1] == 0 &&
	       group->words[2] == BE32(1) &&
	       group->words[3] == (address->words[3] | BE32(0xff000000));
}

/* The checksum's pseudo header (RFC 8200 section 8.1) and the addresses that it covers. */
static inline u64 neighbour_pseudo_sum(const void *source, const void *destination, u32 len)
{
	return csum_words(source, 4) + csum_words(destination, 4) + BE32(len) +
	       BE32(PROTOCOL_ICMPV6);
}

/* RFC 4861 section 7.1.1 for what follows the fixed part: adds it to the sum; whether every
 * option has a length and ends where the message does. */
static inline bool options_read(struct cursor *cursor, u32 units, bool probe, u64 *sum)
{
	u32 left = 0;

	for (u32 i = 0; i < RESOLVE_OPTION_UNITS_MAX; i++) {
		const u8 *unit;

		if (i >= units)
			break;
		unit = cursor_pull(cursor, 8);
		if (!unit)
			return false;
		*sum += csum_words(unit, 2);
		if (left == 0) {
			if (unit[1] == 0 || (unit[0] == ND_SOURCE_LINK && probe))
				return false;
			left = unit[1];
		}
		left--;
		forget_value(left, *sum);
	}
	return left == 0;
}

/* Whether an IPv6 packet that was parsed without a defect asks for an address. */
static inline bool solicitation_read(struct cursor cursor, const struct packet *packet,
				     struct question *question)
{
	const struct ethernet_header *ethernet = cursor_pull(&cursor, ETHERNET_HEADER_BYTES);
	const struct ipv6_header *ip = cursor_pull(&cursor, IPV6_HEADER_BYTES);
	const struct neighbour_message *message = cursor_pull(&cursor, NEIGHBOUR_MESSAGE_BYTES);
	u32 len = packet->l3_len - IPV6_HEADER_BYTES;
	u32 units = len / 8 - NEIGHBOUR_MESSAGE_BYTES / 8;
	bool probe = addr_is_zero(&packet->source);
	u64 sum;

	if (!ethernet || !ip || !message || len < NEIGHBOUR_MESSAGE_BYTES || len % 8 != 0 ||
	    units > RESOLVE_OPTION_UNITS_MAX)
		return false;
	if (message->type != ND_SOLICITATION || message->code != 0 ||
	    ip->hop_limit != ND_HOP_LIMIT || (!probe && packet->flags & PACKET_MARTIAN))
		return false;
	__builtin_memcpy(&question->about, message->target, 16);
	question->asker = packet->source;
	__builtin_memcpy(question->asker_mac, ethernet->source, 6);
	if (question->about.bytes[0] == 0xff || ethernet->source[0] & 1 ||
	    addr_equal(&question->about, &question->asker))
		return false;
	if (!solicited_node(&packet->destination, &question->about) &&
	    (probe || !addr_equal(&packet->destination, &question->about)))
		return false;
	sum = neighbour_pseudo_sum(&packet->source, &packet->destination, len) +
	      csum_words(message, NEIGHBOUR_MESSAGE_BYTES / 4);
	return options_read(&cursor, units, probe, &sum) && csum_fold(sum) == 0xffff;
}

/* Writes ADVERTISEMENT_FRAME_BYTES: `ours` is at our_mac (RFC 4861 section 7.2.4). `to` all zero
 * is everyone: the answer to a probe, or an announcement (section 7.2.6). */
static inline void advertisement_write(u8 *out, const u8 *our_mac, const struct addr *ours,
				       const u8 *to_mac, const struct addr *to)
{
	const struct addr all_nodes = {.words = {BE32(0xff020000), 0, 0, BE32(1)}};
	const u8 all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	bool everyone = addr_is_zero(to);
	u8 *l4 = out + ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES;
	struct ipv6_header ip = {
		.version_class_label = BE32(6u << 28),
		.payload_len = BE16(ADVERTISEMENT_BYTES),
		.next_header = PROTOCOL_ICMPV6,
		.hop_limit = ND_HOP_LIMIT,
	};
	struct neighbour_message message = {
		.type = ND_ADVERTISEMENT,
		.flags = everyone ? ND_OVERRIDE : ND_OVERRIDE | ND_SOLICITED,
	};
	struct neighbour_link link = {.type = ND_TARGET_LINK, .len = NEIGHBOUR_LINK_BYTES / 8};
	u64 sum;

	__builtin_memcpy(ip.source, ours, 16);
	__builtin_memcpy(ip.destination, everyone ? &all_nodes : to, 16);
	__builtin_memcpy(message.target, ours, 16);
	__builtin_memcpy(link.mac, our_mac, 6);
	sum = neighbour_pseudo_sum(ip.source, ip.destination, ADVERTISEMENT_BYTES) +
	      csum_words(&message, NEIGHBOUR_MESSAGE_BYTES / 4) +
	      csum_words(&link, NEIGHBOUR_LINK_BYTES / 4);
	message.csum = (be16)~csum_fold(sum);
	ethernet_write(out, everyone ? all_nodes_mac : to_mac, our_mac, ETHERTYPE_IPV6);
	__builtin_memcpy(out + ETHERNET_HEADER_BYTES, &ip, sizeof(ip));
	__builtin_memcpy(l4, &message, sizeof(message));
	__builtin_memcpy(l4 + sizeof(message), &link, sizeof(link));
}

#endif
