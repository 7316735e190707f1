/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/core/cursor.h"

#include "tests/unit/cmocka_help.h"
#include "tests/unit/frames.h"

static void gives_what_is_there_and_no_more(void **state)
{
	for (u32 len = 0; len <= 20; len++) {
		for (u32 n = 0; n <= 24; n++) {
			u8 *bytes = malloc(len);
			struct cursor cursor = {bytes, bytes + len};
			u8 *pulled = cursor_pull(&cursor, n);

			if (n <= len) {
				assert_ptr_equal(pulled, bytes);
				assert_ptr_equal(cursor.position, bytes + n);
			} else {
				assert_null(pulled);
				assert_ptr_equal(cursor.position, bytes);
			}
			assert_ptr_equal(cursor.end, bytes + len);
			free(bytes);
		}
	}
}

static void pulls_one_after_another(void **state)
{
	u8 bytes[10];
	struct cursor cursor = {bytes, bytes + sizeof(bytes)};

	assert_ptr_equal(cursor_pull(&cursor, 4), bytes);
	assert_ptr_equal(cursor_pull(&cursor, 4), bytes + 4);
	assert_null(cursor_pull(&cursor, 4));
	assert_ptr_equal(cursor_pull(&cursor, 2), bytes + 8);
	assert_null(cursor_pull(&cursor, 1));
	assert_ptr_equal(cursor_pull(&cursor, 0), bytes + 10);
}

static void survives_any_length(void **state)
{
	u8 bytes[4];
	struct cursor cursor = {bytes, bytes + sizeof(bytes)};

	assert_null(cursor_pull(&cursor, 0xffffffff));
	assert_null(cursor_pull(&cursor, 0x80000000));
	assert_ptr_equal(cursor.position, bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_what_is_there_and_no_more),
		cmocka_unit_test(pulls_one_after_another),
		cmocka_unit_test(survives_any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
