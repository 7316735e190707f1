/* SPDX-License-Identifier: BSD-2-Clause */
/* A burst gives exactly what its packets give one by one: same verdicts, same bytes, same flow
 * table. Then the burst's bookkeeping: counters, generations, sweeps. */
#include "dataplane/burst/burst.h"

#include "tests/unit/arena_help.h"
#include "tests/unit/cmocka_help.h"
#include "tests/unit/traffic.h"

enum { ROOM = 64, BUFFER_BYTES = ROOM + FRAME_MAX_BYTES };

/* The same frames twice, each in a buffer with room before it. */
struct twins {
	struct fixture *one_by_one, *together;
	u8 buffer[2][BURST_MAX][BUFFER_BYTES];
	u32 len[BURST_MAX], headroom[BURST_MAX];
	struct outcome outcome[BURST_MAX];
	struct burst burst;
	u32 verdicts[VERDICT_COUNT];
	u32 unplaced;
};

static void twins_fill(struct twins *twins, struct random *random)
{
	struct burst *burst = &twins->burst;

	memset(burst, 0x5a, sizeof(*burst));
	burst->station = twins->together->station;
	burst->count = random_below(random, BURST_MAX + 1);
	for (u32 i = 0; i < burst->count; i++) {
		struct frame frame;

		traffic_frame(random, &frame);
		twins->len[i] = frame.len;
		twins->headroom[i] = random_one_in(random, 20) ? random_below(random, ROOM) : ROOM;
		for (u32 k = 0; k < 2; k++) {
			memset(twins->buffer[k][i], 0xcc, BUFFER_BYTES);
			memcpy(twins->buffer[k][i] + ROOM, frame.bytes, frame.len);
		}
		burst->frame[i] = twins->buffer[1][i] + ROOM;
		burst->frame_bytes[i] = burst->contiguous_bytes[i] = frame.len;
		burst->headroom_bytes[i] = twins->headroom[i];
	}
}

static void twins_run(struct twins *twins)
{
	for (u32 i = 0; i < twins->burst.count; i++)
		twins->outcome[i] = fixture_forward(twins->one_by_one, twins->buffer[0][i] + ROOM,
						    twins->len[i], twins->headroom[i]);
	burst_process(&twins->together->env, &twins->burst);
}

static u32 twins_service(const struct fixture *fixture, const struct service *service)
{
	return service ? (u32)(service - fixture->services) : SERVICE_NONE;
}

static u32 twins_backend(const struct fixture *fixture, const struct backend *backend)
{
	return backend ? (u32)(backend - fixture->backends) : SERVICE_NONE;
}

static void twins_compare(struct twins *twins, u32 i)
{
	const struct outcome *outcome = &twins->outcome[i];
	const struct burst *burst = &twins->burst;
	const struct fixture *a = twins->one_by_one, *b = twins->together;

	if (burst->verdict[i] != outcome->verdict)
		fail_msg("packet %u of %u: %s in a burst, %s alone", i, burst->count,
			 verdict_reason(burst->verdict[i]), verdict_reason(outcome->verdict));
	twins->verdicts[outcome->verdict]++;
	assert_int_equal(burst->backend_number[i], outcome->number);
	assert_int_equal(burst->l3_len[i], outcome->l3_len);
	assert_int_equal(twins_service(b, burst->service[i]), twins_service(a, outcome->service));
	assert_int_equal(twins_backend(b, burst->backend[i]), twins_backend(a, outcome->backend));
	assert_int_equal(burst->frame[i] - twins->buffer[1][i],
			 outcome->frame - twins->buffer[0][i]);
	assert_int_equal(burst->frame_bytes[i], outcome->frame_bytes);
	assert_int_equal(burst->contiguous_bytes[i], outcome->frame_bytes);
	if (verdict_action(outcome->verdict) == ACTION_FORWARD)
		assert_int_equal(burst->port[i], outcome->backend->port);
	assert_memory_equal(twins->buffer[0][i], twins->buffer[1][i], BUFFER_BYTES);
}

static void twins_compare_unplaced(struct twins *twins)
{
	u32 unplaced = 0;

	for (u32 i = 0; i < twins->burst.count; i++)
		unplaced += twins->outcome[i].unplaced;
	assert_int_equal(twins->burst.flows_unplaced, unplaced);
	twins->unplaced += unplaced;
}

