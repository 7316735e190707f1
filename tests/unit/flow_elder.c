/* SPDX-License-Identifier: BSD-2-Clause */
/* A predecessor's flow tables of another layout: which flows they still vouch for, and what a
 * packet of such a flow does. */
#include "dataplane/state/flow_elder.h"

#include "tests/unit/cmocka_help.h"
#include "tests/unit/fixture.h"

enum { BUCKETS = 64, ELDER_BUCKETS = 96, ELDER_WORKERS = 3, LAST_TICK = 1000, PORT = 4242 };

struct scene {
	struct fixture *fixture;
	struct flow_bucket *buckets;
	struct flow_elder elder;
	const struct service *service;
	struct packet packet;
	struct flow_key key;
};

static void scene_tick(struct scene *scene, u64 tick)
{
	scene->fixture->env.tick = tick & FLOW_AGE_MASK;
}

static int setup(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct fixture *fixture = fixture_new(BUCKETS);
	u32 index;

	scene->fixture = fixture;
	scene->buckets = aligned_alloc(64, ELDER_WORKERS * ELDER_BUCKETS * 64);
	memset(scene->buckets, 0, ELDER_WORKERS * ELDER_BUCKETS * 64);
	scene->elder = (struct flow_elder){
		.buckets = scene->buckets,
		.workers_count = ELDER_WORKERS,
		.buckets_count = ELDER_BUCKETS,
		.last_tick = LAST_TICK,
	};
	fixture->env.elder = &scene->elder;
	scene->packet = (struct packet){
		.source = fixture_addr("198.51.100.7"),
		.destination = fixture_addr("203.0.113.10"),
		.protocol = PROTOCOL_TCP,
		.source_port = BE16(PORT),
		.destination_port = BE16(443),
	};
	assert_int_equal(forward_service(&fixture->env, &scene->packet, &index), VERDICT_UNDECIDED);
	scene->service = env_service(&fixture->env, index);
	flow_key_of(scene->service, &scene->packet, env_seed(&fixture->env), &scene->key);
	scene_tick(scene, LAST_TICK + 1);
	*state = scene;
	return 0;
}

static int teardown(void **state)
{
	struct scene *scene = *state;

	fixture_free(scene->fixture);
	free(scene->buckets);
	free(scene);
	return 0;
}

/* The flow as `worker` of the predecessor left it, last heard of `age` ticks before its end. */
static void elder_knows(struct scene *scene, u32 worker, u32 choice, u16 number, u32 age)
{
	struct flow_bucket *table = scene->buckets + worker * ELDER_BUCKETS;
	u64 hash = scene->key.hash;
	u32 first = flow_bucket_first(hash, scene->service->number, ELDER_BUCKETS);
	u32 second = flow_bucket_second(hash, scene->service->number, ELDER_BUCKETS);

	flow_write(&table[choice ? second : first], 3, choice, &scene->key, number,
		   (LAST_TICK - age) & FLOW_AGE_MASK);
	if (choice)
		table[first].choices |= FLOW_OVERFLOWED;
}

static u16 found(const struct scene *scene)
{
	return env_flow_elder(&scene->fixture->env, scene->service, &scene->packet, &scene->key);
}

/* One packet of the flow. */
static enum verdict sent(struct scene *scene, u32 flags, u16 *number)
{
	const struct env *env = &scene->fixture->env;
	struct forward_choice choice;
	enum verdict verdict;

	scene->packet.flags = (u16)flags;
	verdict = forward_pick(env, scene->service, &scene->packet, &scene->key,
			       forward_find(env, scene->service, &scene->key), &choice);
	*number = choice.number;
	return verdict;
}

/* A backend that the Maglev table doesn't give this flow. */
static u16 another(const struct scene *scene)
{
	u16 maglev = env_maglev(&scene->fixture->env, scene->service->maglev_offset,
				maglev_slot(scene->key.hash, scene->service->maglev_size));

	return maglev == BACKEND_IPIP4 ? BACKEND_GUE4 : BACKEND_IPIP4;
}

