/* SPDX-License-Identifier: BSD-2-Clause */
/* From a configuration text to tables that a reader finds its way through. */
#include "tests/unit/tables_help.h"

static const struct service *find(const struct tables_help *fixture, const char *address, u16 port,
				  u8 protocol)
{
	struct addr addr;
	u32 index;

	assert_int_equal(addr_parse(address, &addr), 0);
	index = forward_lookup(&fixture->env, !addr_is_v4(&addr), &addr, 0, BE16(port), protocol);
	return index == SERVICE_NONE ? NULL : env_service(&fixture->env, index);
}

static void test_services_are_found_and_only_those(void **state)
{
	struct tables_help fixture = {0};

	tables_help_load(
		&fixture, TABLES_HELP_HEAD
		"services:\n"
		"  - { name: a, vip: 203.0.113.10, protocol: tcp, port: 443, hash: source }\n"
		"  - { name: b, vip: 203.0.113.10, protocol: udp, port: any }\n"
		"  - { name: c, vip: '2001:db8::10', protocol: tcp, port: 443 }\n"
		"  - { name: d, vip: 203.0.113.11, protocol: tcp, port: 443 }\n");
	tables_help_open(&fixture, 4 << 20);
	tables_help_publish(&fixture, 1);
	assert_int_equal(find(&fixture, "203.0.113.10", 443, 6)->hash_mode, SERVICE_HASH_SOURCE);
	assert_false(find(&fixture, "203.0.113.10", 443, 6)->raw_keys);
	assert_false(find(&fixture, "203.0.113.10", 0, 17)->raw_keys);
	assert_false(find(&fixture, "2001:db8::10", 443, 6)->raw_keys);
	assert_true(find(&fixture, "203.0.113.11", 443, 6)->raw_keys);
	assert_int_equal(find(&fixture, "203.0.113.10", 0, 0)->kind, SERVICE_VIP_ONLY);
	assert_int_equal(find(&fixture, "2001:db8::10", 0, 0)->kind, SERVICE_VIP_ONLY);
	assert_null(find(&fixture, "203.0.113.10", 80, 6));
	assert_null(find(&fixture, "203.0.113.10", 443, 17));
	assert_null(find(&fixture, "203.0.113.12", 443, 6));
	assert_null(find(&fixture, "2001:db8::10", 443, 17));
	assert_null(find(&fixture, "2001:db8::11", 0, 0));
	tables_help_close(&fixture);
}

/* Many services: the table grows until no bucket overflows, and every one is found. */
static void test_thousands_of_services(void **state)
{
	struct tables_help fixture = {0};
	char *text = malloc(4000 * 120), address[64];
	size_t length = (size_t)sprintf(text, TABLES_HELP_HEAD "services:\n");

	for (unsigned i = 0; i < 3000; i++)
		length += (size_t)
			sprintf(text + length,
				"  - { name: s%u, vip: 203.%u.%u.1, protocol: tcp, port: %u,"
				" table_size: 101 }\n",
				i, i / 250, i % 250, 1 + i);
	tables_help_load(&fixture, text);
	free(text);
	tables_help_open(&fixture, tables_bytes(fixture.plan) + ARENA_HEADER_BYTES);
	tables_help_publish(&fixture, 1);
	for (unsigned i = 0; i < 3000; i++) {
		const struct service *service;

		snprintf(address, sizeof(address), "203.%u.%u.1", i / 250, i % 250);
		service = find(&fixture, address, (u16)(1 + i), 6);
		assert_non_null(service);
		assert_int_equal(service->number, i + 1);
	}
	tables_help_close(&fixture);
}

