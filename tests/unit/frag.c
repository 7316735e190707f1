/* SPDX-License-Identifier: BSD-2-Clause */
/* What is remembered of first fragments: for how long, in whose place, and what a flood of them
 * does to flows. */
#include "tests/unit/cmocka_help.h"
#include "tests/unit/fixture.h"

enum { NOW_MS = 5000000 };

static struct packet with_ports(u16 source_port)
{
	return (struct packet){
		.protocol = FRAME_UDP,
		.source_port = BE16(source_port),
		.destination_port = BE16(53),
	};
}

static void keep(struct fragment_bucket *bucket, u64 datagram, u16 source_port, u32 now_ms)
{
	struct packet packet = with_ports(source_port);

	fragment_keep(bucket, datagram << 8, &packet, now_ms);
}

/* The source port that is known of a datagram; 0: none. */
static u16 known(const struct fragment_bucket *bucket, u64 datagram, u32 now_ms)
{
	const struct fragment *entry = fragment_find(bucket, datagram << 8, now_ms);

	if (!entry)
		return 0;
	assert_int_equal(entry->datagram & 0xff, FRAME_UDP);
	assert_int_equal(entry->destination_port, BE16(53));
	return be16_to_cpu(entry->source_port);
}

static void forgets_after_its_time(void **state)
{
	static const u32 begins[] = {
		0, 1, NOW_MS, 0x7fffffff, 0xffffffff, 0xffffffff - 30000, 0xffffffff - 29999};

	for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
		struct fragment_bucket bucket = {0};

		keep(&bucket, 7, 1000, begins[i]);
		assert_int_equal(known(&bucket, 7, begins[i]), 1000);
		assert_int_equal(known(&bucket, 7, begins[i] + 30000), 1000);
		assert_int_equal(known(&bucket, 7, begins[i] + 30001), 0);
		assert_int_equal(known(&bucket, 8, begins[i]), 0);
	}
}

static void an_empty_bucket_knows_nothing(void **state)
{
	struct fragment_bucket bucket = {0};

	/* A datagram whose hash is that of an empty place, and a clock at its beginning. */
	assert_int_equal(known(&bucket, 0, 0), 0);
	assert_int_equal(known(&bucket, 0, 100), 0);
}

/* Whatever the place, and across the clock's end. */
static void the_oldest_makes_room(void **state)
{
	for (u32 oldest = 0; oldest < FRAGMENT_BUCKET_ENTRIES; oldest++) {
		struct fragment_bucket bucket = {0};
		const u32 start = 0xfffffffe;

		for (u32 i = 0; i < FRAGMENT_BUCKET_ENTRIES; i++)
			keep(&bucket, 10 + i, (u16)(100 + i), start);
		for (u32 i = 0; i < FRAGMENT_BUCKET_ENTRIES; i++)
			if (i != oldest)
				keep(&bucket, 10 + i, (u16)(100 + i), start + 1 + i);
		keep(&bucket, 20, 200, start + 9);
		assert_int_equal(known(&bucket, 20, start + 9), 200);
		for (u32 i = 0; i < FRAGMENT_BUCKET_ENTRIES; i++)
			assert_int_equal(known(&bucket, 10 + i, start + 9),
					 i == oldest ? 0 : 100 + i);
	}
}

static void an_empty_place_is_older_than_any(void **state)
{
	struct fragment_bucket bucket = {0};

	for (u32 i = 0; i < FRAGMENT_BUCKET_ENTRIES; i++)
		keep(&bucket, 10 + i, (u16)(100 + i), NOW_MS - 40000 + 20000 * (i % 2) + i);
	for (u32 i = 0; i < FRAGMENT_BUCKET_ENTRIES; i++)
		assert_int_equal(bucket.entries[i].datagram != 0, 1);
}

/* A first fragment that comes again, with the same ports or others: one entry, the newest. */
static void the_same_datagram_has_one_place(void **state)
{
	struct fragment_bucket bucket = {0};
	u32 found = 0;

	for (u32 i = 0; i < 3; i++)
		keep(&bucket, 30 + i, (u16)(300 + i), NOW_MS + i);
	keep(&bucket, 30, 999, NOW_MS + 10);
	assert_int_equal(known(&bucket, 30, NOW_MS + 10 + 30000), 999);
	for (u32 i = 0; i < FRAGMENT_BUCKET_ENTRIES; i++)
		found += bucket.entries[i].datagram >> 8 == 30;
	assert_int_equal(found, 1);
	assert_int_equal(known(&bucket, 31, NOW_MS + 10), 301);
}

static u64 datagram_of(const char *source, const char *destination, u32 id, u8 protocol)
{
	struct hash_seed seed = hash_seed_derive((const u8[16]){1, 2, 3});
	struct packet packet = {
		.source = fixture_addr(source),
		.destination = fixture_addr(destination),
		.fragment_id = id,
		.protocol = protocol,
		.flags = strchr(source, ':') ? PACKET_V6 : 0,
	};

	return fragment_datagram(&packet, &seed);
}

