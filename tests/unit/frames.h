/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames for unit tests, written byte by byte from the RFCs.
 *
 * Nothing here comes from dataplane/core: offsets are numbers out of the RFCs' figures and the
 * checksum is summed over big-endian bytes, so a mistake in the core cannot hide by being made
 * twice. */
#ifndef SHUNT_TESTS_FRAMES_H
#define SHUNT_TESTS_FRAMES_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

enum { FRAME_MAX_BYTES = 2048, FRAME_EXTENSIONS_MAX = 8 };
enum { FRAME_TCP = 6, FRAME_UDP = 17, FRAME_ICMP = 1, FRAME_ICMPV6 = 58, FRAME_FRAGMENT = 44 };
enum { FRAME_FIN = 1, FRAME_SYN = 2, FRAME_RST = 4, FRAME_ACK = 16 };
enum { FRAME_DF = 0x4000, FRAME_MF = 0x2000 };

static const uint8_t frame_our_mac[6] = {0x02, 0, 0, 0, 0, 0x01};
static const uint8_t frame_peer_mac[6] = {0x02, 0, 0, 0, 0, 0x02};

struct frame {
	uint8_t bytes[FRAME_MAX_BYTES];
	uint32_t len;
};

/* What a frame is made of; zero means the ordinary. Ports and lengths in host order. */
struct frame_spec {
	const char *source, *destination; /* a colon makes it IPv6 */
	uint8_t protocol;
	uint16_t source_port, destination_port;
	uint8_t tcp_flags;
	uint8_t tos;
	uint8_t ttl; /* 0: 64 */
	uint16_t id;
	uint16_t fragment;                        /* IPv4: flags and offset, as the 16-bit field */
	uint8_t option_words;                     /* IPv4 options, 0 to 10 words */
	uint8_t tags;                             /* VLAN tags */
	bool broadcast;                           /* at layer 2 */
	uint8_t extensions[FRAME_EXTENSIONS_MAX]; /* IPv6 extension headers of 8 bytes each */
	uint8_t extensions_count;
	uint32_t payload_bytes; /* behind the transport header */
	/* ICMP: an error (unreachable, or too big) about this packet, of which it embeds so much. */
	const struct frame_spec *about;
	uint32_t about_bytes;
	uint32_t padding_bytes; /* behind the IP packet */
};

/* A mistake of the test itself ends it, whatever NDEBUG says. */
static inline void frame_require(bool condition)
{
	if (!condition)
		abort();
}

