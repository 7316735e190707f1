/* SPDX-License-Identifier: BSD-2-Clause */
/* Every sample cut at every length, and with every byte spoilt, in a block of exactly its size:
 * the sanitizers see any step beyond. Alone and in a burst it must come out the same, and only
 * a packet that is there as a whole may go out. */
#include "dataplane/burst/burst.h"

#include "tests/unit/cmocka_help.h"
#include "tests/unit/fixture.h"
#include "tests/unit/samples.h"

/* The frame at the end of a block without a byte to spare on either side. */
struct block {
	u8 *bytes;
	u32 headroom, len;
};

static struct block block_new(const u8 *frame, u32 len, u32 headroom)
{
	struct block block = {malloc(headroom + len), headroom, len};

	frame_require(block.bytes != NULL);
	if (len)
		memcpy(block.bytes + headroom, frame, len);
	return block;
}

static enum verdict run_burst(struct fixture *fixture, const struct block *block, u32 frame_bytes,
			      struct burst *burst)
{
	burst->count = 1;
	burst->station = fixture->station;
	burst->frame[0] = block->bytes + block->headroom;
	burst->contiguous_bytes[0] = block->len;
	burst->frame_bytes[0] = frame_bytes;
	burst->headroom_bytes[0] = block->headroom;
	burst_process(&fixture->env, burst);
	return burst->verdict[0];
}

static bool is_forwarded(enum verdict verdict)
{
	return verdict_action(verdict) == ACTION_FORWARD;
}

/* What went out, from the outer IP header on, says the same length in every place. */
static void check_lengths(const u8 *frame, u32 frame_bytes, const struct backend *backend)
{
	const u8 *outer = frame + 14;
	u32 overhead = encap_overhead(backend);
	const u8 *inner = outer + overhead;
	u32 inner_len = frame_bytes - 14 - overhead;

	if (frame[12] == 0x86) {
		assert_int_equal(get16(outer + 4) + 40, frame_bytes - 14);
	} else {
		assert_int_equal(get16(outer + 2), frame_bytes - 14);
		assert_true(frame_ipv4_is_sealed(outer));
	}
	if (inner[0] >> 4 == 6) {
		assert_int_equal(get16(inner + 4) + 40, inner_len);
	} else {
		assert_int_equal(get16(inner + 2), inner_len);
		assert_true(frame_ipv4_is_sealed(inner));
	}
}

/* Both ways with the same bytes; returns the verdict that they share. */
static enum verdict run_both(struct fixture *fixture, const u8 *frame, u32 len)
{
	static struct burst burst;
	struct block alone = block_new(frame, len, ENCAP_OVERHEAD_MAX);
	struct block together = block_new(frame, len, ENCAP_OVERHEAD_MAX);
	struct outcome outcome =
		fixture_forward(fixture, alone.bytes + alone.headroom, len, alone.headroom);
	enum verdict verdict;

	memset(fixture->recent.told_ms, 0,
	       sizeof(fixture->recent.told_ms)); /* a sender told twice */
	verdict = run_burst(fixture, &together, len, &burst);
	memset(fixture->recent.told_ms, 0, sizeof(fixture->recent.told_ms));
	assert_int_equal(verdict, outcome.verdict);
	if (verdict_sends(verdict)) {
		assert_int_equal(burst.frame_bytes[0], outcome.frame_bytes);
		assert_memory_equal(burst.frame[0], outcome.frame, outcome.frame_bytes);
		assert_true(outcome.frame + outcome.frame_bytes <=
			    alone.bytes + alone.headroom + len);
		if (is_forwarded(verdict))
			check_lengths(outcome.frame, outcome.frame_bytes, outcome.backend);
	} else {
		assert_ptr_equal(burst.frame[0], together.bytes + together.headroom);
		if (len)
			assert_memory_equal(burst.frame[0], frame, len);
	}
	free(alone.bytes);
	free(together.bytes);
	return verdict;
}

