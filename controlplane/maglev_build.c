/* SPDX-License-Identifier: BSD-2-Clause */
/* From a set of backends to the turns that maglev_fill() takes: who goes first, with which
 * permutation, for how many slots.
 *
 * Every balancer of a fleet must come to the same table from the same set, whatever order
 * its configuration is in and whatever numbers it has given the backends. So all of it is
 * integer arithmetic on addresses and weights: the order of turns and both halves of the
 * permutation are hashes of the 16 address bytes under fixed constants, and two remainders
 * that are equal are told apart by the order of turns. The constants are part of what a
 * fleet agrees on: another constant is another table, and moves nearly every flow.
 *
 * The fleet's secret seed stays out: it guards which slot a packet hashes to; which backend
 * a slot belongs to is no secret, and must stay when the seed is changed.
 *
 * docs/adr/0002-maglev-fill.md has the definition in full and what was measured. */
#include "controlplane/maglev_build.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/maglev_fill.h"

__extension__ typedef unsigned __int128 u128;

/* The first 192 fractional bits of pi: nothing up the sleeve. */
#define ORDER_KEY 0x243f6a8885a308d3ull
#define OFFSET_KEY 0x13198a2e03707344ull
#define SKIP_KEY 0xa4093822299f31d0ull

/* A backend and its place in the order of turns. */
struct place {
	u64 order;
	const struct maglev_backend *backend;
};

/* The finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a bijection in which every
 * input bit reaches every output bit. */
static u64 mix(u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* For a fixed first half a bijection of the second: no two IPv4 addresses share a hash. */
static u64 address_hash(const struct addr *address, u64 key)
{
	return mix(mix(address->halves[0] ^ key) ^ address->halves[1]);
}

struct maglev_permutation maglev_permute(const struct addr *address, u32 m)
{
	u64 offset = address_hash(address, OFFSET_KEY), skip = address_hash(address, SKIP_KEY);

	return (struct maglev_permutation){
		.order = address_hash(address, ORDER_KEY),
		.offset = (u32)((u128)offset * m >> 64),
		.skip = (u32)((u128)skip * (m - 1) >> 64) + 1,
	};
}

bool maglev_prime(u32 m)
{
	if (m < 2 || m % 2 == 0)
		return m == 2;
	for (u32 divisor = 3; (u64)divisor * divisor <= m; divisor += 2) {
		if (m % divisor == 0)
			return false;
	}
	return true;
}

static bool place_before(const struct place *a, const struct place *b)
{
	if (a->order != b->order)
		return a->order < b->order;
	return memcmp(&a->backend->address, &b->backend->address, sizeof(struct addr)) < 0;
}

/* Sorts by what place_before() says. The keys are hashes, so dealing them into as many
 * ranges as there are places leaves next to nothing to the insertion that follows; a
 * comparison sort of 10,000 takes longer than filling 65537 slots. */
static int places_sort(struct place *places, size_t count)
{
	unsigned int bits = 1;
	struct place *from;
	u32 *starts;

	if (count < 2)
		return 0;
	while (count >> bits)
		bits++;
	from = malloc(count * sizeof(*from));
	starts = calloc(((size_t)1 << bits) + 1, sizeof(*starts));
	if (!from || !starts) {
		free(from);
		free(starts);
		return -ENOMEM;
	}
	memcpy(from, places, count * sizeof(*from));
	for (size_t i = 0; i < count; i++)
		starts[(from[i].order >> (64 - bits)) + 1]++;
	for (size_t range = 0; range >> bits == 0; range++)
		starts[range + 1] += starts[range];
	for (size_t i = 0; i < count; i++)
		places[starts[from[i].order >> (64 - bits)]++] = from[i];
	for (size_t i = 1; i < count; i++) {
		struct place place = places[i];
		size_t at = i;

		for (; at > 0 && place_before(&place, &places[at - 1]); at--)
			places[at] = places[at - 1];
		places[at] = place;
	}
	free(starts);
	free(from);
	return 0;
}

/* Equal addresses have equal hashes, so a sort has put them side by side. */
static bool places_distinct(const struct place *places, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (addr_equal(&places[i].backend->address, &places[i - 1].backend->address))
			return false;
	}
	return true;
}

static bool numbers_distinct(const struct maglev_backend *backends, size_t count)
{
	u64 seen[65536 / 64] = {1}; /* 0 is nobody's */

	for (size_t i = 0; i < count; i++) {
		u64 bit = 1ull << (backends[i].number & 63);
		u64 *word = &seen[backends[i].number >> 6];

		if (*word & bit)
			return false;
		*word |= bit;
	}
	return true;
}

static size_t remainders_above(const u64 *remainders, size_t count, u64 bound)
{
	size_t above = 0;

	for (size_t i = 0; i < count; i++)
		above += remainders[i] > bound;
	return above;
}

