/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/core/addr.h"

#include "tests/unit/cmocka_help.h"
#include "tests/unit/frames.h"

static void maps_ipv4_as_rfc_4291(void **state)
{
	const u8 expected[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
	struct addr addr = addr_from_v4(BE32(0xc0000201));

	assert_memory_equal(addr.bytes, expected, 16);
	assert_true(addr_is_v4(&addr));
	assert_int_equal(addr_v4(&addr), BE32(0xc0000201));
}

static void tells_the_families_apart(void **state)
{
	static const struct {
		const char *text;
		bool v4, zero;
	} cases[] = {
		{"::ffff:0.0.0.0", true, false},
		{"::ffff:255.255.255.255", true, false},
		{"::", false, true},
		{"::192.0.2.1", false, false},
		{"::1", false, false},
		{"::fffe:192.0.2.1", false, false},
		{"::1:ffff:c000:201", false, false},
		{"1::ffff:192.0.2.1", false, false},
		{"2001:db8::1", false, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct addr addr;

		assert_int_equal(inet_pton(AF_INET6, cases[i].text, addr.bytes), 1);
		if (addr_is_v4(&addr) != cases[i].v4 || addr_is_zero(&addr) != cases[i].zero)
			fail_msg("%s", cases[i].text);
	}
}

static void every_byte_counts(void **state)
{
	struct addr a, b;

	for (size_t i = 0; i < 16; i++) {
		memset(&a, 0, sizeof(a));
		b = a;
		assert_true(addr_equal(&a, &b));
		b.bytes[i] = 1;
		assert_false(addr_equal(&a, &b));
		assert_false(addr_is_zero(&b));
	}
}

/* Against the definition, bit by bit. */
static void a_prefix_begins_and_ends(void **state)
{
	const struct addr addr = {.bytes = {0xa5, 0x5a, 0xff, 0x01, 0x80, 0x7e, 0x33, 0xcc, 0x99,
					    0x66, 0x0f, 0xf0, 0xd2, 0x2d, 0x81, 0x7f}};

	for (u32 host_bits = 0; host_bits <= 128; host_bits++) {
		struct addr first = addr_first(&addr, host_bits);
		struct addr last = addr_last(&first, host_bits);

		for (u32 i = 0; i < 128; i++) {
			u32 bit = addr.bytes[i / 8] >> (7 - i % 8) & 1;
			bool host = i >= 128 - host_bits;

			assert_int_equal(first.bytes[i / 8] >> (7 - i % 8) & 1, host ? 0 : bit);
			assert_int_equal(last.bytes[i / 8] >> (7 - i % 8) & 1, host ? 1 : bit);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_ipv4_as_rfc_4291),
		cmocka_unit_test(tells_the_families_apart),
		cmocka_unit_test(a_prefix_begins_and_ends),
		cmocka_unit_test(every_byte_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
