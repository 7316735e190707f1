/* SPDX-License-Identifier: BSD-2-Clause */
/* A service is known by what its packets look like, "203.0.113.10/128 tcp 443", not by its name:
 * one that is renamed keeps its number, and with it its flows and counts. */
#include "controlplane/assign.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/hash.h"

void service_key_format(const struct config_service *service, char key[static SERVICE_KEY_TEXT_MAX])
{
	char addr[ADDR_TEXT_MAX];

	snprintf(key, SERVICE_KEY_TEXT_MAX, "%s/%u %s %u", addr_format(&service->vip.addr, addr),
		 service->vip.bits, service->protocol == CONFIG_PROTOCOL_TCP ? "tcp" : "udp",
		 service->port);
}

/* Identifies a counter's owner; never 0. */
static u64 owner_of(const char *key, const struct addr *backend)
{
	u64 owner = 1;

	for (; *key; key++)
		owner = hash_unkeyed(owner ^ (u8)*key);
	if (backend)
		owner = hash_unkeyed(hash_unkeyed(owner ^ backend->halves[0]) ^ backend->halves[1]);
	return owner | 1;
}

static int counter_assign(struct numbers *numbers, struct totals *totals, const char *key,
			  const struct addr *backend, u32 *counter)
{
	int err = numbers_counter(numbers, key, backend, counter);

	return err ? err : totals_own(totals, *counter, owner_of(key, backend));
}

static int backends_assign(struct numbers *numbers, struct totals *totals, const char *key,
			   struct plan_service *service, const struct addr *addresses,
			   u16 *backend_numbers)
{
	size_t count = service->config->backends_count;
	int err = numbers_backends(numbers, key, addresses, count, backend_numbers);

	for (size_t i = 0; i < count && !err; i++) {
		service->backends[i].number = backend_numbers[i];
		err = counter_assign(numbers, totals, key, &addresses[i],
				     &service->backends[i].counter);
	}
	return err;
}

static struct addr *addresses_of(const struct config_service *service)
{
	struct addr *addresses = calloc(service->backends_count + 1, sizeof(*addresses));

	for (size_t i = 0; addresses && i < service->backends_count; i++)
		addresses[i] = service->backends[i].address;
	return addresses;
}

static int service_assign(struct numbers *numbers, struct totals *totals,
			  struct plan_service *service)
{
	struct addr *addresses = addresses_of(service->config);
	u16 *backend_numbers = calloc(service->config->backends_count + 1, sizeof(u16));
	char key[SERVICE_KEY_TEXT_MAX];
	int err = addresses && backend_numbers ? 0 : -ENOMEM;

	service_key_format(service->config, key);
	if (!err)
		err = numbers_service(numbers, key, &service->number);
	if (!err)
		err = counter_assign(numbers, totals, key, NULL, &service->counter);
	if (!err)
		err = backends_assign(numbers, totals, key, service, addresses, backend_numbers);
	free(backend_numbers);
	free(addresses);
	return err;
}

static int backends_retire(struct numbers *numbers, const struct config_service *service,
			   const char *key, u64 generation)
{
	struct addr *addresses = addresses_of(service);
	int err = -ENOMEM;

	if (addresses)
		err = numbers_retire_backends(numbers, key, addresses, service->backends_count,
					      generation);
	free(addresses);
	return err;
}

static int retire(struct numbers *numbers, const struct plan *plan, u64 generation)
{
	size_t count = plan->config->services_count;
	char(*keys)[SERVICE_KEY_TEXT_MAX] = calloc(count + 1, sizeof(*keys));
	const char **wanted = calloc(count + 1, sizeof(*wanted));
	int err = keys && wanted ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && !err; i++) {
		service_key_format(&plan->config->services[i], keys[i]);
		wanted[i] = keys[i];
		err = backends_retire(numbers, &plan->config->services[i], keys[i], generation);
	}
	if (!err)
		err = numbers_retire_services(numbers, wanted, count, generation);
	free(wanted);
	free(keys);
	return err;
}

int assign_numbers(struct numbers *numbers, struct totals *totals, struct plan *plan,
		   u64 *generation)
{
	int err = 0;

	for (size_t i = 0; i < plan->config->services_count && !err; i++)
		err = service_assign(numbers, totals, &plan->services[i]);
	if (!err)
		err = numbers_next_generation(numbers, generation);
	if (!err)
		err = retire(numbers, plan, *generation);
	if (!err)
		err = numbers_commit(numbers);
	plan->counters_count = numbers_counters_bound(numbers);
	return err;
}
