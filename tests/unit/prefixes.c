/* SPDX-License-Identifier: BSD-2-Clause */
/* Random services on nested prefixes, from a configuration text to the packet: forward_service()
 * must find what the definition says, which here is spelled out as a search through them all. */
#include <stdlib.h>

#include "tests/unit/cmocka_help.h"
#include "tests/unit/frames.h"
#include "tests/unit/tables_help.h"

enum { ROUNDS = 60, PACKETS = 600, SERVICES_MAX = 60, TEXT_BYTES = 16384 };

static const u8 lengths_v4[] = {32, 32, 31, 30, 28, 25, 24, 20, 16, 8};
static const u8 lengths_v6[] = {128, 128, 127, 125, 112, 64, 63, 48, 32, 16};
static const u16 ports[] = {0, 1, 80, 443};

/* Few bits vary, so that prefixes nest and packets meet them. */
static struct addr random_address(struct random *random, bool v6)
{
	struct addr addr = addr_from_v4(BE32(0xcb000000));
	static const u8 places_v4[] = {13, 14, 15}, places_v6[] = {3, 5, 7, 8, 13, 15};

	if (v6)
		addr = (struct addr){.bytes = {0x20, 1, 0x0d}};
	for (u32 i = 0; i < (v6 ? ARRAY_LEN(places_v6) : ARRAY_LEN(places_v4)); i++)
		addr.bytes[v6 ? places_v6[i] : places_v4[i]] = (u8)random_below(random, 4);
	return addr;
}

static bool same_key(const struct config_service *a, const struct config_service *b)
{
	return addr_equal(&a->vip.addr, &b->vip.addr) && a->vip.bits == b->vip.bits &&
	       a->protocol == b->protocol && a->port == b->port;
}

static struct config_service random_service(struct random *random)
{
	struct config_service service = {0};
	bool v6 = random_one_in(random, 2);
	u32 which = random_below(random, ARRAY_LEN(lengths_v4));

	service.vip.bits = v6 ? lengths_v6[which] : (u8)(96 + lengths_v4[which]);
	service.vip.addr = random_address(random, v6);
	service.vip.addr = prefix_first(&service.vip);
	service.protocol = random_one_in(random, 2) ? 6 : 17;
	service.port = ports[random_below(random, ARRAY_LEN(ports))];
	return service;
}

/* Writes the services as a configuration: each once. */
static void write_services(struct random *random, char text[static TEXT_BYTES])
{
	struct config_service services[SERVICES_MAX];
	u32 wanted = random_below(random, SERVICES_MAX + 1), count = 0;
	int at = sprintf(text, TABLES_HELP_HEAD "services:\n");

	while (count < wanted) {
		struct config_service service = random_service(random);
		char vip[PREFIX_TEXT_MAX], port[16];
		bool known = false;

		for (u32 i = 0; i < count; i++)
			known |= same_key(&services[i], &service);
		wanted -= known;
		if (known)
			continue;
		snprintf(port, sizeof(port), service.port ? "%u" : "any", service.port);
		at += sprintf(
			text + at,
			"  - { name: s%u, vip: '%s', protocol: %s, port: %s, table_size: 3 }\n",
			count, prefix_format(&service.vip, vip),
			service.protocol == 6 ? "tcp" : "udp", port);
		services[count++] = service;
	}
	if (count == 0)
		strcpy(text, TABLES_HELP_HEAD "services: []\n");
}

