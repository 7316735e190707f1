/* SPDX-License-Identifier: BSD-2-Clause */
/* One packet's way through the stages: the verdict of every kind of frame, what goes out, and
 * what the flow table learns from it. */
#include "tests/unit/cmocka_help.h"
#include "tests/unit/fixture.h"
#include "tests/unit/samples.h"

enum { FLOW_BUCKETS = 64, HEADROOM = 64 };

/* A frame with room before it. */
struct sent {
	u8 room[HEADROOM + FRAME_MAX_BYTES];
	struct outcome outcome;
};

static void send_frame(struct fixture *fixture, const struct frame *frame, struct sent *sent)
{
	memset(sent->room, 0xcc, sizeof(sent->room));
	memcpy(sent->room + HEADROOM, frame->bytes, frame->len);
	sent->outcome = fixture_forward(fixture, sent->room + HEADROOM, frame->len, HEADROOM);
}

static enum verdict verdict_of(struct fixture *fixture, const struct frame *frame)
{
	struct sent sent;

	send_frame(fixture, frame, &sent);
	return sent.outcome.verdict;
}

static struct outcome send_spec(struct fixture *fixture, const struct frame_spec *spec)
{
	struct frame frame;
	struct sent sent;

	frame_build(&frame, spec);
	send_frame(fixture, &frame, &sent);
	return sent.outcome;
}

/* --- Verdicts ------------------------------------------------------------------------- */

static void every_sample_gets_its_verdict(void **state)
{
	bool reached[VERDICT_COUNT] = {false};
	struct frame frame;

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct fixture *fixture = fixture_new(FLOW_BUCKETS);
		enum verdict verdict;

		sample_build(&samples[i], &frame);
		verdict = verdict_of(fixture, &frame);
		if (verdict != samples[i].verdict)
			fail_msg("%s: %s, not %s", samples[i].name, verdict_reason(verdict),
				 verdict_reason(samples[i].verdict));
		reached[verdict] = true;
		fixture_free(fixture);
	}
	/* What no single frame on a fresh table can reach. */
	reached[VERDICT_FLOW] = reached[VERDICT_UNMATCHED_PASS] = true;
	reached[VERDICT_NO_HEADROOM] = reached[VERDICT_QUEUE_FULL] = true;
	reached[VERDICT_ARP] = reached[VERDICT_NEIGHBOUR] = true; /* tests/unit/reply.c */
	for (u32 i = 0; i < VERDICT_COUNT; i++)
		if (!reached[i])
			fail_msg("no sample is %s", verdict_reason((enum verdict)i));
}

/* The same frames to an address that isn't ours, however malformed, are the kernel's. */
static void nothing_of_others_is_dropped(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);
	u32 redirected = 0;
	struct frame frame;

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct sample sample = samples[i];
		bool v6 = strchr(sample.spec.destination, ':') != NULL;
		enum verdict verdict;

		if (sample.verdict == VERDICT_NOT_IP || sample.verdict == VERDICT_TAGS ||
		    sample.verdict == VERDICT_OTHER_MAC || sample.verdict == VERDICT_OWN_MAC ||
		    (sample.verdict == VERDICT_TRUNCATED && sample.cut_bytes))
			continue;
		sample.spec.destination = v6 ? "2001:db8:1::99" : "203.0.113.99";
		sample_build(&sample, &frame);
		verdict = verdict_of(fixture, &frame);
		if (verdict != VERDICT_OTHER_ADDRESS)
			fail_msg("%s: %s", sample.name, verdict_reason(verdict));
		redirected++;
	}
	assert_true(redirected > 50);
	fixture_free(fixture);
}

static void unmatched_may_pass(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);
	struct frame frame;

	fixture->env.tables.unmatched_pass = true;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		enum verdict expected = samples[i].verdict;

		if (expected == VERDICT_UNMATCHED)
			expected = VERDICT_UNMATCHED_PASS;
		if (verdict_action(expected) == ACTION_FORWARD)
			continue;
		sample_build(&samples[i], &frame);
		assert_int_equal(verdict_of(fixture, &frame), expected);
	}
	fixture_free(fixture);
}

