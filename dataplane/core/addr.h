/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One address type for both families: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d
 * (RFC 4291 section 2.5.5.2), so that everything past the parser exists once. */
#ifndef SHUNT_CORE_ADDR_H
#define SHUNT_CORE_ADDR_H

#include "base.h"

struct addr {
	union {
		u8 bytes[16];
		u32 words[4]; /* as they stand in memory: network order */
		u64 halves[2];
	};
};

_Static_assert(sizeof(struct addr) == 16, "crosses processes");

/* ::ffff as the third 32-bit word of a v4-mapped address, in memory order. */
#define ADDR_V4_MARK BE32(0x0000ffff)

static inline struct addr addr_from_v4(be32 v4)
{
	return (struct addr){.words = {0, 0, ADDR_V4_MARK, v4}};
}

static inline bool addr_is_v4(const struct addr *addr)
{
	return addr->halves[0] == 0 && addr->words[2] == ADDR_V4_MARK;
}

/* The IPv4 address in network order; meaningful only where addr_is_v4(). */
static inline be32 addr_v4(const struct addr *addr)
{
	return addr->words[3];
}

static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->halves[0] == b->halves[0] && a->halves[1] == b->halves[1];
}

/* Half an address, in network order, whose last bits are 0. */
static inline u64 addr_mask(u32 host_bits)
{
	u64 bits = host_bits;

	hide_value(bits);
	return __builtin_bswap64((~0ull << (bits & 63)) * ((bits - 64) >> 63));
}

/* The other half of the same address. */
static inline u64 addr_mask_high(u32 host_bits)
{
	u64 below_64 = ((u64)host_bits - 64) >> 63;

	hide_value(below_64);
	return addr_mask((u32)((host_bits - 64) * (1 - below_64)));
}

/* The first address of the prefix with so many bits below it: those bits are 0. */
static inline struct addr addr_first(const struct addr *addr, u32 host_bits)
{
	return (struct addr){.halves = {addr->halves[0] & addr_mask_high(host_bits),
					addr->halves[1] & addr_mask(host_bits)}};
}

/* The last address of the prefix that begins there. */
static inline struct addr addr_last(const struct addr *first, u32 host_bits)
{
	return (struct addr){.halves = {first->halves[0] | ~addr_mask_high(host_bits),
					first->halves[1] | ~addr_mask(host_bits)}};
}

static inline bool addr_is_zero(const struct addr *addr)
{
	return (addr->halves[0] | addr->halves[1]) == 0;
}

#endif
