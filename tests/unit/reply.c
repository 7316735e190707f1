/* SPDX-License-Identifier: BSD-2-Clause */
/* What is answered for a VIP, what isn't, and every byte of the answers; alone and in a burst;
 * cut at every length. */
#include "dataplane/burst/burst.h"

#include "tests/unit/cmocka_help.h"
#include "tests/unit/fixture.h"
#include "tests/unit/questions.h"

enum { ROOM = 64 };

/* A frame at the very end of a block, with room before it. */
struct asked {
	u8 *block;
	u32 len;
	struct outcome outcome;
};

static struct asked ask(struct fixture *fixture, const struct frame *frame, u32 len, u32 headroom)
{
	struct asked asked = {malloc(headroom + len), len, {0}};

	frame_require(asked.block != NULL);
	memcpy(asked.block + headroom, frame->bytes, len);
	asked.outcome = fixture_forward(fixture, asked.block + headroom, len, headroom);
	return asked;
}

static struct fixture *answering(void)
{
	struct fixture *fixture = fixture_new(0);

	fixture->station.answers = true;
	return fixture;
}

static const struct question_spec *question_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(questions); i++)
		if (strcmp(questions[i].name, name) == 0)
			return &questions[i];
	abort();
}

static void every_question_gets_its_verdict(void **state)
{
	struct fixture *fixture = answering();

	for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
		struct frame frame;
		struct asked asked;

		question_build(&questions[i], &frame);
		asked = ask(fixture, &frame, frame.len, ROOM);
		if (asked.outcome.verdict != questions[i].verdict)
			fail_msg("%s: %s, not %s", questions[i].name,
				 verdict_reason(asked.outcome.verdict),
				 verdict_reason(questions[i].verdict));
		if (verdict_action(asked.outcome.verdict) != ACTION_REPLY)
			assert_memory_equal(asked.block + ROOM, frame.bytes, frame.len);
		free(asked.block);
	}
	fixture_free(fixture);
}

static void nothing_is_answered_unless_told_to(void **state)
{
	struct fixture *fixture = fixture_new(0);

	for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
		struct frame frame;
		struct asked asked;

		question_build(&questions[i], &frame);
		asked = ask(fixture, &frame, frame.len, ROOM);
		assert_int_not_equal(verdict_action(asked.outcome.verdict), ACTION_REPLY);
		free(asked.block);
	}
	fixture_free(fixture);
}

static void an_arp_reply_is_that_of_rfc_826(void **state)
{
	static const u8 wanted[42] = {
		0x02, 0,    0,    0, 0, 0x02, 0x02, 0, 0,   0,  0,
		0x01, 0x08, 0x06, 0, 1, 0x08, 0,    6, 4,   0,  2, /* a reply */
		0x02, 0,    0,    0, 0, 0x01, 203,  0, 113, 10,    /* from the VIP */
		0x02, 0,    0,    0, 0, 0x02, 192,  0, 2,   7,
	};
	struct fixture *fixture = answering();
	struct frame frame;
	struct asked asked;

	question_build(question_named("ARP request"), &frame);
	asked = ask(fixture, &frame, frame.len, 0);
	assert_int_equal(asked.outcome.frame_bytes, 60); /* no shorter than Ethernet allows */
	assert_memory_equal(asked.outcome.frame, wanted, sizeof(wanted));
	free(asked.block);
	fixture_free(fixture);
}

/* RFC 4861 sections 4.4 and 7.2.4. */
static void advertised(const char *name, const char *to, const u8 *to_mac, u8 flags)
{
	struct fixture *fixture = answering();
	const struct question_spec *spec = question_named(name);
	struct frame frame;
	struct asked asked;
	const u8 *ip, *l4;
	u8 address[16];

	question_build(spec, &frame);
	asked = ask(fixture, &frame, frame.len, ROOM);
	assert_int_equal(asked.outcome.verdict, VERDICT_NEIGHBOUR);
	assert_int_equal(asked.outcome.frame_bytes, 86);
	assert_memory_equal(asked.outcome.frame, to_mac, 6);
	assert_memory_equal(asked.outcome.frame + 6, frame_our_mac, 6);
	assert_int_equal(get16(asked.outcome.frame + 12), 0x86dd);
	ip = asked.outcome.frame + 14;
	l4 = ip + 40;
	assert_int_equal(get32(ip), 6u << 28);
	assert_int_equal(get16(ip + 4), 32);
	assert_int_equal(ip[6], 58);
	assert_int_equal(ip[7], 255);
	inet_pton(AF_INET6, spec->about, address);
	assert_memory_equal(ip + 8, address, 16);
	assert_memory_equal(l4 + 8, address, 16);
	inet_pton(AF_INET6, to, address);
	assert_memory_equal(ip + 24, address, 16);
	assert_int_equal(l4[0], 136);
	assert_int_equal(l4[1], 0);
	assert_int_equal(l4[4], flags);
	assert_int_equal(l4[5] | l4[6] | l4[7], 0);
	assert_int_equal(l4[24], 2);
	assert_int_equal(l4[25], 1);
	assert_memory_equal(l4 + 26, frame_our_mac, 6);
	assert_int_equal(frame_sum(l4, 32, frame_sum(ip + 8, 32, 32 + 58)), 0xffff);
	free(asked.block);
	fixture_free(fixture);
}