static void test_records_of_backends(void **state)
{
	struct tables_help fixture = {0};
	const struct service *service;
	const struct backend *backend;

	tables_help_load(&fixture, TABLES_HELP_HEAD
			 "defaults: { outer_source_v4: 10.9.0.0/24, encapsulation: gue }\n"
			 "services:\n"
			 "  - name: a\n"
			 "    vip: 203.0.113.10\n"
			 "    protocol: tcp\n"
			 "    port: 443\n"
			 "    backends:\n"
			 "      - { address: 10.0.0.3, weight: 5 }\n"
			 "      - { address: 10.0.0.2, weight: 0 }\n"
			 "      - { address: '2001:db8::1', state: drain }\n"
			 "      - { address: 10.0.0.1, state: maintenance }\n");
	tables_help_open(&fixture, 4 << 20);
	tables_help_publish(&fixture, 1);
	service = find(&fixture, "203.0.113.10", 443, 6);
	assert_int_equal(service->backends_count, 5);
	assert_null(env_backend(&fixture.env, service, 0));
	assert_null(env_backend(&fixture.env, service, 5));
	assert_null(env_backend(&fixture.env, service, 65535));

	/* Numbers go by address order; v4-mapped addresses sort before 2001:db8::1. */
	assert_null(env_backend(&fixture.env, service, 1)); /* maintenance */
	backend = env_backend(&fixture.env, service, 2);    /* weight 0 */
	assert_true(backend->flags & BACKEND_NO_NEW);
	backend = env_backend(&fixture.env, service, 3);
	assert_int_equal(backend->flags, BACKEND_PRESENT | BACKEND_REACHABLE | BACKEND_GUE);
	assert_int_equal(backend->outer.v4.source, BE32(0x0a090000));
	assert_int_equal(backend->outer.v4.destination, BE32(0x0a000003));
	assert_int_equal(backend->outer.v4.protocol, 17);
	assert_int_equal(backend->source_mask, BE16(0x00ff));
	backend = env_backend(&fixture.env, service, 4);
	assert_true(backend->flags & BACKEND_OUTER_V6);
	assert_true(backend->flags & BACKEND_NO_NEW);
	assert_int_equal(backend->outer.v6.next_header, 17);

	for (u32 slot = 0; slot < service->maglev_size; slot++)
		assert_int_equal(env_maglev(&fixture.env, service->maglev_offset, slot), 3);
	tables_help_close(&fixture);
}

static void check_l2_record(const struct tables_help *fixture, const char *vip, u16 type)
{
	static const u8 zero[sizeof(((struct backend *)0)->outer)];
	const struct service *service = find(fixture, vip, 80, 6);
	const struct backend *backend = env_backend(&fixture->env, service, 1);

	assert_int_equal(backend->flags, BACKEND_PRESENT | BACKEND_REACHABLE | BACKEND_L2);
	assert_int_equal(backend->ethernet.type, BE16(type));
	assert_int_equal(backend->source_mask, 0);
	assert_memory_equal(&backend->outer, zero, sizeof(zero));
	assert_true(memcmp(backend->ethernet.source, zero, 6) != 0);
	assert_true(memcmp(backend->ethernet.destination, zero, 6) != 0);
}

/* No outer header at all, and the Ethernet type of the packet itself. */
static void test_records_of_l2_backends(void **state)
{
	struct tables_help fixture = {0};

	tables_help_load(&fixture, TABLES_HELP_HEAD
			 "defaults: { encapsulation: l2 }\n"
			 "services:\n"
			 "  - { name: a, vip: 203.0.113.10, protocol: tcp, port: 80,\n"
			 "      backends: [ { address: 10.0.0.1 } ] }\n"
			 "  - { name: b, vip: '2001:db8::10', protocol: tcp, port: 80,\n"
			 "      backends: [ { address: '2001:db8::1' } ] }\n");
	tables_help_open(&fixture, 1 << 20);
	tables_help_publish(&fixture, 1);
	check_l2_record(&fixture, "203.0.113.10", ETHERTYPE_IPV4);
	check_l2_record(&fixture, "2001:db8::10", ETHERTYPE_IPV6);
	tables_help_close(&fixture);
}

