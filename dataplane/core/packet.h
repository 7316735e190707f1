/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the parser learns of a frame: copied out once, so that no later stage reads the frame
 * again (in BPF its pointers die whenever headroom is gained). */
#ifndef SHUNT_CORE_PACKET_H
#define SHUNT_CORE_PACKET_H

#include "addr.h"
#include "verdict.h"

enum packet_flag {
	PACKET_DF = 1 << 0,      /* IPv4 DF; always set for IPv6, which no router fragments */
	PACKET_OPENING = 1 << 1, /* TCP SYN without ACK */
	PACKET_V6 = 1 << 2,
	/* The rest keep a packet off the ordinary path. */
	PACKET_DEFECT = 1 << 3, /* packet.defect says which */
	PACKET_GROUP = 1 << 4,  /* sent to a group MAC */
	PACKET_MARTIAN = 1 << 5,
	PACKET_LAND = 1 << 6,
	PACKET_TTL_ZERO = 1 << 7,
	PACKET_FRAGMENT = 1 << 8, /* part of a datagram: fragment_id is set */
	PACKET_LATER = 1 << 9,    /* a fragment that isn't the first one, and so has no ports */
	/* An ICMP error: addresses, ports and protocol are those of the flow that it is about, as
	 * that flow's packets have them that come in here. */
	PACKET_ERROR = 1 << 10,
};

#define PACKET_SUSPECT                                                                             \
	(PACKET_DEFECT | PACKET_GROUP | PACKET_MARTIAN | PACKET_LAND | PACKET_TTL_ZERO |           \
	 PACKET_FRAGMENT)

struct packet {
	struct addr source;
	struct addr destination;
	be16 source_port; /* 0 where the protocol has none or they could not be read */
	be16 destination_port;
	u8 protocol; /* of the transport: past IPv6 extension headers */
	u8 tos;      /* IPv4 TOS or IPv6 traffic class: DSCP and ECN */
	be16 id;     /* IPv4 identification; 0 for IPv6 */
	u16 flags;   /* enum packet_flag */
	u8 defect;   /* enum verdict, where PACKET_DEFECT is set */
	u8 pad;
	u16 l3_offset;   /* bytes from the start of the frame to the IP header */
	u16 l4_offset;   /* bytes from the IP header to the transport header */
	u32 l3_len;      /* bytes of the IP packet, header included: never Ethernet padding */
	u32 fragment_id; /* of a fragment's datagram */
	u8 unused[8];
};

_Static_assert(sizeof(struct packet) == 64, "one of a burst is found by a shift");

/* The same number, with a bound that the BPF verifier sees: two tags at most, six extension headers. */
static always_inline u32 packet_bounded_l3(u32 l3_offset)
{
	return l3_offset & 31;
}

static always_inline u32 packet_bounded_l4(u32 l4_offset)
{
	return l4_offset & 0x3fff;
}

/* Who we are on the port where a frame came in. */
struct station {
	u8 mac[6];
	bool any_mac; /* take every unicast destination (a replay without a fixed MAC) */
	bool answers; /* ARP and neighbour discovery for the VIPs */
};

#endif
