/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parser sees. Where it steps, this steps by the parser's own functions, and tells what
 * lies between two steps; what it tells beyond that (flags, types) is read from the same bytes, and
 * never from behind the packet's own end. */
#include <stdio.h>
#include <string.h>

#include "controlplane/explain_private.h"

json_t *explain_address(const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	return json_string(addr_format(addr, text));
}

json_t *explain_mac(const u8 mac[static 6])
{
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
			    mac[5]);
}

struct name {
	u8 number;
	const char *text;
};

#define NAME_OF(names, number) name_of(names, sizeof(names) / sizeof((names)[0]), number)

static const char *name_of(const struct name *names, size_t count, u8 number)
{
	for (size_t i = 0; i < count; i++)
		if (names[i].number == number)
			return names[i].text;
	return "another";
}

static const char *protocol_name(u8 protocol)
{
	static const struct name names[] = {
		{PROTOCOL_HOP_BY_HOP, "hop-by-hop options"},
		{PROTOCOL_ICMP, "icmp"},
		{PROTOCOL_TCP, "tcp"},
		{PROTOCOL_UDP, "udp"},
		{PROTOCOL_ROUTING, "routing"},
		{PROTOCOL_FRAGMENT, "fragment"},
		{PROTOCOL_AH, "authentication"},
		{PROTOCOL_ICMPV6, "icmpv6"},
		{PROTOCOL_DESTINATION_OPTIONS, "destination options"},
		{PROTOCOL_MOBILITY, "mobility"},
		{PROTOCOL_HIP, "host identity"},
		{PROTOCOL_SHIM6, "shim6"},
	};

	return NAME_OF(names, protocol);
}

static const char *icmp_name(u8 type, bool v6)
{
	static const struct name v4_names[] = {
		{ICMP_ECHO_REPLY, "echo reply"},
		{ICMP_UNREACHABLE, "destination unreachable"},
		{5, "redirect"},
		{ICMP_ECHO, "echo request"},
		{ICMP_TIME_EXCEEDED, "time exceeded"},
		{ICMP_PARAMETER, "parameter problem"},
		{13, "timestamp request"},
	};
	static const struct name v6_names[] = {
		{ICMPV6_UNREACHABLE, "destination unreachable"},
		{ICMPV6_TOO_BIG, "packet too big"},
		{ICMPV6_TIME_EXCEEDED, "time exceeded"},
		{ICMPV6_PARAMETER, "parameter problem"},
		{ICMPV6_ECHO, "echo request"},
		{ICMPV6_ECHO_REPLY, "echo reply"},
		{133, "router solicitation"},
		{134, "router advertisement"},
		{ND_SOLICITATION, "neighbour solicitation"},
		{ND_ADVERTISEMENT, "neighbour advertisement"},
		{137, "redirect"},
	};

	return v6 ? NAME_OF(v6_names, type) : NAME_OF(v4_names, type);
}

/* --- Link ----------------------------------------------------------------------------- */

/* All tags, also those that are too many. Returns what they hold. */
static be16 link_add(json_t *out, struct cursor *cursor)
{
	const struct ethernet_header *ethernet = cursor_pull(cursor, ETHERNET_HEADER_BYTES);
	json_t *tags = json_array();
	be16 type = ethernet->type;
	const u8 *tag;

	while (parse_is_tag(type) && (tag = cursor_pull(cursor, VLAN_TAG_BYTES))) {
		json_array_append_new(tags, json_pack("{s:o, s:i, s:i}", "type",
						      json_sprintf("0x%04x", be16_to_cpu(type)),
						      "vlan", (tag[0] & 15) << 8 | tag[1],
						      "priority", tag[0] >> 5));
		memcpy(&type, tag + 2, 2);
	}
	json_object_set_new(out, "source_mac", explain_mac(ethernet->source));
	json_object_set_new(out, "destination_mac", explain_mac(ethernet->destination));
	json_object_set_new(out, "tags", tags);
	json_object_set_new(out, "ethertype", json_sprintf("0x%04x", be16_to_cpu(type)));
	return type;
}

static void arp_add(json_t *out, struct cursor cursor)
{
	const struct arp_packet *arp = cursor_pull(&cursor, ARP_PACKET_BYTES);
	struct addr sender, target;

	if (!arp)
		return;
	sender = addr_from_v4(arp->sender);
	target = addr_from_v4(arp->target);
	json_object_set_new(out, "arp",
			    json_pack("{s:i, s:o, s:o}", "operation", be16_to_cpu(arp->operation),
				      "sender", explain_address(&sender), "target",
				      explain_address(&target)));
}