static struct backend *backend_of(struct scene *scene, u16 number)
{
	return &scene->fixture->backends[scene->service->backends_first + number];
}

/* --- What they know ------------------------------------------------------------------- */

static void every_worker_and_both_buckets_are_searched(void **state)
{
	for (u32 worker = 0; worker < ELDER_WORKERS; worker++)
		for (u32 choice = 0; choice < 2; choice++) {
			struct scene *scene = *state;

			memset(scene->buckets, 0, ELDER_WORKERS * ELDER_BUCKETS * 64);
			assert_int_equal(found(scene), 0);
			elder_knows(scene, worker, choice, BACKEND_GUE4, 0);
			assert_int_equal(found(scene), BACKEND_GUE4);
			scene->key.key ^= 1;
			assert_int_equal(found(scene), 0);
			scene->key.key ^= 1;
		}
}

static void the_one_that_heard_last_is_right(void **state)
{
	struct scene *scene = *state;

	elder_knows(scene, 0, 0, BACKEND_IPIP4, 5);
	elder_knows(scene, 1, 0, BACKEND_GUE4, 2);
	elder_knows(scene, 2, 0, BACKEND_IPIP6, 9);
	assert_int_equal(found(scene), BACKEND_GUE4);
}

/* Six bits of age, and nobody who clears what has expired. A worker may have been some ticks ahead
 * of the one that wrote the last. */
static void a_flow_lives_for_one_timeout(void **state)
{
	struct scene *scene = *state;

	for (u32 age = 0; age <= FLOW_AGE_MASK; age++) {
		elder_knows(scene, 1, 0, BACKEND_GUE4, age);
		for (u64 silent = 0; silent <= FLOW_TIMEOUT_TICKS; silent++) {
			bool ahead = age > FLOW_AGE_MASK - FLOW_ELDER_AHEAD_TICKS;
			bool alive = (ahead ? 0 : age) + silent <= FLOW_TIMEOUT_TICKS;

			scene_tick(scene, LAST_TICK + silent);
			if (found(scene) != (alive ? BACKEND_GUE4 : 0))
				fail_msg("age %u, %u ticks later", age, (unsigned)silent);
		}
	}
	assert_false(flow_elder_over(&scene->elder, LAST_TICK + FLOW_TIMEOUT_TICKS));
	assert_true(flow_elder_over(&scene->elder, LAST_TICK + FLOW_TIMEOUT_TICKS + 1));
}

static void without_a_table_of_our_own_nothing_is_asked(void **state)
{
	struct scene *scene = *state;

	elder_knows(scene, 0, 0, BACKEND_GUE4, 0);
	scene->fixture->env.flow_buckets = 0;
	assert_int_equal(found(scene), 0);
}

/* --- What a packet does --------------------------------------------------------------- */

static void a_miss_goes_on_and_is_written_down(void **state)
{
	struct scene *scene = *state;
	u16 old = another(scene), number;
	struct flow_hit hit;

	elder_knows(scene, 2, 1, old, 3);
	assert_int_equal(sent(scene, 0, &number), VERDICT_FLOW);
	assert_int_equal(number, old);
	scene->fixture->env.elder = NULL;
	hit = forward_find(&scene->fixture->env, scene->service, &scene->key);
	assert_non_null(hit.bucket);
	assert_int_equal(hit.bucket->ages[hit.slot] & FLOW_PROBATION, 0); /* it is established */
	assert_int_equal(sent(scene, 0, &number), VERDICT_FLOW);
	assert_int_equal(number, old);
}

static void a_syn_keeps_an_elder_entry(void **state)
{
	struct scene *scene = *state;
	u16 number;

	elder_knows(scene, 0, 0, another(scene), 0);
	assert_int_equal(sent(scene, PACKET_OPENING, &number), VERDICT_FLOW);
	assert_int_equal(number, another(scene));
}