static void twins_rounds(struct twins *twins, struct random *random, u32 flow_buckets, u32 rounds)
{
	twins->one_by_one = fixture_new(flow_buckets);
	twins->together = fixture_new(flow_buckets);
	for (u32 round = 0; round < rounds; round++) {
		struct random same = *random;

		traffic_change(random, twins->one_by_one);
		traffic_change(&same, twins->together);
		twins_fill(twins, random);
		twins_run(twins);
		for (u32 i = 0; i < twins->burst.count; i++)
			twins_compare(twins, i);
		twins_compare_unplaced(twins);
		if (!flow_buckets)
			continue;
		assert_memory_equal(twins->one_by_one->env.flows, twins->together->env.flows,
				    flow_buckets * sizeof(struct flow_bucket));
		assert_memory_equal(twins->one_by_one->env.flow_owners,
				    twins->together->env.flow_owners,
				    flow_buckets * sizeof(struct flow_owners));
	}
	fixture_free(twins->one_by_one);
	fixture_free(twins->together);
}

static void a_burst_equals_its_packets(void **state)
{
	static const u32 sizes[] = {0, 21, 23, 24, 40, 200};
	struct random random = random_start("burst");
	struct twins *twins = calloc(1, sizeof(*twins));

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		twins_rounds(twins, &random, sizes[i], 500);
	printf("burst: %u packets by flow, %u by maglev, %u without headroom\n",
	       twins->verdicts[VERDICT_FLOW], twins->verdicts[VERDICT_MAGLEV],
	       twins->verdicts[VERDICT_NO_HEADROOM]);
	assert_true(twins->verdicts[VERDICT_FLOW] > 3000);
	assert_true(twins->verdicts[VERDICT_MAGLEV] > 3000);
	assert_true(twins->verdicts[VERDICT_NO_HEADROOM] > 50);
	assert_true(twins->unplaced > 0);
	free(twins);
}

static void burst_add(struct burst *burst, struct frame *frame, const struct frame_spec *spec)
{
	u32 i = burst->count++;

	frame_build(&frame[i], spec);
	memmove(frame[i].bytes + ROOM, frame[i].bytes, frame[i].len);
	burst->frame[i] = frame[i].bytes + ROOM;
	burst->frame_bytes[i] = burst->contiguous_bytes[i] = frame[i].len;
	burst->headroom_bytes[i] = ROOM;
}

/* A client port whose flow to WEB4 falls into the same first bucket as that of `port`. */
static u16 neighbour_port(const struct fixture *fixture, const struct service *service, u16 port)
{
	struct packet packet = {.source = fixture_addr("192.0.2.7"), .source_port = BE16(port)};
	struct flow_key key, other;
	u16 candidate = port;

	flow_key_of(service, &packet, env_seed(&fixture->env), &key);
	do {
		packet.source_port = BE16(++candidate);
		flow_key_of(service, &packet, env_seed(&fixture->env), &other);
	} while (flow_bucket_first(other.hash, service->number, fixture->env.flow_buckets) !=
		 flow_bucket_first(key.hash, service->number, fixture->env.flow_buckets));
	return candidate;
}

/* A SYN clears its draining backend's entry, a neighbour moves into the slot, and the first flow
 * speaks again, all in one burst that found the old entry twice. */
static void a_slot_may_change_hands_within_a_burst(void **state)
{
	struct fixture *fixture = fixture_new(64);
	const struct frame_spec open = {WEB4, .tcp_flags = FRAME_SYN};
	const struct frame_spec talk = {WEB4, .tcp_flags = FRAME_ACK};
	struct frame_spec neighbour = talk;
	struct frame *frames = calloc(4, sizeof(*frames));
	struct burst burst = {.station = fixture->station};

	for (u32 i = 0; i < FIXTURE_MAGLEV; i++)
		fixture->maglev[i] = 1;
	burst_add(&burst, frames, &talk);
	burst_process(&fixture->env, &burst);
	neighbour.source_port = neighbour_port(fixture, burst.service[0], talk.source_port);
	fixture->backends[1].flags |= BACKEND_NO_NEW;
	for (u32 i = 0; i < FIXTURE_MAGLEV; i++)
		fixture->maglev[i] = 2;

	burst.count = 0;
	burst_add(&burst, frames, &open);
	burst_add(&burst, frames, &neighbour);
	burst_add(&burst, frames, &talk);
	burst_add(&burst, frames, &talk);
	burst_process(&fixture->env, &burst);
	for (u32 i = 0; i < 4; i++) {
		assert_int_equal(burst.verdict[i], i < 3 ? VERDICT_MAGLEV : VERDICT_FLOW);
		assert_int_equal(burst.backend_number[i], 2);
	}
	free(frames);
	fixture_free(fixture);
}

