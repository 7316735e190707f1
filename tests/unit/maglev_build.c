/* SPDX-License-Identifier: BSD-2-Clause */
/* What a table must be, whatever the set: full, fair, the paper's where weights are equal,
 * and the same on every machine. How little a change moves: maglev_disruption.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "controlplane/maglev_build.h"
#include "tests/unit/maglev_sets.h"

#define COUNT_MAX 65535
#define SLOTS_MAX 65537

static struct maglev_backend backends[COUNT_MAX];
static u16 table[SLOTS_MAX], other[SLOTS_MAX];
static u32 held[COUNT_MAX + 1];

static void primes(void **state)
{
	static const u32 prime[] = {2, 3, 5, 7, 101, 65537, 655373, 8388593, 4294967291u};
	static const u32 composite[] = {0, 1, 4, 9, 25, 65535, 65536, 2809, 8392609, 4294967295u};

	for (size_t i = 0; i < sizeof(prime) / sizeof(*prime); i++)
		assert_true(maglev_prime(prime[i]));
	for (size_t i = 0; i < sizeof(composite) / sizeof(*composite); i++)
		assert_false(maglev_prime(composite[i]));
}

/* Builds into table; every slot must hold a number of the set, 1 .. count, and each backend
 * less than one slot more or less than m * weight / total. */
static void assert_full_and_fair(u32 m, u32 count)
{
	u64 total = 0;

	assert_int_equal(maglev_build(table, m, backends, count), 0);
	memset(held, 0, sizeof(held));
	for (u32 slot = 0; slot < m; slot++) {
		assert_in_range(table[slot], 1, count);
		held[table[slot]]++;
	}
	for (u32 i = 0; i < count; i++)
		total += backends[i].weight;
	for (u32 i = 0; i < count; i++) {
		s64 exact = (s64)((u64)m * backends[i].weight);
		s64 got = (s64)(held[backends[i].number] * total);

		assert_true(llabs(got - exact) < (s64)total);
	}
}

static void share_random_weights(void **state)
{
	static const u32 sizes[] = {2, 3, 7, 101, 1009, 65537};

	random_seed("share_random_weights");
	for (u32 trial = 0; trial < 300; trial++) {
		u32 m = sizes[trial % (sizeof(sizes) / sizeof(*sizes))];
		u32 count = 1 + random_below(m < 1000 ? m : 1000);

		backends_random(backends, count, trial % 2 ? 100 : 1);
		assert_full_and_fair(m, count);
	}
	backends_random(backends, 1000, 100);
	assert_full_and_fair(65537, 1000);
}

static void share_skewed_weights(void **state)
{
	random_seed("share_skewed_weights");
	for (u32 trial = 0; trial < 40; trial++) {
		u32 count = 2 + random_below(300);

		backends_random(backends, count, 1);
		for (u32 i = 0; i < count; i++)
			backends[i].weight = 0xffffffffu >> random_below(32);
		assert_full_and_fair(trial % 2 ? 65537 : 1009, count);
	}
	backends_random(backends, 1000, 1);
	backends[500].weight = 1000000;
	assert_full_and_fair(65537, 1000);
	backends[501].weight = 999999;
	assert_full_and_fair(65537, 1000);
}

static void share_extreme_sets(void **state)
{
	random_seed("share_extreme_sets");
	backends_random(backends, COUNT_MAX, 1);
	assert_full_and_fair(7, 1);
	assert_full_and_fair(65537, 1);
	assert_full_and_fair(7, 7);
	assert_full_and_fair(101, 101);
	assert_full_and_fair(9973, 9973);
	assert_full_and_fair(65537, COUNT_MAX);
	for (u32 i = 0; i < COUNT_MAX; i++)
		backends[i].weight = 0xffffffffu - random_below(2);
	assert_full_and_fair(65537, COUNT_MAX);
}

static int earlier(const void *left, const void *right)
{
	const struct maglev_backend *a = left, *b = right;
	u64 x = maglev_permute(&a->address, 2).order, y = maglev_permute(&b->address, 2).order;

	if (x != y)
		return x < y ? -1 : 1;
	return memcmp(&a->address, &b->address, sizeof(a->address));
}

