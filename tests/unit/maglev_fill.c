/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "controlplane/maglev_fill.h"
#include "tests/unit/maglev_sets.h"

#define COUNT_MAX 200
#define SLOTS_MAX 9973
#define WEIGHT_MOST 9

/* NSDI 2016, table 1: three backends, then without B1. */
static void paper_example(void **state)
{
	static const u16 three[7] = {2, 1, 2, 1, 3, 3, 1};
	static const u16 two[7] = {1, 1, 1, 1, 3, 3, 3};
	const struct maglev_turn turns[] = {
		{.offset = 3, .skip = 4, .quota = 3, .rounds = 3, .number = 1},
		{.offset = 0, .skip = 2, .quota = 2, .rounds = 2, .number = 2},
		{.offset = 3, .skip = 1, .quota = 2, .rounds = 2, .number = 3},
	};
	const struct maglev_turn left[] = {
		{.offset = 3, .skip = 4, .quota = 4, .rounds = 4, .number = 1},
		{.offset = 3, .skip = 1, .quota = 3, .rounds = 3, .number = 3},
	};
	u16 table[7];

	assert_int_equal(maglev_fill(table, 7, turns, 3), 0);
	assert_memory_equal(table, three, sizeof(three));
	assert_int_equal(maglev_fill(table, 7, left, 2), 0);
	assert_memory_equal(table, two, sizeof(two));
}

/* The first slot of the permutation, from step *next, that nobody has. */
static void model_take(u16 *table, u32 m, const struct maglev_turn *turn, u64 *next)
{
	while (table[(turn->offset + *next * turn->skip) % m])
		++*next;
	table[(turn->offset + *next * turn->skip) % m] = turn->number;
}

/* The definition, without any of the shortcuts. */
static void model_fill(u16 *table, u32 m, const struct maglev_turn *turns, u32 count)
{
	u64 next[COUNT_MAX] = {0};

	memset(table, 0, m * sizeof(*table));
	for (u32 round = 0; round < m; round++) {
		for (u32 i = 0; i < count; i++) {
			if (round < turns[i].rounds)
				model_take(table, m, &turns[i], &next[i]);
		}
	}
	for (u32 weight = 1; weight <= WEIGHT_MOST; weight++) {
		for (u32 i = 0; i < count; i++) {
			u32 late = turns[i].weight == weight ? turns[i].quota - turns[i].rounds : 0;

			while (late--)
				model_take(table, m, &turns[i], &next[i]);
		}
	}
}

/* Cuts m at random places; then cuts each quota into rounds and the late rest. */
static void turns_random(struct maglev_turn *turns, u32 m, u32 count)
{
	u32 left = m;

	for (u32 i = 0; i < count; i++) {
		u32 quota = i + 1 == count ? left : random_below(2 * (left / (count - i)) + 1);
		u32 rounds = random_below(3) ? random_below(quota + 1) : quota;

		turns[i] = (struct maglev_turn){
			.offset = random_below(m),
			.skip = m > 2 ? 1 + random_below(m - 1) : 1,
			.quota = quota < left ? quota : left,
			.weight = 1 + random_below(WEIGHT_MOST),
			.number = (u16)(i + 1),
		};
		turns[i].rounds = rounds < turns[i].quota ? rounds : turns[i].quota;
		left -= turns[i].quota;
	}
}

static void same_as_model(void **state)
{
	static const u32 sizes[] = {2, 3, 7, 101, 383, 389, 1009, SLOTS_MAX};
	static u16 table[SLOTS_MAX], model[SLOTS_MAX];
	struct maglev_turn turns[COUNT_MAX];

	random_seed("same_as_model");
	for (u32 trial = 0; trial < 400; trial++) {
		u32 m = sizes[trial % (sizeof(sizes) / sizeof(*sizes))];
		u32 count = 1 + random_below(trial % 3 ? 5 : COUNT_MAX);

		turns_random(turns, m, count);
		model_fill(model, m, turns, count);
		assert_int_equal(maglev_fill(table, m, turns, count), 0);
		assert_memory_equal(table, model, m * sizeof(*table));
	}
}

/* The tail's distances at the largest size, where their rounding is coarsest: each backend
 * but the last has a few slots, and the last ones are fought over. */
static void same_as_model_at_largest_size(void **state)
{
	u32 m = MAGLEV_SIZE_MAX, count = COUNT_MAX;
	struct maglev_turn turns[COUNT_MAX];
	u16 *table = calloc(m, sizeof(*table)), *model = calloc(m, sizeof(*model));

	assert_non_null(table);
	assert_non_null(model);
	random_seed("same_as_model_at_largest_size");
	for (u32 i = 0; i < count; i++) {
		turns[i] = (struct maglev_turn){
			.offset = random_below(m),
			.skip = 1 + random_below(m - 1),
			.quota = i ? 2 : m - 2 * (count - 1),
			.number = (u16)(i + 1),
		};
		turns[i].rounds = i ? 0 : turns[i].quota;
	}
	/* The model walks the first one's whole permutation, then each other one's. */
	for (u32 slot = 0, next = turns[0].offset; slot < turns[0].quota; slot++) {
		model[next] = 1;
		next = (next + turns[0].skip) % m;
	}
	for (u32 i = 1; i < count; i++) {
		u64 next = 0;

		model_take(model, m, &turns[i], &next);
		model_take(model, m, &turns[i], &next);
	}
	assert_int_equal(maglev_fill(table, m, turns, count), 0);
	assert_memory_equal(table, model, m * sizeof(*table));
	free(model);
	free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paper_example),
		cmocka_unit_test(same_as_model),
		cmocka_unit_test(same_as_model_at_largest_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
