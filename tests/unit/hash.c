/* SPDX-License-Identifier: BSD-2-Clause */
/* The hash is an agreement between balancers: its values are pinned here, worked out with
 * unbounded integers from the formulas. Changing one moves every flow of a fleet. */
#include "dataplane/core/hash.h"

#include "tests/unit/cmocka_help.h"
#include "tests/unit/frames.h"

static struct hash_seed pinned_seed(void)
{
	u8 bytes[16];

	for (u8 i = 0; i < 16; i++)
		bytes[i] = i;
	return hash_seed_derive(bytes);
}

static void derives_the_pinned_seeds(void **state)
{
	struct hash_seed seed = pinned_seed();

	assert_true(seed.flow[0] == 0x0706050403020100);
	assert_true(seed.flow[1] == 0x0f0e0d0c0b0a0908);
	assert_true(seed.fingerprint[0] == 0x0be2d5f2059425d1);
	assert_true(seed.fingerprint[1] == 0x04db3d37a2497a73);
}

static void gives_the_pinned_values(void **state)
{
	static const struct {
		u64 word, flow, fingerprint, unkeyed;
	} cases[] = {
		{0, 0xc83534a39f6630ea, 0x9d12f8a3ef31908a, 0},
		{1, 0xc22719710f51f6f7, 0x4a16357370ff9159, 0xe2399855d6d3a452},
		{0x0102030405060708, 0x2412efe0c34c5bbd, 0xb83187fc9fe059dd, 0xd7d015f59860c033},
		{0xffffffffffffffff, 0x7a95802de5bfb1f3, 0xcb362c3600ab973e, 0x9de260030eb65328},
		{0x0000c0000201c350, 0x02613be4dba55ea7, 0xda724d76a08ece6b, 0x9cd9cd549f8e5a63},
	};
	struct hash_seed seed = pinned_seed();

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(hash_word(cases[i].word, seed.flow) == cases[i].flow);
		assert_true(hash_word(cases[i].word, seed.fingerprint) == cases[i].fingerprint);
		assert_true(hash_unkeyed(cases[i].word) == cases[i].unkeyed);
	}
}

/* A flipped bit of a raw key turns each output bit every other time; over 2000 keys the worst of
 * 3072 pairs is off by five deviations of 0.011. */
static void every_key_bit_reaches_every_result_bit(void **state)
{
	struct hash_seed seed = pinned_seed();
	struct random random = {12345};
	double worst = 0;

	for (u32 in = 0; in < 48; in++) {
		u32 turned[64] = {0};

		for (u32 round = 0; round < 2000; round++) {
			u64 key = random_next(&random) >> 16;
			u64 turn =
				hash_word(key, seed.flow) ^ hash_word(key ^ 1ull << in, seed.flow);

			for (u32 out = 0; out < 64; out++)
				turned[out] += turn >> out & 1;
		}
		for (u32 out = 0; out < 64; out++) {
			double off = turned[out] / 2000.0 - 0.5;

			off = off < 0 ? -off : off;
			worst = off > worst ? off : worst;
		}
	}
	printf("hash: worst avalanche bias %.3f\n", worst);
	assert_true(worst < 0.07);
}

/* Pearson's statistic over `cells` for keys that differ as neighbouring clients do. */
static double chi_square(u32 cells, bool high)
{
	enum { KEYS = 200000 };
	struct hash_seed seed = pinned_seed();
	u32 *count = calloc(cells, sizeof(*count));
	double expected = (double)KEYS / cells, sum = 0;

	for (u32 i = 0; i < KEYS; i++) {
		u64 key = (u64)(0x0a000000 + i / 200) << 16 | (u64)(40000 + i % 200 * 2);
		u64 hash = hash_word(key, seed.flow);

		count[fastrange32((u32)(high ? hash >> 32 : hash), cells)]++;
	}
	for (u32 i = 0; i < cells; i++)
		sum += (count[i] - expected) * (count[i] - expected) / expected;
	free(count);
	return sum;
}

/* With 1009 cells the statistic has mean 1008 and deviation 45: 1280 is six of them off. */
static void both_halves_spread_like_dice(void **state)
{
	double high = chi_square(1009, true), low = chi_square(1009, false);

	printf("hash: chi square over 1009 cells: high %.0f, low %.0f\n", high, low);
	assert_true(high < 1280 && high > 740);
	assert_true(low < 1280 && low > 740);
}

static void fastrange_reaches_both_ends(void **state)
{
	assert_int_equal(fastrange32(0, 61), 0);
	assert_int_equal(fastrange32(0xffffffff, 61), 60);
	assert_int_equal(fastrange32(0xffffffff, 1), 0);
	assert_int_equal(fastrange32(0xffffffff, 0xffffffff), 0xfffffffe);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derives_the_pinned_seeds),
		cmocka_unit_test(gives_the_pinned_values),
		cmocka_unit_test(every_key_bit_reaches_every_result_bit),
		cmocka_unit_test(both_halves_spread_like_dice),
		cmocka_unit_test(fastrange_reaches_both_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