/* NSDI 2016, section 3.4, as printed: entry is -1 where empty. */
static void paper_fill(s64 *entry, u32 m, u32 n)
{
	static u64 next[COUNT_MAX];
	u32 filled = 0;

	memset(next, 0, n * sizeof(*next));
	for (u32 slot = 0; slot < m; slot++)
		entry[slot] = -1;
	for (;;) {
		for (u32 i = 0; i < n; i++) {
			struct maglev_permutation walk = maglev_permute(&backends[i].address, m);
			u64 c = (walk.offset + next[i] * walk.skip) % m;

			while (entry[c] >= 0) {
				next[i]++;
				c = (walk.offset + next[i] * walk.skip) % m;
			}
			entry[c] = i;
			next[i]++;
			if (++filled == m)
				return;
		}
	}
}

static void equal_weights_make_papers_table(void **state)
{
	static const struct {
		u32 m, count;
	} cases[] = {{2, 1},       {2, 2},        {3, 2},        {7, 3},     {101, 100},
		     {101, 101},   {1009, 37},    {9973, 9973},  {65537, 1}, {65537, 100},
		     {65537, 999}, {65537, 1000}, {65537, 10000}};
	static s64 entry[SLOTS_MAX];

	random_seed("equal_weights_make_papers_table");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		u32 m = cases[i].m, count = cases[i].count, weight = 1 + random_below(1000);

		backends_random(backends, count, 1);
		for (u32 j = 0; j < count; j++)
			backends[j].weight = weight;
		assert_int_equal(maglev_build(table, m, backends, count), 0);
		qsort(backends, count, sizeof(*backends), earlier);
		paper_fill(entry, m, count);
		for (u32 slot = 0; slot < m; slot++)
			assert_int_equal(table[slot], backends[entry[slot]].number);
	}
}

static void order_does_not_matter(void **state)
{
	random_seed("order_does_not_matter");
	for (u32 trial = 0; trial < 60; trial++) {
		u32 count = 1 + random_below(trial % 2 ? 20 : 2000), m = trial % 3 ? 65537 : 4099;

		backends_random(backends, count, trial % 4 ? 50 : 1);
		assert_int_equal(maglev_build(table, m, backends, count), 0);
		backends_shuffle(backends, count);
		assert_int_equal(maglev_build(other, m, backends, count), 0);
		assert_memory_equal(table, other, m * sizeof(*table));
	}
}

static void numbers_do_not_matter(void **state)
{
	static u16 renamed[COUNT_MAX + 1];

	random_seed("numbers_do_not_matter");
	for (u32 i = 0; i <= COUNT_MAX; i++)
		renamed[i] = (u16)i;
	for (u32 trial = 0; trial < 40; trial++) {
		u32 count = 1 + random_below(1000);

		for (u32 i = COUNT_MAX; i > 1; i--) {
			u32 j = 1 + random_below(i);
			u16 kept = renamed[i];

			renamed[i] = renamed[j];
			renamed[j] = kept;
		}
		backends_random(backends, count, trial % 2 ? 50 : 1);
		assert_int_equal(maglev_build(table, SLOTS_MAX, backends, count), 0);
		for (u32 i = 0; i < count; i++)
			backends[i].number = renamed[backends[i].number];
		assert_int_equal(maglev_build(other, SLOTS_MAX, backends, count), 0);
		for (u32 slot = 0; slot < SLOTS_MAX; slot++)
			assert_int_equal(other[slot], renamed[table[slot]]);
	}
}

/* Backends without weight are not there, and only the ratio of weights counts. */
static void scale_and_weightless_do_not_matter(void **state)
{
	random_seed("scale_and_weightless_do_not_matter");
	for (u32 trial = 0; trial < 40; trial++) {
		u32 count = 1 + random_below(500);

		backends_random(backends, 2 * count, 60);
		assert_int_equal(maglev_build(table, SLOTS_MAX, backends, count), 0);
		for (u32 i = 0; i < count; i++) {
			backends[i].weight *= 60000000;
			backends[count + i].weight = 0;
		}
		backends_shuffle(backends, 2 * count);
		assert_int_equal(maglev_build(other, SLOTS_MAX, backends, 2 * count), 0);
		assert_memory_equal(table, other, sizeof(table));
	}
}