static bool covers(const struct config_prefix *vip, const struct addr *address)
{
	for (u32 i = 0; i < vip->bits; i++)
		if ((vip->addr.bytes[i / 8] ^ address->bytes[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

/* The definition. Returns the place of the service, or -1; *is_vip: some service covers it. */
static int search(const struct config *config, const struct packet *packet, bool *is_vip)
{
	u32 port = be16_to_cpu(packet->destination_port);
	int best = -1;

	*is_vip = false;
	for (size_t i = 0; i < config->services_count; i++) {
		const struct config_service *service = &config->services[i];
		const struct config_service *before = best < 0 ? NULL : &config->services[best];

		if (!covers(&service->vip, &packet->destination))
			continue;
		*is_vip = true;
		if (service->protocol != packet->protocol ||
		    (service->port != 0 && service->port != port))
			continue;
		if (!before || service->vip.bits > before->vip.bits ||
		    (service->vip.bits == before->vip.bits && service->port > before->port))
			best = (int)i;
	}
	return best;
}

static void check_packet(const struct tables_help *help, struct packet *packet, u32 met[3])
{
	bool is_vip;
	int wanted = search(help->config, packet, &is_vip);
	u32 index = SERVICE_NONE;
	enum verdict verdict = forward_service(&help->env, packet, &index);
	const struct service *service;

	met[wanted >= 0 ? 0 : is_vip ? 1 : 2]++;
	assert_int_equal(forward_is_vip(&help->env, packet->flags & PACKET_V6,
					&packet->destination),
			 is_vip);
	if (wanted < 0) {
		assert_int_equal(verdict, is_vip ? VERDICT_UNMATCHED : VERDICT_OTHER_ADDRESS);
		return;
	}
	assert_int_equal(verdict, VERDICT_UNDECIDED);
	service = env_service(&help->env, index);
	assert_int_equal(service->number, help->plan->services[wanted].number);
	assert_int_equal(service->kind, SERVICE_ACTIVE);
	assert_int_equal(forward_lookup_ports(&help->env, packet), index);
}

static void the_longest_prefix_wins(void **state)
{
	struct random random = random_start("prefixes");
	u32 met[3] = {0};

	for (u32 round = 0; round < ROUNDS; round++) {
		struct tables_help help = {0};
		char text[TEXT_BYTES];

		write_services(&random, text);
		tables_help_load(&help, text);
		tables_help_open(&help, 4 << 20);
		tables_help_publish(&help, 1);
		for (u32 i = 0; i < PACKETS; i++) {
			bool v6 = random_one_in(&random, 2);
			struct packet packet = {
				.destination = random_address(&random, v6),
				.protocol = random_one_in(&random, 2) ? 6 : 17,
				.destination_port = BE16(ports[random_below(&random, 4)]),
				.flags = v6 ? PACKET_V6 : 0,
			};

			check_packet(&help, &packet, met);
		}
		tables_help_close(&help);
	}
	printf("prefixes: %u packets had a service, %u a VIP alone, %u neither\n", met[0], met[1],
	       met[2]);
	assert_true(met[0] > 1000 && met[1] > 100 && met[2] > 1000);
}

/* All eight lengths of both families, the longest and the shortest among them. */
static void eight_lengths_are_looked_up(void **state)
{
	static const u8 lengths[2][8] = {{31, 30, 29, 28, 27, 26, 25, 5},
					 {127, 100, 65, 64, 63, 48, 32, 3}};
	struct tables_help help = {0};
	char text[TEXT_BYTES];
	int at = sprintf(text, TABLES_HELP_HEAD "services:\n");

	for (u32 i = 0; i < 16; i++) /* not in the order of their lengths */
		at += sprintf(text + at,
			      "  - { name: s%u, vip: '%s/%u', protocol: tcp, port: %u }\n", i,
			      i < 8 ? "200.0.0.0" : "2000::", lengths[i / 8][i * 3 % 8],
			      100 + i * 3 % 8);
	tables_help_load(&help, text);
	tables_help_open(&help, 4 << 20);
	tables_help_publish(&help, 1);
	for (u32 v6 = 0; v6 < 2; v6++)
		for (u32 i = 0; i < 8; i++) {
			struct packet packet = {.protocol = 6,
						.destination_port = BE16(100 + i),
						.flags = v6 ? PACKET_V6 : 0};
			u32 index = SERVICE_NONE;

			assert_int_equal(addr_parse(v6 ? "2000::" : "200.0.0.0",
						    &packet.destination),
					 0);
			assert_int_equal(forward_service(&help.env, &packet, &index),
					 VERDICT_UNDECIDED);
			assert_int_equal(env_service(&help.env, index)->host_bits,
					 (v6 ? 128 : 32) - lengths[v6][i]);
			assert_false(env_service(&help.env, index)->raw_keys);
		}
	tables_help_close(&help);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_prefix_wins),
		cmocka_unit_test(eight_lengths_are_looked_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
