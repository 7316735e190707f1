/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames that ask for an address, and such that only look like it, with the verdict that each
 * gets where VIPs are answered for. From RFC 826, RFC 4861 and RFC 5227, byte by byte. */
#ifndef SHUNT_TESTS_QUESTIONS_H
#define SHUNT_TESTS_QUESTIONS_H

#include "dataplane/core/verdict.h"
#include "tests/unit/frames.h"

enum { QUESTION_OPTIONS_MAX = 80 };

struct question_patch {
	uint16_t at; /* from the frame's start; 0: no patch */
	uint8_t value;
};

struct question_spec {
	const char *name;
	const char *asker, *about; /* a colon makes it neighbour discovery */
	const char *to;            /* ND: the destination; NULL: about's solicited-node group */
	uint8_t options[QUESTION_OPTIONS_MAX];
	uint32_t options_bytes;
	uint8_t hop_limit; /* 0: 255 */
	bool unicast;      /* at layer 2: straight to us */
	bool unsealed;     /* ND: leave the checksum wrong */
	struct question_patch patches[2];
	enum verdict verdict;
};

/* ARP: offsets of hardware type, lengths, operation, sender's and target's addresses. */
enum { AT_ARP = 14, AT_ARP_OPERATION = 20, AT_ARP_SENDER_MAC = 22 };
enum { AT_ND = 54 };

#define ND_SOURCE_OPTION .options = {1, 1, 2, 0, 0, 0, 0, 2}, .options_bytes = 8
#define ND_NONCE_TOO /* RFC 7527 */                                                                \
	.options = {1, 1, 2, 0, 0, 0, 0, 2, 14, 1, 1, 2, 3, 4, 5, 6}, .options_bytes = 16
#define VIP_V6 "2001:db8:1::10"
#define ASKER_V6 "2001:db8:2::7"

static const struct question_spec questions[] = {
	{"ARP request", "192.0.2.7", "203.0.113.10", .verdict = VERDICT_ARP},
	{"ARP request, unicast", "192.0.2.7", "203.0.113.10", .unicast = true,
	 .verdict = VERDICT_ARP},
	{"ARP probe", "0.0.0.0", "203.0.113.11", .verdict = VERDICT_ARP},
	{"ARP request for one of a prefix", "192.0.2.7", "203.0.114.77", .verdict = VERDICT_ARP},
	{"ARP for nobody's address", "192.0.2.7", "203.0.113.99", .verdict = VERDICT_NOT_IP},
	{"ARP announcement of our VIP", "203.0.113.10", "203.0.113.10", .verdict = VERDICT_NOT_IP},
	{"ARP from a multicast address", "224.0.0.1", "203.0.113.10", .verdict = VERDICT_NOT_IP},
	{"ARP reply", "192.0.2.7", "203.0.113.10", .patches = {{AT_ARP_OPERATION + 1, 2}},
	 .verdict = VERDICT_NOT_IP},
	{"ARP for another protocol", "192.0.2.7", "203.0.113.10", .patches = {{AT_ARP + 2, 0x86}},
	 .verdict = VERDICT_NOT_IP},
	{"ARP on other hardware", "192.0.2.7", "203.0.113.10", .patches = {{AT_ARP + 1, 6}},
	 .verdict = VERDICT_NOT_IP},
	{"ARP with long hardware addresses", "192.0.2.7", "203.0.113.10",
	 .patches = {{AT_ARP + 4, 8}}, .verdict = VERDICT_NOT_IP},
	{"ARP with long addresses", "192.0.2.7", "203.0.113.10", .patches = {{AT_ARP + 5, 16}},
	 .verdict = VERDICT_NOT_IP},
	{"ARP from a group MAC", "192.0.2.7", "203.0.113.10",
	 .patches = {{AT_ARP_SENDER_MAC, 0x03}}, .verdict = VERDICT_NOT_IP},
	{"ARP in our own name", "192.0.2.7", "203.0.113.10",
	 .patches = {{AT_ARP_SENDER_MAC + 5, 0x01}}, .verdict = VERDICT_NOT_IP},

	{"solicitation", ASKER_V6, VIP_V6, ND_SOURCE_OPTION, .verdict = VERDICT_NEIGHBOUR},
	{"solicitation without an option", ASKER_V6, VIP_V6, .verdict = VERDICT_NEIGHBOUR},
	{"solicitation with a nonce", ASKER_V6, VIP_V6, ND_NONCE_TOO, .verdict = VERDICT_NEIGHBOUR},
	{"solicitation from a link-local address", "fe80::7", VIP_V6, ND_SOURCE_OPTION,
	 .verdict = VERDICT_NEIGHBOUR},
	{"solicitation, unicast", ASKER_V6, VIP_V6, .to = VIP_V6, .unicast = true, ND_SOURCE_OPTION,
	 .verdict = VERDICT_NEIGHBOUR},
	{"eight units of options", ASKER_V6, VIP_V6, .options = {200, 8}, .options_bytes = 64,
	 .verdict = VERDICT_NEIGHBOUR},
	{"probe", "::", "2001:db8:1::11", .verdict = VERDICT_NEIGHBOUR},
	{"probe to the address itself", "::", VIP_V6, .to = VIP_V6, .unicast = true,
	 .verdict = VERDICT_MARTIAN},
	{"probe with a source option", "::", VIP_V6, ND_SOURCE_OPTION,
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"for nobody's address", ASKER_V6, "2001:db8:1::99", ND_SOURCE_OPTION,
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"for a group", ASKER_V6, "ff02::1", ND_SOURCE_OPTION, .verdict = VERDICT_OTHER_ADDRESS},
	{"to all nodes", ASKER_V6, VIP_V6, .to = "ff02::1", ND_SOURCE_OPTION,
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"to another's group", ASKER_V6, VIP_V6, .to = "ff02::1:ff00:11", ND_SOURCE_OPTION,
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"from the VIP itself", VIP_V6, VIP_V6, ND_SOURCE_OPTION, .verdict = VERDICT_OTHER_ADDRESS},
	{"from a group", "ff02::2", VIP_V6, ND_SOURCE_OPTION, .verdict = VERDICT_OTHER_ADDRESS},
	{"hop limit 254", ASKER_V6, VIP_V6, ND_SOURCE_OPTION, .hop_limit = 254,
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"hop limit 254, unicast", ASKER_V6, VIP_V6, .to = VIP_V6, .unicast = true,
	 ND_SOURCE_OPTION, .hop_limit = 254, .verdict = VERDICT_ICMP},
	{"wrong checksum", ASKER_V6, VIP_V6, ND_SOURCE_OPTION, .unsealed = true,
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"advertisement", ASKER_V6, VIP_V6, ND_SOURCE_OPTION, .patches = {{AT_ND, 136}},
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"code 1", ASKER_V6, VIP_V6, ND_SOURCE_OPTION, .patches = {{AT_ND + 1, 1}},
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"option without length", ASKER_V6, VIP_V6, .options = {1, 0}, .options_bytes = 8,
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"option longer than the message", ASKER_V6, VIP_V6, .options = {1, 2}, .options_bytes = 8,
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"half an option", ASKER_V6, VIP_V6, .options = {1, 1}, .options_bytes = 4,
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"more options than are read", ASKER_V6, VIP_V6, .options = {200, 9}, .options_bytes = 72,
	 .verdict = VERDICT_OTHER_ADDRESS},
	{"from a group MAC", ASKER_V6, VIP_V6, ND_SOURCE_OPTION, .patches = {{6, 0x03}},
	 .verdict = VERDICT_OTHER_ADDRESS},
};

