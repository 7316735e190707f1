/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows as they are counted, against flows as the dataplane finds them: whatever forward_find()
 * knows a backend of is counted there, and nothing else is. */
#include "controlplane/flow_count.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/state/flow_table.h"
#include "tests/unit/cmocka_help.h"
#include "tests/unit/fixture.h"

enum {
	SERVICES = 5,
	BACKENDS = 5,
	FLOWS = 60000, /* a service: together they crowd the smallest table */
	TIMEOUT_MS = 32000,
	TICK_MS = TIMEOUT_MS / FLOW_TIMEOUT_TICKS,
	GENERATION = 7,
	PATIENCE_MS = 10000,
};

/* Two by raw keys, one by IPv4 fingerprints, two by IPv6, and all with equal backend numbers. */
static const struct service services[SERVICES] = {
	{.number = 1, .raw_keys = true},
	{.number = 2, .raw_keys = true},
	{.number = 3},
	{.number = 4, .hash_mode = SERVICE_HASH_SOURCE},
	{.number = 60000},
};

struct counting {
	struct flow_tables tables;
	struct env env;
	struct loop *loop;
	struct flow_count *count;
	struct config config;
	struct config_service configs[SERVICES];
	struct config_backend config_backend;
	struct plan plan;
	struct plan_service plan_services[SERVICES];
	struct plan_backend backends[SERVICES][BACKENDS];
	struct flow_count_job job;
	enum flow_count_task task;
	u32 asked;
	u32 expected[SERVICES][BACKENDS + 1];
};

static enum flow_count_task ask(void *context, struct flow_count_job *job)
{
	struct counting *counting = context;

	counting->asked++;
	*job = counting->job;
	return counting->task;
}

static void stop(void *context)
{
	loop_stop(context);
}

static void turn(struct counting *counting)
{
	assert_true(loop_timer_add(counting->loop, 1, 0, stop, counting->loop) != 0);
	assert_int_equal(loop_run(counting->loop), 0);
}

static void plan_make(struct counting *counting)
{
	counting->config.services_count = SERVICES;
	counting->config_backend.weight = 1;
	counting->plan.config = &counting->config;
	counting->plan.services = counting->plan_services;
	for (u32 i = 0; i < sizeof(counting->plan.fleet_seed); i++)
		counting->plan.fleet_seed[i] = (u8)(i * 3);
	for (u32 i = 0; i < SERVICES; i++) {
		counting->configs[i].backends_count = BACKENDS;
		counting->plan_services[i] = (struct plan_service){
			.config = &counting->configs[i],
			.number = services[i].number,
			.backends = counting->backends[i],
		};
		for (u32 k = 0; k < BACKENDS; k++)
			counting->backends[i][k] = (struct plan_backend){
				.config = &counting->config_backend,
				.number = (u16)(k + 1),
				.healthy = true,
			};
	}
}

/* Tables of two workers, of which the second is used. */
static struct counting *counting_new(void)
{
	struct counting *counting = aligned_alloc(64, (sizeof(*counting) + 63) / 64 * 64);

	memset(counting, 0, sizeof(*counting));
	plan_make(counting);
	assert_int_equal(flow_tables_create(1000, 2, TIMEOUT_MS, &counting->tables), 0);
	counting->env.flows = flow_tables_of(&counting->tables, 1);
	counting->env.flow_owners = flow_tables_owners(&counting->tables, 1);
	counting->env.flow_buckets = counting->tables.buckets_count;
	counting->env.tables.seed = hash_seed_derive(counting->plan.fleet_seed);
	assert_int_equal(loop_create(&counting->loop), 0);
	assert_int_equal(flow_count_create(counting->loop, ask, counting, &counting->count), 0);
	counting->task = FLOW_COUNT_NOW;
	counting->job = (struct flow_count_job){
		.plan = &counting->plan,
		.generation = GENERATION,
		.flows = {{.fd = counting->tables.fd, .live = true}},
		.flows_count = 1,
	};
	return counting;
}

static void counting_free(struct counting *counting)
{
	flow_count_destroy(counting->count);
	loop_destroy(counting->loop);
	flow_tables_destroy(&counting->tables);
	free(counting);
}