/* Several things wrong with one frame: the worst is told. */
static void the_worst_is_told(void **state)
{
	static const struct {
		u16 flags;
		enum verdict verdict;
	} cases[] = {
		{PACKET_SUSPECT, VERDICT_L2_GROUP},
		{PACKET_SUSPECT & ~PACKET_GROUP, VERDICT_BAD_CSUM},
		{PACKET_MARTIAN | PACKET_LAND | PACKET_TTL_ZERO | PACKET_FRAGMENT, VERDICT_MARTIAN},
		{PACKET_LAND | PACKET_TTL_ZERO | PACKET_FRAGMENT, VERDICT_LAND},
		{PACKET_TTL_ZERO | PACKET_FRAGMENT, VERDICT_TTL_ZERO},
		{PACKET_FRAGMENT, VERDICT_UNDECIDED},
		{PACKET_DF | PACKET_OPENING | PACKET_V6, VERDICT_UNDECIDED},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct packet packet = {.flags = cases[i].flags, .defect = VERDICT_BAD_CSUM};

		assert_int_equal(forward_suspect(&packet), cases[i].verdict);
	}
}

static void verdicts_have_distinct_names(void **state)
{
	for (u32 i = 0; i < VERDICT_COUNT; i++) {
		enum verdict verdict = (enum verdict)i;

		assert_true(verdict_action(verdict) < ACTION_COUNT);
		assert_true(strlen(verdict_text(verdict)) > 10);
		assert_true(
			strspn(verdict_reason(verdict), "abcdefghijklmnopqrstuvwxyz0123456789_") ==
			strlen(verdict_reason(verdict)));
		for (u32 k = 0; k < i; k++)
			assert_string_not_equal(verdict_reason(verdict),
						verdict_reason((enum verdict)k));
	}
	for (u32 i = 0; i < ACTION_COUNT; i++)
		assert_true(strlen(action_name((enum action)i)) > 3);
}

/* --- Services ------------------------------------------------------------------------- */

static void an_exact_port_goes_before_any_port(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);
	const struct service *any4, *any6, *exact4, *exact6;

	exact4 = fixture_service(fixture, "203.0.113.11", FRAME_TCP, 8080, SERVICE_HASH_5TUPLE, 1,
				 4);
	exact6 = fixture_service(fixture, "2001:db8:1::11", FRAME_TCP, 8080, SERVICE_HASH_5TUPLE, 1,
				 4);
	any4 = send_spec(fixture, &(struct frame_spec){TO("203.0.113.11", 8081)}).service;
	any6 = send_spec(fixture,
			 &(struct frame_spec){CLIENT6, .destination = "2001:db8:1::11",
					      .protocol = FRAME_TCP, .destination_port = 8081})
		       .service;
	assert_true(any4 && any6 && any4 != any6);
	assert_int_equal(any4->port | any6->port, 0);
	assert_ptr_equal(send_spec(fixture, &(struct frame_spec){TO("203.0.113.11", 8080)}).service,
			 exact4);
	assert_ptr_equal(send_spec(fixture,
				   &(struct frame_spec){CLIENT6, .destination = "2001:db8:1::11",
							.protocol = FRAME_TCP,
							.destination_port = 8080})
				 .service,
			 exact6);
	fixture_free(fixture);
}

/* Before a first generation there are no tables: everything is the kernel's. */
static void without_tables_everything_passes(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);
	static const struct service_bucket nobody;
	struct frame frame;

	fixture->env.tables = (struct tables){.buckets = &nobody, .buckets_count = 1};
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		enum verdict verdict;

		sample_build(&samples[i], &frame);
		verdict = verdict_of(fixture, &frame);
		assert_true(verdict == VERDICT_OTHER_ADDRESS || verdict == samples[i].verdict);
		assert_int_not_equal(verdict_action(verdict), ACTION_FORWARD);
	}
	fixture_free(fixture);
}

/* --- What goes out -------------------------------------------------------------------- */

/* Outer headers are tests/unit/encap.c's matter; here: the inner packet is whole and untouched,
 * padding stays behind, the frame is for the backend, nothing before or after is written. */
