/* SPDX-License-Identifier: BSD-2-Clause */
/* The flow table: that an entry is found by its own flow and by no other, ages, placement, and
 * what the table holds under churn at the load that it is sized for. */
#include "tests/unit/cmocka_help.h"
#include "tests/unit/fixture.h"

enum { BUCKETS = 64 };

static const struct service raw_service = {
	.number = 1,
	.maglev_size = FIXTURE_SLOTS,
	.hash_mode = SERVICE_HASH_5TUPLE,
	.raw_keys = true,
};

static struct packet packet_from(const char *source, u16 port)
{
	struct packet packet = {.protocol = 17, .destination_port = BE16(53)};

	packet.source = fixture_addr(source);
	packet.destination =
		fixture_addr(addr_is_v4(&packet.source) ? "203.0.113.10" : "2001:db8::10");
	packet.source_port = BE16(port);
	packet.flags = addr_is_v4(&packet.source) ? 0 : PACKET_V6;
	return packet;
}

static struct flow_key key_from(const struct fixture *fixture, const struct service *service,
				const char *source, u16 port)
{
	struct packet packet = packet_from(source, port);
	struct flow_key key;

	flow_key_of(service, &packet, env_seed(&fixture->env), &key);
	return key;
}

/* A key whose two buckets are known. */
static struct flow_key key_numbered(const struct fixture *fixture, u32 i)
{
	struct packet packet = packet_from("10.0.0.1", (u16)i);
	struct flow_key key;

	packet.source = addr_from_v4(BE32(0x0a000000 + i / 1000));
	flow_key_of(&raw_service, &packet, env_seed(&fixture->env), &key);
	return key;
}

static u32 first_of(const struct flow_key *key)
{
	return flow_bucket_first(key->hash, raw_service.number, BUCKETS);
}

static u32 second_of(const struct flow_key *key)
{
	return flow_bucket_second(key->hash, raw_service.number, BUCKETS);
}

/* --- What identifies a flow ----------------------------------------------------------- */

static void a_raw_key_is_the_address_and_port(void **state)
{
	struct fixture *fixture = fixture_new(0);
	struct flow_key key = key_from(fixture, &raw_service, "192.0.2.7", 0x1234);
	u8 bytes[8];

	memcpy(bytes, &key.key, 8);
	assert_memory_equal(bytes, ((u8[]){0x12, 0x34, 192, 0, 2, 7, 0, 0}), 8);
	assert_int_equal(key.form, FLOW_RAW);
	assert_true(key.hash == hash_word(key.key, env_seed(&fixture->env)->flow));
	fixture_free(fixture);
}

/* Which parts of a packet a hash mode covers, by changing one at a time. */
static void each_hash_mode_covers_its_parts(void **state)
{
	static const struct {
		u8 mode;
		bool source_port, destination_port;
	} cases[] = {
		{SERVICE_HASH_5TUPLE, true, true},
		{SERVICE_HASH_SOURCE, false, false},
		{SERVICE_HASH_SOURCE_DEST_PORT, false, true},
	};
	struct fixture *fixture = fixture_new(0);
	const struct hash_seed *seed = env_seed(&fixture->env);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct service service = {.hash_mode = cases[i].mode};

		for (u32 family = 0; family < 2; family++) {
			struct packet packet =
				packet_from(family ? "2001:db8::7" : "192.0.2.7", 5000);
			struct flow_key key, other;

			flow_key_of(&service, &packet, seed, &key);
			assert_int_equal(key.form, 0);
			assert_true(key.key >> 48 == 0);
			packet.source_port ^= BE16(1);
			flow_key_of(&service, &packet, seed, &other);
			assert_int_equal(other.key != key.key, cases[i].source_port);
			assert_int_equal(other.hash != key.hash, cases[i].source_port);
			assert_int_not_equal(other.entropy, key.entropy);
			packet.source_port ^= BE16(1);
			packet.destination_port ^= BE16(1);
			flow_key_of(&service, &packet, seed, &other);
			assert_int_equal(other.key != key.key, cases[i].destination_port);
			assert_int_equal(other.hash != key.hash, cases[i].destination_port);
			packet.destination_port ^= BE16(1);
			for (u32 byte = family ? 0 : 12; byte < 16; byte++) {
				packet.source.bytes[byte] ^= 1;
				flow_key_of(&service, &packet, seed, &other);
				assert_true(other.key != key.key && other.hash != key.hash);
				packet.source.bytes[byte] ^= 1;
			}
		}
	}
	fixture_free(fixture);
}

