/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From frame bytes to struct packet.
 *
 * shunt drops only what is addressed to a service's address: a packet for anybody else is the
 * kernel's, however malformed. So a defect found here is noted, not pronounced; the service
 * lookup decides first whose packet it is. Only a frame too short to show its destination, a
 * foreign station's frame, non-IP and what lies behind too many VLAN tags are settled at once.
 *
 * Lengths are checked twice over: against the bytes that are there (the cursor) and against
 * the packet's own length fields, so that neither Ethernet padding nor a lying header is ever
 * taken for payload. */
#ifndef SHUNT_CORE_PARSE_H
#define SHUNT_CORE_PARSE_H

#include "csum.h"
#include "cursor.h"
#include "packet.h"
#include "wire.h"

enum { PARSE_TAGS_MAX = 2, PARSE_EXTENSIONS_MAX = 6 };

static always_inline void parse_defect(struct packet *packet, enum verdict verdict)
{
	if (packet->flags & PACKET_DEFECT)
		return;
	packet->flags |= PACKET_DEFECT;
	packet->defect = (u8)verdict;
}

static always_inline bool parse_mac_equal(const u8 *a, const u8 *b)
{
	u32 a_high, b_high;
	u16 a_low, b_low;

	__builtin_memcpy(&a_high, a, 4);
	__builtin_memcpy(&b_high, b, 4);
	__builtin_memcpy(&a_low, a + 4, 2);
	__builtin_memcpy(&b_low, b + 4, 2);
	return a_high == b_high && a_low == b_low;
}

/* RFC 1122 section 3.2.1.3, RFC 6890: this network, loopback, multicast, reserved. */
static always_inline bool parse_martian_v4(be32 source)
{
	u8 first = (u8)source;

	return first == 0 || first == 127 || first >= 224;
}

/* RFC 4291 sections 2.5.2, 2.5.3, 2.5.5 and 2.7: unspecified, loopback, embedded IPv4 and
 * multicast. A v4-mapped source on the wire would also alias an IPv4 address in struct addr. */
static always_inline bool parse_martian_v6(const struct addr *source)
{
	if (source->bytes[0] == 0xff)
		return true;
	return source->halves[0] == 0 &&
	       (source->words[2] == 0 || source->words[2] == ADDR_V4_MARK);
}

/* What a header is that its packet cuts: of a fragment, the first alone gets here (RFC 7112). */
static always_inline enum verdict parse_cut(const struct packet *packet, enum verdict verdict)
{
	return packet->flags & PACKET_FRAGMENT ? VERDICT_TINY_FRAGMENT : verdict;
}