static void what_we_know_ourselves_is_newer(void **state)
{
	struct scene *scene = *state;
	u16 old = another(scene), number;

	assert_int_equal(sent(scene, 0, &number), VERDICT_MAGLEV);
	elder_knows(scene, 0, 0, old, 0);
	assert_int_equal(sent(scene, 0, &number), VERDICT_FLOW);
	assert_int_not_equal(number, old);
	/* Even where it is of no use any more. */
	backend_of(scene, number)->flags &= (u8)~BACKEND_PRESENT;
	assert_int_equal(sent(scene, 0, &number), VERDICT_MAGLEV);
	assert_int_not_equal(number, old);
}

static void a_removed_backend_is_a_miss(void **state)
{
	struct scene *scene = *state;
	u16 old = another(scene), number;

	elder_knows(scene, 0, 0, old, 0);
	backend_of(scene, old)->flags &= (u8)~BACKEND_PRESENT;
	assert_int_equal(sent(scene, 0, &number), VERDICT_MAGLEV);
	assert_int_not_equal(number, old);
}

/* A new connection from the old one's port leaves a draining backend, and what follows stays with
 * the new one: the elder's entry can't be erased, and mustn't come through again. */
static void a_syn_leaves_a_draining_backend_for_good(void **state)
{
	for (u32 known = 0; known < 2; known++) {
		struct scene *scene = *state;
		u16 old = another(scene), number;

		elder_knows(scene, 0, 0, old, 0);
		backend_of(scene, old)->flags &= (u8)~BACKEND_NO_NEW;
		if (known)
			assert_int_equal(sent(scene, 0, &number), VERDICT_FLOW);
		backend_of(scene, old)->flags |= BACKEND_NO_NEW;
		assert_int_equal(sent(scene, PACKET_OPENING, &number), VERDICT_MAGLEV);
		assert_int_not_equal(number, old);
		assert_int_equal(sent(scene, 0, &number), VERDICT_FLOW);
		assert_int_not_equal(number, old);
		memset(scene->fixture->env.flows, 0, BUCKETS * 64);
	}
}

/* Of another worker's flow, what comes to us are its ICMP errors and its fragments: they go where it
 * goes. The error leaves no trace, a fragment is followed by more. */
static void what_strays_asks_the_other_workers(void **state)
{
	struct scene *scene = *state;
	struct env *env = &scene->fixture->env;
	struct flow_bucket untouched[BUCKETS];
	u16 old = another(scene), number;

	env->elder = NULL;
	env->siblings = (struct flow_others){scene->buckets, ELDER_WORKERS, ELDER_BUCKETS};
	elder_knows(scene, 1, 0, old, 0);
	memcpy(untouched, env->flows, sizeof(untouched));
	assert_int_equal(sent(scene, PACKET_ERROR, &number), VERDICT_ICMP_ERROR);
	assert_int_equal(number, old);
	assert_memory_equal(untouched, env->flows, sizeof(untouched));
	assert_int_equal(sent(scene, PACKET_FRAGMENT, &number), VERDICT_FLOW);
	assert_int_equal(number, old);
	assert_memory_not_equal(untouched, env->flows, sizeof(untouched));

	/* Every other packet is new to us. */
	memcpy(env->flows, untouched, sizeof(untouched));
	assert_int_equal(sent(scene, 0, &number), VERDICT_MAGLEV);
	assert_int_not_equal(number, old);

	/* One that was silent for too long is nobody's. */
	memcpy(env->flows, untouched, sizeof(untouched));
	scene_tick(scene, LAST_TICK + FLOW_TIMEOUT_TICKS + 1);
	assert_int_equal(sent(scene, PACKET_ERROR, &number), VERDICT_ICMP_ERROR);
	assert_int_not_equal(number, old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_test_between(every_worker_and_both_buckets_are_searched),
		unit_test_between(the_one_that_heard_last_is_right),
		unit_test_between(a_flow_lives_for_one_timeout),
		unit_test_between(without_a_table_of_our_own_nothing_is_asked),
		unit_test_between(a_miss_goes_on_and_is_written_down),
		unit_test_between(a_syn_keeps_an_elder_entry),
		unit_test_between(what_we_know_ourselves_is_newer),
		unit_test_between(a_removed_backend_is_a_miss),
		unit_test_between(what_strays_asks_the_other_workers),
		unit_test_between(a_syn_leaves_a_draining_backend_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
