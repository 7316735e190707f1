/* SPDX-License-Identifier: BSD-2-Clause */
/* One frame of every kind that the core tells apart, with the verdict it gets from the fixture.
 * A sample is an ordinary frame and what is then done to it: bytes overwritten, bytes cut off. */
#ifndef SHUNT_TESTS_SAMPLES_H
#define SHUNT_TESTS_SAMPLES_H

#include "dataplane/core/verdict.h"
#include "tests/unit/frames.h"

struct sample_patch {
	uint16_t at; /* from the frame's start; 0: no patch */
	uint8_t value;
};

struct sample {
	const char *name;
	struct frame_spec spec;
	struct sample_patch patches[4];
	bool seal;          /* compute the IPv4 checksum again after the patches */
	uint32_t cut_bytes; /* off the end */
	enum verdict verdict;
};

/* Offsets in an untagged frame. */
enum { AT_TYPE = 12, AT_IP = 14, AT_L4_V4 = 34, AT_L4_V6 = 54 };

#define CLIENT4 .source = "192.0.2.7", .source_port = 50000
#define CLIENT6 .source = "2001:db8:2::7", .source_port = 50000
#define FROM4(address)                                                                             \
	.source = address, .source_port = 50000, .destination = "203.0.113.10",                    \
	.protocol = FRAME_TCP, .destination_port = 443
#define FROM6(address)                                                                             \
	.source = address, .source_port = 50000, .destination = "2001:db8:1::10",                  \
	.protocol = FRAME_TCP, .destination_port = 443
#define WEB4 FROM4("192.0.2.7")
#define WEB6 FROM6("2001:db8:2::7")
#define DNS4 CLIENT4, .destination = "203.0.113.10", .protocol = FRAME_UDP, .destination_port = 53
#define DNS6 CLIENT6, .destination = "2001:db8:1::10", .protocol = FRAME_UDP, .destination_port = 53
#define TO(address, port)                                                                          \
	CLIENT4, .destination = address, .protocol = FRAME_TCP, .destination_port = port,          \
		 .tcp_flags = FRAME_ACK

/* What a backend sent, and an error about it came from a router. */
#define SENT4(address)                                                                             \
	.source = address, .source_port = 443, .destination = "192.0.2.7",                         \
	.destination_port = 50000, .protocol = FRAME_TCP
#define SENT6                                                                                      \
	.source = "2001:db8:1::10", .source_port = 443, .destination = "2001:db8:2::7",            \
	.destination_port = 50000, .protocol = FRAME_TCP, .payload_bytes = 100
static const struct frame_spec answer_v4 = {SENT4("203.0.113.10"), .tcp_flags = FRAME_ACK,
					    .payload_bytes = 100};
static const struct frame_spec stranger_v4 = {SENT4("203.0.113.12")};
static const struct frame_spec answer_v6 = {SENT6, .tcp_flags = FRAME_ACK};
static const struct frame_spec piece_v6 = {SENT6, .extensions = {FRAME_FRAGMENT},
					   .extensions_count = 1};
static const struct frame_spec option_v6 = {SENT6, .extensions = {60}, .extensions_count = 1};
#define ERROR4(packet, bytes)                                                                      \
	.source = "198.51.100.1", .destination = "203.0.113.10", .protocol = FRAME_ICMP,           \
	.about = packet, .about_bytes = bytes
#define ERROR6(packet, bytes)                                                                      \
	.source = "2001:db8:9::1", .destination = "2001:db8:1::10", .protocol = FRAME_ICMPV6,      \
	.about = packet, .about_bytes = bytes

