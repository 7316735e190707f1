/* SPDX-License-Identifier: BSD-2-Clause */
/* What people read and write: addresses, prefixes, and the caret below a line. */
#include "config/near.h"
#include "tests/unit/config_help.h"

/* Text forms. */

static void addr_forms(void **state)
{
	static const struct {
		const char *text, *canonical;
	} forms[] = {
		/* RFC 5952 section 1, 2 and 4: many spellings, one canonical. */
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:db8::1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"},
		{"2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"},
		{"2001:db8:aaaa:bbbb:cccc:dddd::1", "2001:db8:aaaa:bbbb:cccc:dddd:0:1"},
		{"2001:db8:0:0:0::1", "2001:db8::1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"2001:db8:aaaa:bbbb:cccc:dddd:eeee:AAAA",
		 "2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa"},
		{"0:0:0:0:0:0:0:1", "::1"},
		{"::", "::"},
		{"64:ff9b::", "64:ff9b::"},
		/* An IPv4-mapped address is the IPv4 address. */
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"::FFFF:c000:0201", "192.0.2.1"},
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
	};
	static const char *const refused[] = {
		"",
		"1",
		"1.2.3",
		"1.2.3.4.5",
		"256.1.1.1",
		"01.2.3.4",
		" 1.2.3.4",
		"1.2.3.4 ",
		"1.2.3.-4",
		"0x1.2.3.4",
		":",
		":::",
		"1::2::3",
		"12345::",
		"fe80::1%eth0",
		"::1.2.3",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"::g",
		"1.2.3.4/32",
		"2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa:2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa",
	};
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct addr addr, again;

		assert_int_equal(addr_parse(forms[i].text, &addr), 0);
		assert_string_equal(addr_format(&addr, text), forms[i].canonical);
		assert_int_equal(addr_parse(text, &again), 0);
		assert_true(addr_equal(&addr, &again));
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct addr addr;
		if (addr_parse(refused[i], &addr) != -EINVAL)
			fail_msg("'%s' passes for an address", refused[i]);
	}
}

static void prefix_forms(void **state)
{
	static const struct {
		const char *text;
		int bits;
		const char *canonical, *first;
	} forms[] = {
		{"192.0.2.1", 128, "192.0.2.1", "192.0.2.1"},
		{"192.0.2.1/32", 128, "192.0.2.1", "192.0.2.1"},
		{"192.0.2.129/25", 121, "192.0.2.129/25", "192.0.2.128"},
		{"0.0.0.0/0", 96, "0.0.0.0/0", "0.0.0.0"},
		{"::ffff:10.1.0.0/104", 104, "10.1.0.0/8", "10.0.0.0"},
		{"2001:db8::/32", 32, "2001:db8::/32", "2001:db8::"},
		{"2001:db8::1/127", 127, "2001:db8::1/127", "2001:db8::"},
		{"2001:db8:ffff::/33", 33, "2001:db8:ffff::/33", "2001:db8:8000::"},
		{"::/0", 0, "::/0", "::"},
	};
	static const char *const refused[] = {
		"1.2.3.4/33", "1.2.3.4/",    "1.2.3.4/ 8", "1.2.3.4/-1",
		"1.2.3.4/08", "::/129",      "::/1280",    "::/99999999999999999999",
		"/8",         "1.2.3.4/8/8", "",
	};
	char text[PREFIX_TEXT_MAX];
	struct config_prefix prefix;

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		assert_int_equal(prefix_parse(forms[i].text, &prefix), 0);
		assert_int_equal(prefix.bits, forms[i].bits);
		assert_string_equal(prefix_format(&prefix, text), forms[i].canonical);
		struct addr first = prefix_first(&prefix);
		assert_string_equal(addr_format(&first, text), forms[i].first);
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		if (prefix_parse(refused[i], &prefix) != -EINVAL)
			fail_msg("'%s' passes for a prefix", refused[i]);
	}
}

/* The caret. */

