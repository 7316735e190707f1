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
	PACKET_FRAGMENT = 1 << 8,
	PACKET_EXTENSION = 1 << 9,
};

#define PACKET_SUSPECT                                                                             \
	(PACKET_DEFECT | PACKET_GROUP | PACKET_MARTIAN | PACKET_LAND | PACKET_TTL_ZERO |           \
	 PACKET_FRAGMENT | PACKET_EXTENSION)

struct packet {
	struct addr source;
	struct addr destination;
	be16 source_port; /* 0 where the protocol has none or they could not be read */
	be16 destination_port;
	u8 protocol; /* IPv4 protocol, or IPv6 next header of the fixed header */
	u8 tos;      /* IPv4 TOS or IPv6 traffic class: DSCP and ECN */
	be16 id;     /* IPv4 identification; 0 for IPv6 */
	u16 flags;   /* enum packet_flag */
	u8 defect;   /* enum verdict, where PACKET_DEFECT is set */
	u8 pad;
	u16 l3_offset; /* bytes from the start of the frame to the IP header */
	u16 l4_offset; /* bytes from the IP header to the transport header */
	u32 l3_len;    /* bytes of the IP packet, header included: never Ethernet padding */
};

/* Who we are on the port where a frame came in. */
struct station {
	u8 mac[6];
	bool any_mac; /* take every unicast destination (a replay without a fixed MAC) */
	bool answers; /* ARP and neighbour discovery for the VIPs */
};

#endif
