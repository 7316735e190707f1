/* SPDX-License-Identifier: BSD-2-Clause */
/* How many slots change hands when a set changes, as means over many random changes of
 * several random sets. The first three bounds hold the paper's own fill, the next two what
 * was added for weights, and the last ones what a better mean must not be bought with: see
 * docs/adr/0002-maglev-fill.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "controlplane/maglev_build.h"
#include "tests/unit/maglev_sets.h"

#define SLOTS 65537
#define COUNT_MAX 1000

struct change {
	const char *what;
	u32 count;
	u32 weight_least, weight_most;
	u32 removed;   /* so many go at once, or */
	u32 raised_by; /* one weight is raised by so much, or */
	u32 added;     /* one of this weight comes */
	u32 sets;
	u32 changes; /* of each set */
	double most_percent;
};

/* The weighted ones are spread widest, by the weight of whichever backend goes: so more of
 * them, for a mean that another seed doesn't move past its bound. */
static const struct change changes[] = {
	{"1000 equal, one removed", 1000, 1, 1, 1, 0, 0, 8, 20, 0.72},
	{"1000 equal, ten removed", 1000, 1, 1, 10, 0, 0, 8, 20, 3.4},
	{"100 equal, one removed", 100, 1, 1, 1, 0, 0, 8, 20, 1.6},
	{"1000 of weight 1-100, one removed", 1000, 1, 100, 1, 0, 0, 40, 40, 0.6},
	{"1000 of weight 1-100, one raised by 1", 1000, 1, 100, 0, 1, 0, 40, 20, 0.05},
	{"100 of weight 1-100, one removed", 100, 1, 100, 1, 0, 0, 20, 20, 1.8},
	{"1000 of weight 10, one raised by 1", 1000, 10, 10, 0, 1, 0, 8, 10, 0.02},
	{"10 of weight 100, one raised by 1", 10, 100, 100, 0, 1, 0, 20, 2, 0.15},
	{"10 of weight 100, one of weight 1 comes", 10, 100, 100, 0, 0, 1, 20, 2, 0.4},
};

static struct maglev_backend backends[COUNT_MAX + 1], changed[COUNT_MAX + 1];
static u16 before[SLOTS], after[SLOTS];

/* Makes the changed set; a random order of backends makes its head a random choice. */
static u32 set_change(const struct change *change)
{
	u32 count = change->count;

	backends_shuffle(backends, count);
	memcpy(changed, backends, sizeof(backends));
	changed[0].weight += change->raised_by;
	if (change->added) {
		changed[count] = (struct maglev_backend){
			.address = {.words = {BE32(0xfd000000), (u32)random_u64(), 0, BE32(1)}},
			.weight = change->added,
			.number = (u16)(count + 1),
		};
		count++;
	}
	memmove(changed, changed + change->removed, (count - change->removed) * sizeof(*changed));
	return count - change->removed;
}

static double change_percent(const struct change *change)
{
	u32 count = set_change(change), moved = 0;

	assert_int_equal(maglev_build(after, SLOTS, changed, count), 0);
	for (u32 slot = 0; slot < SLOTS; slot++)
		moved += before[slot] != after[slot];
	return 100.0 * moved / SLOTS;
}

static double mean_percent(const struct change *change)
{
	double sum = 0;

	for (u32 set = 0; set < change->sets; set++) {
		u32 range = change->weight_most - change->weight_least + 1;

		backends_random(backends, change->count, range);
		for (u32 i = 0; i < change->count; i++)
			backends[i].weight += change->weight_least - 1;
		assert_int_equal(maglev_build(before, SLOTS, backends, change->count), 0);
		for (u32 i = 0; i < change->changes; i++)
			sum += change_percent(change);
	}
	return sum / (change->sets * change->changes);
}

static void disruption_bounded(void **state)
{
	bool bounded = true;

	random_seed("disruption_bounded");
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		double mean = mean_percent(&changes[i]);

		printf("%-40s %4u times: %.4f %% of slots moved, at most %.2f\n", changes[i].what,
		       changes[i].sets * changes[i].changes, mean, changes[i].most_percent);
		bounded = bounded && mean <= changes[i].most_percent;
	}
	assert_true(bounded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(disruption_bounded)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