static inline void put16(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

static inline void put32(uint8_t *bytes, uint32_t value)
{
	put16(bytes, value >> 16);
	put16(bytes + 2, value & 0xffff);
}

static inline uint32_t get16(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 8 | bytes[1];
}

static inline uint32_t get32(const uint8_t *bytes)
{
	return get16(bytes) << 16 | get16(bytes + 2);
}

/* One's complement sum as RFC 1071 section 1 words it: big-endian words, carry by carry. */
static inline uint32_t frame_sum(const uint8_t *bytes, uint32_t len, uint32_t start)
{
	uint32_t sum = start;

	for (uint32_t i = 0; i < len; i++) {
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
		if (sum > 0xffff)
			sum = sum - 0x10000 + 1;
	}
	return sum;
}

/* Writes the checksum of the IPv4 header at `ip`, over as many bytes as its IHL says. */
static inline void frame_seal_ipv4(uint8_t *ip)
{
	put16(ip + 10, 0);
	put16(ip + 10, 0xffff - frame_sum(ip, (ip[0] & 15u) * 4u, 0));
}

static inline bool frame_ipv4_is_sealed(const uint8_t *ip)
{
	return frame_sum(ip, (ip[0] & 15u) * 4u, 0) == 0xffff;
}

/* RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1: the pseudo header, then the segment. */
static inline void frame_seal_transport(uint8_t *l4, uint32_t len, uint8_t protocol,
					const uint8_t *addresses, uint32_t addresses_bytes)
{
	uint32_t at = protocol == FRAME_TCP ? 16 : protocol == FRAME_UDP ? 6 : 2;
	uint32_t sum = protocol == FRAME_ICMP ? 0 : len + protocol;

	put16(l4 + at, 0);
	if (protocol != FRAME_ICMP)
		sum = frame_sum(addresses, addresses_bytes, sum);
	put16(l4 + at, 0xffff - frame_sum(l4, len, sum));
}

static inline uint32_t frame_packet(uint8_t *ip, const struct frame_spec *spec);

/* An ICMP error; returns its length. */
static inline uint32_t frame_error(uint8_t *l4, const struct frame_spec *spec)
{
	uint8_t about[FRAME_MAX_BYTES] = {0};

	frame_packet(about, spec->about);
	l4[0] = spec->protocol == FRAME_ICMP ? 3 : 2;
	l4[1] = spec->protocol == FRAME_ICMP ? 4 : 0;
	put32(l4 + 4, 1400);
	memcpy(l4 + 8, about, spec->about_bytes);
	return 8 + spec->about_bytes;
}

static inline uint32_t frame_transport(uint8_t *l4, const struct frame_spec *spec)
{
	uint32_t header = 8;

	if (spec->about)
		return frame_error(l4, spec);
	switch (spec->protocol) {
	case FRAME_TCP:
		header = 20;
		put32(l4 + 4, 0x01020304);
		put32(l4 + 8, 0x05060708);
		l4[12] = 5 << 4;
		l4[13] = spec->tcp_flags;
		put16(l4 + 14, 0xfaf0);
		break;
	case FRAME_UDP:
		put16(l4 + 4, 8 + spec->payload_bytes);
		break;
	case FRAME_ICMP:
		l4[0] = 8;
		break;
	case FRAME_ICMPV6:
		l4[0] = 128;
		break;
	default:
		header = 0;
	}
	if (spec->protocol == FRAME_TCP || spec->protocol == FRAME_UDP) {
		put16(l4, spec->source_port);
		put16(l4 + 2, spec->destination_port);
	}
	for (uint32_t i = 0; i < spec->payload_bytes; i++)
		l4[header + i] = (uint8_t)(i * 7 + 1);
	return header + spec->payload_bytes;
}

static inline uint32_t frame_ipv4(uint8_t *ip, const struct frame_spec *spec)
{
	uint32_t header = 20 + spec->option_words * 4u;
	uint32_t len = frame_transport(ip + header, spec);

	ip[0] = (uint8_t)(4 << 4 | header / 4);
	ip[1] = spec->tos;
	put16(ip + 2, header + len);
	put16(ip + 4, spec->id);
	put16(ip + 6, spec->fragment);
	ip[8] = spec->ttl ? spec->ttl : 64;
	ip[9] = spec->protocol;
	frame_require(inet_pton(AF_INET, spec->source, ip + 12) == 1);
	frame_require(inet_pton(AF_INET, spec->destination, ip + 16) == 1);
	for (uint32_t i = 20; i < header; i++)
		ip[i] = i + 1 == header ? 0 : 1; /* no-operation options, then the end */
	frame_seal_ipv4(ip);
	if (len >= 8)
		frame_seal_transport(ip + header, len, spec->protocol, ip + 12, 8);
	return header + len;
}

static inline uint32_t frame_ipv6(uint8_t *ip, const struct frame_spec *spec)
{
	uint32_t header = 40 + spec->extensions_count * 8u;
	uint32_t len = frame_transport(ip + header, spec);
	uint8_t *next = ip + 6;

	put32(ip, 6u << 28 | (uint32_t)spec->tos << 20 | 0xabcde);
	put16(ip + 4, header - 40 + len);
	ip[7] = spec->ttl ? spec->ttl : 64;
	frame_require(inet_pton(AF_INET6, spec->source, ip + 8) == 1);
	frame_require(inet_pton(AF_INET6, spec->destination, ip + 24) == 1);
	for (uint32_t i = 0; i < spec->extensions_count; i++) {
		*next = spec->extensions[i];
		next = ip + 40 + 8 * i;
	}
	*next = spec->protocol;
	if (len >= 8)
		frame_seal_transport(ip + header, len, spec->protocol, ip + 8, 32);
	return header + len;
}

static inline uint32_t frame_packet(uint8_t *ip, const struct frame_spec *spec)
{
	return strchr(spec->destination, ':') ? frame_ipv6(ip, spec) : frame_ipv4(ip, spec);
}

static inline void frame_build(struct frame *frame, const struct frame_spec *spec)
{
	bool v6 = strchr(spec->destination, ':') != NULL;
	uint8_t *at = frame->bytes + 12;

	memset(frame, 0, sizeof(*frame));
	memcpy(frame->bytes, frame_our_mac, 6);
	if (spec->broadcast)
		memset(frame->bytes, 0xff, 6);
	memcpy(frame->bytes + 6, frame_peer_mac, 6);
	for (uint32_t i = 0; i < spec->tags; i++, at += 4) {
		put16(at, i + 1 < spec->tags ? 0x88a8 : 0x8100);
		put16(at + 2, 42 + i);
	}
	put16(at, v6 ? 0x86dd : 0x0800);
	at += 2;
	at += frame_packet(at, spec);
	memset(at, 0xee, spec->padding_bytes);
	frame->len = (uint32_t)(at - frame->bytes) + spec->padding_bytes;
	frame_require(frame->len <= FRAME_MAX_BYTES);
}

/* Bytes of the VLAN tags behind the MAC addresses. */
static inline uint32_t frame_tags_bytes(const struct frame *frame)
{
	uint32_t bytes = 0;

	while (get16(frame->bytes + 12 + bytes) == 0x8100 ||
	       get16(frame->bytes + 12 + bytes) == 0x88a8)
		bytes += 4;
	return bytes;
}

/* --- Randomness with a seed that can be given again ----------------------------------- */

struct random {
	uint64_t state;
};

/* xorshift64*, Marsaglia 2003 and Vigna 2016. */
static inline uint64_t random_next(struct random *random)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return random->state * 0x2545f4914f6cdd1dull;
}

static inline uint32_t random_below(struct random *random, uint32_t limit)
{
	return (uint32_t)((random_next(random) >> 32) * limit >> 32);
}

static inline bool random_one_in(struct random *random, uint32_t n)
{
	return random_below(random, n) == 0;
}

/* Another seed each time, printed; SHUNT_TEST_SEED repeats a run. */
static inline struct random random_start(const char *test)
{
	const char *given = getenv("SHUNT_TEST_SEED");
	uint64_t seed =
		given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 0x9e3779b97f4a7c15;

	printf("%s: SHUNT_TEST_SEED=%llu\n", test, (unsigned long long)seed);
	fflush(stdout);
	return (struct random){seed ? seed : 1};
}

#endif