/* Gives one slot more to the `missing` largest remainders, to the earlier turn among equal
 * ones. The bound between them is found by bisection: no sort, and no bad case. */
static void quotas_complete(struct maglev_turn *turns, const u64 *remainders, size_t count,
			    u64 total_weight, size_t missing)
{
	u64 low = 0, high = total_weight;

	while (low < high) {
		u64 middle = low + (high - low) / 2;

		if (remainders_above(remainders, count, middle) <= missing)
			high = middle;
		else
			low = middle + 1;
	}
	missing -= remainders_above(remainders, count, low);
	for (size_t i = 0; i < count; i++) {
		if (remainders[i] > low) {
			turns[i].quota++;
		} else if (remainders[i] == low && missing > 0) {
			turns[i].quota++;
			missing--;
		}
	}
}

/* Shares m slots by largest remainder. */
static int quotas_assign(struct maglev_turn *turns, const struct place *places, size_t count, u32 m,
			 u64 total_weight)
{
	u64 *remainders = malloc(count * sizeof(*remainders));
	size_t missing = m;

	if (!remainders)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		u64 share = (u64)m * places[i].backend->weight;

		turns[i].quota = (u32)(share / total_weight);
		remainders[i] = share % total_weight;
		missing -= turns[i].quota;
	}
	quotas_complete(turns, remainders, count, total_weight, missing);
	free(remainders);
	return 0;
}

/* The quota of the backend behind an average slot, m * sum(w^2) / sum(w)^2, with 32 bits of
 * fraction. Weights of 32 bits, 65535 backends and m below 2^23 stay within 128 bits. */
static u64 typical_quota(const struct place *places, size_t count, u32 m, u64 total_weight)
{
	u128 total = (u128)total_weight * total_weight, squares = 0, rest;

	for (size_t i = 0; i < count; i++)
		squares += (u64)places[i].backend->weight * places[i].backend->weight;
	squares *= m;
	rest = squares % total;
	return (u64)(squares / total) << 32 | (u64)((rest << 32) / total);
}

/* A backend takes one slot a round up to the typical quota, and what it has beyond that in
 * one go at the end. Spread by a hash over one slot, the change-over does not move for all at once when
 * the typical quota passes a whole number; rounded up, it leaves equal weights to rounds. */
static void rounds_assign(struct maglev_turn *turns, const struct place *places, size_t count,
			  u64 typical)
{
	for (size_t i = 0; i < count; i++) {
		u64 spread = (u32)places[i].order;
		u32 bound = (u32)((typical + (1ull << 32) + spread) >> 32);

		turns[i].rounds = turns[i].quota < bound ? turns[i].quota : bound;
	}
}

static int turns_fill(u16 *table, u32 m, const struct place *places, size_t count)
{
	struct maglev_turn *turns = malloc(count * sizeof(*turns));
	u64 total_weight = 0;
	int err = -ENOMEM;

	if (!turns)
		return err;
	for (size_t i = 0; i < count; i++) {
		struct maglev_permutation permutation =
			maglev_permute(&places[i].backend->address, m);

		turns[i] = (struct maglev_turn){
			.offset = permutation.offset,
			.skip = permutation.skip,
			.weight = places[i].backend->weight,
			.number = places[i].backend->number,
		};
		total_weight += places[i].backend->weight;
	}
	err = quotas_assign(turns, places, count, m, total_weight);
	if (err)
		goto out;
	rounds_assign(turns, places, count, typical_quota(places, count, m, total_weight));
	err = maglev_fill(table, m, turns, count);
out:
	free(turns);
	return err;
}

static size_t places_weighted(struct place *places, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (places[i].backend->weight)
			places[kept++] = places[i];
	}
	return kept;
}

static int places_build(u16 *table, u32 m, struct place *places, size_t count)
{
	int err = places_sort(places, count);

	if (err)
		return err;
	if (!places_distinct(places, count))
		return -EINVAL;
	count = places_weighted(places, count);
	if (count > m)
		return -EINVAL;
	if (count)
		return turns_fill(table, m, places, count);
	memset(table, 0, m * sizeof(*table));
	return 0;
}

int maglev_build(u16 *table, u32 m, const struct maglev_backend *backends, size_t count)
{
	struct place *places;
	int err;

	if (m > MAGLEV_SIZE_MAX || !maglev_prime(m) || !numbers_distinct(backends, count))
		return -EINVAL;
	places = malloc((count ? count : 1) * sizeof(*places));
	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		places[i].order = address_hash(&backends[i].address, ORDER_KEY);
		places[i].backend = &backends[i];
	}
	err = places_build(table, m, places, count);
	free(places);
	return err;
}