static const struct sample samples[] = {
	/* Forwarded. */
	{"TCP SYN", {WEB4, .tcp_flags = FRAME_SYN}, .verdict = VERDICT_MAGLEV},
	{"TCP data",
	 {WEB4, .tcp_flags = FRAME_ACK, .payload_bytes = 100, .fragment = FRAME_DF},
	 .verdict = VERDICT_MAGLEV},
	{"TCP data without DF",
	 {WEB4, .tcp_flags = FRAME_ACK, .id = 0x1234},
	 .verdict = VERDICT_MAGLEV},
	{"TCP padded",
	 {WEB4, .tcp_flags = FRAME_ACK, .padding_bytes = 6},
	 .verdict = VERDICT_MAGLEV},
	{"UDP", {DNS4, .payload_bytes = 30}, .verdict = VERDICT_MAGLEV},
	{"UDP empty, padded", {DNS4, .padding_bytes = 18}, .verdict = VERDICT_MAGLEV},
	{"UDP shorter than its packet",
	 {DNS4, .payload_bytes = 8},
	 {{AT_L4_V4 + 5, 12}},
	 .verdict = VERDICT_MAGLEV},
	{"any port", {TO("203.0.113.11", 65535)}, .verdict = VERDICT_MAGLEV},
	{"any port, port 0", {TO("203.0.113.11", 0)}, .verdict = VERDICT_MAGLEV},
	{"one option word",
	 {WEB4, .tcp_flags = FRAME_ACK, .option_words = 1},
	 .verdict = VERDICT_MAGLEV},
	{"ten option words",
	 {DNS4, .option_words = 10, .payload_bytes = 5},
	 .verdict = VERDICT_MAGLEV},
	{"TCP options",
	 {WEB4, .tcp_flags = FRAME_ACK, .payload_bytes = 12},
	 {{AT_L4_V4 + 12, 8 << 4}},
	 .verdict = VERDICT_MAGLEV},
	{"reserved flag",
	 {WEB4, .tcp_flags = FRAME_ACK, .fragment = 0x8000},
	 .verdict = VERDICT_MAGLEV},
	{"TOS and TTL 1",
	 {WEB4, .tcp_flags = FRAME_ACK, .tos = 0xbb, .ttl = 1},
	 .verdict = VERDICT_MAGLEV},
	{"TCP over IPv6", {WEB6, .tcp_flags = FRAME_ACK, .tos = 0x2e}, .verdict = VERDICT_MAGLEV},
	{"TCP SYN over IPv6", {WEB6, .tcp_flags = FRAME_SYN}, .verdict = VERDICT_MAGLEV},
	{"UDP over IPv6", {DNS6, .payload_bytes = 64}, .verdict = VERDICT_MAGLEV},
	{"IPv6 padded", {DNS6, .padding_bytes = 9}, .verdict = VERDICT_MAGLEV},
	{"any port over IPv6",
	 {CLIENT6, .destination = "2001:db8:1::11", .protocol = FRAME_TCP, .destination_port = 7},
	 .verdict = VERDICT_MAGLEV},
	{"prefix", {TO("203.0.114.99", 7)}, .verdict = VERDICT_MAGLEV},
	{"prefix over IPv6",
	 {CLIENT6, .destination = "2001:db8:5:2::99", .protocol = FRAME_UDP, .destination_port = 7},
	 .verdict = VERDICT_MAGLEV},
	{"as large as the path",
	 {TO("203.0.113.15", 80), .payload_bytes = 540},
	 .verdict = VERDICT_MAGLEV},

	{"hop-by-hop options",
	 {WEB6, .tcp_flags = FRAME_ACK, .extensions = {0}, .extensions_count = 1},
	 .verdict = VERDICT_MAGLEV},
	{"six extension headers",
	 {WEB6, .tcp_flags = FRAME_ACK, .extensions = {0, 60, 43, 60, 135, 139},
	  .extensions_count = 6},
	 .verdict = VERDICT_MAGLEV},
	{"authentication header of 28 bytes",
	 {CLIENT6, .destination = "2001:db8:1::10", .protocol = 51, .payload_bytes = 60},
	 {{AT_L4_V6, FRAME_TCP}, {AT_L4_V6 + 1, 5}, {AT_L4_V6 + 30, 1}, {AT_L4_V6 + 31, 187}},
	 .verdict = VERDICT_BAD_HEADER_LEN},
	{"fragment that is whole",
	 {DNS6, .extensions = {FRAME_FRAGMENT}, .extensions_count = 1},
	 .verdict = VERDICT_MAGLEV},
	{"first fragment",
	 {DNS4, .fragment = FRAME_MF, .payload_bytes = 8},
	 .verdict = VERDICT_MAGLEV},
	{"fragment without its first over IPv4",
	 {DNS4, .id = 77, .fragment = 2, .payload_bytes = 9},
	 .verdict = VERDICT_FRAGMENT},

	{"error that embeds eight bytes of TCP",
	 {ERROR4(&answer_v4, 28)},
	 .verdict = VERDICT_ICMP_ERROR},
	{"error that embeds a whole packet",
	 {ERROR4(&answer_v4, 140)},
	 .verdict = VERDICT_ICMP_ERROR},
	{"IPv6 error", {ERROR6(&answer_v6, 48)}, .verdict = VERDICT_ICMP_ERROR},
	{"IPv6 error about a first fragment",
	 {ERROR6(&piece_v6, 56)},
	 {{AT_L4_V6 + 8 + 40 + 3, 1}},
	 .verdict = VERDICT_ICMP_ERROR},
	{"IPv6 error whose packet's extension header ends nowhere",
	 {ERROR6(&option_v6, 56)},
	 {{AT_L4_V6 + 8 + 40 + 1, 255}},
	 .verdict = VERDICT_ICMP},
	{"IPv6 error about a later fragment",
	 {ERROR6(&piece_v6, 56)},
	 {{AT_L4_V6 + 8 + 40 + 3, 8}},
	 .verdict = VERDICT_ICMP},

	/* Answered. */
	{"ping of an address in a prefix",
	 {CLIENT4, .destination = "203.0.114.77", .protocol = FRAME_ICMP},
	 .verdict = VERDICT_ECHO},
	{"ping",
	 {CLIENT4, .destination = "203.0.113.10", .protocol = FRAME_ICMP, .payload_bytes = 20},
	 .verdict = VERDICT_ECHO},
	{"ping over IPv6, tagged",
	 {CLIENT6, .destination = "2001:db8:1::10", .protocol = FRAME_ICMPV6, .tags = 1},
	 .verdict = VERDICT_ECHO},
	{"too big with DF",
	 {TO("203.0.113.15", 80), .payload_bytes = 541, .fragment = FRAME_DF},
	 .verdict = VERDICT_PATH_MTU},

	/* For the kernel. */
	{"ARP", {DNS4}, {{AT_TYPE, 8}, {AT_TYPE + 1, 6}}, .verdict = VERDICT_NOT_IP},
	{"802.3 length", {DNS4}, {{AT_TYPE, 0}, {AT_TYPE + 1, 60}}, .verdict = VERDICT_NOT_IP},
	{"VLAN tag", {WEB4, .tags = 1}, .verdict = VERDICT_MAGLEV},
	{"two VLAN tags", {WEB6, .tags = 2}, .verdict = VERDICT_MAGLEV},
	{"three VLAN tags", {WEB4, .tags = 3}, .verdict = VERDICT_TAGS},
	{"another station", {WEB4}, {{5, 9}}, .verdict = VERDICT_OTHER_MAC},
	{"another address", {TO("203.0.113.99", 443)}, .verdict = VERDICT_OTHER_ADDRESS},
	{"another IPv6 address",
	 {CLIENT6, .destination = "2001:db8:1::99", .protocol = FRAME_UDP, .destination_port = 53},
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"v4-mapped destination",
	 {CLIENT6, .destination = "::ffff:203.0.113.10", .protocol = FRAME_TCP,
	  .destination_port = 443},
	 .verdict = VERDICT_OTHER_ADDRESS},

	/* Dropped, and why. */
	{"no header whole", {WEB4}, .cut_bytes = 21, .verdict = VERDICT_TRUNCATED},
	{"no Ethernet header", {WEB4}, .cut_bytes = 41, .verdict = VERDICT_TRUNCATED},
	{"TCP header cut by its packet",
	 {WEB4},
	 {{AT_IP + 3, 39}},
	 .seal = true,
	 .verdict = VERDICT_TRUNCATED},
	{"UDP header cut by its packet",
	 {DNS4},
	 {{AT_IP + 3, 27}},
	 .seal = true,
	 .verdict = VERDICT_TRUNCATED},
	{"no UDP in IPv6", {DNS6}, {{AT_IP + 5, 0}}, .verdict = VERDICT_TRUNCATED},
	{"version 6 in IPv4", {WEB4}, {{AT_IP, 0x65}}, .verdict = VERDICT_BAD_VERSION},
	{"version 0 in IPv4", {WEB4}, {{AT_IP, 0x05}}, .verdict = VERDICT_BAD_VERSION},
	{"version 4 in IPv6", {WEB6}, {{AT_IP, 0x40}}, .verdict = VERDICT_BAD_VERSION},
	{"IHL 4", {WEB4}, {{AT_IP, 0x44}}, .verdict = VERDICT_BAD_HEADER_LEN},
	{"IHL 0", {WEB4}, {{AT_IP, 0x40}}, .verdict = VERDICT_BAD_HEADER_LEN},
	{"TCP data offset 4", {WEB4}, {{AT_L4_V4 + 12, 4 << 4}}, .verdict = VERDICT_BAD_HEADER_LEN},
	{"TCP data offset 4 over IPv6",
	 {WEB6},
	 {{AT_L4_V6 + 12, 4 << 4}},
	 .verdict = VERDICT_BAD_HEADER_LEN},
	{"total length below the header",
	 {WEB4},
	 {{AT_IP + 3, 19}},
	 .seal = true,
	 .verdict = VERDICT_BAD_LEN},
	{"IHL beyond total length", {DNS4}, {{AT_IP, 0x4f}}, .verdict = VERDICT_BAD_LEN},
	{"payload cut off", {WEB4, .payload_bytes = 9}, .cut_bytes = 1, .verdict = VERDICT_BAD_LEN},
	{"IPv6 payload cut off",
	 {WEB6, .payload_bytes = 9},
	 .cut_bytes = 1,
	 .verdict = VERDICT_BAD_LEN},
	{"TCP options cut off", {WEB4}, {{AT_L4_V4 + 12, 6 << 4}}, .verdict = VERDICT_BAD_LEN},
	{"UDP length 7", {DNS4}, {{AT_L4_V4 + 5, 7}}, .verdict = VERDICT_BAD_LEN},
	{"UDP length beyond its packet",
	 {DNS4, .padding_bytes = 8},
	 {{AT_L4_V4 + 5, 9}},
	 .verdict = VERDICT_BAD_LEN},
	{"wrong checksum", {WEB4}, {{AT_IP + 11, 0x5a}}, .verdict = VERDICT_BAD_CSUM},
	{"wrong checksum in options",
	 {WEB4, .option_words = 2},
	 {{AT_IP + 21, 0x7f}},
	 .verdict = VERDICT_BAD_CSUM},
	{"TTL 0", {WEB4}, {{AT_IP + 8, 0}}, .seal = true, .verdict = VERDICT_TTL_ZERO},
	{"hop limit 0", {WEB6}, {{AT_IP + 7, 0}}, .verdict = VERDICT_TTL_ZERO},
	{"from 0.0.0.7", {FROM4("0.0.0.7")}, .verdict = VERDICT_MARTIAN},
	{"from loopback", {FROM4("127.3.2.1")}, .verdict = VERDICT_MARTIAN},
	{"from multicast", {FROM4("224.0.0.1")}, .verdict = VERDICT_MARTIAN},
	{"from broadcast", {FROM4("255.255.255.255")}, .verdict = VERDICT_MARTIAN},
	{"from ::", {FROM6("::")}, .verdict = VERDICT_MARTIAN},
	{"from ::1", {FROM6("::1")}, .verdict = VERDICT_MARTIAN},
	{"from ff02::1", {FROM6("ff02::1")}, .verdict = VERDICT_MARTIAN},
	{"from a v4-mapped address", {FROM6("::ffff:192.0.2.7")}, .verdict = VERDICT_MARTIAN},
	{"LAND", {FROM4("203.0.113.10")}, .verdict = VERDICT_LAND},
	{"LAND over IPv6", {FROM6("2001:db8:1::10")}, .verdict = VERDICT_LAND},
	{"our own MAC", {WEB4}, {{11, 1}}, .verdict = VERDICT_OWN_MAC},
	{"broadcast frame", {WEB4, .broadcast = true}, .verdict = VERDICT_L2_GROUP},
	{"broadcast frame over IPv6", {DNS6, .broadcast = true}, .verdict = VERDICT_L2_GROUP},
	{"fragment without its first",
	 {CLIENT6, .destination = "2001:db8:1::10", .protocol = FRAME_UDP, .destination_port = 53,
	  .extensions = {FRAME_FRAGMENT}, .extensions_count = 1},
	 {{AT_L4_V6 + 3, 0x40}},
	 .verdict = VERDICT_FRAGMENT},
	{"fragment that cuts a UDP header",
	 {DNS4, .fragment = FRAME_MF},
	 {{AT_IP + 3, 24}},
	 .seal = true,
	 .verdict = VERDICT_BAD_LEN},
	{"jumbogram",
	 {WEB6, .extensions = {0}, .extensions_count = 1},
	 {{AT_IP + 5, 0}},
	 .verdict = VERDICT_BAD_LEN},
	{"first fragment that cuts an extension header",
	 {CLIENT6, .destination = "2001:db8:1::10", .protocol = FRAME_UDP, .payload_bytes = 8,
	  .extensions = {FRAME_FRAGMENT, 60}, .extensions_count = 2},
	 {{AT_L4_V6 + 3, 1}, {AT_L4_V6 + 9, 9}},
	 .verdict = VERDICT_TINY_FRAGMENT},
	{"fragment beyond every datagram's end",
	 {DNS4, .fragment = 0x1ffe},
	 .verdict = VERDICT_BAD_LEN},
	{"fragment that would overwrite TCP flags",
	 {WEB4, .fragment = FRAME_MF | 1, .payload_bytes = 4},
	 .verdict = VERDICT_TINY_FRAGMENT},
	{"seven extension headers",
	 {WEB6, .extensions = {0, 60, 43, 60, 60, 60, 60}, .extensions_count = 7},
	 .verdict = VERDICT_EXTENSIONS},
	{"error that embeds too little",
	 {ERROR4(&answer_v4, 27), .padding_bytes = 9},
	 .verdict = VERDICT_ICMP},
	{"error about another address's packet",
	 {ERROR4(&stranger_v4, 28)},
	 .verdict = VERDICT_ICMP_UNRELATED},
	{"ICMP that asks for nothing",
	 {CLIENT4, .destination = "203.0.113.10", .protocol = FRAME_ICMP, .payload_bytes = 20},
	 {{AT_L4_V4, 13}},
	 .verdict = VERDICT_ICMP},
	{"prefix without a service for the protocol",
	 {CLIENT4, .destination = "203.0.114.99", .protocol = FRAME_UDP, .destination_port = 7},
	 .verdict = VERDICT_UNMATCHED},
	{"another port", {TO("203.0.113.10", 444)}, .verdict = VERDICT_UNMATCHED},
	{"another protocol",
	 {CLIENT4, .destination = "203.0.113.10", .protocol = 47, .payload_bytes = 9},
	 .verdict = VERDICT_UNMATCHED},
	{"protocol 0",
	 {CLIENT4, .destination = "203.0.113.10", .protocol = 0, .payload_bytes = 9},
	 .verdict = VERDICT_UNMATCHED},
	{"ICMPv6 in IPv4",
	 {CLIENT4, .destination = "203.0.113.10", .protocol = FRAME_ICMPV6},
	 .verdict = VERDICT_UNMATCHED},
	{"TCP port 0", {TO("203.0.113.10", 0)}, .verdict = VERDICT_UNMATCHED},
	{"UDP to a TCP port",
	 {CLIENT6, .destination = "2001:db8:1::10", .protocol = FRAME_UDP, .destination_port = 443},
	 .verdict = VERDICT_UNMATCHED},
	{"no next header",
	 {CLIENT6, .destination = "2001:db8:1::10", .protocol = 59},
	 .verdict = VERDICT_UNMATCHED},
	{"no backend", {TO("203.0.113.13", 80)}, .verdict = VERDICT_NO_BACKEND},
	{"backend without a record", {TO("203.0.113.16", 80)}, .verdict = VERDICT_NO_BACKEND},
	{"no next hop", {TO("203.0.113.14", 80)}, .verdict = VERDICT_NO_NEXT_HOP},
	{"too big", {TO("203.0.113.15", 80), .payload_bytes = 541}, .verdict = VERDICT_TOO_BIG},
	{"too big over IPv6, and no smaller one would be believed",
	 {CLIENT6, .destination = "2001:db8:1::15", .protocol = FRAME_TCP, .destination_port = 80,
	  .payload_bytes = 521},
	 .verdict = VERDICT_TOO_BIG_DF},
};

/* Makes a sample's frame. */
static inline void sample_build(const struct sample *sample, struct frame *frame)
{
	frame_build(frame, &sample->spec);
	for (size_t i = 0; i < ARRAY_LEN(sample->patches) && sample->patches[i].at; i++)
		frame->bytes[sample->patches[i].at] = sample->patches[i].value;
	if (sample->seal)
		frame_seal_ipv4(frame->bytes + AT_IP);
	frame->len -= sample->cut_bytes;
}

#endif
