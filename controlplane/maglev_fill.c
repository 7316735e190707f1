/* SPDX-License-Identifier: BSD-2-Clause */
/* Deals out the slots of a Maglev table (Eisenbud et al., NSDI 2016, section 3.4).
 *
 * The paper's loop spends its time on probes: a turn walks along its permutation until it
 * finds a free slot, m / free probes of which nearly all hit taken ones, m * ln(m) over the
 * table. Three things make the same table sooner:
 * - a probe is an add and a conditional subtract, no division, and reads one bit: the bits
 *   of 65537 slots fit in a quarter of a first-level cache;
 * - four probes are made at once, so that a turn's length costs few mispredicted branches;
 * - the last slots are not probed for at all. A slot stands (slot - position) / skip (mod m)
 *   steps ahead of a runner, so with the inverse of skip as a 64-bit binary fraction of m,
 *   the product of (slot - position) and that fraction orders the free slots by distance,
 *   and the smallest product is the slot that probing would have ended at.
 *
 * Rounds come first, then the late blocks: docs/adr/0002-maglev-fill.md says why. */
#include "controlplane/maglev_fill.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

__extension__ typedef unsigned __int128 u128;

/* At so many free slots measuring the distance of each gets cheaper than probing for one;
 * fastest for m = 65537, and nearly as good for the others. */
#define TAIL_SLOTS 384

struct runner {
	u32 position; /* the next slot of its permutation */
	u32 skip;
	u32 rounds; /* turns still to come, one a round */
	u32 late;   /* slots taken in one go after the rounds */
	u32 weight;
	u64 fraction; /* 1 / skip (mod m), over m, times 2^64; 0 until the tail needs it */
	u16 number;
};

struct fill {
	u16 *table;
	u64 *taken; /* one bit a slot */
	u32 m;
	u32 free_count;
	u32 tail[TAIL_SLOTS]; /* the free slots, once so few are left */
};

/* For a below 2 * m; the smaller of a and a - m, which wraps to a huge value below m. */
static always_inline u32 reduce(u32 a, u32 m)
{
	u32 less = a - m;

	return a < less ? a : less;
}

static always_inline u32 slot_taken(const u64 *taken, u32 slot)
{
	return (u32)(taken[slot >> 6] >> (slot & 63)) & 1;
}

/* The first free slot at or after position on the runner's permutation. */
static always_inline u32 slot_probe(const u64 *taken, u32 position, u32 skip, u32 m)
{
	u32 skip2 = reduce(skip + skip, m), skip4 = reduce(skip2 + skip2, m);
	u32 at[4] = {position};

	for (;;) {
		u32 all;

		at[1] = reduce(at[0] + skip, m);
		at[2] = reduce(at[0] + skip2, m);
		at[3] = reduce(at[1] + skip2, m);
		all = slot_taken(taken, at[0]) | slot_taken(taken, at[1]) << 1 |
		      slot_taken(taken, at[2]) << 2 | slot_taken(taken, at[3]) << 3;
		if (likely(all != 15))
			return at[__builtin_ctz(~all)];
		at[0] = reduce(at[0] + skip4, m);
	}
}

/* 1 / skip (mod m), by Euclid. */
static u32 inverse(u32 skip, u32 m)
{
	u32 a = m, b = skip;
	s64 x = 0, y = 1;

	while (b) {
		u32 quotient = a / b, rest = a % b;
		s64 next = x - (s64)quotient * y;

		a = b;
		b = rest;
		x = y;
		y = next;
	}
	return (u32)(x < 0 ? x + m : x);
}

/* Rounding is off by less than one in 2^64, times a difference below m: far less than the
 * 2^64 / m between the products of two slots. A slot at position itself has exactly 0. */
static u64 inverse_fraction(u32 skip, u32 m)
{
	u64 scaled = (u64)inverse(skip, m) << 32;

	return (scaled / m) << 32 | ((scaled % m) << 32) / m;
}

/* Collects the free slots; a free slot's table entry holds its place in the list. */
static void tail_start(struct fill *fill)
{
	u32 count = 0;

	for (u32 slot = 0; slot < fill->m; slot++) {
		if (slot_taken(fill->taken, slot))
			continue;
		fill->table[slot] = (u16)count;
		fill->tail[count++] = slot;
	}
	assert(count == fill->free_count);
}

static always_inline u64 lesser(u64 a, u64 b)
{
	return a < b ? a : b;
}

/* The least distance of a free slot, in units where m is 2^64. Four minima side by side: a
 * product can be had every cycle, but a minimum waits two for the one before. */
static u64 tail_distance(const struct fill *fill, u64 position, u64 fraction)
{
	u64 a = ~0ull, b = ~0ull, c = ~0ull, d = ~0ull;
	u32 i = 0;

	for (; i + 4 <= fill->free_count; i += 4) {
		a = lesser(a, (fill->tail[i] - position) * fraction);
		b = lesser(b, (fill->tail[i + 1] - position) * fraction);
		c = lesser(c, (fill->tail[i + 2] - position) * fraction);
		d = lesser(d, (fill->tail[i + 3] - position) * fraction);
	}
	for (; i < fill->free_count; i++)
		a = lesser(a, (fill->tail[i] - position) * fraction);
	return lesser(lesser(a, b), lesser(c, d));
}

