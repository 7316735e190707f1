/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP errors go to the backend that has the flow, whatever has become of the tables since, and
 * change nothing on their way. */
#include "tests/unit/cmocka_help.h"
#include "tests/unit/fixture.h"

enum { BUCKETS = 40 };

/* A client's flow, by every form of key. */
static const struct frame_spec flows[] = {
	{.source = "192.0.2.7",
	 .destination = "203.0.113.10",
	 .protocol = FRAME_TCP,
	 .source_port = 50000,
	 .destination_port = 443,
	 .tcp_flags = FRAME_ACK},
	{.source = "192.0.2.7",
	 .destination = "203.0.113.10",
	 .protocol = FRAME_UDP,
	 .source_port = 50000,
	 .destination_port = 53},
	{.source = "192.0.2.7",
	 .destination = "203.0.113.11",
	 .protocol = FRAME_TCP,
	 .source_port = 50000,
	 .destination_port = 8080,
	 .tcp_flags = FRAME_ACK},
	{.source = "192.0.2.7",
	 .destination = "203.0.113.12",
	 .protocol = FRAME_TCP,
	 .source_port = 50000,
	 .destination_port = 80,
	 .tcp_flags = FRAME_ACK},
	{.source = "192.0.2.7",
	 .destination = "203.0.113.12",
	 .protocol = FRAME_UDP,
	 .source_port = 50000,
	 .destination_port = 7},
	{.source = "2001:db8:2::7",
	 .destination = "2001:db8:1::10",
	 .protocol = FRAME_TCP,
	 .source_port = 50000,
	 .destination_port = 443,
	 .tcp_flags = FRAME_ACK},
	{.source = "2001:db8:2::7",
	 .destination = "2001:db8:1::10",
	 .protocol = FRAME_UDP,
	 .source_port = 50000,
	 .destination_port = 53},
	{.source = "2001:db8:2::7",
	 .destination = "2001:db8:1::11",
	 .protocol = FRAME_TCP,
	 .source_port = 50000,
	 .destination_port = 7,
	 .tcp_flags = FRAME_ACK},
};

static struct outcome run_spec(struct fixture *fixture, const struct frame_spec *spec)
{
	static u8 block[ENCAP_OVERHEAD_MAX + FRAME_MAX_BYTES];
	struct frame frame;

	frame_build(&frame, spec);
	memcpy(block + ENCAP_OVERHEAD_MAX, frame.bytes, frame.len);
	return fixture_forward(fixture, block + ENCAP_OVERHEAD_MAX, frame.len, ENCAP_OVERHEAD_MAX);
}

/* An error about the backend's answer, of which it embeds the least that it may. */
static struct outcome run_error(struct fixture *fixture, const struct frame_spec *flow)
{
	bool v6 = strchr(flow->source, ':') != NULL;
	const struct frame_spec answer = {
		.source = flow->destination,
		.destination = flow->source,
		.source_port = flow->destination_port,
		.destination_port = flow->source_port,
		.protocol = flow->protocol,
		.payload_bytes = 20,
	};
	const struct frame_spec error = {
		.source = v6 ? "2001:db8:9::1" : "198.51.100.1",
		.destination = flow->destination,
		.protocol = v6 ? FRAME_ICMPV6 : FRAME_ICMP,
		.about = &answer,
		.about_bytes = v6 ? 48 : 28,
	};

	return run_spec(fixture, &error);
}

/* Every slot of every table goes to one backend from now on. */
static void move_slots(struct fixture *fixture, u16 number)
{
	for (u32 i = 0; i < fixture->maglev_used; i++)
		fixture->maglev[i] = number;
}

static void goes_to_the_flows_owner(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(flows); i++) {
		struct fixture *fixture = fixture_new(BUCKETS);
		struct outcome outcome;
		u16 owner;

		move_slots(fixture, BACKEND_GUE4);
		outcome = run_spec(fixture, &flows[i]);
		assert_int_equal(outcome.verdict, VERDICT_MAGLEV);
		owner = outcome.number;
		move_slots(fixture, BACKEND_BESIDE);
		outcome = run_error(fixture, &flows[i]);
		assert_int_equal(outcome.verdict, VERDICT_ICMP_ERROR);
		assert_int_equal(outcome.number, owner);
		/* One that drains has its flows, and what concerns them. */
		for (u32 k = 0; k < FIXTURE_BACKENDS; k++)
			fixture->backends[k].flags |= BACKEND_NO_NEW;
		assert_int_equal(run_error(fixture, &flows[i]).number, owner);
		fixture_free(fixture);
	}
}