/* A fingerprint's 48 bits are not those that choose bucket and slot. */
static void fingerprints_are_independent_of_the_hash(void **state)
{
	struct fixture *fixture = fixture_new(0);
	const struct service service = {.hash_mode = SERVICE_HASH_5TUPLE};
	u32 agree[4] = {0};

	for (u32 i = 0; i < 4096; i++) {
		struct flow_key key = key_from(fixture, &service, "192.0.2.7", (u16)i);

		agree[0] += ((key.key ^ key.hash) & 1) == 0;
		agree[1] += ((key.key ^ key.hash >> 32) & 1) == 0;
		agree[2] += ((key.key >> 40 ^ key.hash >> 56) & 1) == 0;
		agree[3] += ((key.key >> 47 ^ key.hash >> 63) & 1) == 0;
	}
	for (u32 i = 0; i < 4; i++)
		assert_in_range(agree[i], 2048 - 160, 2048 + 160);
	fixture_free(fixture);
}

/* The same client address and port at every service of the fixture: each finds its own entry. */
static void services_never_share_an_entry(void **state)
{
	struct fixture *fixture = fixture_new(FIXTURE_HIGHEST_NUMBER + 1);
	struct env *env = &fixture->env;
	struct service services[FIXTURE_HIGHEST_NUMBER];
	u32 n = 0;

	for (u32 i = 0; i < ARRAY_LEN(services); i++)
		services[i] = (struct service){
			.number = (u16)(i + 1),
			.maglev_size = FIXTURE_SLOTS,
			.hash_mode = i % 3,
			.raw_keys = i % 3 == 0,
		};
	for (u32 port = 1; port < 4000; port++) {
		memset(env->flows, 0, env->flow_buckets * sizeof(*env->flows));
		for (u32 i = 0; i < ARRAY_LEN(services); i++) {
			struct flow_key key =
				key_from(fixture, &services[i], "192.0.2.7", (u16)port);
			struct flow_hit hit = forward_find(env, &services[i], &key);

			if (hit.bucket)
				fail_msg("port %u: service %u meets service %u's entry", port,
					 i + 1, flow_entry_backend(hit.bucket->entries[hit.slot]));
			forward_place(env, &services[i], &key, (u16)(i + 1), false);
			hit = forward_find(env, &services[i], &key);
			if (!hit.bucket)
				continue;
			n++;
			assert_int_equal(flow_entry_backend(hit.bucket->entries[hit.slot]), i + 1);
		}
	}
	assert_true(n > 3000 * ARRAY_LEN(services));
	fixture_free(fixture);
}

/* --- One bucket ----------------------------------------------------------------------- */

static void only_the_same_key_form_and_choice_match(void **state)
{
	struct flow_bucket bucket = {0};
	struct flow_key key = {.key = 0xc00002071234, .form = FLOW_RAW};
	struct flow_key other = key;

	flow_write(&bucket, 3, 1, &key, 9, 5);
	assert_int_equal(flow_bucket_find(&bucket, &key, 1), 3);
	assert_int_equal(flow_bucket_find(&bucket, &key, 0), FLOW_BUCKET_ENTRIES);
	other.form = 0;
	assert_int_equal(flow_bucket_find(&bucket, &other, 1), FLOW_BUCKET_ENTRIES);
	for (u32 bit = 0; bit < 48; bit++) {
		other = key;
		other.key ^= 1ull << bit;
		assert_int_equal(flow_bucket_find(&bucket, &other, 1), FLOW_BUCKET_ENTRIES);
	}
	flow_write(&bucket, 3, 0, &key, 9, 5);
	assert_int_equal(flow_bucket_find(&bucket, &key, 0), 3);
	assert_int_equal(flow_bucket_find(&bucket, &key, 1), FLOW_BUCKET_ENTRIES);
}

