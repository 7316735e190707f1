/* SPDX-License-Identifier: BSD-2-Clause */
/* Models and files that no one wrote: whatever a model holds, it renders to a file that
 * parses to the same; whatever a file holds, the parser's answer is consistent. Runs in the
 * root of the source tree, for the examples. */
#include "tests/unit/config_help.h"

#include <time.h>

/* Round trips. The comparison is written out, so that a key missing from the schema shows. */

static void assert_backends_equal(const struct config_service *a, const struct config_service *b)
{
	assert_int_equal(a->backends_count, b->backends_count);
	for (size_t i = 0; i < a->backends_count; i++) {
		assert_true(addr_equal(&a->backends[i].address, &b->backends[i].address));
		assert_int_equal(a->backends[i].weight, b->backends[i].weight);
		assert_int_equal(a->backends[i].state, b->backends[i].state);
	}
}

static void assert_prefix_equal(const struct config_prefix *a, const struct config_prefix *b)
{
	assert_true(addr_equal(&a->addr, &b->addr));
	assert_int_equal(a->bits, b->bits);
}

static void assert_service_equal(const struct config_service *a, const struct config_service *b)
{
	assert_string_equal(a->name, b->name);
	assert_prefix_equal(&a->vip, &b->vip);
	assert_int_equal(a->protocol, b->protocol);
	assert_int_equal(a->port, b->port);
	assert_int_equal(a->table_size, b->table_size);
	assert_int_equal(a->hash, b->hash);
	assert_int_equal(a->encapsulation, b->encapsulation);
	assert_int_equal(a->check.type, b->check.type);
	assert_int_equal(a->check.port, b->check.port);
	assert_int_equal(a->check.interval_ms, b->check.interval_ms);
	assert_int_equal(a->check.timeout_ms, b->check.timeout_ms);
	assert_int_equal(a->check.rise, b->check.rise);
	assert_int_equal(a->check.fall, b->check.fall);
	assert_int_equal(a->all_down, b->all_down);
	assert_int_equal(a->drain_timeout_ms, b->drain_timeout_ms);
	assert_backends_equal(a, b);
}

static void assert_dataplane_equal(const struct config_dataplane *a,
				   const struct config_dataplane *b)
{
	assert_int_equal(a->engine, b->engine);
	assert_string_equal(a->workers, b->workers);
	assert_int_equal(a->flows, b->flows);
	assert_int_equal(a->flow_timeout_ms, b->flow_timeout_ms);
	assert_int_equal(a->interfaces_count, b->interfaces_count);
	for (size_t i = 0; i < a->interfaces_count; i++) {
		const struct config_interface *left = &a->interfaces[i], *right = &b->interfaces[i];
		assert_string_equal(left->name, right->name);
		assert_string_equal(left->device, right->device);
		assert_int_equal(left->mtu, right->mtu);
		assert_memory_equal(left->mac, right->mac, 6);
		assert_memory_equal(left->gateway_mac, right->gateway_mac, 6);
	}
}

static void assert_config_equal(const struct config *a, const struct config *b)
{
	assert_int_equal(a->version, b->version);
	assert_int_equal(a->fleet_seed_given, b->fleet_seed_given);
	assert_memory_equal(a->fleet_seed, b->fleet_seed, 16);
	assert_int_equal(!a->fleet_seed_file, !b->fleet_seed_file);
	if (a->fleet_seed_file)
		assert_string_equal(a->fleet_seed_file, b->fleet_seed_file);
	assert_dataplane_equal(&a->dataplane, &b->dataplane);
	assert_int_equal(a->defaults.encapsulation, b->defaults.encapsulation);
	assert_int_equal(a->defaults.drain_timeout_ms, b->defaults.drain_timeout_ms);
	assert_int_equal(a->defaults.unmatched, b->defaults.unmatched);
	assert_prefix_equal(&a->defaults.source_v4, &b->defaults.source_v4);
	assert_prefix_equal(&a->defaults.source_v6, &b->defaults.source_v6);
	assert_int_equal(a->services_count, b->services_count);
	for (size_t i = 0; i < a->services_count; i++)
		assert_service_equal(&a->services[i], &b->services[i]);
}

static void assert_round_trip(const struct config *config)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(config_render(config, out), 0);
	fclose(out);
	struct config *again = parse_whole(text, len);
	assert_config_equal(config, again);
	config_free(again);
	free(text);
}

static void examples_round_trip(void **state)
{
	static const char *const paths[] = {"config/examples/minimal.yaml",
					    "config/examples/full.yaml",
					    "config/examples/ipv6.yaml"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct config *config = example_load(paths[i]);
		assert_round_trip(config);
		config_free(config);
	}
}

static u32 below(u32 n)
{
	return (u32)random() % n;
}

static void random_text(char *out, size_t max_bytes, const char *alphabet)
{
	size_t len = 1 + below((u32)max_bytes);

	for (size_t i = 0; i < len; i++)
		out[i] = alphabet[below((u32)strlen(alphabet))];
	out[len] = '\0';
}