/* --- Network -------------------------------------------------------------------------- */

static json_t *fragment_json(u32 id, u32 offset, bool more)
{
	return json_pack("{s:o, s:i, s:b, s:b}", "id", json_sprintf("0x%x", id), "offset",
			 (int)offset, "more", more, "first", offset == 0);
}

static void ipv4_add(json_t *out, json_t *ip, const struct packet *packet,
		     const struct ipv4_header *header)
{
	json_object_set_new(ip, "ttl", json_integer(header->ttl));
	json_object_set_new(ip, "id", json_integer(be16_to_cpu(header->id)));
	json_object_set_new(ip, "df", json_boolean(header->fragment & IPV4_DF));
	json_object_set_new(ip, "header_bytes", json_integer(packet->l4_offset));
	if (header->fragment & IPV4_MF_OR_OFFSET)
		json_object_set_new(out, "fragment",
				    fragment_json(be16_to_cpu(header->id),
						  be16_to_cpu(header->fragment & IPV4_OFFSET) * 8u,
						  header->fragment & IPV4_MF));
}

/* Goes the parser's way over the extension headers. */
static void extensions_add(json_t *out, json_t *list, u8 *l3, u8 *end, u8 first, u32 l3_len)
{
	struct packet walk = {.protocol = first, .l4_offset = IPV6_HEADER_BYTES, .l3_len = l3_len};
	bool on = true;

	for (u32 i = 0; on && i < PARSE_EXTENSIONS_MAX && parse_is_extension(walk.protocol); i++) {
		struct cursor cursor = {l3 + walk.l4_offset, end};
		const struct fragment_header *fragment = cursor_pull(&cursor, EXTENSION_UNIT_BYTES);
		u8 number = walk.protocol;
		u16 offset = walk.l4_offset;

		on = parse_extension(l3, end, &walk);
		json_array_append_new(list, json_pack("{s:i, s:s, s:i}", "number", number, "name",
						      protocol_name(number), "bytes",
						      walk.l4_offset - offset));
		if (number == PROTOCOL_FRAGMENT && fragment)
			json_object_set_new(out, "fragment",
					    fragment_json(be32_to_cpu(fragment->id),
							  be16_to_cpu(fragment->offset &
								      FRAGMENT_OFFSET),
							  fragment->offset & FRAGMENT_MORE));
	}
}

static void ipv6_add(json_t *out, json_t *ip, const struct packet *packet, struct cursor l3,
		     u32 available_bytes)
{
	const struct ipv6_header *header = (const struct ipv6_header *)l3.position;
	u32 first = be32_to_cpu(header->version_class_label);
	json_t *list = json_array();

	json_object_set_new(ip, "ttl", json_integer(header->hop_limit));
	json_object_set_new(ip, "flow_label", json_integer(first & 0xfffff));
	if (first >> 28 == 6 && packet->l3_len <= available_bytes)
		extensions_add(out, list, l3.position, l3.end, header->next_header, packet->l3_len);
	json_object_set_new(ip, "extensions", list);
}

/* --- Transport ------------------------------------------------------------------------ */