static void the_first_of_two_matches_wins(void **state)
{
	struct flow_bucket bucket = {0};
	const struct flow_key key = {.key = 7, .form = FLOW_RAW};

	flow_write(&bucket, 5, 0, &key, 0x0f0f, 0);
	flow_write(&bucket, 2, 0, &key, 0xf0f0, 0);
	assert_int_equal(flow_bucket_find(&bucket, &key, 0), 2);
}

static void a_key_of_zeros_is_not_an_empty_entry(void **state)
{
	struct flow_bucket bucket = {0};
	const struct flow_key key = {.key = 0, .form = 0};

	assert_int_equal(flow_bucket_find(&bucket, &key, 0), FLOW_BUCKET_ENTRIES);
	flow_write(&bucket, 6, 0, &key, 1, 0);
	assert_int_equal(flow_bucket_find(&bucket, &key, 0), 6);
}

/* Writing one slot leaves the others and the overflow bit alone. */
static void entries_keep_to_themselves(void **state)
{
	struct flow_bucket bucket = {.choices = FLOW_OVERFLOWED};

	for (u32 slot = 0; slot < FLOW_BUCKET_ENTRIES; slot++) {
		struct flow_key key = {.key = 100 + slot, .form = slot & 1 ? FLOW_RAW : 0};

		flow_write(&bucket, slot, slot % 3 == 0, &key, (u16)(slot + 1), (u8)(slot * 9));
	}
	for (u32 slot = 0; slot < FLOW_BUCKET_ENTRIES; slot++) {
		struct flow_key key = {.key = 100 + slot, .form = slot & 1 ? FLOW_RAW : 0};

		assert_int_equal(flow_bucket_find(&bucket, &key, slot % 3 == 0), slot);
		assert_int_equal(flow_entry_backend(bucket.entries[slot]), slot + 1);
		assert_int_equal(bucket.ages[slot] & FLOW_AGE_MASK, slot * 9);
		assert_true(bucket.ages[slot] & FLOW_PROBATION);
	}
	assert_true(bucket.choices & FLOW_OVERFLOWED);
}

/* --- Ages ----------------------------------------------------------------------------- */

/* 32 ticks after its last packet an entry lives, from the 33rd to the 63rd it is dead, and then
 * the six bits begin again. */
static void expires_after_32_ticks_and_wraps_after_64(void **state)
{
	for (u32 age = 0; age < 64; age++) {
		for (u32 later = 0; later < 64; later++) {
			u8 tick = (u8)((age + later) & 63);

			assert_int_equal(flow_expired((u8)age, tick), later > 32);
			assert_int_equal(flow_expired((u8)(age | FLOW_PROBATION | FLOW_RAW), tick),
					 later > 32);
		}
	}
}

static void probation_ends_a_tick_later(void **state)
{
	struct flow_bucket bucket = {0};
	const struct flow_key key = {.key = 7, .form = FLOW_RAW};

	flow_write(&bucket, 0, 0, &key, 1, 63);
	flow_touch(&bucket, 0, 63);
	assert_int_equal(bucket.ages[0], 63 | FLOW_PROBATION | FLOW_RAW);
	assert_int_equal(flow_bucket_evictable(&bucket), 0);
	flow_touch(&bucket, 0, 0);
	assert_int_equal(bucket.ages[0], 0 | FLOW_RAW);
	assert_int_equal(flow_bucket_evictable(&bucket), FLOW_BUCKET_ENTRIES);
	flow_touch(&bucket, 0, 0);
	assert_int_equal(bucket.ages[0], 0 | FLOW_RAW);
}

static void a_sweep_clears_the_dead_only(void **state)
{
	for (u32 later = 0; later < 64; later++) {
		struct flow_bucket bucket = {.choices = FLOW_OVERFLOWED};
		const struct flow_key key = {.key = 7};

		flow_write(&bucket, 4, 1, &key, 1, 50);
		flow_bucket_sweep(&bucket, (u8)((50 + later) & 63));
		assert_int_equal(bucket.entries[4] == 0, later > 32);
		assert_int_equal(bucket.choices, FLOW_OVERFLOWED | 1 << 4);
	}
}