/* What slot_probe() would find. */
static u32 tail_nearest(const struct fill *fill, struct runner *runner)
{
	u64 steps;

	if (!runner->fraction)
		runner->fraction = inverse_fraction(runner->skip, fill->m);
	steps = tail_distance(fill, runner->position, runner->fraction) + (1ull << 32);
	steps = (u64)((u128)steps * fill->m >> 64);
	return (u32)((runner->position + steps * runner->skip) % fill->m);
}

static void tail_take(struct fill *fill, struct runner *runner)
{
	u32 slot = tail_nearest(fill, runner), place = fill->table[slot];
	u32 last = fill->tail[--fill->free_count];

	fill->tail[place] = last;
	fill->table[last] = (u16)place;
	fill->table[slot] = runner->number;
	runner->position = reduce(slot + runner->skip, fill->m);
}

static always_inline void slot_take(struct fill *fill, struct runner *runner)
{
	u32 slot;

	if (unlikely(fill->free_count <= TAIL_SLOTS)) {
		tail_take(fill, runner);
		return;
	}
	slot = slot_probe(fill->taken, runner->position, runner->skip, fill->m);
	fill->taken[slot >> 6] |= 1ull << (slot & 63);
	fill->table[slot] = runner->number;
	runner->position = reduce(slot + runner->skip, fill->m);
	if (unlikely(--fill->free_count == TAIL_SLOTS))
		tail_start(fill);
}

/* Every free slot to one runner: where it takes them all, their order doesn't matter. */
static void rest_take(struct fill *fill, const struct runner *runner)
{
	if (fill->free_count <= TAIL_SLOTS) {
		while (fill->free_count)
			fill->table[fill->tail[--fill->free_count]] = runner->number;
		return;
	}
	for (u32 slot = 0; slot < fill->m; slot++) {
		if (!slot_taken(fill->taken, slot))
			fill->table[slot] = runner->number;
	}
	fill->free_count = 0;
}

static void slots_take(struct fill *fill, struct runner *runner, u32 count)
{
	if (count == fill->free_count) {
		rest_take(fill, runner);
		return;
	}
	while (count--)
		slot_take(fill, runner);
}

/* Drops those without another round, keeping the order; lowers the others' rounds. */
static size_t active_advance(struct runner **active, size_t count, u32 rounds)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		active[i]->rounds -= rounds;
		if (active[i]->rounds)
			active[kept++] = active[i];
	}
	return kept;
}

static void rounds_run(struct fill *fill, struct runner **active, size_t count)
{
	count = active_advance(active, count, 0);
	while (count) {
		u32 rounds = active[0]->rounds;

		for (size_t i = 1; i < count; i++)
			rounds = active[i]->rounds < rounds ? active[i]->rounds : rounds;
		if (count == 1) {
			slots_take(fill, active[0], rounds);
			return;
		}
		for (u32 round = 0; round < rounds; round++) {
			for (size_t i = 0; i < count; i++)
				slot_take(fill, active[i]);
		}
		count = active_advance(active, count, rounds);
	}
}

static int lighter(const void *left, const void *right)
{
	const struct runner *a = *(struct runner *const *)left;
	const struct runner *b = *(struct runner *const *)right;

	if (a->weight != b->weight)
		return a->weight < b->weight ? -1 : 1;
	return a < b ? -1 : a > b;
}

static void late_run(struct fill *fill, struct runner *runners, struct runner **late, size_t count)
{
	size_t late_count = 0;

	for (size_t i = 0; i < count; i++) {
		if (runners[i].late)
			late[late_count++] = &runners[i];
	}
	qsort(late, late_count, sizeof(*late), lighter);
	for (size_t i = 0; i < late_count; i++)
		slots_take(fill, late[i], late[i]->late);
}

static void runners_start(struct runner *runners, struct runner **active,
			  const struct maglev_turn *turns, size_t count, u32 m)
{
	u64 sum = 0;

	for (size_t i = 0; i < count; i++) {
		const struct maglev_turn *turn = &turns[i];

		assert(turn->offset < m && turn->skip > 0 && turn->skip < m);
		assert(turn->rounds <= turn->quota);
		runners[i] = (struct runner){
			.position = turn->offset,
			.skip = turn->skip,
			.rounds = turn->rounds,
			.late = turn->quota - turn->rounds,
			.weight = turn->weight,
			.number = turn->number,
		};
		active[i] = &runners[i];
		sum += turn->quota;
	}
	assert(sum == m);
}

int maglev_fill(u16 *table, u32 m, const struct maglev_turn *turns, size_t count)
{
	struct fill fill = {.table = table, .m = m, .free_count = m};
	struct runner *runners = calloc(count, sizeof(*runners));
	struct runner **active = calloc(count, sizeof(*active));
	int err = -ENOMEM;

	fill.taken = calloc(m / 64 + 1, sizeof(*fill.taken));
	if (!runners || !active || !fill.taken)
		goto out;
	runners_start(runners, active, turns, count, m);
	if (m <= TAIL_SLOTS)
		tail_start(&fill);
	rounds_run(&fill, active, count);
	late_run(&fill, runners, active, count);
	assert(fill.free_count == 0);
	err = 0;
out:
	free(fill.taken);
	free(active);
	free(runners);
	return err;
}