static void nobody_without_weight(void **state)
{
	static const u16 nobody[101];

	random_seed("nobody_without_weight");
	backends_random(backends, 200, 1);
	for (u32 i = 0; i < 200; i++)
		backends[i].weight = 0;
	memset(table, 0xff, sizeof(table));
	assert_int_equal(maglev_build(table, 101, NULL, 0), 0);
	assert_memory_equal(table, nobody, sizeof(nobody));
	memset(table, 0xff, sizeof(table));
	assert_int_equal(maglev_build(table, 101, backends, 200), 0);
	assert_memory_equal(table, nobody, sizeof(nobody));
	assert_int_equal(table[101], 0xffff);
}

static void assert_refused(u32 m, u32 count)
{
	u16 slots[101], before[101];

	memset(slots, 0x5a, sizeof(slots));
	memset(before, 0x5a, sizeof(before));
	assert_int_equal(maglev_build(slots, m, backends, count), -EINVAL);
	assert_memory_equal(slots, before, sizeof(slots));
}

static void refusals(void **state)
{
	random_seed("refusals");
	backends_random(backends, 200, 5);
	assert_refused(0, 3);
	assert_refused(1, 1);
	assert_refused(100, 3);
	assert_refused(8388617, 3); /* the next prime above MAGLEV_SIZE_MAX */
	assert_refused(101, 102);
	backends[101].weight = 0;
	assert_full_and_fair(101, 101);
	assert_int_equal(maglev_build(table, 101, backends, 102), 0);

	backends[50].number = backends[3].number;
	assert_refused(101, 101);
	backends[50].number = 0;
	assert_refused(101, 101);
	backends[50].number = 51;
	backends[50].address = backends[3].address;
	assert_refused(101, 101);
	backends[50].weight = 0;
	assert_refused(101, 101);
}

static u64 table_digest(u32 m)
{
	u64 digest = 0xcbf29ce484222325ull;

	for (u32 slot = 0; slot < m; slot++) {
		digest = (digest ^ (table[slot] & 0xff)) * 0x100000001b3ull;
		digest = (digest ^ table[slot] >> 8) * 0x100000001b3ull;
	}
	return digest;
}

/* FNV-1a digests from another implementation, made from docs/adr/0002-maglev-fill.md alone,
 * in another language, with fractions. One that changes is a fleet that disagrees during
 * its upgrade, and nearly every flow moved by it. */
static void tables_stay_the_same(void **state)
{
	static const u32 weights[] = {1, 2, 3, 50, 1000};

	for (u32 i = 0; i < 1000; i++) {
		backends[i] = (struct maglev_backend){
			.address = addr_from_v4(BE32(0x0a000001 + i)),
			.weight = 1,
			.number = (u16)(i + 1),
		};
	}
	assert_int_equal(maglev_build(table, 65537, backends, 1000), 0);
	assert_int_equal(table_digest(65537), 0xb61aa22b38b66be8ull);
	for (u32 i = 0; i < 5; i++)
		backends[i].weight = weights[i];
	assert_int_equal(maglev_build(table, 101, backends, 5), 0);
	assert_int_equal(table_digest(101), 0x6cbc3d7cd47d1ed9ull);
	for (u32 i = 0; i < 300; i++) {
		if (i & 1)
			backends[i].address = (struct addr){
				.words = {BE32(0x20010db8), 0, 0, BE32(i)},
			};
		backends[i].weight = i * 7919 % 100 + 1;
	}
	assert_int_equal(maglev_build(table, 65537, backends, 300), 0);
	assert_int_equal(table_digest(65537), 0xafafba4c3c97e604ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(primes),
		cmocka_unit_test(share_random_weights),
		cmocka_unit_test(share_skewed_weights),
		cmocka_unit_test(share_extreme_sets),
		cmocka_unit_test(equal_weights_make_papers_table),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(numbers_do_not_matter),
		cmocka_unit_test(scale_and_weightless_do_not_matter),
		cmocka_unit_test(nobody_without_weight),
		cmocka_unit_test(refusals),
		cmocka_unit_test(tables_stay_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