static void room_counts_the_living(void **state)
{
	struct flow_bucket bucket = {0};
	u32 slot;

	for (u32 i = 0; i < FLOW_BUCKET_ENTRIES; i++) {
		const struct flow_key key = {.key = i};

		assert_int_equal(flow_bucket_room(&bucket, 10, &slot), i);
		assert_int_equal(slot, i);
		flow_write(&bucket, i, 0, &key, 1, 10);
	}
	assert_int_equal(flow_bucket_room(&bucket, 10, &slot), 7);
	assert_int_equal(slot, FLOW_BUCKET_ENTRIES);
	bucket.ages[5] = 41; /* 33 ticks before 10 */
	assert_int_equal(flow_bucket_room(&bucket, 10, &slot), 6);
	assert_int_equal(slot, 5);
}

/* --- Placement ------------------------------------------------------------------------ */

static void indexes_stay_inside(void **state)
{
	struct random random = random_start("flow");

	for (u32 i = 0; i < 100000; i++) {
		u32 buckets = 1 + random_below(&random, 1u << 31);
		u32 number = random_below(&random, buckets < 65536 ? buckets : 65536);
		u64 hash = random_one_in(&random, 8) ? ~0ull : random_next(&random);

		assert_true(flow_bucket_first(hash, number, buckets) < buckets);
		assert_true(flow_bucket_second(hash, number, buckets) < buckets);
	}
}

/* Fills one first bucket until nothing fits: five go there, then to wherever there is more room,
 * and a newcomer drives out one on probation but never an established one. */
static void a_full_bucket_overflows_then_evicts(void **state)
{
	struct fixture *fixture = fixture_new(BUCKETS);
	struct env *env = &fixture->env;
	u32 first = 0, second = 0, placed = 0, same = 0;

	for (u32 i = 0; i < 100000 && placed < 14; i++) {
		struct flow_key key = key_numbered(fixture, i);
		struct flow_hit hit;

		if (placed == 0) {
			first = first_of(&key);
			second = second_of(&key);
			same = first == second;
		}
		if (same || first_of(&key) != first || second_of(&key) != second)
			continue;
		assert_int_equal(forward_place(env, &raw_service, &key, (u16)(placed + 1), false),
				 FORWARD_PLACED);
		hit = forward_find(env, &raw_service, &key);
		assert_non_null(hit.bucket);
		if (placed < 5)
			assert_ptr_equal(hit.bucket, &env->flows[first]);
		assert_int_equal(!!(env->flows[first].choices & FLOW_OVERFLOWED), placed >= 5);
		assert_false(env->flows[second].choices & FLOW_OVERFLOWED);
		placed++;
	}
	assert_int_equal(placed, 14);
	for (u32 i = 0; i < FLOW_BUCKET_ENTRIES; i++) {
		assert_int_equal(env->flows[first].choices >> i & 1, 0);
		assert_int_equal(env->flows[second].choices >> i & 1, 1);
	}

	/* All fourteen established but one in the first bucket: that one gives way, once. */
	for (u32 i = 0; i < FLOW_BUCKET_ENTRIES; i++) {
		env->flows[first].ages[i] &= i == 4 ? 0xff : (u8)~FLOW_PROBATION;
		env->flows[second].ages[i] &= (u8)~FLOW_PROBATION;
	}
	for (u32 i = 200000, tries = 0; tries < 2; i++) {
		struct flow_key key = key_numbered(fixture, i);
		struct flow_bucket before[2] = {env->flows[first], env->flows[second]};

		if (first_of(&key) != first || second_of(&key) != second)
			continue;
		assert_int_equal(forward_place(env, &raw_service, &key, 99, false),
				 tries == 0 ? FORWARD_OVERWROTE : FORWARD_NO_ROOM);
		assert_int_equal(forward_find(env, &raw_service, &key).bucket != NULL, tries == 0);
		assert_memory_equal(&before[1], &env->flows[second], sizeof(before[1]));
		for (u32 k = 0; k < FLOW_BUCKET_ENTRIES; k++)
			if (k != 4 || tries == 1)
				assert_true(before[0].entries[k] == env->flows[first].entries[k]);
		env->flows[first].ages[4] &= (u8)~FLOW_PROBATION;
		tries++;
	}
	fixture_free(fixture);
}

