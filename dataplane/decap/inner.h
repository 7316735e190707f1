/* SPDX-License-Identifier: BSD-2-Clause */
/* The packet inside: is it one, how long is it, and the two fields that are changed on its way
 * out of the tunnel. Works on bytes alone; compiled for user space and for BPF.
 *
 * The checks here are those the host can't make for us. It checks a packet again when it comes
 * out of the tunnel, and needs no help with a wrong header checksum. But it would take padding for
 * payload, it can't know that the outer header said "IPv6 inside", and whether it refuses a
 * loopback address depends on its settings (route_localnet, which container platforms set), so
 * those are refused here. */
#ifndef SHUNT_DECAP_INNER_H
#define SHUNT_DECAP_INNER_H

#include "dataplane/core/addr.h"
#include "dataplane/core/csum.h"
#include "dataplane/core/wire.h"
#include "dataplane/decap/verdict.h"

struct inner {
	u8 *start;
	u32 len_bytes;         /* by the inner header: padding behind it is not part of it */
	u32 transport_offset;  /* behind the IPv4 header and options, or the fixed IPv6 header */
	u8 transport_protocol; /* IPv6: the first next header */
	bool is_v4;
	bool is_fragment; /* IPv4 only */
	u8 ecn;
	struct addr source;
	struct addr destination;
};

static always_inline u32 inner_word(const u8 *bytes)
{
	return (u32)bytes[0] << 8 | bytes[1];
}

static always_inline void inner_word_set(u8 *bytes, u32 value)
{
	bytes[0] = (u8)(value >> 8);
	bytes[1] = (u8)value;
}

/* 0.0.0.0/8, 127.0.0.0/8, and multicast, reserved or broadcast: never the source or the
 * destination of a packet for a service (RFC 1122 section 3.2.1.3). */
static always_inline bool inner_v4_is_martian(const u8 *address)
{
	return address[0] == 0 || address[0] == 127 || address[0] >= 224;
}

/* Unspecified, loopback, v4-mapped, link-local and multicast (RFC 4291 section 2). */
static always_inline bool inner_v6_is_martian(const struct addr *addr)
{
	if (addr->bytes[0] == 0xff || (addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80))
		return true;
	return addr_is_v4(addr) ||
	       (addr->halves[0] == 0 && addr->words[2] == 0 && (addr->words[3] & ~BE32(1)) == 0);
}

static always_inline enum decap_verdict inner_v4_check(u8 *bytes, u32 len_bytes,
						       struct inner *inner)
{
	be32 source, destination;
	u32 header_len, total_len;

	if (len_bytes < IPV4_HEADER_BYTES)
		return DECAP_INNER_TRUNCATED;
	header_len = (bytes[0] & 15) * 4u;
	total_len = inner_word(bytes + 2);
	if (header_len < IPV4_HEADER_BYTES || header_len > total_len)
		return DECAP_INNER_HEADER;
	if (total_len > len_bytes)
		return DECAP_INNER_LENGTH;
	if (inner_v4_is_martian(bytes + 12) || inner_v4_is_martian(bytes + 16))
		return DECAP_INNER_MARTIAN;
	__builtin_memcpy(&source, bytes + 12, sizeof(source));
	__builtin_memcpy(&destination, bytes + 16, sizeof(destination));
	*inner = (struct inner){
		.start = bytes,
		.len_bytes = total_len,
		.transport_offset = header_len,
		.transport_protocol = bytes[9],
		.is_v4 = true,
		.is_fragment = (inner_word(bytes + 6) & 0x3fff) != 0,
		.ecn = bytes[1] & 3,
		.source = addr_from_v4(source),
		.destination = addr_from_v4(destination),
	};
	return DECAP_DELIVERED;
}

static always_inline enum decap_verdict inner_v6_check(u8 *bytes, u32 len_bytes,
						       struct inner *inner)
{
	struct addr source, destination;
	u32 payload_len;

	if (len_bytes < IPV6_HEADER_BYTES)
		return DECAP_INNER_TRUNCATED;
	/* Payload length 0 is that of a jumbogram, which no outer header here can carry, or of
	 * a packet with nothing behind its header: the latter is complete, and harmless. */
	payload_len = inner_word(bytes + 4);
	if (payload_len > len_bytes - IPV6_HEADER_BYTES)
		return DECAP_INNER_LENGTH;
	__builtin_memcpy(source.bytes, bytes + 8, sizeof(source));
	__builtin_memcpy(destination.bytes, bytes + 24, sizeof(destination));
	if (inner_v6_is_martian(&source) || inner_v6_is_martian(&destination))
		return DECAP_INNER_MARTIAN;
	*inner = (struct inner){
		.start = bytes,
		.len_bytes = IPV6_HEADER_BYTES + payload_len,
		.transport_offset = IPV6_HEADER_BYTES,
		.transport_protocol = bytes[6],
		.ecn = (bytes[1] >> 4) & 3,
		.source = source,
		.destination = destination,
	};
	return DECAP_DELIVERED;
}

/* Checks `len_bytes` bytes that an outer header announced as `protocol` (4 or 41) and describes
 * the packet in `inner`, which points into `bytes`. DECAP_DELIVERED means "nothing against it";
 * `inner` is filled only then. The IPv4 header checksum is left for the host to judge. Reads no
 * more than the fixed header. */
static always_inline enum decap_verdict inner_check(u8 *bytes, u32 len_bytes, u8 protocol,
						    struct inner *inner)
{
	u32 version = protocol == PROTOCOL_IPV4 ? 4 : 6;

	if (len_bytes == 0)
		return DECAP_INNER_TRUNCATED;
	if (bytes[0] >> 4 != version)
		return DECAP_INNER_VERSION;
	return version == 4 ? inner_v4_check(bytes, len_bytes, inner)
			    : inner_v6_check(bytes, len_bytes, inner);
}

/* Writes the ECN field; an IPv4 header checksum follows incrementally, so that a wrong one stays
 * wrong. */
static always_inline void inner_ecn_set(struct inner *inner, u8 ecn)
{
	u8 *header = inner->start;
	u32 before, csum;

	inner->ecn = ecn;
	if (!inner->is_v4) {
		header[1] = (u8)((header[1] & ~0x30) | ecn << 4);
		return;
	}
	before = inner_word(header);
	header[1] = (u8)((header[1] & ~3) | ecn);
	csum = csum_replace((u16)inner_word(header + 10), (u16)before, (u16)inner_word(header));
	inner_word_set(header + 10, csum);
}

/* Completes a TCP or UDP checksum that holds the pseudo header's sum only. Returns whether it
 * did. User space only. */
bool inner_checksum_complete(struct inner *inner);

#endif
