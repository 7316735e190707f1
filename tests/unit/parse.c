/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parser makes of a frame: every field, every flag, and that no length is believed that
 * the bytes contradict. Which verdict follows is tests/unit/forward.c's matter. */
#include "dataplane/core/parse.h"

#include "tests/unit/cmocka_help.h"
#include "tests/unit/samples.h"

static const struct station station = {.mac = {0x02, 0, 0, 0, 0, 0x01}};

static enum verdict parse(const struct frame *frame, struct packet *packet)
{
	struct cursor cursor = {(u8 *)(size_t)frame->bytes,
				(u8 *)(size_t)frame->bytes + frame->len};

	memset(packet, 0xa5, sizeof(*packet)); /* nothing may be left as it was */
	return parse_frame(cursor, frame->len, &station, packet);
}

static struct packet parse_spec(const struct frame_spec *spec)
{
	struct frame frame;
	struct packet packet;

	frame_build(&frame, spec);
	assert_int_equal(parse(&frame, &packet), VERDICT_UNDECIDED);
	return packet;
}

static void reads_every_ipv4_field(void **state)
{
	const struct frame_spec spec = {
		.source = "192.0.2.7",
		.destination = "203.0.113.10",
		.protocol = FRAME_TCP,
		.source_port = 0x1234,
		.destination_port = 0x5678,
		.tcp_flags = FRAME_SYN,
		.tos = 0xb9,
		.id = 0xbeef,
		.fragment = FRAME_DF,
		.payload_bytes = 11,
		.padding_bytes = 30,
	};
	struct packet packet = parse_spec(&spec);
	const u8 source[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7};
	const u8 destination[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 10};

	assert_memory_equal(packet.source.bytes, source, 16);
	assert_memory_equal(packet.destination.bytes, destination, 16);
	assert_int_equal(packet.source_port, BE16(0x1234));
	assert_int_equal(packet.destination_port, BE16(0x5678));
	assert_int_equal(packet.protocol, 6);
	assert_int_equal(packet.tos, 0xb9);
	assert_int_equal(packet.id, BE16(0xbeef));
	assert_int_equal(packet.flags, PACKET_DF | PACKET_OPENING);
	assert_int_equal(packet.l3_offset, 14);
	assert_int_equal(packet.l4_offset, 20);
	assert_int_equal(packet.l3_len, 20 + 20 + 11);
}

