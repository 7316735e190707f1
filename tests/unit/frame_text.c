/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/frame_text.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ROOM 40

static char message[256];

/* The bytes that a text stands for. */
static void expect_bytes(const char *text, const u8 *bytes, int count)
{
	u8 frame[ROOM];

	assert_int_equal(frame_from_hex(text, frame, ROOM, message, sizeof(message)), count);
	assert_memory_equal(frame, bytes, (size_t)count);
}

static void expect_refused(const char *text, const char *part)
{
	u8 frame[ROOM];

	message[0] = '\0';
	assert_int_equal(frame_from_hex(text, frame, ROOM, message, sizeof(message)), -1);
	if (!strstr(message, part))
		fail_msg("'%s' is refused with '%s', not for '%s'", text, message, part);
}

static void reads_plain_digits(void **state)
{
	static const u8 bytes[] = {0x02, 0x00, 0xab, 0xCD, 0xef};

	expect_bytes("0200abcdef", bytes, 5);
	expect_bytes("02:00:AB:cd:ef", bytes, 5);
	expect_bytes(" 02 00\tab\r\ncdEF\n", bytes, 5);
	expect_bytes("0200  abcd   ef", bytes, 5); /* no dump: blanks are only blanks */
}

/* The same twenty bytes as the tools write them; their text looks like digits. */
static void reads_dumps(void **state)
{
	static const u8 bytes[] = "abcd 0123 \"ef\"  abcd";

	expect_bytes("00000000: 6162 6364 2030 3132 3320 2265 6622 2020  abcd 0123 \"ef\"  \n"
		     "00000010: 6162 6364                                abcd\n",
		     bytes, 20);
	expect_bytes("\t0x0000:  6162 6364 2030 3132 3320 2265 6622 2020  abcd.0123.\"ef\"..\n"
		     "\t0x0010:  6162 6364                                abcd\n",
		     bytes, 20);
	expect_bytes(
		"00000000: 61 62 63 64 20 30 31 32 33 20 22 65 66 22 20 20  abcd 0123 \"ef\"  \n"
		"00000010: 61 62 63 64\n",
		bytes, 20);
}

static void refuses_what_may_be_misread(void **state)
{
	expect_refused("", "no byte");
	expect_refused(" \n : ", "no byte");
	expect_refused("020", "after 1 bytes stands half a byte");
	expect_refused("02 0 0ab", "half a byte");
	expect_refused("02:0:ab", "after 1 bytes stands half a byte");
	expect_refused("0x0200", "'x' after 0 bytes");
	expect_refused("020g", "'g' after 1 bytes");
	expect_refused("02 g0", "'g' after 1 bytes");
	expect_refused("02 \xc3\xa4", "character 0xc3 after 1 bytes");
	/* hexdump -C: the offset has no colon, and would be taken for bytes. */
	expect_refused("00000000  61 62 63 64  |abcd|", "'|'");
	/* A line is missing, or stands there twice. */
	expect_refused("00000000: 6162 6364  abcd\n00000010: 6162\n",
		       "offset 0x0010 after 4 bytes");
	expect_refused("00000010: 6162 6364  abcd\n", "offset 0x0010 after 0 bytes");
}

static void ends_where_the_room_does(void **state)
{
	char text[2 * ROOM + 3];

	memset(text, '7', sizeof(text));
	text[2 * ROOM] = '\0';
	{
		u8 frame[ROOM];

		assert_int_equal(frame_from_hex(text, frame, ROOM, message, sizeof(message)), ROOM);
	}
	text[2 * ROOM] = '7';
	text[2 * ROOM + 2] = '\0';
	expect_refused(text, "longer than 40 bytes");
}

/* RFC 791, RFC 9293: made by hand; the sum of the header's words with its checksum is 0xffff. */
static void makes_the_first_packet_of_a_flow(void **state)
{
	static const u8
		wanted[] =
			{
				0x08, 0x00, /* IPv4 */
				0x45, 0x00, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00,
				0x40, 0x06, /* 40 bytes, DF, TTL 64 */
				0xd4, 0x8a, /* checksum */
				198,  51,   100,  7,    203,  0,    113,  10,
				0x10, 0x92, 0x01, 0xbb, 0,    0,    0,    0,
				0,    0,    0,    0,    0x50, 0x02, /* five words, SYN */
			};
	u8 frame[FRAME_OF_FLOW_MAX];

	assert_int_equal(frame_from_flow("tcp 198.51.100.7:4242 203.0.113.10:443", frame, message,
					 sizeof(message)),
			 54);
	assert_memory_equal(frame + 12, wanted, sizeof(wanted));
	assert_int_equal(frame_from_flow("udp [2001:db8::1]:53 [2001:db8::2]:53", frame, message,
					 sizeof(message)),
			 62);
	assert_int_equal(frame[14] >> 4, 6);
	assert_int_equal(frame[19], 8);
	assert_int_equal(frame[20], 17);
}

/* Whatever was asked stands in the answer, which is JSON: no byte of it may spoil that. */
static void quotes_only_what_can_be_said(void **state)
{
	u8 frame[FRAME_OF_FLOW_MAX];

	assert_int_equal(frame_from_flow("tcp \xff\xfe\n:1 'x", frame, message, sizeof(message)),
			 -1);
	assert_non_null(strstr(message, "cannot read 'tcp ???:1 'x';"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_plain_digits),
		cmocka_unit_test(quotes_only_what_can_be_said),
		cmocka_unit_test(reads_dumps),
		cmocka_unit_test(refuses_what_may_be_misread),
		cmocka_unit_test(ends_where_the_room_does),
		cmocka_unit_test(makes_the_first_packet_of_a_flow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