static always_inline void parse_tcp(struct cursor *cursor, struct packet *packet, u32 left_bytes)
{
	const struct tcp_header *tcp;
	u32 header_bytes;

	if (left_bytes < TCP_HEADER_BYTES) {
		parse_defect(packet, parse_cut(packet, VERDICT_TRUNCATED));
		return;
	}
	tcp = cursor_pull(cursor, TCP_HEADER_BYTES);
	if (!tcp) {
		parse_defect(packet, VERDICT_TRUNCATED);
		return;
	}
	header_bytes = (u32)(tcp->data_offset >> 4) * 4;
	if (header_bytes < TCP_HEADER_BYTES)
		parse_defect(packet, VERDICT_BAD_HEADER_LEN);
	else if (header_bytes > left_bytes)
		parse_defect(packet, parse_cut(packet, VERDICT_BAD_LEN));
	packet->source_port = tcp->source_port;
	packet->destination_port = tcp->destination_port;
	if ((tcp->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		packet->flags |= PACKET_OPENING;
}

static always_inline void parse_udp(struct cursor *cursor, struct packet *packet, u32 left_bytes)
{
	const struct udp_header *udp;
	u32 len;

	if (left_bytes < UDP_HEADER_BYTES) {
		parse_defect(packet, parse_cut(packet, VERDICT_TRUNCATED));
		return;
	}
	udp = cursor_pull(cursor, UDP_HEADER_BYTES);
	if (!udp) {
		parse_defect(packet, VERDICT_TRUNCATED);
		return;
	}
	len = be16_to_cpu(udp->len);
	if (len < UDP_HEADER_BYTES || (len > left_bytes && !(packet->flags & PACKET_FRAGMENT)))
		parse_defect(packet, VERDICT_BAD_LEN);
	packet->source_port = udp->source_port;
	packet->destination_port = udp->destination_port;
}

static always_inline void parse_transport(struct cursor *cursor, struct packet *packet)
{
	u32 left_bytes = packet->l3_len - packet->l4_offset;

	join_paths();
	if (packet->flags & (PACKET_DEFECT | PACKET_LATER))
		return;
	if (packet->protocol == PROTOCOL_TCP)
		parse_tcp(cursor, packet, left_bytes);
	else if (packet->protocol == PROTOCOL_UDP)
		parse_udp(cursor, packet, left_bytes);
}

/* A fragment, whose data begin at packet->l4_offset, `offset_bytes` into the datagram's. */
static apart void parse_fragment(struct packet *packet, u32 offset_bytes, bool more)
{
	u32 data_bytes = packet->l3_len - packet->l4_offset;
	/* What IPv6 does not count: its fixed header, and the fragment's own. */
	u32 apart_bytes = packet->flags & PACKET_V6 ? IPV6_HEADER_BYTES + EXTENSION_UNIT_BYTES : 0;

	packet->flags |= PACKET_FRAGMENT | (offset_bytes ? PACKET_LATER : 0);
	/* RFC 791 section 3.2, RFC 8200 section 4.5: whole units but for the last; and no datagram
	 * is longer, headers included, than its length field can say. */
	if ((more && data_bytes % EXTENSION_UNIT_BYTES != 0) ||
	    offset_bytes + packet->l3_len - apart_bytes > 65535)
		parse_defect(packet, VERDICT_BAD_LEN);
	/* RFC 1858 section 4: it would overwrite flags that were looked at. */
	if (packet->protocol == PROTOCOL_TCP && offset_bytes > 0 && offset_bytes < TCP_HEADER_BYTES)
		parse_defect(packet, VERDICT_TINY_FRAGMENT);
}

/* Steps over IPv4 options a word at a time (at most ten) and returns their sum. */
static always_inline u64 parse_ipv4_options(struct cursor *cursor, struct packet *packet, u32 words)
{
	u64 sum = 0;

	for (u32 i = 0; i < 10; i++) {
		const u8 *word;

		if (i >= words)
			break;
		word = cursor_pull(cursor, 4);
		if (!word) {
			parse_defect(packet, VERDICT_TRUNCATED);
			break;
		}
		sum += csum_words(word, 1);
	}
	return sum;
}

static always_inline enum verdict parse_ipv4(struct cursor *cursor, struct packet *packet,
					     u32 available_bytes)
{
	const struct ipv4_header *ip = cursor_pull(cursor, IPV4_HEADER_BYTES);
	u32 header_bytes;
	u64 sum;

	if (unlikely(!ip))
		return VERDICT_TRUNCATED;
	packet->source = addr_from_v4(ip->source);
	packet->destination = addr_from_v4(ip->destination);
	packet->protocol = ip->protocol;
	packet->tos = ip->tos;
	packet->id = ip->id;
	packet->l3_len = be16_to_cpu(ip->total_len);
	header_bytes = (u32)(ip->version_ihl & 15) * 4;
	packet->l4_offset = (u16)header_bytes;
	if (ip->fragment & IPV4_DF)
		packet->flags |= PACKET_DF;
	if (unlikely(parse_martian_v4(ip->source)))
		packet->flags |= PACKET_MARTIAN;
	if (unlikely(ip->source == ip->destination))
		packet->flags |= PACKET_LAND;
	if (unlikely(ip->ttl == 0))
		packet->flags |= PACKET_TTL_ZERO;

	join_paths();
	sum = csum_words(ip, IPV4_HEADER_BYTES / 4);
	if (unlikely(ip->version_ihl != 0x45)) {
		if (ip->version_ihl >> 4 != 4) {
			parse_defect(packet, VERDICT_BAD_VERSION);
			return VERDICT_UNDECIDED;
		}
		if (header_bytes < IPV4_HEADER_BYTES) {
			parse_defect(packet, VERDICT_BAD_HEADER_LEN);
			return VERDICT_UNDECIDED;
		}
	}
	if (unlikely(packet->l3_len < header_bytes || packet->l3_len > available_bytes)) {
		parse_defect(packet, VERDICT_BAD_LEN);
		return VERDICT_UNDECIDED;
	}
	if (unlikely(header_bytes > IPV4_HEADER_BYTES))
		sum += parse_ipv4_options(cursor, packet, header_bytes / 4 - 5);
	join_paths();
	if (unlikely(csum_fold(sum) != 0xffff))
		parse_defect(packet, VERDICT_BAD_CSUM);
	if (unlikely(ip->fragment & IPV4_MF_OR_OFFSET)) {
		packet->fragment_id = ip->id;
		parse_fragment(packet, (u32)be16_to_cpu(ip->fragment & IPV4_OFFSET) * 8,
			       ip->fragment & IPV4_MF);
	}
	parse_transport(cursor, packet);
	return VERDICT_UNDECIDED;
}

/* Extension headers as of RFC 8200 section 4 and the IANA registry. */
static always_inline bool parse_is_extension(u8 next_header)
{
	switch (next_header) {
	case PROTOCOL_HOP_BY_HOP:
	case PROTOCOL_ROUTING:
	case PROTOCOL_FRAGMENT:
	case PROTOCOL_AH:
	case PROTOCOL_DESTINATION_OPTIONS:
	case PROTOCOL_MOBILITY:
	case PROTOCOL_HIP:
	case PROTOCOL_SHIM6:
		return true;
	default:
		return false;
	}
}

/* Steps over one header, whose number packet->protocol is. Returns whether another may follow. Where
 * it begins is read back from the packet each time: a pointer that grew with every header would be
 * another one on every path that the BPF verifier walks. */
static always_inline bool parse_extension(u8 *l3, u8 *end, struct packet *packet)
{
	struct cursor cursor = {l3, end};
	u8 number = packet->protocol;
	u32 left_bytes = packet->l3_len - packet->l4_offset;
	const struct extension_header *header;
	u32 header_bytes;

	if (left_bytes < EXTENSION_UNIT_BYTES) {
		/* RFC 2675 section 3: an option says how long a jumbogram is; none gets here. */
		bool jumbogram =
			packet->l3_len == IPV6_HEADER_BYTES && number == PROTOCOL_HOP_BY_HOP;

		parse_defect(packet,
			     parse_cut(packet, jumbogram ? VERDICT_BAD_LEN : VERDICT_TRUNCATED));
		return false;
	}
	if (!cursor_pull(&cursor, packet_bounded_l4(packet->l4_offset)) ||
	    !(header = cursor_pull(&cursor, EXTENSION_UNIT_BYTES))) {
		parse_defect(packet, VERDICT_TRUNCATED);
		return false;
	}
	header_bytes = number == PROTOCOL_AH         ? ((u32)header->len + 2) * 4
		       : number == PROTOCOL_FRAGMENT ? EXTENSION_UNIT_BYTES
						     : ((u32)header->len + 1) * 8;
	if (header_bytes > left_bytes) {
		parse_defect(packet, parse_cut(packet, VERDICT_BAD_LEN));
		return false;
	}
	packet->protocol = header->next_header;
	packet->l4_offset += (u16)header_bytes;
	if (number == PROTOCOL_FRAGMENT) {
		const struct fragment_header *fragment = (const struct fragment_header *)header;

		/* Neither an offset nor more to come: whole (RFC 6946). */
		if (fragment->offset & (FRAGMENT_OFFSET | FRAGMENT_MORE)) {
			packet->fragment_id = fragment->id;
			parse_fragment(packet, be16_to_cpu(fragment->offset & FRAGMENT_OFFSET),
				       fragment->offset & FRAGMENT_MORE);
		}
	}
	return !(packet->flags & (PACKET_LATER | PACKET_DEFECT));
}

/* Steps over all of them; the fixed header is at l3. */
static apart void parse_extensions(u8 *l3, u8 *end, struct packet *packet)
{
	for (u32 i = 0; i < PARSE_EXTENSIONS_MAX; i++) {
		join_paths();
		if (!parse_is_extension(packet->protocol) || !parse_extension(l3, end, packet))
			break;
	}
	join_paths();
	if (parse_is_extension(packet->protocol) &&
	    !(packet->flags & (PACKET_LATER | PACKET_DEFECT)))
		parse_defect(packet, VERDICT_EXTENSIONS);
}

static always_inline enum verdict parse_ipv6(struct cursor *cursor, struct packet *packet,
					     u32 available_bytes)
{
	u8 *l3 = cursor->position;
	const struct ipv6_header *ip = cursor_pull(cursor, IPV6_HEADER_BYTES);
	u32 first;

	if (unlikely(!ip))
		return VERDICT_TRUNCATED;
	__builtin_memcpy(&packet->source, ip->source, 16);
	__builtin_memcpy(&packet->destination, ip->destination, 16);
	first = be32_to_cpu(ip->version_class_label);
	packet->protocol = ip->next_header;
	packet->tos = (u8)(first >> 20);
	packet->l3_len = IPV6_HEADER_BYTES + (u32)be16_to_cpu(ip->payload_len);
	packet->l4_offset = IPV6_HEADER_BYTES;
	packet->flags |= PACKET_V6 | PACKET_DF;
	if (unlikely(parse_martian_v6(&packet->source)))
		packet->flags |= PACKET_MARTIAN;
	if (unlikely(addr_equal(&packet->source, &packet->destination)))
		packet->flags |= PACKET_LAND;
	if (unlikely(ip->hop_limit == 0))
		packet->flags |= PACKET_TTL_ZERO;

	if (unlikely(first >> 28 != 6)) {
		parse_defect(packet, VERDICT_BAD_VERSION);
	} else if (unlikely(packet->l3_len > available_bytes)) {
		parse_defect(packet, VERDICT_BAD_LEN);
	} else if (unlikely(parse_is_extension(ip->next_header))) {
		parse_extensions(l3, cursor->end, packet);
		cursor->position = l3;
		if (!cursor_pull(cursor, packet_bounded_l4(packet->l4_offset)))
			parse_defect(packet, VERDICT_TRUNCATED);
	}
	parse_transport(cursor, packet);
	return VERDICT_UNDECIDED;
}

static always_inline bool parse_is_tag(be16 type)
{
	return type == BE16(ETHERTYPE_VLAN) || type == BE16(ETHERTYPE_QINQ);
}

/* Steps over VLAN tags (IEEE 802.1Q section 9); *type is then what they held. */
static always_inline enum verdict parse_tags(struct cursor *cursor, struct packet *packet,
					     be16 *type)
{
	for (u32 i = 0; i < PARSE_TAGS_MAX; i++) {
		const u8 *tag;

		if (!parse_is_tag(*type))
			return VERDICT_UNDECIDED;
		tag = cursor_pull(cursor, VLAN_TAG_BYTES);
		if (!tag)
			return VERDICT_TRUNCATED;
		__builtin_memcpy(type, tag + 2, 2);
		packet->l3_offset += VLAN_TAG_BYTES;
	}
	return parse_is_tag(*type) ? VERDICT_TAGS : VERDICT_UNDECIDED;
}

/* Reads a frame from its Ethernet header on. `frame_bytes` is the whole frame's length, of
 * which the cursor shows at least the headers. Returns VERDICT_UNDECIDED where the packet is
 * IP for this station and filled in, else the verdict; then the packet is not to be read. */
static always_inline enum verdict parse_frame(struct cursor cursor, u32 frame_bytes,
					      const struct station *station, struct packet *packet)
{
	const struct ethernet_header *ethernet = cursor_pull(&cursor, ETHERNET_HEADER_BYTES);
	be16 type;

	packet->flags = 0;
	packet->defect = 0;
	packet->source_port = packet->destination_port = 0;
	packet->id = 0;
	packet->l3_offset = ETHERNET_HEADER_BYTES;
	if (unlikely(!ethernet))
		return VERDICT_TRUNCATED;
	if (unlikely(parse_mac_equal(ethernet->source, station->mac)))
		return VERDICT_OWN_MAC;
	if (unlikely(ethernet->destination[0] & 1))
		packet->flags |= PACKET_GROUP;
	else if (unlikely(!parse_mac_equal(ethernet->destination, station->mac)) &&
		 !station->any_mac)
		return VERDICT_OTHER_MAC;

	type = ethernet->type;
	if (unlikely(type != BE16(ETHERTYPE_IPV4) && type != BE16(ETHERTYPE_IPV6))) {
		enum verdict verdict = parse_tags(&cursor, packet, &type);

		if (verdict != VERDICT_UNDECIDED)
			return verdict;
	}
	if (likely(type == BE16(ETHERTYPE_IPV4)))
		return parse_ipv4(&cursor, packet, frame_bytes - packet->l3_offset);
	if (likely(type == BE16(ETHERTYPE_IPV6)))
		return parse_ipv6(&cursor, packet, frame_bytes - packet->l3_offset);
	return VERDICT_NOT_IP;
}

#endif
