/* SPDX-License-Identifier: BSD-2-Clause */
/* What a slot held before it changed, and for how long that is remembered. */
#include "tests/unit/cmocka_help.h"

#include <errno.h>
#include <string.h>

#include "controlplane/maglev_history.h"

#define SIZE 7
#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
#define SECOND 1000

struct fixture {
	struct arena_writer *writer;
	struct maglev_history *history;
	u64 generation;
};

static const u16 numbers[] = {1, 2, 3, 4};

static struct arena_writer *arena(void)
{
	struct arena_writer *writer;

	assert_int_equal(arena_writer_create(64 << 10, 1, 1, 16, &writer), 0);
	return writer;
}

static struct fixture fixture_open(void)
{
	struct fixture fixture = {.writer = arena()};

	assert_int_equal(maglev_history_create(&fixture.history), 0);
	return fixture;
}

static void fixture_close(struct fixture *fixture)
{
	maglev_history_destroy(fixture->history);
	arena_writer_destroy(fixture->writer);
}

static u64 table(struct arena_writer *writer, const char *slots)
{
	u64 offset = arena_writer_alloc(writer, SIZE * sizeof(u16));
	u16 *out = arena_writer_at(writer, offset);

	assert_true(offset != 0);
	for (u32 i = 0; i < SIZE; i++)
		out[i] = (u16)(slots[i] - '0');
	return offset;
}

/* The slots at an offset as text. */
static const char *slots_at(const struct arena_writer *writer, u64 offset)
{
	static char text[SIZE + 1];
	const u16 *slots = arena_writer_at(writer, offset);

	for (u32 i = 0; i < SIZE; i++)
		text[i] = (char)('0' + slots[i]);
	return text;
}

static u64 step_as(struct fixture *fixture, u16 service, u64 offset, size_t numbers_count)
{
	const struct maglev_present present = {
		.service_number = service,
		.size = SIZE,
		.offset = offset,
		.numbers = numbers,
		.numbers_count = numbers_count,
	};
	u64 previous_offset = 0;

	assert_int_equal(maglev_history_step(fixture->history, &present, &previous_offset), 0);
	return previous_offset;
}

static void finish(struct fixture *fixture)
{
	u64 root = arena_writer_alloc(fixture->writer, sizeof(struct arena_root));

	arena_writer_publish(fixture->writer, root, ++fixture->generation);
	maglev_history_end(fixture->history, true);
	arena_writer_reclaim(fixture->writer, fixture->generation);
}

/* One service's table in one generation; returns the text of its previous table. */
static const char *publish_as(struct fixture *fixture, const char *slots, u64 now_ms,
			      size_t numbers_count)
{
	u64 previous_offset;

	maglev_history_begin(fixture->history, fixture->writer, now_ms);
	previous_offset = step_as(fixture, 9, table(fixture->writer, slots), numbers_count);
	finish(fixture);
	return slots_at(fixture->writer, previous_offset);
}

static const char *publish(struct fixture *fixture, const char *slots, u64 now_ms)
{
	return publish_as(fixture, slots, now_ms, ARRAY_LEN(numbers));
}

static void a_changed_slot_is_remembered_until_it_settles(void **state)
{
	struct fixture fixture = fixture_open();

	assert_string_equal(publish(&fixture, "1112223", 0), "1112223");
	assert_int_equal(maglev_history_due_ms(fixture.history), 0);
	assert_string_equal(publish(&fixture, "1112224", 10 * SECOND), "1112223");
	assert_int_equal(maglev_history_due_ms(fixture.history), 13 * SECOND);
	assert_string_equal(publish(&fixture, "1112224", 13 * SECOND - 1), "1112223");
	assert_string_equal(publish(&fixture, "1112224", 13 * SECOND), "1112224");
	assert_int_equal(maglev_history_due_ms(fixture.history), 0);
	fixture_close(&fixture);
}

/* Two changes within one handshake: what counts is where it began. */
static void a_slot_that_changes_again_keeps_its_first_backend(void **state)
{
	struct fixture fixture = fixture_open();

	publish(&fixture, "1111111", 0);
	assert_string_equal(publish(&fixture, "2111111", 10), "1111111");
	assert_string_equal(publish(&fixture, "3211111", 20), "1111111");
	assert_string_equal(publish(&fixture, "4231111", 2000), "1111111");
	/* Slot 1 has stood still since 20, slots 0 and 2 since 2000. */
	assert_string_equal(publish(&fixture, "4231111", 3020), "1211111");
	assert_string_equal(publish(&fixture, "1231111", 3030), "1211111");
	assert_string_equal(publish(&fixture, "1231111", 6030), "1231111");
	assert_int_equal(maglev_history_due_ms(fixture.history), 0);
	fixture_close(&fixture);
}

