/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/core/csum.h"

#include "tests/unit/cmocka_help.h"
#include "tests/unit/frames.h"

/* Every carry that the folding can meet; the sum modulo 65535 must stay. */
static void folds_every_carry(void **state)
{
	static const u64 sums[] = {
		0,
		1,
		0xfffe,
		0xffff,
		0x10000,
		0x10001,
		0x1fffe,
		0x1ffff,
		0xffff0000,
		0xffffffff,
		0x100000000,
		0x1ffffffff,
		0xffff0001,
		0xfffeffff,
		0xffffffff00000000,
		0xfffffffffffffffe,
		0xffffffffffffffff,
		0x0001fffeffffffff,
		0xffff0000ffff0000,
		0x00010001fffefffe,
	};

	for (size_t i = 0; i < ARRAY_LEN(sums); i++) {
		u16 folded = csum_fold(sums[i]);

		assert_int_equal(folded % 0xffff, sums[i] % 0xffff);
		/* One's complement has two zeros; a sum of something never folds to 0x0000. */
		assert_int_equal(folded == 0, sums[i] == 0);
	}
}

static void folds_random_sums(void **state)
{
	struct random random = random_start("csum");

	for (u32 i = 0; i < 200000; i++) {
		u64 sum = random_next(&random) >> random_below(&random, 64);

		/* Many bits at their limit: where carries ripple. */
		if (random_one_in(&random, 2))
			sum |= random_next(&random) | random_next(&random) | random_next(&random);
		assert_int_equal(csum_fold(sum) % 0xffff, sum % 0xffff);
	}
}

/* RFC 1071 section 3's own example. */
static void sums_the_example_of_rfc_1071(void **state)
{
	const u8 bytes[8] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	u16 sum = csum_fold(csum_words(bytes, 2));

	assert_int_equal(be16_to_cpu(sum), 0xddf2);
}

static void equals_the_sum_byte_by_byte(void **state)
{
	struct random random = random_start("csum");
	u8 bytes[64 + 4];

	for (u32 round = 0; round < 20000; round++) {
		u32 offset = random_below(&random, 4);
		u32 words = random_below(&random, 17);
		u16 sum;

		for (u32 i = 0; i < sizeof(bytes); i++)
			bytes[i] = random_one_in(&random, 3) ? 0xff : (u8)random_next(&random);
		sum = csum_fold(csum_words(bytes + offset, words));
		assert_int_equal(be16_to_cpu(sum), frame_sum(bytes + offset, words * 4, 0));
	}
}

/* RFC 1624 section 3: every checksum, with every change that is made to a packet here, stays as right
 * or as wrong as it was; and it is the one that summing anew gives, 0xffff never. */
static void mends_every_checksum(void **state)
{
	for (u32 change = 0; change < 2 + 256; change++) {
		u16 from = change == 0   ? BE16(0x0800)
			   : change == 1 ? BE16(0x8000)
					 : BE16((change - 2) << 8);
		u16 to = change == 0 ? 0 : change == 1 ? BE16(0x8100) : BE16(64 << 8);

		for (u32 csum = 0; csum < 0x10000; csum++) {
			u16 mended = csum_replace((u16)csum, from, to);
			u32 wanted = (csum + 0xffff + from - to) % 0xffff;

			if (mended % 0xffff != wanted)
				fail_msg("%04x, %04x for %04x: %04x", csum, to, from, mended);
			if (mended == 0xffff && (from != 0xffff || to != 0))
				assert_true(from == 0 && to == 0);
		}
	}
}

/* Against summing anew, where the words are anything and often at their limits. */
static void mends_as_summing_anew(void **state)
{
	struct random random = random_start("csum");

	for (u32 round = 0; round < 200000; round++) {
		u16 words[4], to = (u16)random_next(&random), csum;

		for (u32 i = 0; i < 4; i++)
			words[i] = random_one_in(&random, 3) ? 0xffff : (u16)random_next(&random);
		if (random_one_in(&random, 3))
			to = random_one_in(&random, 2) ? 0 : 0xffff;
		words[3] |= 1; /* an IP header is never all zeros */
		csum = (u16)~csum_fold(csum_words(words, 2));
		csum = csum_replace(csum, words[1], to);
		words[1] = to;
		assert_int_equal(csum, (u16)~csum_fold(csum_words(words, 2)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folds_every_carry),
		cmocka_unit_test(folds_random_sums),
		cmocka_unit_test(sums_the_example_of_rfc_1071),
		cmocka_unit_test(equals_the_sum_byte_by_byte),
		cmocka_unit_test(mends_every_checksum),
		cmocka_unit_test(mends_as_summing_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