static void an_advertisement_is_that_of_rfc_4861(void **state)
{
	static const u8 all_nodes[6] = {0x33, 0x33, 0, 0, 0, 1};

	advertised("solicitation", ASKER_V6, frame_peer_mac, 0x60);
	advertised("solicitation without an option", ASKER_V6, frame_peer_mac, 0x60);
	advertised("solicitation with a nonce", ASKER_V6, frame_peer_mac, 0x60);
	advertised("probe", "ff02::1", all_nodes, 0x20);
}

static void an_answer_that_has_no_room_is_dropped(void **state)
{
	struct fixture *fixture = answering();
	struct frame frame;
	struct asked asked;

	question_build(question_named("probe"), &frame);
	asked = ask(fixture, &frame, frame.len, NEIGHBOUR_LINK_BYTES - 1);
	assert_int_equal(asked.outcome.verdict, VERDICT_NO_HEADROOM);
	free(asked.block);
	fixture_free(fixture);
}

static enum verdict in_a_burst(struct fixture *fixture, const struct frame *frame, u32 len,
			       u32 frame_bytes, struct outcome *outcome)
{
	static struct burst burst;
	u8 *block = malloc(ROOM + len);

	frame_require(block != NULL);
	memcpy(block + ROOM, frame->bytes, len);
	burst = (struct burst){.count = 1, .station = fixture->station};
	burst.frame[0] = block + ROOM;
	burst.contiguous_bytes[0] = len;
	burst.frame_bytes[0] = frame_bytes;
	burst.headroom_bytes[0] = ROOM;
	burst_process(&fixture->env, &burst);
	if (outcome) {
		assert_int_equal(burst.frame_bytes[0], outcome->frame_bytes);
		assert_memory_equal(burst.frame[0], outcome->frame, outcome->frame_bytes);
	}
	free(block);
	return burst.verdict[0];
}

/* Cut at every length; then the whole frame, of which only the beginning is contiguous. */
static void what_is_cut_is_not_answered(void **state)
{
	struct fixture *fixture = answering();

	for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
		struct frame frame;
		u32 enough;

		question_build(&questions[i], &frame);
		enough = strchr(questions[i].about, ':') ? frame.len : 42;
		for (u32 len = 0; len <= frame.len; len++) {
			struct asked asked = ask(fixture, &frame, len, ROOM);
			enum verdict alone = asked.outcome.verdict;

			assert_int_equal(in_a_burst(fixture, &frame, len, len, &asked.outcome),
					 alone);
			if (len < enough)
				assert_int_not_equal(verdict_action(alone), ACTION_REPLY);
			if (len < enough)
				assert_int_not_equal(verdict_action(in_a_burst(fixture, &frame, len,
									       frame.len, NULL)),
						     ACTION_REPLY);
			free(asked.block);
		}
	}
	fixture_free(fixture);
}

/* --- Pings ---------------------------------------------------------------------------- */

static bool icmp_is_sealed(const u8 *ip, bool v6)
{
	u32 header = v6 ? 40 : 20;
	u32 len = (v6 ? get16(ip + 4) : get16(ip + 2) - 20);

	return frame_sum(ip + header, len, v6 ? frame_sum(ip + 8, 32, len + 58) : 0) == 0xffff;
}

/* Every checksum that a request can have, and so every carry: one that is right is answered with one
 * that is right, one that is wrong with a wrong one. */