/* Down: no slot, and no new flow on an entry of its own; what it has goes on. */
static void test_a_backend_that_is_down(void **state)
{
	struct tables_help fixture = {0};
	const struct service *service;

	tables_help_load(&fixture, TABLES_HELP_HEAD
			 "services:\n"
			 "  - { name: a, vip: 203.0.113.10, protocol: tcp, port: 443,\n"
			 "      table_size: 1009, all_down: drop,\n"
			 "      backends: [ { address: 10.0.0.1 }, { address: 10.0.0.2 } ] }\n");
	tables_help_open(&fixture, 4 << 20);
	fixture.plan->services[0].backends[0].up = false;
	assert_true(plan_service_judge(&fixture.plan->services[0]));
	tables_help_publish(&fixture, 1);
	service = find(&fixture, "203.0.113.10", 443, 6);
	assert_int_equal(env_backend(&fixture.env, service, 1)->flags,
			 BACKEND_PRESENT | BACKEND_REACHABLE | BACKEND_NO_NEW);
	assert_int_equal(env_backend(&fixture.env, service, 2)->flags,
			 BACKEND_PRESENT | BACKEND_REACHABLE);
	for (u32 slot = 0; slot < service->maglev_size; slot++)
		assert_int_equal(env_maglev(&fixture.env, service->maglev_offset, slot), 2);

	fixture.plan->services[0].backends[1].up = false;
	assert_true(plan_service_judge(&fixture.plan->services[0]));
	tables_help_publish(&fixture, 2);
	service = find(&fixture, "203.0.113.10", 443, 6);
	for (u32 slot = 0; slot < service->maglev_size; slot++)
		assert_int_equal(env_maglev(&fixture.env, service->maglev_offset, slot), 0);
	tables_help_close(&fixture);
}

static const char two_services[] = TABLES_HELP_HEAD
	"services:\n"
	"  - { name: a, vip: 203.0.113.10, protocol: tcp, port: 443, table_size: 1009,\n"
	"      backends: [ { address: 10.0.0.1 }, { address: 10.0.0.2 } ] }\n"
	"  - { name: b, vip: 203.0.113.11, protocol: tcp, port: 443, table_size: 1009,\n"
	"      backends: [ { address: 10.0.0.2 }, { address: 10.0.0.1%s } ] }\n";

static void test_equal_sets_share_a_table_until_they_differ(void **state)
{
	struct tables_help fixture = {0};
	char text[1024];
	u64 a, b;

	snprintf(text, sizeof(text), two_services, "");
	tables_help_load(&fixture, text);
	tables_help_open(&fixture, 1 << 20);
	tables_help_publish(&fixture, 1);
	a = find(&fixture, "203.0.113.10", 443, 6)->maglev_offset;
	assert_int_equal(find(&fixture, "203.0.113.11", 443, 6)->maglev_offset, a);

	snprintf(text, sizeof(text), two_services, ", weight: 2");
	tables_help_load(&fixture, text);
	tables_help_publish(&fixture, 2);
	b = find(&fixture, "203.0.113.11", 443, 6)->maglev_offset;
	assert_int_equal(find(&fixture, "203.0.113.10", 443, 6)->maglev_offset, a);
	assert_true(a != b);
	tables_help_close(&fixture);
}

/* Nothing changed but a next hop: no Maglev table is built again. */
static void test_unchanged_tables_are_kept(void **state)
{
	struct tables_help fixture = {0};
	char text[1024];
	u64 before;

	snprintf(text, sizeof(text), two_services, ", weight: 2");
	tables_help_load(&fixture, text);
	tables_help_open(&fixture, 1 << 20);
	tables_help_publish(&fixture, 1);
	before = find(&fixture, "203.0.113.11", 443, 6)->maglev_offset;
	fixture.plan->services[1].backends[0].hop.reachable = false;
	for (u64 generation = 2; generation < 500; generation++) {
		tables_help_publish(&fixture, generation);
		assert_int_equal(find(&fixture, "203.0.113.11", 443, 6)->maglev_offset, before);
		arena_writer_reclaim(fixture.writer, generation);
	}
	tables_help_close(&fixture);
}