static void check_output(const struct frame *in, const struct sent *sent)
{
	const struct outcome *out = &sent->outcome;
	u32 tags_bytes = frame_tags_bytes(in);
	const u8 *inner = in->bytes + 14 + tags_bytes;
	u32 l3_len = inner[0] >> 4 == 6 ? 40 + get16(inner + 4) : get16(inner + 2);
	u32 overhead = encap_overhead(out->backend);
	const u8 *outer = out->frame + 14;

	assert_int_equal(out->l3_len, l3_len);
	assert_int_equal(out->frame_bytes, 14 + overhead + l3_len);
	assert_ptr_equal(out->frame, sent->room + HEADROOM + tags_bytes - overhead);
	assert_memory_equal(outer + overhead, inner, l3_len);
	assert_memory_equal(out->frame, &out->backend->ethernet, 14);
	if (out->frame[12] == 0x86) {
		assert_int_equal(get16(outer + 4), overhead - 40 + l3_len);
	} else {
		assert_int_equal(get16(outer + 2), overhead + l3_len);
		assert_true(frame_ipv4_is_sealed(outer));
	}
	for (const u8 *p = sent->room; p < out->frame && p < sent->room + HEADROOM; p++)
		assert_int_equal(*p, 0xcc);
	for (const u8 *p = sent->room + HEADROOM + in->len; p < sent->room + HEADROOM + in->len + 9;
	     p++)
		assert_int_equal(*p, 0xcc);
}

static void the_inner_packet_is_untouched(void **state)
{
	struct fixture *fixture = fixture_new(0);
	u32 seen[BACKEND_GONE] = {0};

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct sample sample = samples[i];

		if (sample.verdict != VERDICT_MAGLEV)
			continue;
		for (u16 port = 1; port < 40; port++) {
			struct frame frame;
			struct sent sent;

			sample.spec.source_port = port * 1000;
			sample_build(&sample, &frame);
			send_frame(fixture, &frame, &sent);
			assert_int_equal(sent.outcome.verdict, VERDICT_MAGLEV);
			check_output(&frame, &sent);
			seen[sent.outcome.number]++;
		}
	}
	for (u32 i = FIXTURE_FIRST; i <= FIXTURE_LAST; i++)
		assert_true(seen[i] > 20);
	fixture_free(fixture);
}

static void what_is_not_forwarded_is_untouched(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct frame frame;
		struct sent sent;

		if (verdict_sends(samples[i].verdict))
			continue;
		sample_build(&samples[i], &frame);
		send_frame(fixture, &frame, &sent);
		assert_ptr_equal(sent.outcome.frame, sent.room + HEADROOM);
		assert_memory_equal(sent.room + HEADROOM, frame.bytes, frame.len);
		for (u32 k = 0; k < HEADROOM; k++)
			assert_int_equal(sent.room[k], 0xcc);
	}
	fixture_free(fixture);
}

static void headroom_may_lack(void **state)
{
	for (u32 number = FIXTURE_FIRST; number <= FIXTURE_LAST; number++) {
		struct fixture *fixture = fixture_new(0);
		struct frame frame;
		u8 *room;
		u32 overhead = encap_overhead(&fixture->backends[number]);

		for (u32 i = 0; i < FIXTURE_MAGLEV; i++)
			fixture->maglev[i] = (u16)number;
		frame_build(&frame, &(struct frame_spec){WEB4});
		for (u32 headroom = overhead ? overhead - 1 : 0; headroom <= overhead; headroom++) {
			struct outcome outcome;

			room = malloc(headroom + frame.len);
			memcpy(room + headroom, frame.bytes, frame.len);
			outcome = fixture_forward(fixture, room + headroom, frame.len, headroom);
			assert_int_equal(outcome.verdict, headroom < overhead ? VERDICT_NO_HEADROOM
									      : VERDICT_MAGLEV);
			free(room);
		}
		fixture_free(fixture);
	}
}

static void the_path_takes_exactly_its_mtu(void **state)
{
	for (u32 number = FIXTURE_FIRST; number <= FIXTURE_LAST; number++) {
		struct backend backend;
		struct packet packet = {.flags = 0};

		fixture_backend(&backend, number, false);
		packet.l3_len = backend.mtu - encap_overhead(&backend);
		assert_int_equal(forward_fits(&backend, &packet), VERDICT_UNDECIDED);
		packet.l3_len++;
		assert_int_equal(forward_fits(&backend, &packet), VERDICT_TOO_BIG);
		packet.flags = PACKET_DF;
		assert_int_equal(forward_fits(&backend, &packet), VERDICT_TOO_BIG_DF);
		packet.l3_len = 40 + 65535; /* the largest that IPv6 can say */
		backend.mtu = 65535;
		assert_int_equal(forward_fits(&backend, &packet), VERDICT_TOO_BIG_DF);
		backend.flags &= (u8)~BACKEND_REACHABLE;
		assert_int_equal(forward_fits(&backend, &packet), VERDICT_NO_NEXT_HOP);
	}
}