/* Its number may soon be somebody else's. */
static void a_removed_backend_is_no_previous(void **state)
{
	struct fixture fixture = fixture_open();

	publish(&fixture, "1234000", 0);
	assert_string_equal(publish_as(&fixture, "1231333", 10, 3), "1231333");
	assert_string_equal(publish_as(&fixture, "1221333", 20, 3), "1231333");
	assert_string_equal(publish_as(&fixture, "1221222", 30, 2), "1221222");
	fixture_close(&fixture);
}

static void what_was_not_published_did_not_happen(void **state)
{
	struct fixture fixture = fixture_open();

	publish(&fixture, "1111111", 0);
	maglev_history_begin(fixture.history, fixture.writer, 10);
	step_as(&fixture, 9, table(fixture.writer, "2222222"), 4);
	arena_writer_abandon(fixture.writer);
	maglev_history_end(fixture.history, false);
	assert_int_equal(maglev_history_due_ms(fixture.history), 0);
	assert_string_equal(publish(&fixture, "3111111", 20), "1111111");
	fixture_close(&fixture);
}

/* The past crosses over to a new arena. */
static void a_new_arena_has_the_past_of_the_old_one(void **state)
{
	struct fixture fixture = fixture_open();
	struct arena_writer *old = fixture.writer;

	publish(&fixture, "1111111", 0);
	publish(&fixture, "2111111", 10);
	fixture.writer = arena();
	fixture.generation = 0;
	assert_string_equal(publish(&fixture, "2311111", 20), "1111111");
	memset(arena_writer_at(old, ARENA_HEADER_BYTES), 0xff, 4096);
	arena_writer_destroy(old);
	assert_string_equal(publish(&fixture, "2311111", 3010), "2111111");
	assert_string_equal(publish(&fixture, "2311111", 3020), "2311111");
	fixture_close(&fixture);
}

/* Services with one table and one past share the previous table too; those that part, part. */
static void services_share_their_past(void **state)
{
	struct fixture fixture = fixture_open();
	u64 offset, a, b, c;

	maglev_history_begin(fixture.history, fixture.writer, 0);
	offset = table(fixture.writer, "1111111");
	for (u16 service = 1; service <= 3; service++)
		assert_int_equal(step_as(&fixture, service, offset, 4), offset);
	finish(&fixture);
	maglev_history_begin(fixture.history, fixture.writer, 10);
	offset = table(fixture.writer, "2111111");
	a = step_as(&fixture, 1, offset, 4);
	b = step_as(&fixture, 2, offset, 4);
	c = step_as(&fixture, 3, offset, 3); /* knows another set of numbers: may differ later */
	assert_int_equal(a, b);
	assert_true(a != offset);
	assert_string_equal(slots_at(fixture.writer, c), "1111111");
	finish(&fixture);

	/* Unchanged, the same block goes on; a service that comes new has no past. */
	maglev_history_begin(fixture.history, fixture.writer, 20);
	offset = table(fixture.writer, "2111111");
	assert_int_equal(step_as(&fixture, 1, offset, 4), a);
	assert_int_equal(step_as(&fixture, 4, offset, 4), offset);
	finish(&fixture);
	fixture_close(&fixture);
}

static void a_full_arena_is_told(void **state)
{
	struct fixture fixture = fixture_open();
	struct maglev_present present = {.service_number = 9,
					 .size = SIZE,
					 .numbers = numbers,
					 .numbers_count = ARRAY_LEN(numbers)};
	u64 previous_offset;

	publish(&fixture, "1111111", 0);
	maglev_history_begin(fixture.history, fixture.writer, 10);
	present.offset = table(fixture.writer, "2111111");
	while (arena_writer_alloc(fixture.writer, 64) != 0)
		;
	assert_int_equal(maglev_history_step(fixture.history, &present, &previous_offset), -ENOSPC);
	arena_writer_abandon(fixture.writer);
	maglev_history_end(fixture.history, false);
	assert_string_equal(publish(&fixture, "2111111", 20), "1111111");
	fixture_close(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_changed_slot_is_remembered_until_it_settles),
		cmocka_unit_test(a_slot_that_changes_again_keeps_its_first_backend),
		cmocka_unit_test(a_removed_backend_is_no_previous),
		cmocka_unit_test(what_was_not_published_did_not_happen),
		cmocka_unit_test(a_new_arena_has_the_past_of_the_old_one),
		cmocka_unit_test(services_share_their_past),
		cmocka_unit_test(a_full_arena_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
