/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/core/maglev.h"

#include "tests/unit/cmocka_help.h"
#include "tests/unit/frames.h"

static void the_low_half_picks_the_slot(void **state)
{
	static const struct {
		u64 hash;
		u32 size, slot;
	} cases[] = {
		{0, 65537, 0},
		{0xffffffff00000000, 65537, 0},
		{0x00000000ffffffff, 65537, 65536},
		{0xffffffffffffffff, 8388593, 8388592},
		{0x80000000, 65537, 32768},
		{0x80000000, 61, 30},
		{0xffffffff, 2, 1},
		{0x7fffffff, 2, 0},
		{0xffffffff, 1, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(maglev_slot(cases[i].hash, cases[i].size), cases[i].slot);
}

static void every_slot_gets_its_share(void **state)
{
	enum { SLOTS = 65537, EACH = 16 };
	struct random random = {99};
	u8 *count = calloc(SLOTS, 1);
	u32 worst = 0;

	for (u32 i = 0; i < SLOTS * EACH; i++)
		count[maglev_slot(random_next(&random), SLOTS)]++;
	for (u32 i = 0; i < SLOTS; i++) {
		assert_true(count[i] > 0);
		worst = count[i] > worst ? count[i] : worst;
	}
	assert_true(worst < 4 * EACH);
	free(count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_low_half_picks_the_slot),
		cmocka_unit_test(every_slot_gets_its_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