/* The frame's headers in one piece, its payload elsewhere: the pieces' lengths follow. */
static void a_frame_in_pieces_keeps_its_lengths(void **state)
{
	struct fixture *fixture = fixture_new(0);
	struct burst burst = {.count = 1, .station = fixture->station};
	struct frame frame;
	u8 *buffer = malloc(ROOM + 60);
	u32 overhead;

	frame_build(&frame,
		    &(struct frame_spec){WEB4, .tcp_flags = FRAME_ACK, .payload_bytes = 900});
	memcpy(buffer + ROOM, frame.bytes, 60);
	burst.frame[0] = buffer + ROOM;
	burst.contiguous_bytes[0] = 60;
	burst.frame_bytes[0] = frame.len;
	burst.headroom_bytes[0] = ROOM;
	burst_process(&fixture->env, &burst);
	assert_int_equal(burst.verdict[0], VERDICT_MAGLEV);
	overhead = encap_overhead(burst.backend[0]);
	assert_int_equal(burst.frame_bytes[0], frame.len + overhead);
	assert_int_equal(burst.contiguous_bytes[0], 60 + overhead);
	assert_memory_equal(burst.frame[0] + 14 + overhead, frame.bytes + 14, 46);
	free(buffer);
	fixture_free(fixture);
}

/* --- Counters ------------------------------------------------------------------------- */

static struct report_worker *report_new(void)
{
	size_t bytes = sizeof(struct report_worker) + 64 * sizeof(struct report_traffic);
	struct report_worker *report = aligned_alloc(64, bytes);

	memset(report, 0, bytes);
	return report;
}

static void every_packet_is_counted_once(void **state)
{
	struct random random = random_start("burst");
	struct twins *twins = calloc(1, sizeof(*twins));
	struct report_worker *report = report_new();
	u64 packets = 0, forwarded = 0, bytes = 0, counted = 0;
	struct report_traffic services = {0}, backends = {0};

	twins->one_by_one = fixture_new(24);
	twins->together = fixture_new(24);
	for (u32 round = 0; round < 50; round++) {
		u32 split;

		twins_fill(twins, &random);
		twins_run(twins);
		split = random_below(&random, twins->burst.count + 1);
		for (u32 i = 0; i < twins->burst.count; i++) {
			bool sent = verdict_action(twins->burst.verdict[i]) == ACTION_FORWARD;

			forwarded += sent && i < split;
			bytes += sent && i < split ? twins->burst.l3_len[i] : 0;
			if (sent && i >= split)
				twins->burst.verdict[i] = VERDICT_QUEUE_FULL;
		}
		packets += twins->burst.count;
		burst_count(&twins->burst, 0, split, report);
		burst_count(&twins->burst, split, twins->burst.count, report);
	}
	for (u32 i = 0; i < VERDICT_COUNT; i++)
		counted += report->verdicts[i];
	for (u32 i = 0; i < 64; i++) {
		struct report_traffic *sum = i < FIXTURE_HIGHEST_NUMBER ? &services : &backends;

		sum->packets += report->traffic[i].packets;
		sum->bytes += report->traffic[i].bytes;
	}
	assert_true(forwarded > 100);
	assert_true(counted == packets);
	assert_true(report->verdicts[VERDICT_FLOW] + report->verdicts[VERDICT_MAGLEV] +
			    report->verdicts[VERDICT_ICMP_ERROR] ==
		    forwarded);
	assert_true(services.packets == forwarded && backends.packets == forwarded);
	assert_true(services.bytes == bytes && backends.bytes == bytes);
	fixture_free(twins->one_by_one);
	fixture_free(twins->together);
	free(report);
	free(twins);
}

/* --- Generations ---------------------------------------------------------------------- */

static void follows_the_root(void **state)
{
	struct fixture *fixture = fixture_new(0);
	struct arena_help help = arena_help_make(fixture);
	struct arena_view view = {.base = help.base, .size_bytes = help.size_bytes};
	struct report_worker *report = report_new();
	struct env env = {.flow_buckets = 0};
	u64 root = 0, good = help.root_offset;

	view.counters_count = ARENA_HELP_COUNTERS;
	arena_help_header(&help)->root = 0;
	assert_false(burst_follow(&view, &root, &env, report));
	assert_true(report->generation == 0);

	arena_help_header(&help)->root = good;
	assert_true(burst_follow(&view, &root, &env, report));
	assert_false(burst_follow(&view, &root, &env, report));
	assert_true(report->generation == 1 && env.tables.generation == 1);

	/* A root that leads outside is refused once, and the old tables stay in use. */
	arena_help_header(&help)->root = help.size_bytes - 8;
	assert_false(burst_follow(&view, &root, &env, report));
	assert_false(burst_follow(&view, &root, &env, report));
	assert_true(report->roots_refused == 1);
	assert_true(report->generation == 1 && env.tables.generation == 1);

	arena_help_root(&help)->generation = 2;
	arena_help_sign(&help);
	arena_help_header(&help)->root = good;
	assert_true(burst_follow(&view, &root, &env, report));
	assert_true(report->generation == 2);
	arena_help_free(&help);
	free(report);
	fixture_free(fixture);
}