static void a_ping_keeps_its_checksum_right_or_wrong(void **state)
{
	struct fixture *fixture = fixture_new(0);

	for (u32 v6 = 0; v6 < 2; v6++) {
		struct frame frame;
		u32 l4 = 14 + (v6 ? 40 : 20);

		frame_build(&frame, &(struct frame_spec){
					    .source = v6 ? "2001:db8:2::7" : "192.0.2.7",
					    .destination = v6 ? "2001:db8:1::10" : "203.0.113.10",
					    .protocol = v6 ? FRAME_ICMPV6 : FRAME_ICMP,
				    });
		for (u32 id = 0; id < 0x10000; id++) {
			struct frame request = frame;
			bool right = id % 4 != 3;
			struct outcome outcome;

			put16(request.bytes + l4 + 4, id);
			frame_seal_transport(request.bytes + l4, 8, v6 ? FRAME_ICMPV6 : FRAME_ICMP,
					     request.bytes + 14 + 8, 32);
			if (!right)
				request.bytes[l4 + 2 + id % 2] ^= (u8)(1 << (id / 4 % 8));
			outcome = fixture_forward(fixture, request.bytes, request.len, 0);
			assert_int_equal(outcome.verdict, VERDICT_ECHO);
			assert_int_equal(get16(outcome.frame + l4 + 4), id);
			if (icmp_is_sealed(outcome.frame + 14, v6) != right)
				fail_msg("IPv%u, id %04x", v6 ? 6 : 4, id);
			if (!v6)
				assert_true(frame_ipv4_is_sealed(outcome.frame + 14));
		}
	}
	fixture_free(fixture);
}

/* No frame may leave to a group because one came with a group as its source. */
static void a_group_is_not_answered(void **state)
{
	struct fixture *fixture = fixture_new(0);
	struct frame frame;

	frame_build(&frame, &(struct frame_spec){
				    .source = "192.0.2.7",
				    .destination = "203.0.113.10",
				    .protocol = FRAME_ICMP,
			    });
	frame.bytes[6] |= 1;
	assert_int_equal(fixture_forward(fixture, frame.bytes, frame.len, 0).verdict, VERDICT_ICMP);
	frame.bytes[6] &= 0xfe;
	assert_int_equal(fixture_forward(fixture, frame.bytes, frame.len, 0).verdict, VERDICT_ECHO);
	fixture_free(fixture);
}

/* --- Path MTU ------------------------------------------------------------------------- */

/* What becomes of a packet from 10.SENDER that does not fit, at a time. */
static enum verdict too_big_at(struct fixture *fixture, u32 sender, u32 now_ms)
{
	static u8 block[ROOM + FRAME_MAX_BYTES];
	char source[32];
	struct frame frame;

	snprintf(source, sizeof(source), "10.%u.%u.%u", sender >> 16, sender >> 8 & 255,
		 sender & 255);
	frame_build(&frame, &(struct frame_spec){
				    .source = source,
				    .destination = "203.0.113.15",
				    .protocol = FRAME_TCP,
				    .destination_port = 80,
				    .tcp_flags = FRAME_ACK,
				    .fragment = FRAME_DF,
				    .payload_bytes = 600,
			    });
	memcpy(block + ROOM, frame.bytes, frame.len);
	fixture->env.now_ms = now_ms;
	return fixture_forward(fixture, block + ROOM, frame.len, ROOM).verdict;
}

/* RFC 1191 section 4, RFC 4443 section 3.2: from the VIP, with the MTU that leaves room for the
 * outer header, and as much of the packet as may go back. */