/* A flow of which only the SYN was seen takes no bucket's last place, however full the table: a
 * SYN flood leaves room for flows that speak. */
static void an_opening_flow_leaves_the_last_place(void **state)
{
	struct fixture *fixture = fixture_new(BUCKETS);
	struct env *env = &fixture->env;
	enum forward_record last = FORWARD_NOT_DUE;
	struct flow_key key;

	for (u32 i = 0; i < 20000; i++) {
		key = key_numbered(fixture, i);
		last = forward_place(env, &raw_service, &key, 1, true);
		for (u32 k = 0; k < BUCKETS; k++) /* none to be driven out */
			for (u32 entry = 0; entry < FLOW_BUCKET_ENTRIES; entry++)
				env->flows[k].ages[entry] &= (u8)~FLOW_PROBATION;
	}
	assert_int_equal(last, FORWARD_NO_ROOM);
	for (u32 k = 0; k < BUCKETS; k++) {
		u32 slot;

		assert_int_equal(flow_bucket_room(&env->flows[k], env->tick, &slot),
				 FLOW_BUCKET_ENTRIES - 1);
	}
	assert_int_equal(forward_place(env, &raw_service, &key, 1, false), FORWARD_PLACED);

	/* One on probation gives way to the next SYN. */
	env->flows[first_of(&key)].ages[3] |= FLOW_PROBATION;
	env->flows[second_of(&key)].ages[3] |= FLOW_PROBATION;
	assert_int_equal(forward_place(env, &raw_service, &key, 1, true), FORWARD_OVERWROTE);
	fixture_free(fixture);
}

/* A newcomer written over a dead entry tells so: a packet of the dead flow later in the same
 * burst has found that slot already. */
static void taking_a_dead_entry_is_told(void **state)
{
	struct fixture *fixture = fixture_new(BUCKETS);
	struct env *env = &fixture->env;
	struct flow_key old = key_numbered(fixture, 0), new;
	u32 i = 1;

	assert_int_equal(forward_place(env, &raw_service, &old, 1, false), FORWARD_PLACED);
	do
		new = key_numbered(fixture, i++);
	while (first_of(&new) != first_of(&old));
	env->tick = 33;
	assert_int_equal(forward_place(env, &raw_service, &new, 2, false), FORWARD_OVERWROTE);
	fixture_free(fixture);
}

/* --- A whole table under churn -------------------------------------------------------- */

enum {
	CHURN_BUCKETS = 4096,
	CHURN_ACTIVE_TICKS = 8,
	CHURN_LIFE_TICKS = CHURN_ACTIVE_TICKS + FLOW_TIMEOUT_TICKS, /* spoken in 8, dead after 40 */
	CHURN_NEW = CHURN_BUCKETS * FLOW_BUCKET_ENTRIES / 2 / CHURN_LIFE_TICKS, /* a tick */
	CHURN_TICKS = 260,
};

struct churn {
	u32 opened, unplaced, overwrote, second, lost;
};

static void churn_open(struct fixture *fixture, u32 flow, struct churn *churn)
{
	struct flow_key key = key_numbered(fixture, flow);
	struct flow_hit hit;

	churn->overwrote +=
		forward_place(&fixture->env, &raw_service, &key, 1, false) == FORWARD_OVERWROTE;
	hit = forward_find(&fixture->env, &raw_service, &key);
	churn->opened++;
	churn->unplaced += hit.bucket == NULL;
	churn->second += hit.bucket && hit.bucket->choices >> hit.slot & 1;
}

static void churn_touch(struct fixture *fixture, u32 flow, struct churn *churn)
{
	struct flow_key key = key_numbered(fixture, flow);
	struct flow_hit hit = forward_find(&fixture->env, &raw_service, &key);

	if (hit.bucket)
		flow_touch(hit.bucket, hit.slot, fixture->env.tick);
	else
		churn->lost++;
}

static u32 churn_living(const struct fixture *fixture)
{
	u32 living = 0;

	for (u32 i = 0; i < CHURN_BUCKETS; i++) {
		u32 slot;

		living += flow_bucket_room(&fixture->env.flows[i], fixture->env.tick, &slot);
	}
	return living;
}