static void goes_where_an_unknown_flow_would(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(flows); i++) {
		for (u32 buckets = 0; buckets <= BUCKETS; buckets += BUCKETS) {
			struct fixture *fixture = fixture_new(buckets);
			struct outcome error = run_error(fixture, &flows[i]);

			assert_int_equal(error.verdict, VERDICT_ICMP_ERROR);
			assert_int_equal(error.number, run_spec(fixture, &flows[i]).number);
			fixture_free(fixture);
		}
	}
}

/* Neither an entry nor an age, with a flow or without. */
static void changes_nothing(void **state)
{
	struct fixture *fixture = fixture_new(BUCKETS);
	size_t bytes = BUCKETS * sizeof(struct flow_bucket);
	void *before = malloc(bytes);

	for (size_t i = 0; i < ARRAY_LEN(flows); i += 2)
		run_spec(fixture, &flows[i]);
	memcpy(before, fixture->env.flows, bytes);
	for (u8 tick = 0; tick < 20; tick++) {
		fixture->env.tick = tick;
		for (size_t i = 0; i < ARRAY_LEN(flows); i++)
			assert_int_equal(run_error(fixture, &flows[i]).verdict, VERDICT_ICMP_ERROR);
	}
	assert_memory_equal(before, fixture->env.flows, bytes);
	free(before);
	fixture_free(fixture);
}

/* Once the flow has expired, its entry is no answer; nor where its backend has gone. */
static void forgets_with_the_flow(void **state)
{
	struct fixture *fixture = fixture_new(BUCKETS);
	u16 owner;

	move_slots(fixture, BACKEND_GUE4);
	owner = run_spec(fixture, &flows[1]).number;
	move_slots(fixture, BACKEND_IPIP4);
	fixture->env.tick = FLOW_TIMEOUT_TICKS;
	assert_int_equal(run_error(fixture, &flows[1]).number, owner);
	fixture->env.tick = FLOW_TIMEOUT_TICKS + 1;
	assert_int_equal(run_error(fixture, &flows[1]).number, BACKEND_IPIP4);
	fixture->env.tick = 0;
	fixture->backends[owner].flags = 0;
	assert_int_equal(run_error(fixture, &flows[1]).number, BACKEND_IPIP4);
	move_slots(fixture, 0);
	assert_int_equal(run_error(fixture, &flows[1]).verdict, VERDICT_NO_BACKEND);
	fixture_free(fixture);
}

/* A slot that has just changed hands: a flow that nobody remembers is where its SYN went. */
static void follows_a_handshake_that_moved(void **state)
{
	struct fixture *fixture = fixture_new(BUCKETS);
	struct service *service = fixture_service(fixture, "203.0.113.20", FRAME_TCP, 80,
						  SERVICE_HASH_5TUPLE, BACKEND_GUE4, BACKEND_GUE4);
	struct frame_spec flow = flows[0];

	flow.destination = "203.0.113.20";
	flow.destination_port = 80;
	service->previous_offset = fixture->maglev_used * sizeof(u16);
	for (u32 i = 0; i < FIXTURE_SLOTS; i++)
		fixture->maglev[fixture->maglev_used++] = BACKEND_IPIP6;
	assert_int_equal(run_error(fixture, &flow).number, BACKEND_IPIP6);
	fixture_free(fixture);
}

/* RFC 792, RFC 1122 section 3.2.2; RFC 4443 section 2.1. */
static void knows_what_is_an_error(void **state)
{
	for (u32 type = 0; type < 256; type++) {
		struct packet four = {0}, six = {.flags = PACKET_V6};

		assert_int_equal(icmp_is_error(&four, (u8)type),
				 type == 3 || type == 11 || type == 12);
		assert_int_equal(icmp_is_error(&six, (u8)type), type >= 1 && type <= 4);
	}
}

/* The flow's path: what routers hash of the outer header is that of the flow's packets. */
static void takes_the_flows_path(void **state)
{
	struct fixture *fixture = fixture_new(BUCKETS);
	struct outcome outcome;
	u32 port;

	move_slots(fixture, BACKEND_GUE4);
	outcome = run_spec(fixture, &flows[0]);
	port = get16(outcome.frame + 34);
	outcome = run_error(fixture, &flows[0]);
	assert_int_equal(get16(outcome.frame + 34), port);
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_to_the_flows_owner),
		cmocka_unit_test(goes_where_an_unknown_flow_would),
		cmocka_unit_test(changes_nothing),
		cmocka_unit_test(forgets_with_the_flow),
		cmocka_unit_test(follows_a_handshake_that_moved),
		cmocka_unit_test(knows_what_is_an_error),
		cmocka_unit_test(takes_the_flows_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