static void an_error_tells_what_fits(void **state)
{
	enum { MTU = 1400, OVERHEAD = 20 };

	for (u32 v6 = 0; v6 < 2; v6++) {
		struct fixture *fixture = fixture_new(0);
		const u32 header = v6 ? 40 : 20, quoted = v6 ? 1192 : 528;
		struct frame frame;
		struct asked asked;
		const u8 *ip, *about;

		fixture->backends[(v6 ? FIXTURE_SET : 0) + BACKEND_NARROW].mtu = MTU;
		frame_build(&frame, &(struct frame_spec){
					    .source = v6 ? "2001:db8:2::7" : "192.0.2.7",
					    .destination = v6 ? "2001:db8:1::15" : "203.0.113.15",
					    .protocol = FRAME_TCP,
					    .destination_port = 80,
					    .tcp_flags = FRAME_ACK,
					    .fragment = v6 ? 0 : FRAME_DF,
					    .payload_bytes = 1400,
				    });
		asked = ask(fixture, &frame, frame.len, ROOM);
		assert_int_equal(asked.outcome.verdict, VERDICT_PATH_MTU);
		assert_int_equal(asked.outcome.frame_bytes, 14 + header + 8 + quoted);
		assert_memory_equal(asked.outcome.frame, frame_peer_mac, 6);
		assert_memory_equal(asked.outcome.frame + 6, frame_our_mac, 6);
		assert_int_equal(get16(asked.outcome.frame + 12), v6 ? 0x86dd : 0x0800);
		ip = asked.outcome.frame + 14;
		about = frame.bytes + 14;
		if (v6) {
			assert_int_equal(get32(ip), 6u << 28);
			assert_int_equal(get16(ip + 4), 8 + quoted);
			assert_int_equal(ip[6], FRAME_ICMPV6);
			assert_memory_equal(ip + 8, about + 24, 16);
			assert_memory_equal(ip + 24, about + 8, 16);
			assert_int_equal(get32(ip + 40) >> 16, 2 << 8);
			assert_int_equal(get32(ip + 44), MTU - OVERHEAD);
		} else {
			assert_int_equal(get16(ip + 2), 28 + quoted);
			assert_int_equal(ip[9], FRAME_ICMP);
			assert_memory_equal(ip + 12, about + 16, 4);
			assert_memory_equal(ip + 16, about + 12, 4);
			assert_true(frame_ipv4_is_sealed(ip));
			assert_int_equal(get32(ip + 20) >> 16, 3 << 8 | 4);
			assert_int_equal(get32(ip + 24), MTU - OVERHEAD);
		}
		assert_true(icmp_is_sealed(ip, v6));
		assert_memory_equal(ip + header + 8, about, quoted);
		free(asked.block);
		fixture_free(fixture);
	}
}

static void a_sender_is_told_ten_times_a_second(void **state)
{
	static const u32 begins[] = {
		0, 1, 12345, 0x7fffffff, 0xffffffff - 150, 0xffffffff - 50, 0xffffffff};

	for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
		struct fixture *fixture = fixture_new(0);
		u32 told = 0, other = 0;

		for (u32 ms = 0; ms < 1000; ms++)
			for (u32 again = 0; again < 2; again++) {
				enum verdict verdict = too_big_at(fixture, 1, begins[i] + ms);

				if (verdict != VERDICT_PATH_MTU)
					assert_int_equal(verdict, VERDICT_TOO_BIG_DF);
				told += verdict == VERDICT_PATH_MTU;
				if (ms % 250 == 10)
					other += too_big_at(fixture, 2, begins[i] + ms) ==
						 VERDICT_PATH_MTU;
			}
		/* Once in 49 days the clock is at 0, and the pause a millisecond shorter. */
		if (told < 10 || told > 11)
			fail_msg("told %u times from %u on", told, begins[i]);
		assert_int_equal(other, 4);
		fixture_free(fixture);
	}
}

static void a_flood_of_senders_is_answered_by_few(void **state)
{
	struct fixture *fixture = fixture_new(0);
	u32 told = 0;

	for (u32 sender = 0; sender < 50000; sender++)
		told += too_big_at(fixture, sender, 5000) == VERDICT_PATH_MTU;
	assert_true(told > ENV_TOLD_CLASSES / 2 && told <= ENV_TOLD_CLASSES);
	fixture_free(fixture);
}

static void who_remembers_nothing_tells_everyone(void **state)
{
	struct fixture *fixture = fixture_new(0);

	fixture->env.recent = NULL;
	for (u32 i = 0; i < 5; i++)
		assert_int_equal(too_big_at(fixture, 1, 5000), VERDICT_PATH_MTU);
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_question_gets_its_verdict),
		cmocka_unit_test(nothing_is_answered_unless_told_to),
		cmocka_unit_test(an_arp_reply_is_that_of_rfc_826),
		cmocka_unit_test(an_advertisement_is_that_of_rfc_4861),
		cmocka_unit_test(an_answer_that_has_no_room_is_dropped),
		cmocka_unit_test(what_is_cut_is_not_answered),
		cmocka_unit_test(a_ping_keeps_its_checksum_right_or_wrong),
		cmocka_unit_test(a_group_is_not_answered),
		cmocka_unit_test(an_error_tells_what_fits),
		cmocka_unit_test(a_sender_is_told_ten_times_a_second),
		cmocka_unit_test(a_flood_of_senders_is_answered_by_few),
		cmocka_unit_test(who_remembers_nothing_tells_everyone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