static void caret_lines(void **state)
{
	static const struct {
		const char *text;
		unsigned line, column;
		const char *printed;
	} cases[] = {
		{"a: b\n", 1, 4, "f:1:4: what\na: b\n   ^\n"},
		{"x\n\ta:\tb\n", 2, 5, "f:2:5: what\n\ta:\tb\n\t  \t^\n"},
		{"x\r\na: b\r\n", 2, 1, "f:2:1: what\na: b\n^\n"},
		{"\xc3\xbc\xe2\x82\xac: b", 1, 8, "f:1:8: what\n\xc3\xbc\xe2\x82\xac: b\n    ^\n"},
		{"\xef\xbb\xbfv: 2", 1, 4, "f:1:4: what\nv: 2\n   ^\n"},
		{"a\x1b[31m\xff", 1, 7, "f:1:7: what\na?[31m?\n      ^\n"},
		{"a: b\n", 1, 5, "f:1:5: what\na: b\n    ^\n"},
		{"a: b\n", 2, 1, "f:2:1: what\n\n^\n"},
		{"a: b\n", 9, 9, "f:9:9: what\n\n^\n"},
		{"", 1, 1, "f:1:1: what\n\n^\n"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char sentence[] = "what", *printed;
		struct config_error error = {cases[i].line, cases[i].column, sentence};
		size_t len;
		FILE *out = open_memstream(&printed, &len);

		config_error_print(out, "f", cases[i].text, strlen(cases[i].text), &error);
		fclose(out);
		assert_string_equal(printed, cases[i].printed);
		free(printed);
	}
}

/* A long line is cut on both sides, and the caret still stands below its column. */
static void caret_window(void **state)
{
	char line[4001], sentence[] = "what", *printed;
	size_t len;

	for (size_t i = 0; i < sizeof(line) - 1; i++)
		line[i] = (char)('a' + i % 26);
	for (unsigned column = 1; column < sizeof(line); column += 7) {
		struct config_error error = {1, column, sentence};
		FILE *out = open_memstream(&printed, &len);

		config_error_print(out, "f", line, sizeof(line) - 1, &error);
		fclose(out);
		char *shown = strchr(printed, '\n') + 1, *caret = strchr(shown, '\n') + 1;
		assert_true(caret - shown < 170);
		assert_int_equal(shown[strspn(caret, " ")], line[column - 1]);
		assert_string_equal(caret + strspn(caret, " "), "^\n");
		free(printed);
	}
}

/* Names that don't exist. */

static void nearest_first(void **state)
{
	static const char *const names[] = {"mail", "web4", "dns", "web", "web6", "web4", "weob"};
	struct near near = {.wanted = "web5"}, none = {.wanted = "web"};
	char text[NEAR_TEXT_MAX];

	assert_string_equal(near_text(&none, text), ", nor any other");
	near_note(&near, "dns");
	assert_string_equal(near_text(&near, text), ", but dns");
	near_note(&near, "mail");
	assert_string_equal(near_text(&near, text), ", but dns and mail");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		near_note(&near, names[i]);
	assert_string_equal(near_text(&near, text), ", but web4, web and web6");
}

/* Durations, of options too. */

static void durations(void **state)
{
	char text[DURATION_TEXT_MAX];
	u64 ms = 7;

	assert_int_equal(duration_parse("90s", &ms), 0);
	assert_int_equal(ms, 90000);
	assert_string_equal(duration_format(ms, text), "90s");
	assert_string_equal(duration_format(300000, text), "5m");
	assert_int_equal(duration_parse("5", &ms), -EINVAL);
	assert_int_equal(duration_parse("m", &ms), -EINVAL);
	assert_int_equal(duration_parse("-1s", &ms), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addr_forms),    cmocka_unit_test(prefix_forms),
		cmocka_unit_test(caret_lines),   cmocka_unit_test(caret_window),
		cmocka_unit_test(nearest_first), cmocka_unit_test(durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