/* --- What the flow table learns ------------------------------------------------------- */

static const struct frame_spec syn = {WEB4, .tcp_flags = FRAME_SYN};
static const struct frame_spec ack = {WEB4, .tcp_flags = FRAME_ACK};

/* Points every slot at one backend. */
static void point_all(struct fixture *fixture, u16 number)
{
	for (u32 i = 0; i < FIXTURE_MAGLEV; i++)
		fixture->maglev[i] = number;
}

static void expect(struct fixture *fixture, const struct frame_spec *spec, enum verdict verdict,
		   u16 number)
{
	struct outcome outcome = send_spec(fixture, spec);

	if (outcome.verdict != verdict || outcome.number != number)
		fail_msg("%s to %u, not %s to %u", verdict_reason(outcome.verdict), outcome.number,
			 verdict_reason(verdict), number);
}

static u32 entries_used(const struct fixture *fixture)
{
	u32 used = 0;

	for (u32 i = 0; i < fixture->env.flow_buckets; i++)
		for (u32 k = 0; k < FLOW_BUCKET_ENTRIES; k++)
			used += fixture->env.flows[i].entries[k] != 0;
	return used;
}

static void tcp_is_recorded_after_its_opening(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);

	point_all(fixture, 1);
	expect(fixture, &syn, VERDICT_MAGLEV, 1);
	expect(fixture, &syn, VERDICT_MAGLEV, 1);
	assert_int_equal(entries_used(fixture), 0);
	expect(fixture, &ack, VERDICT_MAGLEV, 1);
	assert_int_equal(entries_used(fixture), 1);
	point_all(fixture, 2);
	expect(fixture, &ack, VERDICT_FLOW, 1);
	expect(fixture, &syn, VERDICT_FLOW, 1); /* a SYN keeps the entry of a backend that is up */
	assert_int_equal(entries_used(fixture), 1);
	fixture_free(fixture);
}

/* Lets every slot have changed hands a moment ago. */
static void move_all(struct fixture *fixture, u16 previous, u16 present)
{
	const u32 half = FIXTURE_MAGLEV / 2;

	frame_require(fixture->maglev_used <= half);
	for (u32 i = 0; i < half; i++) {
		fixture->maglev[i] = present;
		fixture->maglev[half + i] = previous;
	}
	for (u32 i = 0; i < FIXTURE_SERVICES; i++)
		if (fixture->services[i].kind == SERVICE_ACTIVE)
			fixture->services[i].previous_offset =
				fixture->services[i].maglev_offset + half * sizeof(u16);
}

/* A handshake that began before the slot moved ends where it began. */
static void a_moved_slot_keeps_its_handshakes(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);

	point_all(fixture, 1);
	expect(fixture, &syn, VERDICT_MAGLEV, 1);
	assert_int_equal(entries_used(fixture), 0);
	move_all(fixture, 1, 2);
	expect(fixture, &ack, VERDICT_MAGLEV, 1);
	assert_int_equal(entries_used(fixture), 1);
	move_all(fixture, 3, 4);
	expect(fixture, &ack, VERDICT_FLOW, 1);
	fixture_free(fixture);
}

/* One that begins in a moved slot begins at the present backend and is remembered with its SYN,
 * whatever the slot does next. */
static void a_moved_slot_remembers_a_syn(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);

	move_all(fixture, 1, 2);
	expect(fixture, &syn, VERDICT_MAGLEV, 2);
	assert_int_equal(entries_used(fixture), 1);
	move_all(fixture, 1, 3);
	expect(fixture, &syn, VERDICT_FLOW, 2);
	expect(fixture, &ack, VERDICT_FLOW, 2);
	assert_int_equal(entries_used(fixture), 1);

	/* A new connection of the same flow doesn't go to a backend that takes none. */
	fixture->backends[2].flags |= BACKEND_NO_NEW;
	expect(fixture, &syn, VERDICT_MAGLEV, 3);
	expect(fixture, &ack, VERDICT_FLOW, 3);
	assert_int_equal(entries_used(fixture), 1);

	/* A slot that is back where it was is not moved. */
	fixture->backends[3].flags |= BACKEND_NO_NEW;
	move_all(fixture, 1, 1);
	expect(fixture, &syn, VERDICT_MAGLEV, 1);
	assert_int_equal(entries_used(fixture), 0);
	fixture_free(fixture);
}