static void at_half_load_every_flow_finds_room(void **state)
{
	struct fixture *fixture = fixture_new(CHURN_BUCKETS);
	struct churn churn = {0};
	u32 living, overflowed = 0;

	for (u32 tick = 0; tick < CHURN_TICKS; tick++) {
		fixture->env.tick = (u8)(tick & 63);
		for (u32 i = tick % 16; i < CHURN_BUCKETS; i += 16) /* all of them in 16 ticks */
			flow_bucket_sweep(&fixture->env.flows[i], fixture->env.tick);
		for (u32 age = 1; age < CHURN_ACTIVE_TICKS && age <= tick; age++)
			for (u32 i = 0; i < CHURN_NEW; i++)
				churn_touch(fixture, (tick - age) * CHURN_NEW + i, &churn);
		for (u32 i = 0; i < CHURN_NEW; i++)
			churn_open(fixture, tick * CHURN_NEW + i, &churn);
	}
	living = churn_living(fixture);
	for (u32 i = 0; i < CHURN_BUCKETS; i++)
		overflowed += fixture->env.flows[i].choices >> 7;
	printf("flow: load %.3f, %u flows opened, %.2f %% in their second bucket, %u not placed, "
	       "%u entries lost while in use; %.1f %% of the buckets have overflowed\n",
	       living / (7.0 * CHURN_BUCKETS), churn.opened, 100.0 * churn.second / churn.opened,
	       churn.unplaced, churn.lost, 100.0 * overflowed / CHURN_BUCKETS);
	assert_in_range(living, CHURN_BUCKETS * 34 / 10, CHURN_BUCKETS * 36 / 10);
	assert_int_equal(churn.lost, 0);
	assert_int_equal(churn.unplaced, 0);
	assert_in_range(churn.second * 1000ull / churn.opened, 20, 400);
	fixture_free(fixture);
}

/* Beyond its size the table serves whom it knows: who is established stays. */
static void at_any_load_the_established_stay(void **state)
{
	enum { KNOWN = 9000, FLOOD = 200000 };
	struct fixture *fixture = fixture_new(CHURN_BUCKETS);
	struct churn known = {0}, flood = {0};

	for (u32 i = 0; i < KNOWN; i++)
		churn_open(fixture, i, &known);
	assert_int_equal(known.unplaced, 0);
	fixture->env.tick = 1;
	for (u32 i = 0; i < KNOWN; i++)
		churn_touch(fixture, i, &known);
	for (u32 i = 0; i < FLOOD; i++)
		churn_open(fixture, 1000000 + i, &flood);
	for (u32 i = 0; i < KNOWN; i++)
		churn_touch(fixture, i, &known);
	printf("flow: flood of %u: %.1f %% evicted another newcomer, %.2f %% not placed\n", FLOOD,
	       100.0 * flood.overwrote / FLOOD, 100.0 * flood.unplaced / FLOOD);
	assert_int_equal(known.lost, 0);
	assert_true(flood.overwrote > 0);
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_raw_key_is_the_address_and_port),
		cmocka_unit_test(each_hash_mode_covers_its_parts),
		cmocka_unit_test(fingerprints_are_independent_of_the_hash),
		cmocka_unit_test(services_never_share_an_entry),
		cmocka_unit_test(only_the_same_key_form_and_choice_match),
		cmocka_unit_test(the_first_of_two_matches_wins),
		cmocka_unit_test(a_key_of_zeros_is_not_an_empty_entry),
		cmocka_unit_test(entries_keep_to_themselves),
		cmocka_unit_test(expires_after_32_ticks_and_wraps_after_64),
		cmocka_unit_test(probation_ends_a_tick_later),
		cmocka_unit_test(a_sweep_clears_the_dead_only),
		cmocka_unit_test(room_counts_the_living),
		cmocka_unit_test(indexes_stay_inside),
		cmocka_unit_test(a_full_bucket_overflows_then_evicts),
		cmocka_unit_test(an_opening_flow_leaves_the_last_place),
		cmocka_unit_test(taking_a_dead_entry_is_told),
		cmocka_unit_test(at_half_load_every_flow_finds_room),
		cmocka_unit_test(at_any_load_the_established_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