static struct addr random_addr(u32 unique)
{
	struct addr addr = addr_from_v4(BE32(0x0a000000u + unique));

	if (below(2)) {
		addr = (struct addr){.bytes = {0x20, 1, 0x0d, 0xb8}};
		for (unsigned i = 4; i < 12; i++)
			addr.bytes[i] = below(2) ? 0 : (u8)random();
		addr.words[3] = BE32(unique);
	}
	return addr;
}

static struct config_prefix random_prefix(bool v4)
{
	struct config_prefix prefix = {.bits = (u8)(v4 ? 104 + below(25) : 16 + below(113))};
	struct addr v4_addr = addr_from_v4(BE32(0x0a000000u | (below(1u << 24))));

	prefix.addr = (struct addr){.bytes = {0x20, 1, (u8)random(), 0xb8, 0, 0, 0, 0, 0, 1, 2}};
	if (v4)
		prefix.addr = v4_addr;
	prefix.addr = prefix_first(&prefix);
	return prefix;
}

static void random_interface(struct config_interface *interface, unsigned number)
{
	snprintf(interface->name, sizeof(interface->name), "%s%u", below(2) ? "-" : "eth.", number);
	if (below(2))
		random_text(interface->device, CONFIG_DEVICE_MAX, "ab \"'\\#:{},-=[]&*!|>%@`?\x7e");
	interface->mtu = (u16)(below(2) ? 0 : 576 + below(9216 - 576 + 1));
	if (below(2))
		interface->mac[0] = 2, interface->mac[5] = (u8)random();
	if (below(2))
		interface->gateway_mac[3] = 7;
}

/* L2 wants one family on both sides. */
static void settle_encapsulation(struct config_service *service)
{
	for (size_t i = 0; i < service->backends_count; i++)
		if (service->encapsulation == CONFIG_ENCAP_L2 &&
		    addr_is_v4(&service->backends[i].address) != addr_is_v4(&service->vip.addr))
			service->encapsulation = CONFIG_ENCAP_GUE;
}

static void random_service(struct config_service *service, unsigned number)
{
	static const u32 primes[] = {1009, 65537, 8388593};

	random_text(service->name, 30, "abcXYZ019._-");
	snprintf(service->name + strlen(service->name), 16, "-%u", number);
	service->vip = (struct config_prefix){random_addr(0x800000 + number * 4), 128};
	if (below(2)) { /* no backend is in it */
		service->vip.bits = (u8)(126 + below(2));
		service->vip.addr = prefix_first(&service->vip);
	}
	service->protocol = below(2) ? CONFIG_PROTOCOL_TCP : CONFIG_PROTOCOL_UDP;
	service->port = (u16)below(65536);
	service->table_size = primes[below(ARRAY_LEN(primes))];
	service->hash = below(3);
	service->encapsulation = below(3);
	service->all_down = below(2);
	service->drain_timeout_ms = below(2) ? below(604800001) : below(169) * 3600000ull;
	if (below(2)) {
		service->check = (struct config_check){.type = CONFIG_CHECK_TCP,
						       .port = (u16)(1 + below(65535)),
						       .interval_ms = 10 + below(3600000 - 9),
						       .rise = 1 + below(100),
						       .fall = 1 + below(100)};
		service->check.timeout_ms = 1 + below((u32)service->check.interval_ms);
		if (service->port != 0 && below(2))
			service->check.port = 0;
	}
	service->backends_count = below(6);
	service->backends = calloc(service->backends_count + 1, sizeof(*service->backends));
	for (size_t i = 0; i < service->backends_count; i++)
		service->backends[i] = (struct config_backend){.address = random_addr((u32)i + 1),
							       .weight = below(65536),
							       .state = below(3)};
	settle_encapsulation(service);
}

static struct config *random_config(void)
{
	struct config *config = calloc(1, sizeof(*config));

	config->version = 1;
	config->fleet_seed_given = below(2);
	if (config->fleet_seed_given)
		config->fleet_seed[below(16)] = (u8)(1 + below(255));
	else
		config->fleet_seed_file =
			strdup(below(2) ? "/etc/shunt/seed" : "- w\xc3\xbc: \"\\\" #{");
	config->dataplane.engine = below(4);
	config->dataplane.interfaces_count = below(CONFIG_INTERFACES_MAX + 1);
	for (unsigned i = 0; i < config->dataplane.interfaces_count; i++) {
		struct config_interface *interface = &config->dataplane.interfaces[i];

		random_interface(interface, i);
		if (config->dataplane.engine == CONFIG_ENGINE_XDP ||
		    config->dataplane.engine == CONFIG_ENGINE_AF_XDP) /* the kernel's, by name */
			strncpy(interface->device, below(2) ? "eth0.5" : "",
				sizeof(interface->device));
	}
	strcpy(config->dataplane.workers, below(2) ? "auto" : "2-5,7,1023,0");
	config->dataplane.flows = below(2) ? 1000 + (u64)random() : 4000000000u;
	config->dataplane.flow_timeout_ms = 1000 + below(604800000 - 999);
	config->defaults = (struct config_defaults){below(2), below(604800001), below(2),
						    random_prefix(true), random_prefix(false)};
	config->services_count = below(5);
	config->services = calloc(config->services_count + 1, sizeof(*config->services));
	for (unsigned i = 0; i < config->services_count; i++)
		random_service(&config->services[i], i);
	return config;
}

