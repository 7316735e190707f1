/* SPDX-License-Identifier: BSD-2-Clause */
/* Random backend sets for the Maglev suites, from a printed seed; SHUNT_TEST_SEED sets it. */
#ifndef SHUNT_TESTS_UNIT_MAGLEV_SETS_H
#define SHUNT_TESTS_UNIT_MAGLEV_SETS_H

#include <stdio.h>
#include <stdlib.h>

#include "controlplane/maglev_build.h"

static u64 random_state;

/* SplitMix64. */
static inline u64 random_u64(void)
{
	u64 x = random_state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static inline u32 random_below(u32 bound)
{
	return fastrange32((u32)(random_u64() >> 32), bound);
}

static inline void random_seed(const char *what)
{
	const char *text = getenv("SHUNT_TEST_SEED");

	random_state = text ? strtoull(text, NULL, 0) : 20260101;
	printf("%s: seed %llu\n", what, (unsigned long long)random_state);
}

static inline void backends_swap(struct maglev_backend *a, struct maglev_backend *b)
{
	struct maglev_backend kept = *a;

	*a = *b;
	*b = kept;
}

static inline void backends_shuffle(struct maglev_backend *backends, u32 count)
{
	for (u32 i = count; i > 1; i--)
		backends_swap(&backends[i - 1], &backends[random_below(i)]);
}

/* Numbers 1 .. count; distinct addresses, each family half the time; weights 1 .. most. */
static inline void backends_random(struct maglev_backend *backends, u32 count, u32 most)
{
	u32 base = (u32)random_u64();
	bool v4 = random_below(2);

	for (u32 i = 0; i < count; i++) {
		struct addr v6 = {.words = {BE32(0x20010db8), (u32)random_u64(), 0, BE32(i)}};

		backends[i].address = v4 ? addr_from_v4(BE32(base + i)) : v6;
		backends[i].weight = 1 + random_below(most);
		backends[i].number = (u16)(i + 1);
	}
}

#endif