/* What is kept of each table's slots is what the table says. */
static void assert_slots(const struct tables_help *fixture, const char *vip)
{
	const struct service *service = find(fixture, vip, 443, 6);
	u32 slots[8] = {0};

	for (u32 i = 0; i < service->maglev_size; i++)
		slots[env_maglev(&fixture->env, service->maglev_offset, i)]++;
	for (u16 number = 0; number < 8; number++)
		assert_int_equal(tables_slots(fixture->builder, service->maglev_offset, number),
				 slots[number]);
}

static void test_slots_are_kept(void **state)
{
	static const char *const vips[] = {"203.0.113.1", "203.0.113.2", "203.0.113.3",
					   "203.0.113.4"};
	struct tables_help fixture = {0};

	for (unsigned round = 0; round < 8; round++) {
		char text[2000], *end = text;

		end += sprintf(end, TABLES_HELP_HEAD "services:\n");
		for (unsigned i = 0; i < 4; i++) {
			end += sprintf(end,
				       "  - name: s%u\n    vip: %s\n    protocol: tcp\n"
				       "    port: 443\n    table_size: 251\n    backends:\n",
				       i, vips[i]);
			for (unsigned k = 1; i < 3 && k <= i + 3; k++) /* the last one has none */
				end += sprintf(end, "      - { address: 10.0.0.%u, weight: %u }\n",
					       k, round >> i & 1 ? k : 1);
			if (i == 3)
				sprintf(end - strlen("    backends:\n"), "    backends: []\n");
		}
		tables_help_load(&fixture, text);
		if (!fixture.writer)
			tables_help_open(&fixture, 4 << 20);
		tables_help_publish(&fixture, round + 1);
		arena_writer_reclaim(fixture.writer, round + 1);
		for (unsigned i = 0; i < 4; i++)
			assert_slots(&fixture, vips[i]);
	}
	assert_int_equal(tables_slots(fixture.builder, 1, 1), 0);
	tables_help_close(&fixture);
}

static void test_full_arena_keeps_the_old_generation(void **state)
{
	struct tables_help fixture = {0};
	char text[1024];
	u64 root;

	snprintf(text, sizeof(text), two_services, "");
	tables_help_load(&fixture, text);
	tables_help_open(&fixture, 64 << 10);
	tables_help_publish(&fixture, 1);
	root = arena_root_offset(&fixture.view);
	for (u64 generation = 2;; generation++) {
		int err = tables_publish(fixture.builder, fixture.plan, generation);

		if (err == 0) {
			root = arena_root_offset(&fixture.view);
			continue;
		}
		assert_int_equal(err, -ENOSPC);
		assert_int_equal(arena_root_offset(&fixture.view), root);
		assert_int_equal(arena_tables(&fixture.view, root, &fixture.env.tables), 0);
		arena_writer_reclaim(fixture.writer, generation - 1);
		assert_int_equal(tables_publish(fixture.builder, fixture.plan, generation), 0);
		break;
	}
	tables_help_close(&fixture);
}

static void test_counters_beyond_the_arena(void **state)
{
	struct tables_help fixture = {0};
	char text[1024];

	snprintf(text, sizeof(text), two_services, "");
	tables_help_load(&fixture, text);
	tables_help_open(&fixture, 1 << 20);
	fixture.plan->counters_count = 4097;
	assert_int_equal(tables_publish(fixture.builder, fixture.plan, 1), -ENOSPC);
	tables_help_close(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services_are_found_and_only_those),
		cmocka_unit_test(test_thousands_of_services),
		cmocka_unit_test(test_records_of_backends),
		cmocka_unit_test(test_records_of_l2_backends),
		cmocka_unit_test(test_a_backend_that_is_down),
		cmocka_unit_test(test_equal_sets_share_a_table_until_they_differ),
		cmocka_unit_test(test_unchanged_tables_are_kept),
		cmocka_unit_test(test_slots_are_kept),
		cmocka_unit_test(test_full_arena_keeps_the_old_generation),
		cmocka_unit_test(test_counters_beyond_the_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