/* The previous backend counts only while it is there. */
static void a_moved_slot_forgets_who_is_gone(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);

	move_all(fixture, BACKEND_GONE, 2);
	expect(fixture, &ack, VERDICT_MAGLEV, 2);
	fixture_free(fixture);
	fixture = fixture_new(FLOW_BUCKETS);
	move_all(fixture, 1, 0); /* nobody takes new flows */
	expect(fixture, &syn, VERDICT_NO_BACKEND, 0);
	expect(fixture, &ack, VERDICT_MAGLEV, 1);
	fixture_free(fixture);
}

static void udp_is_recorded_at_once(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);
	const struct frame_spec udp = {DNS4};

	point_all(fixture, 3);
	expect(fixture, &udp, VERDICT_MAGLEV, 3);
	point_all(fixture, 2);
	expect(fixture, &udp, VERDICT_FLOW, 3);
	assert_int_equal(entries_used(fixture), 1);
	fixture_free(fixture);
}

static void every_form_of_key_is_remembered(void **state)
{
	static const struct frame_spec specs[] = {
		{DNS4},
		{TO("203.0.113.11", 8080)},
		{TO("203.0.113.12", 80)},
		{CLIENT4, .destination = "203.0.113.12", .protocol = FRAME_UDP,
		 .destination_port = 9},
		{WEB6, .tcp_flags = FRAME_ACK},
		{DNS6},
	};

	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		struct fixture *fixture = fixture_new(FLOW_BUCKETS);

		point_all(fixture, 1);
		expect(fixture, &specs[i], VERDICT_MAGLEV, 1);
		point_all(fixture, 2);
		expect(fixture, &specs[i], VERDICT_FLOW, 1);
		fixture_free(fixture);
	}
}

static void a_draining_backend_keeps_its_flows_only(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);

	point_all(fixture, 1);
	expect(fixture, &ack, VERDICT_MAGLEV, 1);
	fixture->backends[1].flags |= BACKEND_NO_NEW;
	point_all(fixture, 2);
	expect(fixture, &ack, VERDICT_FLOW, 1);
	expect(fixture, &syn, VERDICT_MAGLEV, 2); /* the port is used anew: the old entry goes */
	assert_int_equal(entries_used(fixture), 0);
	expect(fixture, &ack, VERDICT_MAGLEV, 2);
	expect(fixture, &ack, VERDICT_FLOW, 2);
	fixture_free(fixture);
}

static void a_removed_backend_loses_its_flows(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);

	point_all(fixture, 1);
	expect(fixture, &ack, VERDICT_MAGLEV, 1);
	memset(&fixture->backends[1], 0, sizeof(fixture->backends[1]));
	point_all(fixture, 2);
	expect(fixture, &ack, VERDICT_MAGLEV, 2);
	expect(fixture, &ack, VERDICT_FLOW, 2);
	assert_int_equal(entries_used(fixture), 1);
	fixture_free(fixture);
}

/* A set that shrank: the number in the entry is beyond it now. */
static void a_number_beyond_the_set_is_a_miss(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);

	point_all(fixture, 4);
	expect(fixture, &ack, VERDICT_MAGLEV, 4);
	for (u32 i = 0; i < FIXTURE_SERVICES; i++)
		if (fixture->services[i].kind == SERVICE_ACTIVE)
			fixture->services[i].backends_count = 4;
	point_all(fixture, 3);
	expect(fixture, &ack, VERDICT_MAGLEV, 3);
	fixture_free(fixture);
}