static void cut_at_every_length(void **state)
{
	struct fixture *fixture = fixture_new(0);
	u32 runs = 0;

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct frame frame;
		u32 whole;

		sample_build(&samples[i], &frame);
		whole = frame.len - samples[i].spec.padding_bytes;
		for (u32 len = 0; len <= frame.len; len++, runs++) {
			enum verdict verdict = run_both(fixture, frame.bytes, len);

			if (len < 14)
				assert_int_equal(verdict, VERDICT_TRUNCATED);
			if (is_forwarded(verdict) &&
			    (len < whole || !is_forwarded(samples[i].verdict)))
				fail_msg("%s: forwarded when cut at %u", samples[i].name, len);
			if (len >= whole)
				assert_int_equal(verdict, samples[i].verdict);
		}
	}
	printf("truncation: %zu samples, %u runs\n", ARRAY_LEN(samples), runs);
	fixture_free(fixture);
}

static void spoilt_at_every_byte(void **state)
{
	struct fixture *fixture = fixture_new(0);
	u32 forwarded = 0, runs = 0;

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct frame frame;
		u32 limit;

		sample_build(&samples[i], &frame);
		limit = frame.len < 130 ? frame.len : 130;
		for (u32 at = 0; at < limit; at++) {
			u8 was = frame.bytes[at];

			for (u32 k = 0; k < 10; k++, runs++) {
				frame.bytes[at] = k < 8 ? (u8)(was ^ 1 << k) : k == 8 ? 0 : 0xff;
				forwarded +=
					is_forwarded(run_both(fixture, frame.bytes, frame.len));
			}
			frame.bytes[at] = was;
		}
	}
	printf("truncation: %u of %u spoilt frames were still forwarded\n", forwarded, runs);
	assert_true(forwarded > 1000);
	fixture_free(fixture);
}

/* Frames in two pieces, the first of every length: headers that the cursor cannot show are
 * never guessed. */
static void split_at_every_length(void **state)
{
	struct fixture *fixture = fixture_new(0);

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct frame frame;
		static struct burst burst;

		sample_build(&samples[i], &frame);
		for (u32 first = 0; first <= frame.len; first++) {
			struct block block = block_new(frame.bytes, first, ENCAP_OVERHEAD_MAX);
			enum verdict verdict = run_burst(fixture, &block, frame.len, &burst);

			/* ICMP, and what is answered, has to be seen as a whole. */
			if (verdict != VERDICT_TRUNCATED && verdict != VERDICT_OTHER_ADDRESS &&
			    (verdict_sends(verdict) || samples[i].spec.about == NULL) &&
			    (verdict_sends(verdict) ||
			     verdict_action(samples[i].verdict) != ACTION_REPLY) &&
			    verdict != samples[i].verdict)
				fail_msg("%s: %s when split at %u", samples[i].name,
					 verdict_reason(verdict), first);
			free(block.bytes);
		}
	}
	fixture_free(fixture);
}

static void every_headroom_short_of_enough(void **state)
{
	struct fixture *fixture = fixture_new(0);

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct frame frame;

		if (samples[i].verdict != VERDICT_MAGLEV)
			continue;
		sample_build(&samples[i], &frame);
		for (u32 headroom = 0; headroom <= ENCAP_OVERHEAD_MAX; headroom++) {
			static struct burst burst;
			struct block block = block_new(frame.bytes, frame.len, headroom);
			enum verdict verdict = run_burst(fixture, &block, frame.len, &burst);
			bool enough = headroom + frame_tags_bytes(&frame) >=
				      encap_overhead(burst.backend[0]);

			assert_int_equal(verdict, enough ? VERDICT_MAGLEV : VERDICT_NO_HEADROOM);
			if (!enough)
				assert_memory_equal(block.bytes + headroom, frame.bytes, frame.len);
			free(block.bytes);
		}
	}
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_at_every_length),
		cmocka_unit_test(spoilt_at_every_byte),
		cmocka_unit_test(split_at_every_length),
		cmocka_unit_test(every_headroom_short_of_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