static struct flow_key key_of(const struct counting *counting, u32 service, u32 flow)
{
	struct packet packet = {
		.source_port = (u16)hash_unkeyed(flow),
		.destination_port = 443,
		.flags = service >= 3 ? PACKET_V6 : 0,
	};
	struct flow_key key;

	memset(packet.source.bytes, 0, sizeof(packet.source.bytes));
	if (service < 3)
		memset(packet.source.bytes + 10, 0xff, 2);
	memcpy(packet.source.bytes + 12, &flow, 4);
	flow_key_of(&services[service], &packet, &counting->env.tables.seed, &key);
	return key;
}

/* At the present tick; backend numbers in turn. */
static void place(struct counting *counting, u32 service, u32 first, u32 count)
{
	for (u32 i = first; i < first + count; i++) {
		struct flow_key key = key_of(counting, service, i);

		forward_place(&counting->env, &services[service], &key, (u16)(1 + i % BACKENDS),
			      false);
	}
}

/* What the dataplane finds of them, all of which are alive. Returns how many. */
static u32 expect_found(struct counting *counting, u32 service, u32 first, u32 count, u32 *seconds)
{
	u32 found = 0;

	for (u32 i = first; i < first + count; i++) {
		struct flow_key key = key_of(counting, service, i);
		struct flow_hit hit = forward_find(&counting->env, &services[service], &key);

		if (!hit.bucket)
			continue;
		counting->expected[service][flow_entry_backend(hit.bucket->entries[hit.slot])]++;
		*seconds += hit.bucket->choices >> hit.slot & 1;
		found++;
	}
	return found;
}

/* Whether a count is told of a backend that the dataplanes give no new flows since a generation; 0:
 * they give it some. */
static bool known(const struct counting *counting, u64 closed_generation)
{
	struct plan_backend backend = counting->backends[0][0];
	u64 flows;

	backend.closed_generation = closed_generation;
	if (closed_generation > 0)
		backend.drain.operator_since_s = 1;
	return flow_count_of(counting->count, &counting->plan_services[0], &backend, &flows);
}

/* Waits for a pass that began from now on. */
static void count_anew(struct counting *counting)
{
	u64 start_ms = loop_now_ms(counting->loop);

	counting->job.generation++;
	flow_count_kick(counting->count);
	do {
		turn(counting);
		assert_true(loop_now_ms(counting->loop) - start_ms < PATIENCE_MS);
	} while (!known(counting, counting->job.generation));
}

static void assert_counted(struct counting *counting)
{
	count_anew(counting);
	for (u32 i = 0; i < SERVICES; i++)
		for (u16 k = 1; k <= BACKENDS; k++) {
			u64 flows = 0;

			assert_true(flow_count_of(counting->count, &counting->plan_services[i],
						  &counting->backends[i][k - 1], &flows));
			if (flows != counting->expected[i][k])
				fail_msg("service %u, backend %u: %llu flows counted, %u there",
					 services[i].number, k, (unsigned long long)flows,
					 counting->expected[i][k]);
		}
}

static void every_flow_is_counted_where_it_is(void **state)
{
	struct counting *counting = counting_new();
	u32 seconds = 0, found = 0;

	for (u32 i = 0; i < SERVICES; i++)
		place(counting, i, 0, FLOWS);
	for (u32 i = 0; i < SERVICES; i++)
		found += expect_found(counting, i, 0, FLOWS, &seconds);
	assert_true(found > SERVICES * FLOWS * 9 / 10 && seconds > FLOWS / 10);
	assert_counted(counting);
	printf("flow_count: %u flows, %u of them in their second bucket\n", found, seconds);
	counting_free(counting);
}

static void the_expired_are_not_counted(void **state)
{
	struct counting *counting = counting_new();
	u32 seconds = 0;

	counting->env.tick = 60;
	for (u32 i = 0; i < SERVICES; i++)
		place(counting, i, 0, 100);
	counting->env.tick = 61;
	for (u32 i = 0; i < SERVICES; i++) {
		place(counting, i, 100, 100);
		(void)expect_found(counting, i, 100, 100, &seconds);
	}
	counting->tables.header->last_tick = 61 + FLOW_TIMEOUT_TICKS;
	assert_counted(counting);
	counting->tables.header->last_tick++;
	memset(counting->expected, 0, sizeof(counting->expected));
	assert_counted(counting);
	counting_free(counting);
}

