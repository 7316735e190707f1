/* SPDX-License-Identifier: BSD-2-Clause */
/* inner_checksum_complete() exists because of generic receive offload. A kernel merges
 * consecutive TCP segments of one flow even inside IPIP, and a merged segment carries only the
 * pseudo header's sum where its checksum should be: within the kernel that means "verified".
 * A raw socket hands such a packet out as it is, without that knowledge, and the host would drop
 * it at the TUN device. The same unfinished sum is left by a virtual interface with transmit
 * checksum offload. An ordinary packet holds that value once in 65,536 times; its full sum
 * then says that it is right, and it is left alone. */
#include "dataplane/decap/inner.h"

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

bool inner_checksum_complete(u8 *start, const struct inner *inner)
{
	u8 *transport = start + inner->transport_offset;
	u32 transport_len = inner->len_bytes - inner->transport_offset;
	bool is_tcp = inner->transport_protocol == PROTOCOL_TCP;
	u32 addresses_offset = inner->is_v4 ? 12 : 8, addresses_len = inner->is_v4 ? 8 : 32;
	u32 pseudo, sum;
	u8 *checksum;

	if ((!is_tcp && inner->transport_protocol != PROTOCOL_UDP) || inner->is_fragment ||
	    transport_len < (is_tcp ? 20 : 8))
		return false;
	checksum = transport + (is_tcp ? 16 : 6);
	pseudo = fold(sum_bytes(start + addresses_offset, addresses_len) + transport_len +
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
