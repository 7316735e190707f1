/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ICMP errors about what a backend sent: the backend has to get them, or its path MTU discovery
 * fails, and its connections to whoever is unreachable hang.
 *
 * An error embeds the head of the packet that caused it: the IP header and, as RFC 792 has it,
 * no more than eight bytes of what follows; ports are in the first four. That packet went out
 * from the VIP to the client, so the flow is found by its addresses and ports turned round. An
 * error that went to another address than the embedded packet came from is nobody's here: who
 * sends such a thing has made it up.
 *
 * The error's own checksum is left to the backend, which gets it to the byte. */
#ifndef SHUNT_CORE_ICMP_H
#define SHUNT_CORE_ICMP_H

#include "forward.h"

enum { ICMP_PORTS_BYTES = 8 }; /* of the transport header, which every error embeds */

/* RFC 1122 section 3.2.2, RFC 4443 section 2.1: what tells of a packet, and embeds it. */
static inline bool icmp_is_error(const struct packet *packet, u8 type)
{
	if (packet->flags & PACKET_V6)
		return type >= ICMPV6_UNREACHABLE && type <= ICMPV6_PARAMETER;
	return type == ICMP_UNREACHABLE || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER;
}

/* Reads the embedded packet's head: everything that parse_ipv4() and parse_ipv6() would hold
 * against a packet of this length is in order here. Returns whether its ports are there. */
static inline bool icmp_read_embedded(struct cursor *cursor, bool v6, struct packet *embedded)
{
	u8 *l3 = cursor->position;
	const u8 *ports;

	*embedded = (struct packet){
		.l3_len = IPV6_HEADER_BYTES + 65528,
		.flags = v6 ? PACKET_V6 : 0,
	};
	if (v6) {
		const struct ipv6_header *ip = cursor_pull(cursor, IPV6_HEADER_BYTES);

		if (!ip || be32_to_cpu(ip->version_class_label) >> 28 != 6)
			return false;
		__builtin_memcpy(&embedded->source, ip->source, 16);
		__builtin_memcpy(&embedded->destination, ip->destination, 16);
		embedded->protocol = ip->next_header;
		embedded->l4_offset = IPV6_HEADER_BYTES;
		parse_extensions(l3, cursor->end, embedded);
		cursor->position = l3;
		if (!cursor_pull(cursor, packet_bounded_l4(embedded->l4_offset)))
			return false;
	} else {
		const struct ipv4_header *ip = cursor_pull(cursor, IPV4_HEADER_BYTES);
		u32 header_bytes = ip ? (u32)(ip->version_ihl & 15) * 4 : 0;

		if (header_bytes < IPV4_HEADER_BYTES || ip->version_ihl >> 4 != 4 ||
		    ip->fragment & IPV4_OFFSET)
			return false;
		embedded->source = addr_from_v4(ip->source);
		embedded->destination = addr_from_v4(ip->destination);
		embedded->protocol = ip->protocol;
		embedded->l4_offset = (u16)header_bytes;
		if (!cursor_pull(cursor, header_bytes - IPV4_HEADER_BYTES))
			return false;
	}
	if (embedded->flags & (PACKET_DEFECT | PACKET_LATER) ||
	    (embedded->protocol != PROTOCOL_TCP && embedded->protocol != PROTOCOL_UDP))
		return false;
	ports = cursor_pull(cursor, ICMP_PORTS_BYTES);
	if (!ports)
		return false;
	__builtin_memcpy(&embedded->source_port, ports, 2);
	__builtin_memcpy(&embedded->destination_port, ports + 2, 2);
	return true;
}

/* Makes of an ICMP packet to a VIP, parsed without a defect, one of the flow that it tells an error
 * of. Returns VERDICT_UNDECIDED where it did; else the packet is as it was. `embedded` is room
 * to work in, which BPF has not on its stack. */
static always_inline enum verdict icmp_adopt(struct cursor cursor, struct packet *packet,
					     struct packet *embedded)
{
	const struct icmp_header *icmp;

	if (packet->flags & PACKET_FRAGMENT ||
	    !cursor_pull(&cursor, packet_bounded_l3(packet->l3_offset)) ||
	    !cursor_pull(&cursor, packet_bounded_l4(packet->l4_offset)))
		return VERDICT_ICMP;
	icmp = cursor_pull(&cursor, ICMP_HEADER_BYTES);
	if (!icmp || !icmp_is_error(packet, icmp->type) ||
	    !icmp_read_embedded(&cursor, packet->flags & PACKET_V6, embedded))
		return VERDICT_ICMP;
	/* What was read has to be in the packet, not in Ethernet padding. */
	if (packet->l3_len <
	    packet->l4_offset + ICMP_HEADER_BYTES + (u32)embedded->l4_offset + ICMP_PORTS_BYTES)
		return VERDICT_ICMP;
	if (!addr_equal(&embedded->source, &packet->destination))
		return VERDICT_ICMP_UNRELATED;
	packet->source = embedded->destination;
	packet->source_port = embedded->destination_port;
	packet->destination_port = embedded->source_port;
	packet->protocol = embedded->protocol;
	packet->flags |= PACKET_ERROR;
	return VERDICT_UNDECIDED;
}

/* Stage, for what forward_service() calls VERDICT_ICMP: the service whose backend gets the error. */
static always_inline enum verdict icmp_service(const struct env *env, struct cursor cursor,
					       struct packet *packet, struct packet *embedded,
					       u32 *index)
{
	enum verdict verdict = icmp_adopt(cursor, packet, embedded);

	if (verdict != VERDICT_UNDECIDED)
		return verdict;
	*index = forward_lookup_ports(env, packet);
	return *index == SERVICE_NONE ? VERDICT_ICMP_UNRELATED : VERDICT_UNDECIDED;
}

#endif