/* Nobody notes ticks in tables whose dataplane has gone, and flows grow old all the same. */
static void time_passes_without_a_writer(void **state)
{
	struct counting *counting = counting_new();
	struct timespec now;
	u64 last;
	u32 seconds = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	last = ((u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000) / TICK_MS - 20;
	counting->tables.header->last_tick = last;
	counting->env.tick = (u8)(last - 14) & FLOW_AGE_MASK;
	place(counting, 0, 0, 100);
	counting->env.tick = (u8)last & FLOW_AGE_MASK;
	place(counting, 2, 0, 100);
	(void)expect_found(counting, 2, 0, 100, &seconds);
	counting->job.flows[0].live = false;
	assert_counted(counting);
	counting->job.flows[0].live = true;
	(void)expect_found(counting, 0, 0, 100, &seconds);
	assert_counted(counting);
	counting_free(counting);
}

static void what_is_not_the_plans_is_not_counted(void **state)
{
	struct service foreign_raw = {.number = 50000, .raw_keys = true};
	struct service foreign = {.number = 50001};
	struct counting *counting = counting_new();
	struct flow_key raw, fingerprint;

	for (u32 i = 0; i < 1000; i++) {
		raw = key_of(counting, 0, i);
		fingerprint = key_of(counting, 2, i);
		forward_place(&counting->env, &foreign_raw, &raw, 1, false);
		forward_place(&counting->env, &foreign, &fingerprint, 1, false);
		forward_place(&counting->env, &services[0], &raw, BACKENDS + 1, false);
		forward_place(&counting->env, &services[2], &fingerprint, 65535, false);
		forward_place(&counting->env, &services[3], &fingerprint, 0, false);
	}
	assert_counted(counting);
	counting_free(counting);
}

static void fill_with_rubbish(const struct flow_tables *tables)
{
	u64 random = 1, *words = (u64 *)tables->buckets;

	for (size_t i = 0; i < (tables->size_bytes - FLOW_TABLE_HEADER_BYTES) / sizeof(u64); i++)
		words[i] = random = hash_unkeyed(random);
}

/* Anything at all, and changed at any time, is no more than a wrong count. */
static void rubbish_is_survived(void **state)
{
	struct counting *counting = counting_new();

	fill_with_rubbish(&counting->tables);
	count_anew(counting);
	counting_free(counting);
}

static void tables_named_twice_count_once(void **state)
{
	struct counting *counting = counting_new();
	u32 seconds = 0;

	place(counting, 0, 0, 100);
	(void)expect_found(counting, 0, 0, 100, &seconds);
	counting->job.flows[1].fd = flow_tables_deposit(&counting->tables);
	counting->job.flows_count = 2;
	assert_counted(counting);
	close(counting->job.flows[1].fd);
	counting_free(counting);
}

static void several_dataplanes_add_up(void **state)
{
	struct counting *counting = counting_new();
	struct flow_tables more;
	u32 seconds = 0;

	place(counting, 0, 0, 100);
	(void)expect_found(counting, 0, 0, 100, &seconds);
	assert_int_equal(flow_tables_create(300000, 1, TIMEOUT_MS, &more), 0);
	counting->env.flows = flow_tables_of(&more, 0);
	counting->env.flow_owners = flow_tables_owners(&more, 0);
	counting->env.flow_buckets = more.buckets_count;
	assert_true(more.buckets_count != counting->tables.buckets_count);
	for (u32 i = 0; i < SERVICES; i++) {
		place(counting, i, 1000, 100);
		(void)expect_found(counting, i, 1000, 100, &seconds);
	}
	counting->job.flows[1] = (struct session_flows){.fd = more.fd, .live = true};
	counting->job.flows_count = 2;
	assert_counted(counting);
	flow_tables_destroy(&more);
	counting_free(counting);
}

static void turn_until_asked(struct counting *counting, u32 times)
{
	for (u32 wanted = counting->asked + times; counting->asked < wanted;)
		turn(counting);
}

/* A 0 is worth waiting for only if it is true. */
static void what_is_not_known_is_not_0(void **state)
{
	struct counting *counting = counting_new();
	int file = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	struct plan_backend beyond = counting->backends[0][0];

	assert_false(known(counting, 0));
	counting->task = FLOW_COUNT_LATER;
	flow_count_kick(counting->count);
	turn_until_asked(counting, 3); /* it asks by itself */
	assert_false(known(counting, 0));
	counting->task = FLOW_COUNT_NOW;
	count_anew(counting);
	assert_true(known(counting, counting->job.generation));
	beyond.number = BACKENDS + 1;
	assert_false(
		flow_count_of(counting->count, &counting->plan_services[0], &beyond, &(u64){0}));
	assert_false(flow_count_of(counting->count, &(struct plan_service){.number = 9},
				   &counting->backends[0][0], &(u64){0}));

	counting->task = FLOW_COUNT_LATER;
	flow_count_kick(counting->count);
	turn_until_asked(counting, 1);
	assert_false(known(counting, 0));
	counting->task = FLOW_COUNT_NOW;
	count_anew(counting);
	counting->job.flows[0].fd = file;
	flow_count_kick(counting->count);
	turn_until_asked(counting, 1);
	assert_false(known(counting, 0));
	counting->job.flows[0].fd = counting->tables.fd;
	count_anew(counting);
	counting->task = FLOW_COUNT_NOTHING;
	flow_count_kick(counting->count);
	turn_until_asked(counting, 1);
	assert_false(known(counting, 0));
	close(file);
	counting_free(counting);
}

/* A backend may get flows until every dataplane has the tables that say otherwise, and what was
 * counted before that is not what is left. */
static void a_count_from_before_a_drain_is_not_told(void **state)
{
	struct counting *counting = counting_new();
	struct plan_backend *backend = &counting->backends[0][0];
	u64 flows = 0;

	place(counting, 0, 0, BACKENDS);
	count_anew(counting);
	assert_true(flow_count_of(counting->count, &counting->plan_services[0], backend, &flows));
	assert_true(flows == 1);
	backend->drain.operator_since_s = 1; /* ordered, and not published yet */
	assert_false(flow_count_of(counting->count, &counting->plan_services[0], backend, &flows));
	backend->closed_generation = counting->job.generation + 1;
	assert_false(flow_count_of(counting->count, &counting->plan_services[0], backend, &flows));
	place(counting, 0, BACKENDS, BACKENDS); /* the last that it got */
	count_anew(counting);
	assert_true(flow_count_of(counting->count, &counting->plan_services[0], backend, &flows));
	assert_true(flows == 2);
	counting_free(counting);
}

/* Slices are short, so that nothing else waits for a count. */
static void a_count_is_sliced(void **state)
{
	struct counting *counting = counting_new();
	struct flow_tables large;
	u32 turns = 0;

	assert_int_equal(flow_tables_create(2000000, 1, TIMEOUT_MS, &large), 0);
	fill_with_rubbish(&large);
	counting->job.flows[0].fd = large.fd;
	counting->job.generation++;
	flow_count_kick(counting->count);
	for (; !known(counting, counting->job.generation); turns++)
		turn(counting);
	assert_true(turns > 4); /* it takes some 20 ms */
	flow_tables_destroy(&large);
	counting_free(counting);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_flow_is_counted_where_it_is),
		cmocka_unit_test(the_expired_are_not_counted),
		cmocka_unit_test(time_passes_without_a_writer),
		cmocka_unit_test(what_is_not_the_plans_is_not_counted),
		cmocka_unit_test(rubbish_is_survived),
		cmocka_unit_test(tables_named_twice_count_once),
		cmocka_unit_test(several_dataplanes_add_up),
		cmocka_unit_test(what_is_not_known_is_not_0),
		cmocka_unit_test(a_count_from_before_a_drain_is_not_told),
		cmocka_unit_test(a_count_is_sliced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