static void a_datagram_is_what_the_rfcs_say(void **state)
{
	const u64 four = datagram_of("192.0.2.7", "203.0.113.10", 1, FRAME_UDP);
	const u64 six = datagram_of("2001:db8::7", "2001:db8:1::10", 1, FRAME_UDP);

	assert_true((four & 0xff) == 0 && (six & 0xff) == 0);
	assert_true(four == datagram_of("192.0.2.7", "203.0.113.10", 1, FRAME_UDP));
	assert_true(four != datagram_of("192.0.2.8", "203.0.113.10", 1, FRAME_UDP));
	assert_true(four != datagram_of("192.0.2.7", "203.0.113.11", 1, FRAME_UDP));
	assert_true(four != datagram_of("203.0.113.10", "192.0.2.7", 1, FRAME_UDP));
	assert_true(four != datagram_of("192.0.2.7", "203.0.113.10", 2, FRAME_UDP));
	assert_true(four != datagram_of("192.0.2.7", "203.0.113.10", 1, FRAME_TCP));
	assert_true(six == datagram_of("2001:db8::7", "2001:db8:1::10", 1, FRAME_TCP));
	assert_true(six != datagram_of("2001:db8::8", "2001:db8:1::10", 1, FRAME_UDP));
	assert_true(six != datagram_of("2001:db8:0:1::7", "2001:db8:1::10", 1, FRAME_UDP));
	assert_true(six != datagram_of("2001:db8::7", "2001:db8:2::10", 1, FRAME_UDP));
	assert_true(six != datagram_of("2001:db8::7", "2001:db8:1::10", 65537, FRAME_UDP));
}

/* --- Floods --------------------------------------------------------------------------- */

static enum verdict forward_spec(struct fixture *fixture, const struct frame_spec *spec)
{
	u8 block[ENCAP_OVERHEAD_MAX + FRAME_MAX_BYTES];
	struct frame frame;

	frame_build(&frame, spec);
	memcpy(block + ENCAP_OVERHEAD_MAX, frame.bytes, frame.len);
	return fixture_forward(fixture, block + ENCAP_OVERHEAD_MAX, frame.len, ENCAP_OVERHEAD_MAX)
		.verdict;
}

static struct frame_spec question(const char *source, u16 source_port)
{
	return (struct frame_spec){
		.source = source,
		.destination = "203.0.113.10",
		.protocol = FRAME_UDP,
		.source_port = source_port,
		.destination_port = 53,
		.payload_bytes = 16,
	};
}

/* Neither the firsts of a flow that is known, nor later ones of nothing, nor firsts to a port that is
 * nobody's write into the flow table, however many. */
static void a_flood_of_fragments_writes_no_flow(void **state)
{
	enum { BUCKETS = 40, FLOWS = 100, FLOOD = 20000 };
	struct fixture *fixture = fixture_new(BUCKETS);
	size_t bytes = BUCKETS * sizeof(struct flow_bucket);
	void *before = malloc(bytes);
	u32 unknown = 0;

	for (u16 i = 0; i < FLOWS; i++) {
		struct frame_spec spec = question("192.0.2.7", i);

		assert_int_equal(forward_spec(fixture, &spec), VERDICT_MAGLEV);
	}
	memcpy(before, fixture->env.flows, bytes);
	for (u32 i = 0; i < FLOOD; i++) {
		struct frame_spec spec = question("192.0.2.7", (u16)(i % FLOWS));

		spec.id = (u16)i;
		spec.fragment = FRAME_MF;
		fixture->env.now_ms = NOW_MS + i;
		assert_int_equal(forward_spec(fixture, &spec), VERDICT_FLOW);
		spec.destination_port = 54;
		spec.source = "192.0.2.8";
		assert_int_equal(forward_spec(fixture, &spec), VERDICT_UNMATCHED);
		spec.fragment = 8;
		spec.source = "192.0.2.9";
		unknown += forward_spec(fixture, &spec) == VERDICT_FRAGMENT;
	}
	assert_int_equal(unknown, FLOOD);
	assert_memory_equal(before, fixture->env.flows, bytes);
	free(before);
	fixture_free(fixture);
}

/* Of more datagrams than there is room for, the newest of each bucket are known; no more memory is
 * used than before, and every later fragment of a lost one is counted as such. */
static void a_flood_of_fragments_is_bounded(void **state)
{
	enum { FLOOD = 60000, ROOM = FRAGMENT_BUCKETS * FRAGMENT_BUCKET_ENTRIES };
	struct fixture *fixture = fixture_new(0);
	u32 found = 0, newest = 0;

	for (u32 i = 0; i < FLOOD; i++) {
		struct frame_spec spec = question("192.0.2.7", 1);

		spec.id = (u16)i;
		spec.fragment = FRAME_MF;
		fixture->env.now_ms = NOW_MS + i / 10;
		assert_int_equal(forward_spec(fixture, &spec), VERDICT_MAGLEV);
	}
	for (u32 i = 0; i < FLOOD; i++) {
		struct frame_spec spec = question("192.0.2.7", 1);
		enum verdict verdict;

		spec.id = (u16)i;
		spec.fragment = 3;
		verdict = forward_spec(fixture, &spec);
		assert_true(verdict == VERDICT_MAGLEV || verdict == VERDICT_FRAGMENT);
		found += verdict == VERDICT_MAGLEV;
		newest += verdict == VERDICT_MAGLEV && i >= FLOOD - 1000;
	}
	printf("frag: %u of %u places used, %u of the newest 1000 known\n", found, ROOM, newest);
	assert_true(found <= ROOM && found > ROOM * 99 / 100);
	assert_true(newest > 990);
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forgets_after_its_time),
		cmocka_unit_test(an_empty_bucket_knows_nothing),
		cmocka_unit_test(the_oldest_makes_room),
		cmocka_unit_test(an_empty_place_is_older_than_any),
		cmocka_unit_test(the_same_datagram_has_one_place),
		cmocka_unit_test(a_datagram_is_what_the_rfcs_say),
		cmocka_unit_test(a_flood_of_fragments_writes_no_flow),
		cmocka_unit_test(a_flood_of_fragments_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
