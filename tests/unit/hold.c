/* SPDX-License-Identifier: BSD-2-Clause */
/* Fragments that wait for their first one: which go when, and that they never wait for long. */
#include "dataplane/burst/hold.h"

#include "tests/unit/cmocka_help.h"
#include "tests/unit/frames.h"

struct waiting {
	struct hold hold;
	struct env_recent recent;
	struct held out;
};

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct waiting));
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static bool put(struct waiting *waiting, const char *name, u64 datagram, u32 since_ms)
{
	const struct held held = {
		.frame = (void *)(size_t)name,
		.datagram = datagram,
		.since_ms = since_ms,
	};

	return hold_put(&waiting->hold, &held);
}

/* The name of what is released next; "" where nothing is. */
static const char *released(struct waiting *waiting)
{
	return hold_release(&waiting->hold, &waiting->recent, &waiting->out) ? waiting->out.frame
									     : "";
}

static void first_comes(struct waiting *waiting, u64 datagram)
{
	waiting->recent.kept[waiting->recent.kept_count++] = datagram;
}

static void a_first_one_releases_its_own_in_order(void **state)
{
	struct waiting *waiting = *state;

	put(waiting, "a1", 0xa00, 1);
	put(waiting, "b1", 0xb00, 2);
	put(waiting, "a2", 0xa00, 3);
	put(waiting, "c1", 0xc00, 4);
	assert_string_equal(released(waiting), "");
	first_comes(waiting, 0xd00);
	first_comes(waiting, 0xa00);
	assert_string_equal(released(waiting), "a1");
	assert_string_equal(released(waiting), "a2");
	assert_string_equal(released(waiting), "");
	assert_int_equal(waiting->recent.kept_count, 0); /* told once */
	first_comes(waiting, 0xc00);
	first_comes(waiting, 0xb00);
	assert_string_equal(released(waiting), "b1");
	assert_string_equal(released(waiting), "c1");
	assert_string_equal(released(waiting), "");
	assert_int_equal(waiting->hold.count, 0);
}

static void nobody_waits_for_long(void **state)
{
	struct waiting *waiting = *state;
	u32 now_ms = UINT32_MAX - 100; /* the clock wraps around */

	put(waiting, "a1", 0xa00, now_ms);
	put(waiting, "b1", 0xb00, now_ms + 50);
	assert_false(hold_expire(&waiting->hold, now_ms + HOLD_MS - 1, &waiting->out));
	assert_true(hold_expire(&waiting->hold, now_ms + HOLD_MS, &waiting->out));
	assert_string_equal(waiting->out.frame, "a1");
	assert_false(hold_expire(&waiting->hold, now_ms + HOLD_MS, &waiting->out));
	first_comes(waiting, 0xa00);
	assert_string_equal(released(waiting), "");
	assert_true(hold_expire(&waiting->hold, now_ms + HOLD_MS + 50, &waiting->out));
	assert_false(hold_expire(&waiting->hold, now_ms + 9 * HOLD_MS, &waiting->out));
}

/* Its first fragment came, and was pushed out of the table before it: back in its place it would be
 * released again at once, and so on. */
static void what_is_released_does_not_wait_again(void **state)
{
	struct waiting *waiting = *state;

	put(waiting, "a1", 0xa00, 1);
	put(waiting, "a2", 0xa00, 1);
	first_comes(waiting, 0xa00);
	assert_string_equal(released(waiting), "a1");
	assert_false(put(waiting, "a1", 0xa00, 1));
	assert_string_equal(released(waiting), "a2");
	assert_false(put(waiting, "a2", 0xa00, 1));
	assert_true(hold_pending(&waiting->hold, &waiting->recent));
	assert_string_equal(released(waiting), "");
	assert_false(hold_pending(&waiting->hold, &waiting->recent));
	assert_true(put(waiting, "a3", 0xa00, 2));
}

/* A first fragment that came while nobody waited is no news to who waits later. */
static void what_came_long_ago_releases_nobody(void **state)
{
	struct waiting *waiting = *state;

	assert_false(hold_pending(&waiting->hold, &waiting->recent));
	first_comes(waiting, 0xa00);
	assert_true(hold_pending(&waiting->hold, &waiting->recent));
	assert_string_equal(released(waiting), "");
	put(waiting, "a1", 0xa00, 1);
	assert_string_equal(released(waiting), "");
	assert_int_equal(waiting->hold.count, 1);
}

static void places_are_few(void **state)
{
	struct waiting *waiting = *state;

	for (u32 i = 0; i < HOLD_MAX; i++)
		assert_true(put(waiting, "x", 0x100 * (i + 1), 0));
	assert_false(put(waiting, "y", 0xff00, 0));
	first_comes(waiting, 0x100);
	assert_string_equal(released(waiting), "x");
	assert_string_equal(released(waiting), "");
	assert_true(put(waiting, "y", 0xff00, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_test_between(a_first_one_releases_its_own_in_order),
		unit_test_between(nobody_waits_for_long),
		unit_test_between(what_is_released_does_not_wait_again),
		unit_test_between(what_came_long_ago_releases_nobody),
		unit_test_between(places_are_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