/* Says that a generation's removed backends are in no entry only when that is so: after a whole
 * pass that began more than a timeout after the generation came. */
static void a_sweep_reports_when_nothing_old_is_left(void **state)
{
	enum { BUCKETS = 40 };
	struct fixture *fixture = fixture_new(BUCKETS);
	struct report_worker *report = report_new();
	struct burst_sweep sweep = {0};
	const struct flow_key key = {.key = 77};
	u64 came = 0, swept = 0;

	for (u64 call = 0, tick = 100; call < 120 * BUCKETS; call++) {
		tick += call % BUCKETS == BUCKETS / 2; /* a pass takes one tick */
		fixture->env.tick = (u8)(tick & 63);
		if (call == BUCKETS * 3 / 2) { /* the last packet of a removed backend's flow */
			flow_write(&fixture->env.flows[7], 2, 0, &key, 5, fixture->env.tick);
			fixture->env.tables.generation = 2;
			came = tick;
		}
		burst_sweep(&sweep, &fixture->env, tick, report);
		if (report->swept_generation == 2 && !swept) {
			swept = tick;
			assert_true(swept - came > FLOW_TIMEOUT_TICKS);
			assert_true(fixture->env.flows[7].entries[2] == 0);
		}
	}
	assert_true(swept != 0);
	free(report);
	fixture_free(fixture);
}

/* A sweep so slow that ages wrap between two visits promises nothing. */
static void a_slow_sweep_reports_nothing(void **state)
{
	enum { BUCKETS = 40 };
	struct fixture *fixture = fixture_new(BUCKETS);
	struct report_worker *report = report_new();
	struct burst_sweep sweep = {0};
	u64 tick = 1;

	for (u64 call = 0; call < 400 * BUCKETS; call++) {
		tick += call % 2; /* a pass takes 20 ticks */
		fixture->env.tick = (u8)(tick & 63);
		burst_sweep(&sweep, &fixture->env, tick, report);
	}
	assert_true(report->swept_generation == 0);
	for (u64 call = 0; call < 120 * BUCKETS; call++) {
		tick += call % BUCKETS == 5;
		fixture->env.tick = (u8)(tick & 63);
		burst_sweep(&sweep, &fixture->env, tick, report);
	}
	assert_true(report->swept_generation == 1);
	free(report);
	fixture_free(fixture);
}

/* The kernel's program writes beside it, and its clock has gone on since this one's was read. */
static void a_sweep_beside_another_spares_the_newest(void **state)
{
	static const struct {
		u64 tick;
		bool stays;
	} cases[] = {
		{100, true}, /* now */
		{101, true}, /* the tick has changed meanwhile */
		{104, true}, /* and again, on a machine that is busy */
		{68, true},  /* silent for the whole timeout */
		{67, false}, /* and longer */
		{41, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *fixture = fixture_new(40);
		struct report_worker *report = report_new();
		struct burst_sweep sweep = {.beside = true};
		const struct flow_key key = {.key = 77};

		flow_write(&fixture->env.flows[0], 3, 0, &key, 5, cases[i].tick & FLOW_AGE_MASK);
		fixture->env.tick = 100 & FLOW_AGE_MASK;
		burst_sweep(&sweep, &fixture->env, 100, report);
		assert_int_equal(fixture->env.flows[0].entries[3] != 0, cases[i].stays);
		free(report);
		fixture_free(fixture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sweep_beside_another_spares_the_newest),
		cmocka_unit_test(a_burst_equals_its_packets),
		cmocka_unit_test(a_slot_may_change_hands_within_a_burst),
		cmocka_unit_test(a_frame_in_pieces_keeps_its_lengths),
		cmocka_unit_test(every_packet_is_counted_once),
		cmocka_unit_test(follows_the_root),
		cmocka_unit_test(a_sweep_reports_when_nothing_old_is_left),
		cmocka_unit_test(a_slow_sweep_reports_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
