/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/core/service.h"

#include "tests/unit/cmocka_help.h"
#include "tests/unit/fixture.h"

static void keys_tell_services_apart(void **state)
{
	static const char *const addresses[] = {"203.0.113.10", "203.0.113.11", "10.113.0.203",
						"2001:db8::10", "2001:db8::11",
						"::ffff:203.0.113.10",
						/* alike but for where a port, protocol or length
						 * might be thought to stand */
						"2001:db8:0:0:6:0:0:10", "2001:db8:0:0:0:50:0:10",
						"2001:db8:0:0:800:0:0:10"};
	static const u16 ports[] = {0, 1, 53, 80, 443, 0x3500, 65535};
	static const u8 protocols[] = {0, 6, 17};
	static const u32 lengths[] = {0, 1, 8, 31};
	u64 keys[ARRAY_LEN(addresses) * ARRAY_LEN(ports) * ARRAY_LEN(protocols) *
		 ARRAY_LEN(lengths)];
	size_t count = 0;

	for (size_t a = 0; a < ARRAY_LEN(addresses); a++)
		for (size_t p = 0; p < ARRAY_LEN(ports); p++)
			for (size_t q = 0; q < ARRAY_LEN(protocols) * ARRAY_LEN(lengths); q++) {
				struct addr addr = fixture_addr(addresses[a]);
				bool v6 = strchr(addresses[a], ':') != NULL;

				keys[count++] = service_key(v6, &addr, lengths[q / 3],
							    BE16(ports[p]), protocols[q % 3]);
			}
	for (size_t i = 0; i < count; i++) {
		assert_true(keys[i] != 0);
		for (size_t k = 0; k < i; k++)
			assert_true(keys[i] != keys[k]);
	}
}

static void finds_a_key_in_any_place(void **state)
{
	struct service_bucket bucket = {0};

	for (u32 i = 0; i < SERVICE_BUCKET_KEYS; i++)
		assert_int_equal(service_bucket_find(&bucket, 77), SERVICE_BUCKET_KEYS);
	for (u32 i = 0; i < SERVICE_BUCKET_KEYS; i++)
		bucket.keys[i] = (u64)i << 60 | (100 + i);
	for (u32 i = 0; i < SERVICE_BUCKET_KEYS; i++)
		assert_int_equal(service_bucket_find(&bucket, (u64)i << 60 | (100 + i)), i);
	assert_int_equal(service_bucket_find(&bucket, 101), SERVICE_BUCKET_KEYS);
}

static void buckets_fill_evenly(void **state)
{
	enum { BUCKETS = 256, KEYS = 256 * 8 };
	u32 count[BUCKETS] = {0};
	u32 most = 0;

	for (u32 i = 0; i < KEYS; i++) {
		struct addr addr = addr_from_v4(BE32(0xcb007100 + i / 8));
		u32 index = service_bucket_index(service_key(false, &addr, 0, BE16(i % 8 + 80), 6),
						 BUCKETS);

		assert_true(index < BUCKETS);
		count[index]++;
	}
	for (u32 i = 0; i < BUCKETS; i++)
		most = count[i] > most ? count[i] : most;
	assert_true(most < 26); /* Poisson with mean 8: beyond 25 once in a million */
}

static void an_ipv6_find_is_confirmed(void **state)
{
	struct service service = {
		.vip = fixture_addr("2001:db8:1::10"),
		.port = BE16(443),
		.protocol = 6,
	};
	struct addr same = service.vip, other = fixture_addr("2001:db8:1::11");

	assert_true(service_matches(&service, true, &same, 0, BE16(443), 6));
	assert_false(service_matches(&service, true, &other, 0, BE16(443), 6));
	assert_false(service_matches(&service, true, &same, 0, BE16(444), 6));
	assert_false(service_matches(&service, true, &same, 0, BE16(443), 17));
	assert_false(service_matches(&service, true, &same, 64, BE16(443), 6));
}

/* A colliding IPv6 key, planted: the record behind it is another service's. */
static void a_colliding_ipv6_key_is_no_match(void **state)
{
	struct fixture *fixture = fixture_new(0);
	struct addr stranger = fixture_addr("2001:db8:1::99");
	u32 index = fixture_key(fixture, service_key(true, &stranger, 0, BE16(443), 6));

	fixture->services[index] = (struct service){
		.vip = fixture_addr("2001:db8:1::10"),
		.port = BE16(443),
		.protocol = 6,
		.kind = SERVICE_ACTIVE,
	};
	assert_int_equal(forward_lookup(&fixture->env, true, &stranger, 0, BE16(443), 6),
			 SERVICE_NONE);
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_tell_services_apart),
		cmocka_unit_test(finds_a_key_in_any_place),
		cmocka_unit_test(buckets_fill_evenly),
		cmocka_unit_test(an_ipv6_find_is_confirmed),
		cmocka_unit_test(a_colliding_ipv6_key_is_no_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