static void reads_every_ipv6_field(void **state)
{
	const struct frame_spec spec = {
		.source = "2001:db8::7",
		.destination = "2001:db8:1::10",
		.protocol = FRAME_UDP,
		.source_port = 0x1234,
		.destination_port = 0x5678,
		.tos = 0xb9,
		.payload_bytes = 11,
		.padding_bytes = 30,
	};
	struct packet packet = parse_spec(&spec);
	const u8 source[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
	const u8 destination[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};

	assert_memory_equal(packet.source.bytes, source, 16);
	assert_memory_equal(packet.destination.bytes, destination, 16);
	assert_int_equal(packet.source_port, BE16(0x1234));
	assert_int_equal(packet.destination_port, BE16(0x5678));
	assert_int_equal(packet.protocol, 17);
	assert_int_equal(packet.tos, 0xb9);
	assert_int_equal(packet.id, 0);
	assert_int_equal(packet.flags, PACKET_V6 | PACKET_DF);
	assert_int_equal(packet.l3_offset, 14);
	assert_int_equal(packet.l4_offset, 40);
	assert_int_equal(packet.l3_len, 40 + 8 + 11);
}

static void steps_over_options_of_any_length(void **state)
{
	for (u8 words = 0; words <= 10; words++) {
		const struct frame_spec spec = {
			WEB4,
			.tcp_flags = FRAME_ACK,
			.option_words = words,
			.payload_bytes = 3,
		};
		struct packet packet = parse_spec(&spec);

		assert_int_equal(packet.flags, 0);
		assert_int_equal(packet.l4_offset, 20 + 4 * words);
		assert_int_equal(packet.l3_len, 20 + 4 * words + 23);
		assert_int_equal(packet.source_port, BE16(50000));
		assert_int_equal(packet.destination_port, BE16(443));
	}
}

/* Every IHL on a header of every other length: 0 to 4 are too short, the rest wrong sums. */
static void refuses_every_wrong_header_length(void **state)
{
	for (u32 ihl = 0; ihl < 16; ihl++) {
		struct frame frame;
		struct packet packet;

		frame_build(&frame, &(struct frame_spec){WEB4, .payload_bytes = 60});
		frame.bytes[AT_IP] = (u8)(0x40 | ihl);
		assert_int_equal(parse(&frame, &packet), VERDICT_UNDECIDED);
		assert_int_equal(!!(packet.flags & PACKET_DEFECT), ihl != 5);
		if (ihl < 5)
			assert_int_equal(packet.defect, VERDICT_BAD_HEADER_LEN);
		else if (ihl > 5)
			assert_int_equal(packet.defect, VERDICT_BAD_CSUM);
	}
}

static void only_syn_without_ack_opens(void **state)
{
	for (u32 flags = 0; flags < 256; flags++) {
		const struct frame_spec spec = {WEB4, .tcp_flags = (u8)flags};
		bool opening = (flags & 0x12) == 0x02;

		assert_int_equal(!!(parse_spec(&spec).flags & PACKET_OPENING), opening);
	}
}

static void knows_fragments_and_df(void **state)
{
	static const struct {
		u16 field, flags;
	} cases[] = {
		{0x0000, 0},
		{0x4000, PACKET_DF},
		{0x8000, 0},
		{0xc000, PACKET_DF},
		{0x2000, PACKET_FRAGMENT},
		{0x0001, PACKET_FRAGMENT | PACKET_LATER},
		{0x1ffc, PACKET_FRAGMENT | PACKET_LATER},
		{0x0100, PACKET_FRAGMENT | PACKET_LATER},
		{0x6001, PACKET_FRAGMENT | PACKET_LATER | PACKET_DF},
		/* With its header it would be longer than 65535 bytes. */
		{0x1ffd, PACKET_FRAGMENT | PACKET_LATER | PACKET_DEFECT},
		{0x1fff, PACKET_FRAGMENT | PACKET_LATER | PACKET_DEFECT},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct frame_spec spec = {DNS4, .fragment = cases[i].field};
		struct packet packet = parse_spec(&spec);

		assert_int_equal(packet.flags, cases[i].flags);
		if (packet.flags & PACKET_LATER)
			assert_int_equal(packet.source_port | packet.destination_port, 0);
		else
			assert_int_equal(packet.destination_port, BE16(53));
	}
}

static void knows_who_may_send(void **state)
{
	static const struct {
		const char *source;
		bool martian;
	} cases[] = {
		{"0.0.0.0", true},
		{"0.255.255.255", true},
		{"1.0.0.0", false},
		{"126.255.255.255", false},
		{"127.0.0.1", true},
		{"128.0.0.1", false},
		{"223.255.255.255", false},
		{"224.0.0.0", true},
		{"255.255.255.255", true},
		{"10.0.0.1", false},
		{"192.0.2.1", false},
		{"::", true},
		{"::1", true},
		{"::192.0.2.1", true},
		{"::ffff:192.0.2.1", true},
		{"ff02::1", true},
		{"ff00::", true},
		{"fe80::1", false},
		{"2001:db8::1", false},
		{"64:ff9b::192.0.2.1", false},
		{"::1:0:0:1", false},
		{"fd00::1", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool v6 = strchr(cases[i].source, ':') != NULL;
		const struct frame_spec spec = {
			.source = cases[i].source,
			.protocol = FRAME_UDP,
			.destination = v6 ? "2001:db8:1::10" : "203.0.113.10",
		};

		if (!!(parse_spec(&spec).flags & PACKET_MARTIAN) != cases[i].martian)
			fail_msg("%s", cases[i].source);
	}
}

static void notes_the_first_defect(void **state)
{
	struct frame frame;
	struct packet packet;

	frame_build(&frame, &(struct frame_spec){WEB4});
	frame.bytes[AT_IP + 11] ^= 1;      /* wrong checksum */
	frame.bytes[AT_L4_V4 + 12] = 0x40; /* and a short TCP header */
	assert_int_equal(parse(&frame, &packet), VERDICT_UNDECIDED);
	assert_true(packet.flags & PACKET_DEFECT);
	assert_int_equal(packet.defect, VERDICT_BAD_CSUM);
	assert_int_equal(packet.destination_port, 0);
}

static void knows_its_station(void **state)
{
	static const struct {
		u8 destination[6], source[6];
		bool any_mac;
		enum verdict verdict;
	} cases[] = {
		{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, false, VERDICT_UNDECIDED},
		{{2, 0, 0, 0, 0, 9}, {2, 0, 0, 0, 0, 2}, false, VERDICT_OTHER_MAC},
		{{2, 9, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, false, VERDICT_OTHER_MAC},
		{{2, 0, 0, 0, 0, 9}, {2, 0, 0, 0, 0, 2}, true, VERDICT_UNDECIDED},
		{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		 {2, 0, 0, 0, 0, 2},
		 false,
		 VERDICT_UNDECIDED},
		{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 1}, false, VERDICT_OWN_MAC},
		{{2, 0, 0, 0, 0, 9}, {2, 0, 0, 0, 0, 1}, true, VERDICT_OWN_MAC},
		{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 1, 0, 1}, false, VERDICT_UNDECIDED},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct station here = station;
		struct packet packet;
		struct frame frame;
		struct cursor cursor;

		here.any_mac = cases[i].any_mac;
		frame_build(&frame, &(struct frame_spec){WEB4});
		memcpy(frame.bytes, cases[i].destination, 6);
		memcpy(frame.bytes + 6, cases[i].source, 6);
		cursor = (struct cursor){frame.bytes, frame.bytes + frame.len};
		assert_int_equal(parse_frame(cursor, frame.len, &here, &packet), cases[i].verdict);
		if (cases[i].verdict == VERDICT_UNDECIDED)
			assert_int_equal(!!(packet.flags & PACKET_GROUP),
					 cases[i].destination[0] & 1);
	}
}

/* A frame in pieces: the cursor shows only the headers, the length says how much follows. */
static void believes_the_whole_length(void **state)
{
	struct frame frame;
	struct packet packet = {0};
	struct cursor cursor;

	frame_build(&frame,
		    &(struct frame_spec){WEB4, .tcp_flags = FRAME_ACK, .payload_bytes = 900});
	cursor = (struct cursor){frame.bytes, frame.bytes + 54};
	assert_int_equal(parse_frame(cursor, frame.len, &station, &packet), VERDICT_UNDECIDED);
	assert_int_equal(packet.flags, 0);
	assert_int_equal(packet.l3_len, 940);
	assert_int_equal(parse_frame(cursor, frame.len - 1, &station, &packet), VERDICT_UNDECIDED);
	assert_int_equal(packet.defect, VERDICT_BAD_LEN);
}

/* Of a frame in pieces the first one ends inside an extension header, and behind it in memory lies
 * something else: that is never read. */
static void sees_nothing_behind_the_first_piece(void **state)
{
	static const u8 numbers[] = {0, 43, 51, 60, 135, 139, 140};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		for (u32 end = 54; end <= 54 + 64 + 20; end++) {
			struct frame frame;
			struct packet packet;
			struct cursor cursor = {frame.bytes, frame.bytes + end};

			frame_build(&frame, &(struct frame_spec){WEB6, .extensions = {numbers[i]},
								 .extensions_count = 1,
								 .payload_bytes = 56});
			/* 64 bytes long, and behind it TCP. */
			frame.bytes[55] = numbers[i] == 51 ? 14 : 7;
			memset(frame.bytes + 54 + 64, 0x50, 20);
			memset(frame.bytes + end, 0xee, frame.len - end);
			assert_int_equal(parse_frame(cursor, frame.len, &station, &packet),
					 VERDICT_UNDECIDED);
			assert_int_equal(!!(packet.flags & PACKET_DEFECT), end < 54 + 64 + 20);
			if (end < 54 + 64 + 20)
				assert_int_equal(packet.defect, VERDICT_TRUNCATED);
			else
				assert_int_equal(packet.destination_port, BE16(0x5050));
		}
}

static void names_every_extension(void **state)
{
	static const u8 extensions[] = {0, 43, 44, 51, 60, 135, 139, 140};
	u32 found = 0;

	for (u32 next = 0; next < 256; next++)
		if (parse_is_extension((u8)next))
			assert_int_equal(extensions[found++], next);
	assert_int_equal(found, ARRAY_LEN(extensions));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_ipv4_field),
		cmocka_unit_test(reads_every_ipv6_field),
		cmocka_unit_test(steps_over_options_of_any_length),
		cmocka_unit_test(refuses_every_wrong_header_length),
		cmocka_unit_test(only_syn_without_ack_opens),
		cmocka_unit_test(knows_fragments_and_df),
		cmocka_unit_test(knows_who_may_send),
		cmocka_unit_test(notes_the_first_defect),
		cmocka_unit_test(knows_its_station),
		cmocka_unit_test(believes_the_whole_length),
		cmocka_unit_test(sees_nothing_behind_the_first_piece),
		cmocka_unit_test(names_every_extension),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
