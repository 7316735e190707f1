/* SPDX-License-Identifier: BSD-2-Clause */
/* The checks here are those the host can't make for us.
 *
 * The host checks a packet again when it comes out of the TUN device, and needs no help with a
 * wrong header checksum. But it would take padding for payload, it can't know that the outer
 * header said "IPv6 inside", and whether it refuses a loopback address depends on its settings
 * (route_localnet, which container platforms set), so those are refused here.
 *
 * inner_checksum_complete() exists because of generic receive offload. A kernel merges
 * consecutive TCP segments of one flow even inside IPIP, and a merged segment carries only the
 * pseudo header's sum where its checksum should be: within the kernel that means "verified".
 * A raw socket hands such a packet out as it is, without that knowledge, and the host would drop
 * it at the TUN device. The same unfinished sum is left by a virtual interface with transmit
 * checksum offload. An ordinary packet holds that value once in 65,536 times; its full sum
 * then says that it is right, and it is left alone. */
#include "dataplane/decap/inner.h"

#include <string.h>

enum {
	IPV4_HEADER_MIN = 20,
	IPV6_HEADER = 40,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
};

static u32 load_be16(const u8 *bytes)
{
	return (u32)bytes[0] << 8 | bytes[1];
}

static void store_be16(u8 *bytes, u32 value)
{
	bytes[0] = (u8)(value >> 8);
	bytes[1] = (u8)value;
}

static u32 fold(u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u32)sum;
}

/* One's complement sum of big-endian words, not folded; an odd last byte is padded by zero. */
static u64 sum_bytes(const u8 *bytes, u32 len_bytes)
{
	u64 sum = 0;

	for (u32 i = 0; i + 1 < len_bytes; i += 2)
		sum += load_be16(bytes + i);
	if (len_bytes & 1)
		sum += (u32)bytes[len_bytes - 1] << 8;
	return sum;
}

/* 0.0.0.0/8, 127.0.0.0/8, and multicast, reserved or broadcast: never the source or the
 * destination of a packet for a service (RFC 1122 section 3.2.1.3). */
static bool v4_is_martian(const u8 *address)
{
	return address[0] == 0 || address[0] == 127 || address[0] >= 224;
}

/* Unspecified, loopback, v4-mapped, link-local and multicast (RFC 4291 section 2). */
static bool v6_is_martian(const struct addr *addr)
{
	if (addr->bytes[0] == 0xff || (addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80))
		return true;
	return addr_is_v4(addr) ||
	       (addr->halves[0] == 0 && addr->words[2] == 0 && (addr->words[3] & ~BE32(1)) == 0);
}

static enum decap_verdict v4_check(u8 *bytes, u32 len_bytes, struct inner *inner)
{
	be32 source, destination;
	u32 header_len, total_len;

	if (len_bytes < IPV4_HEADER_MIN)
		return DECAP_INNER_TRUNCATED;
	header_len = (bytes[0] & 15) * 4u;
	total_len = load_be16(bytes + 2);
	if (header_len < IPV4_HEADER_MIN || header_len > total_len)
		return DECAP_INNER_HEADER;
	if (total_len > len_bytes)
		return DECAP_INNER_LENGTH;
	if (v4_is_martian(bytes + 12) || v4_is_martian(bytes + 16))
		return DECAP_INNER_MARTIAN;
	memcpy(&source, bytes + 12, sizeof(source));
	memcpy(&destination, bytes + 16, sizeof(destination));
	*inner = (struct inner){
		.start = bytes,
		.len_bytes = total_len,
		.transport_offset = header_len,
		.transport_protocol = bytes[9],
		.is_v4 = true,
		.is_fragment = (load_be16(bytes + 6) & 0x3fff) != 0,
		.ecn = bytes[1] & 3,
		.source = addr_from_v4(source),
		.destination = addr_from_v4(destination),
	};
	return DECAP_DELIVERED;
}

static enum decap_verdict v6_check(u8 *bytes, u32 len_bytes, struct inner *inner)
{
	struct addr source, destination;
	u32 payload_len;

	if (len_bytes < IPV6_HEADER)
		return DECAP_INNER_TRUNCATED;
	/* Payload length 0 is that of a jumbogram, which no outer header here can carry, or of
	 * a packet with nothing behind its header: the latter is complete, and harmless. */
	payload_len = load_be16(bytes + 4);
	if (payload_len > len_bytes - IPV6_HEADER)
		return DECAP_INNER_LENGTH;
	memcpy(source.bytes, bytes + 8, sizeof(source));
	memcpy(destination.bytes, bytes + 24, sizeof(destination));
	if (v6_is_martian(&source) || v6_is_martian(&destination))
		return DECAP_INNER_MARTIAN;
	*inner = (struct inner){
		.start = bytes,
		.len_bytes = IPV6_HEADER + payload_len,
		.transport_offset = IPV6_HEADER,
		.transport_protocol = bytes[6],
		.ecn = (bytes[1] >> 4) & 3,
		.source = source,
		.destination = destination,
	};
	return DECAP_DELIVERED;
}

enum decap_verdict inner_check(u8 *bytes, u32 len_bytes, u8 protocol, struct inner *inner)
{
	u32 version = protocol == INNER_PROTOCOL_IPV4 ? 4 : 6;

	if (len_bytes == 0)
		return DECAP_INNER_TRUNCATED;
	if (bytes[0] >> 4 != version)
		return DECAP_INNER_VERSION;
	return version == 4 ? v4_check(bytes, len_bytes, inner) : v6_check(bytes, len_bytes, inner);
}

void inner_ecn_set(struct inner *inner, u8 ecn)
{
	u8 *header = inner->start;
	u32 before, checksum;

	inner->ecn = ecn;
	if (!inner->is_v4) {
		header[1] = (u8)((header[1] & ~0x30) | ecn << 4);
		return;
	}
	before = load_be16(header);
	header[1] = (u8)((header[1] & ~3) | ecn);
	/* HC' = ~(~HC + ~m + m') */
	checksum = ~load_be16(header + 10) & 0xffff;
	checksum += (~before & 0xffff) + load_be16(header);
	store_be16(header + 10, ~fold(checksum));
}

bool inner_checksum_complete(struct inner *inner)
{
	u8 *transport = inner->start + inner->transport_offset;
	u32 transport_len = inner->len_bytes - inner->transport_offset;
	bool is_tcp = inner->transport_protocol == PROTOCOL_TCP;
	u32 addresses_offset = inner->is_v4 ? 12 : 8, addresses_len = inner->is_v4 ? 8 : 32;
	u32 pseudo, sum;
	u8 *checksum;

	if ((!is_tcp && inner->transport_protocol != PROTOCOL_UDP) || inner->is_fragment ||
	    transport_len < (is_tcp ? 20 : 8))
		return false;
	checksum = transport + (is_tcp ? 16 : 6);
	pseudo = fold(sum_bytes(inner->start + addresses_offset, addresses_len) + transport_len +
		      inner->transport_protocol);
	if (load_be16(checksum) != pseudo)
		return false;
	sum = fold(sum_bytes(transport, transport_len));
	if (fold(sum + pseudo) == 0xffff)
		return false;
	/* The field holds the pseudo header's sum, so `sum` covers it already. */
	sum = ~sum & 0xffff;
	store_be16(checksum, sum == 0 && !is_tcp ? 0xffff : sum);
	return true;
}