static inline void question_arp(struct frame *frame, const struct question_spec *spec)
{
	static const uint8_t fixed[8] = {0, 1, 8, 0, 6, 4, 0, 1};
	uint8_t *arp = frame->bytes + 14;

	put16(frame->bytes + 12, 0x0806);
	memcpy(arp, fixed, sizeof(fixed));
	memcpy(arp + 8, frame_peer_mac, 6);
	frame_require(inet_pton(AF_INET, spec->asker, arp + 14) == 1);
	frame_require(inet_pton(AF_INET, spec->about, arp + 24) == 1);
	frame->len = 60; /* padded, as from a wire */
	memset(frame->bytes + 42, 0xee, 18);
}

/* RFC 4291 section 2.7.1 and, for the MAC, RFC 2464 section 7. */
static inline void question_group(struct frame *frame, const uint8_t *target)
{
	static const uint8_t group[13] = {0xff, 2, [11] = 1, [12] = 0xff};
	static const uint8_t mac[3] = {0x33, 0x33, 0xff};

	memcpy(frame->bytes + 38, group, sizeof(group));
	memcpy(frame->bytes + 51, target + 13, 3);
	memcpy(frame->bytes, mac, sizeof(mac));
	memcpy(frame->bytes + 3, target + 13, 3);
}

static inline void question_solicitation(struct frame *frame, const struct question_spec *spec)
{
	uint8_t *ip = frame->bytes + 14, *l4 = ip + 40;
	uint32_t len = 24 + spec->options_bytes;

	put16(frame->bytes + 12, 0x86dd);
	put32(ip, 6u << 28);
	put16(ip + 4, len);
	ip[6] = FRAME_ICMPV6;
	ip[7] = spec->hop_limit ? spec->hop_limit : 255;
	frame_require(inet_pton(AF_INET6, spec->asker, ip + 8) == 1);
	frame_require(inet_pton(AF_INET6, spec->about, l4 + 8) == 1);
	if (spec->to)
		frame_require(inet_pton(AF_INET6, spec->to, ip + 24) == 1);
	else
		question_group(frame, l4 + 8);
	l4[0] = 135;
	memcpy(l4 + 24, spec->options, spec->options_bytes);
	frame->len = 54 + len;
}

static inline void question_build(const struct question_spec *spec, struct frame *frame)
{
	bool v6 = strchr(spec->about, ':') != NULL;

	memset(frame, 0, sizeof(*frame));
	memset(frame->bytes, 0xff, 6);
	memcpy(frame->bytes + 6, frame_peer_mac, 6);
	if (v6)
		question_solicitation(frame, spec);
	else
		question_arp(frame, spec);
	if (spec->unicast)
		memcpy(frame->bytes, frame_our_mac, 6);
	for (size_t i = 0; i < ARRAY_LEN(spec->patches) && spec->patches[i].at; i++)
		frame->bytes[spec->patches[i].at] = spec->patches[i].value;
	if (!v6)
		return;
	frame_seal_transport(frame->bytes + 54, frame->len - 54, FRAME_ICMPV6, frame->bytes + 22,
			     32);
	frame->bytes[57] ^= spec->unsealed;
}

#endif
