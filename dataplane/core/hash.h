/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The seeded multiply-mix hash: two multiplications and two shifts a word, bit-identical in
 * C, SIMD and BPF. The high half of the result picks the flow-table bucket, the low half the
 * Maglev slot, so neither tells anything about the other.
 *
 * The seed is the fleet's secret: balancers that share it agree on every flow, and who does
 * not know it cannot choose flows that collide. */
#ifndef SHUNT_CORE_HASH_H
#define SHUNT_CORE_HASH_H

#include "base.h"

struct hash_seed {
	u64 flow[2];        /* the fleet seed itself, as two little-endian words */
	u64 fingerprint[2]; /* derived: independent bits for fingerprints */
};

#define HASH_MULTIPLIER_A 0x9e3779b97f4a7c15ull
#define HASH_MULTIPLIER_B 0xff51afd7ed558ccdull
#define HASH_MULTIPLIER_C 0xc4ceb9fe1a85ec53ull

static always_inline u64 hash_word(u64 word, const u64 seed[2])
{
	u64 x = (word ^ seed[0]) * HASH_MULTIPLIER_A;

	x ^= x >> 32;
	x = (x ^ seed[1]) * HASH_MULTIPLIER_B;
	return x ^ (x >> 29);
}

/* A bijection on 64 bits for keys that only the configuration chooses. */
static always_inline u64 hash_unkeyed(u64 x)
{
	x *= HASH_MULTIPLIER_A;
	x ^= x >> 32;
	x *= HASH_MULTIPLIER_C;
	return x ^ (x >> 29);
}

/* Derives the seeds of a generation from the fleet's 16 bytes. */
static inline struct hash_seed hash_seed_derive(const u8 fleet_seed[16])
{
	struct hash_seed seed;

	__builtin_memcpy(seed.flow, fleet_seed, 16);
	seed.fingerprint[0] = hash_unkeyed(hash_unkeyed(seed.flow[0]) ^ seed.flow[1]);
	seed.fingerprint[1] = hash_unkeyed(hash_unkeyed(seed.flow[1]) + seed.flow[0]);
	return seed;
}

#endif
