/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Headers as they stand on the wire. Every field is in network byte order; every structure
 * may lie at any address. */
#ifndef SHUNT_CORE_WIRE_H
#define SHUNT_CORE_WIRE_H

#include "base.h"

enum {
	ETHERNET_HEADER_BYTES = 14,
	IPV4_HEADER_BYTES = 20,
	IPV6_HEADER_BYTES = 40,
	UDP_HEADER_BYTES = 8,
	TCP_HEADER_BYTES = 20,
	GUE_HEADER_BYTES = 4,
	ARP_PACKET_BYTES = 28,
	NEIGHBOUR_MESSAGE_BYTES = 24,
	NEIGHBOUR_LINK_BYTES = 8,
	VLAN_TAG_BYTES = 4,
	EXTENSION_UNIT_BYTES = 8,
	ICMP_HEADER_BYTES = 8,
};

enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_ARP = 0x0806,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_QINQ = 0x88a8,
	ETHERTYPE_IPV6 = 0x86dd,
};

/* Protocol and next-header numbers (IANA). */
enum {
	PROTOCOL_HOP_BY_HOP = 0,
	PROTOCOL_ICMP = 1,
	PROTOCOL_IPV4 = 4, /* IP in IP, RFC 2003 */
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_IPV6 = 41, /* RFC 2473, RFC 4213 */
	PROTOCOL_ROUTING = 43,
	PROTOCOL_FRAGMENT = 44,
	PROTOCOL_AH = 51,
	PROTOCOL_ICMPV6 = 58,
	PROTOCOL_DESTINATION_OPTIONS = 60,
	PROTOCOL_MOBILITY = 135,
	PROTOCOL_HIP = 139,
	PROTOCOL_SHIM6 = 140,
};

enum { GUE_PORT = 6080 }; /* IANA, draft-ietf-intarea-gue section 6 */

struct ethernet_header {
	u8 destination[6];
	u8 source[6];
	be16 type;
} packed_struct;

#define IPV4_DF BE16(0x4000)
#define IPV4_MF BE16(0x2000)
#define IPV4_MF_OR_OFFSET BE16(0x3fff)
#define IPV4_OFFSET BE16(0x1fff) /* in units of 8 bytes */

struct ipv4_header { /* RFC 791 section 3.1 */
	u8 version_ihl;
	u8 tos;
	be16 total_len;
	be16 id;
	be16 fragment;
	u8 ttl;
	u8 protocol;
	be16 csum;
	be32 source;
	be32 destination;
} packed_struct;

struct ipv6_header { /* RFC 8200 section 3 */
	be32 version_class_label;
	be16 payload_len;
	u8 next_header;
	u8 hop_limit;
	u8 source[16];
	u8 destination[16];
} packed_struct;

struct extension_header { /* RFC 8200 section 4, RFC 4302 section 2 */
	u8 next_header;
	u8 len; /* in units of 8 bytes beyond the first; AH: of 4 bytes, less 2 */
	u8 data[6];
} packed_struct;

#define FRAGMENT_MORE BE16(1)
#define FRAGMENT_OFFSET BE16(0xfff8) /* in bytes */

struct fragment_header { /* RFC 8200 section 4.5 */
	u8 next_header;
	u8 reserved;
	be16 offset; /* and the flag FRAGMENT_MORE */
	be32 id;
} packed_struct;

enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };

struct tcp_header { /* RFC 9293 section 3.1 */
	be16 source_port;
	be16 destination_port;
	be32 sequence;
	be32 acknowledgment;
	u8 data_offset; /* in 32-bit words, in the high four bits */
	u8 flags;
	be16 window;
	be16 csum;
	be16 urgent;
} packed_struct;

struct udp_header { /* RFC 768 */
	be16 source_port;
	be16 destination_port;
	be16 len;
	be16 csum;
} packed_struct;

enum { ARP_ETHERNET = 1, ARP_REQUEST = 1, ARP_REPLY = 2 };

enum {
	ICMP_ECHO_REPLY = 0,
	ICMP_UNREACHABLE = 3,
	ICMP_ECHO = 8,
	ICMP_TIME_EXCEEDED = 11,
	ICMP_PARAMETER = 12,
	ICMP_FRAGMENTATION_NEEDED = 4, /* a code */

	ICMPV6_UNREACHABLE = 1,
	ICMPV6_TOO_BIG = 2,
	ICMPV6_TIME_EXCEEDED = 3,
	ICMPV6_PARAMETER = 4,
	ICMPV6_ECHO = 128,
	ICMPV6_ECHO_REPLY = 129,
};

struct icmp_header { /* RFC 792, RFC 1191 section 4, RFC 4443 section 2.1 */
	u8 type;
	u8 code;
	be16 csum;
	be32 rest;
} packed_struct;

struct arp_packet { /* RFC 826, for IPv4 over Ethernet */
	be16 hardware;
	be16 protocol;
	u8 hardware_len;
	u8 protocol_len;
	be16 operation;
	u8 sender_mac[6];
	be32 sender;
	u8 target_mac[6];
	be32 target;
} packed_struct;

enum {
	ND_SOLICITATION = 135,
	ND_ADVERTISEMENT = 136,
	ND_SOURCE_LINK = 1,
	ND_TARGET_LINK = 2,
	ND_HOP_LIMIT = 255, /* proves that no router has forwarded it */
};

#define ND_SOLICITED BE32(1u << 30)
#define ND_OVERRIDE BE32(1u << 29)

struct neighbour_message { /* RFC 4861 sections 4.3 and 4.4 */
	u8 type;
	u8 code;
	be16 csum;
	be32 flags; /* reserved in a solicitation */
	u8 target[16];
} packed_struct;

struct neighbour_link { /* RFC 4861 section 4.6.1 */
	u8 type;
	u8 len; /* in units of 8 bytes */
	u8 mac[6];
} packed_struct;

struct gue_header { /* draft-ietf-intarea-gue section 3, variant 0 without options */
	u8 variant_control_hlen;
	u8 protocol;
	be16 flags;
} packed_struct;

_Static_assert(sizeof(struct ethernet_header) == ETHERNET_HEADER_BYTES, "wire");
_Static_assert(sizeof(struct ipv4_header) == IPV4_HEADER_BYTES, "wire");
_Static_assert(sizeof(struct ipv6_header) == IPV6_HEADER_BYTES, "wire");
_Static_assert(sizeof(struct extension_header) == EXTENSION_UNIT_BYTES, "wire");
_Static_assert(sizeof(struct fragment_header) == EXTENSION_UNIT_BYTES, "wire");
_Static_assert(sizeof(struct icmp_header) == ICMP_HEADER_BYTES, "wire");
_Static_assert(sizeof(struct tcp_header) == TCP_HEADER_BYTES, "wire");
_Static_assert(sizeof(struct udp_header) == UDP_HEADER_BYTES, "wire");
_Static_assert(sizeof(struct gue_header) == GUE_HEADER_BYTES, "wire");
_Static_assert(sizeof(struct arp_packet) == ARP_PACKET_BYTES, "wire");
_Static_assert(sizeof(struct neighbour_message) == NEIGHBOUR_MESSAGE_BYTES, "wire");
_Static_assert(sizeof(struct neighbour_link) == NEIGHBOUR_LINK_BYTES, "wire");

#endif