static void tcp_add(json_t *out, struct cursor cursor)
{
	static const char *const names[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"};
	const struct tcp_header *tcp = cursor_pull(&cursor, TCP_HEADER_BYTES);
	char flags[32] = "";

	if (!tcp)
		return;
	for (u32 i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (tcp->flags >> i & 1)
			snprintf(flags + strlen(flags), sizeof(flags) - strlen(flags), "%s%s",
				 flags[0] ? " " : "", names[i]);
	json_object_set_new(out, "transport",
			    json_pack("{s:s, s:i, s:i, s:s}", "protocol", "tcp", "source_port",
				      be16_to_cpu(tcp->source_port), "destination_port",
				      be16_to_cpu(tcp->destination_port), "flags", flags));
}

static void udp_add(json_t *out, struct cursor cursor)
{
	const struct udp_header *udp = cursor_pull(&cursor, UDP_HEADER_BYTES);

	if (udp)
		json_object_set_new(out, "transport",
				    json_pack("{s:s, s:i, s:i, s:i}", "protocol", "udp",
					      "source_port", be16_to_cpu(udp->source_port),
					      "destination_port",
					      be16_to_cpu(udp->destination_port), "bytes",
					      be16_to_cpu(udp->len)));
}

/* The packet that an error is about, as it left the one that gets the error. */
static json_t *embedded_json(struct cursor cursor, const struct packet *packet, u8 type)
{
	struct packet embedded;

	if (!icmp_is_error(packet, type) ||
	    !icmp_read_embedded(&cursor, packet->flags & PACKET_V6, &embedded))
		return json_null();
	return json_pack("{s:s, s:o, s:i, s:o, s:i}", "protocol", protocol_name(embedded.protocol),
			 "source", explain_address(&embedded.source), "source_port",
			 be16_to_cpu(embedded.source_port), "destination",
			 explain_address(&embedded.destination), "destination_port",
			 be16_to_cpu(embedded.destination_port));
}

static void icmp_add(json_t *out, struct cursor cursor, const struct packet *packet)
{
	const struct icmp_header *icmp = cursor_pull(&cursor, ICMP_HEADER_BYTES);
	bool v6 = packet->flags & PACKET_V6;
	json_t *json;

	if (!icmp)
		return;
	json = json_pack("{s:i, s:i, s:s, s:o}", "type", icmp->type, "code", icmp->code, "name",
			 icmp_name(icmp->type, v6), "embedded",
			 embedded_json(cursor, packet, icmp->type));
	if (v6 ? icmp->type == ICMPV6_TOO_BIG
	       : icmp->type == ICMP_UNREACHABLE && icmp->code == ICMP_FRAGMENTATION_NEEDED)
		json_object_set_new(json, "mtu",
				    json_integer(v6 ? be32_to_cpu(icmp->rest)
						    : be32_to_cpu(icmp->rest) & 0xffff));
	json_object_set_new(out, "icmp", json);
}

static void transport_add(json_t *out, struct cursor l3, const struct packet *packet)
{
	struct cursor cursor = l3;

	if (packet->flags & PACKET_LATER ||
	    (packet->flags & PACKET_DEFECT && packet->defect == VERDICT_BAD_VERSION) ||
	    !cursor_pull(&cursor, packet->l4_offset))
		return;
	if (packet->protocol == PROTOCOL_TCP)
		tcp_add(out, cursor);
	else if (packet->protocol == PROTOCOL_UDP)
		udp_add(out, cursor);
	else if (packet->protocol == (packet->flags & PACKET_V6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP))
		icmp_add(out, cursor, packet);
}

/* --- All of it ------------------------------------------------------------------------ */

static void ip_add(json_t *out, u8 *l3, u32 available_bytes, const struct packet *packet)
{
	u32 l3_bytes = packet->l3_len < available_bytes ? packet->l3_len : available_bytes;
	struct cursor cursor = {l3, l3 + l3_bytes};
	bool v6 = packet->flags & PACKET_V6;
	json_t *ip =
		json_pack("{s:i, s:o, s:o, s:i, s:s, s:i, s:i, s:i}", "version", v6 ? 6 : 4,
			  "source", explain_address(&packet->source), "destination",
			  explain_address(&packet->destination), "protocol", packet->protocol,
			  "protocol_name", protocol_name(packet->protocol), "dscp",
			  packet->tos >> 2, "ecn", packet->tos & 3, "bytes", (int)packet->l3_len);

	if (v6)
		ipv6_add(out, ip, packet, (struct cursor){l3, l3 + available_bytes},
			 available_bytes);
	else
		ipv4_add(out, ip, packet, (const struct ipv4_header *)l3);
	json_object_set_new(out, "ip", ip);
	transport_add(out, cursor, packet);
}

json_t *explain_seen(u8 *frame, u32 frame_bytes)
{
	struct cursor cursor = {frame, frame + frame_bytes};
	struct station anyone = {.any_mac = true};
	json_t *out = json_pack("{s:i}", "bytes", (int)frame_bytes);
	struct packet packet;
	be16 type;

	if (frame_bytes < ETHERNET_HEADER_BYTES)
		return out;
	memcpy(anyone.mac, ((struct ethernet_header *)frame)->source, 6);
	anyone.mac[5] ^= 1; /* not the sender */
	type = link_add(out, &cursor);
	if (type == BE16(ETHERTYPE_ARP))
		arp_add(out, cursor);
	cursor.position = frame;
	if (parse_frame(cursor, frame_bytes, &anyone, &packet) == VERDICT_UNDECIDED)
		ip_add(out, frame + packet.l3_offset, frame_bytes - packet.l3_offset, &packet);
	return out;
}