/* SHUNT_SEED repeats a run. */
static void random_start(void)
{
	const char *given = getenv("SHUNT_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);

	print_message("SHUNT_SEED=%u\n", seed);
	srandom(seed);
}

static void generated_round_trip(void **state)
{
	random_start();
	for (unsigned i = 0; i < 400; i++) {
		struct config *config = random_config();
		assert_round_trip(config);
		config_free(config);
	}
}

/* Hostile input: what comes back is consistent, whatever goes in. */

static void parse_hostile(const char *text, size_t len_bytes)
{
	char *exact = malloc(len_bytes + (len_bytes == 0)); /* so that ASan sees an overrun */
	FILE *out = fopen("/dev/null", "w");
	struct config_errors errors;
	struct config *config;

	memcpy(exact, text, len_bytes);
	int result = config_parse(exact, len_bytes, &config, &errors);
	assert_true(result == (errors.count > 0 ? -EINVAL : 0));
	assert_int_equal(config == NULL, errors.count > 0);
	for (size_t i = 0; i < errors.count; i++) {
		const struct config_error *error = &errors.list[i],
					  *before = i > 0 ? error - 1 : error;
		assert_true(error->line >= 1 && error->column >= 1 && error->text[0] != '\0');
		assert_true(error->line > before->line ||
			    (error->line == before->line && error->column >= before->column));
		if (i < 50)
			config_error_print(out, "file", exact, len_bytes, error);
	}
	if (config)
		assert_round_trip(config);
	config_free(config);
	config_errors_free(&errors);
	fclose(out);
	free(exact);
}

static void hostile_mutants(void **state)
{
	static const char spice[] = "{}[]:,-&*!|>'\"%@`#? \n\r\t\xff\xc3\xe2\x80\xa8\x00\x7f"
				    "0159az";
	struct config_errors errors;
	struct config *config;
	char *text, *mutant;
	size_t len;

	random_start();
	assert_int_equal(config_load("config/examples/full.yaml", &config, &errors, &text, &len),
			 0);
	config_free(config);
	mutant = malloc(len);
	for (size_t cut = 0; cut <= len; cut++)
		parse_hostile(text, cut);
	for (unsigned round = 0; round < 2000; round++) {
		memcpy(mutant, text, len);
		for (u32 changes = 1 + below(4); changes > 0; changes--)
			mutant[below((u32)len)] = spice[below(sizeof(spice) - 1)];
		parse_hostile(mutant, len);
	}
	free(mutant);
	free(text);
}

/* HEAD, then a part many times over, then an end. */
static void parse_repeated(const char *start, const char *part, size_t times, const char *end)
{
	size_t part_len = strlen(part), at = strlen(start);
	char *text = malloc(at + part_len * times + strlen(end) + 1);

	memcpy(text, start, at);
	for (size_t i = 0; i < times; i++, at += part_len)
		memcpy(text + at, part, part_len);
	strcpy(text + at, end);
	parse_hostile(text, at + strlen(end));
	free(text);
}

static void hostile_sizes(void **state)
{
	parse_repeated(HEAD "x: ", "[", 100000, "");
	parse_repeated(HEAD "x: ", "{a: ", 100000, "");
	parse_repeated(HEAD "x: ", "- ", 100000, "");
	parse_repeated(HEAD "x: [", "a,", 200000, "]");
	parse_repeated(HEAD "services: [", "{},", 20000, "]");
	parse_repeated(HEAD "services: [", "{},", 70000, "]");
	parse_repeated(HEAD "services: [", "", 0, "");
	parse_repeated(HEAD "x: ", "\xc3\xbc", 500000, "");
	parse_repeated(HEAD "x: \"", "\\", 1000000, "\"");
	parse_repeated(HEAD "", "y: 1\n", 50000, "");
	parse_repeated(HEAD "fleet_seed: ", "9", 1000000, "\n");
	parse_repeated(HEAD "dataplane: {flows: ", "9", 1000000, "G}");
	parse_repeated(HEAD "dataplane: {interfaces: [", "{name: a},", 17, "]}");
	parse_repeated("", "\n", 1000000, "");
	parse_repeated("", "&a ", 10000, "");
	parse_repeated(HEAD "services:\n- backends:\n", "  - {address: 10.0.0.1}\n", 66000, "");
	parse_hostile("\0\0\0\0", 4);
	parse_hostile("\xff\xfe"
		      "v\0e\0",
		      6);
	parse_hostile("\xef\xbb\xbf", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_round_trip),
		cmocka_unit_test(generated_round_trip),
		cmocka_unit_test(hostile_mutants),
		cmocka_unit_test(hostile_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