static void a_flow_lives_32_silent_ticks(void **state)
{
	for (u32 start = 0; start < 64; start += 21) {
		for (u32 silent = 0; silent < 64; silent++) {
			struct fixture *fixture = fixture_new(FLOW_BUCKETS);
			bool lives = silent <= 32;

			fixture->env.tick = (u8)start;
			point_all(fixture, 1);
			expect(fixture, &ack, VERDICT_MAGLEV, 1);
			point_all(fixture, 2);
			fixture->env.tick = (u8)((start + silent) & 63);
			expect(fixture, &ack, lives ? VERDICT_FLOW : VERDICT_MAGLEV, lives ? 1 : 2);
			expect(fixture, &ack, VERDICT_FLOW, lives ? 1 : 2);
			assert_int_equal(entries_used(fixture), 1);
			fixture_free(fixture);
		}
	}
}

static void no_backend_leaves_the_entry(void **state)
{
	struct fixture *fixture = fixture_new(FLOW_BUCKETS);

	point_all(fixture, 1);
	expect(fixture, &ack, VERDICT_MAGLEV, 1);
	fixture->backends[1].flags = 0;
	point_all(fixture, 0);
	expect(fixture, &ack, VERDICT_NO_BACKEND, 0);
	fixture->backends[1].flags = BACKEND_PRESENT | BACKEND_REACHABLE;
	expect(fixture, &ack, VERDICT_FLOW, 1);
	fixture_free(fixture);
}

static void without_a_flow_table_maglev_decides(void **state)
{
	struct fixture *fixture = fixture_new(0);

	point_all(fixture, 1);
	expect(fixture, &ack, VERDICT_MAGLEV, 1);
	expect(fixture, &ack, VERDICT_MAGLEV, 1);
	point_all(fixture, 2);
	expect(fixture, &ack, VERDICT_MAGLEV, 2);
	fixture_free(fixture);
}

/* Which backend a flow gets is a matter of its key and the table, not of what else went by. */
static void the_slot_follows_from_the_hash(void **state)
{
	struct fixture *fixture = fixture_new(0);
	u32 counts[FIXTURE_LAST + 1] = {0};

	for (u32 i = 0; i < 1000 * FIXTURE_FORMS; i++) {
		struct frame_spec spec = {WEB4, .tcp_flags = FRAME_ACK};
		struct packet packet = {.source = fixture_addr("192.0.2.7")};
		struct outcome outcome;
		struct flow_key key;
		u32 slot;

		spec.source_port = (u16)(i + 1024);
		packet.source_port = BE16(spec.source_port);
		outcome = send_spec(fixture, &spec);
		flow_key_of(outcome.service, &packet, env_seed(&fixture->env), &key);
		slot = (u32)((key.hash & 0xffffffff) * FIXTURE_SLOTS >> 32);
		assert_int_equal(outcome.number, fixture->maglev[slot]);
		counts[outcome.number]++;
	}
	for (u32 i = FIXTURE_FIRST; i <= FIXTURE_LAST; i++)
		assert_in_range(counts[i], 850, 1150);
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_sample_gets_its_verdict),
		cmocka_unit_test(nothing_of_others_is_dropped),
		cmocka_unit_test(unmatched_may_pass),
		cmocka_unit_test(the_worst_is_told),
		cmocka_unit_test(verdicts_have_distinct_names),
		cmocka_unit_test(an_exact_port_goes_before_any_port),
		cmocka_unit_test(without_tables_everything_passes),
		cmocka_unit_test(the_inner_packet_is_untouched),
		cmocka_unit_test(what_is_not_forwarded_is_untouched),
		cmocka_unit_test(headroom_may_lack),
		cmocka_unit_test(the_path_takes_exactly_its_mtu),
		cmocka_unit_test(tcp_is_recorded_after_its_opening),
		cmocka_unit_test(a_moved_slot_keeps_its_handshakes),
		cmocka_unit_test(a_moved_slot_remembers_a_syn),
		cmocka_unit_test(a_moved_slot_forgets_who_is_gone),
		cmocka_unit_test(udp_is_recorded_at_once),
		cmocka_unit_test(every_form_of_key_is_remembered),
		cmocka_unit_test(a_draining_backend_keeps_its_flows_only),
		cmocka_unit_test(a_removed_backend_loses_its_flows),
		cmocka_unit_test(a_number_beyond_the_set_is_a_miss),
		cmocka_unit_test(a_flow_lives_32_silent_ticks),
		cmocka_unit_test(no_backend_leaves_the_entry),
		cmocka_unit_test(without_a_flow_table_maglev_decides),
		cmocka_unit_test(the_slot_follows_from_the_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
