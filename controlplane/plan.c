/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void plan_destroy(struct plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; plan->services && i < plan->config->services_count; i++)
		free(plan->services[i].backends);
	free(plan->services);
	free(plan);
}

static int service_create(const struct config_service *config, struct plan_service *service)
{
	service->config = config;
	service->backends = calloc(config->backends_count + 1, sizeof(*service->backends));
	if (!service->backends)
		return -ENOMEM;
	for (size_t i = 0; i < config->backends_count; i++) {
		service->backends[i].config = &config->backends[i];
		service->backends[i].up = true;
		service->backends[i].healthy = true;
		service->backends[i].on_link = config->encapsulation == CONFIG_ENCAP_L2;
		service->backends[i].hop.reason = "no dataplane has told its interfaces yet";
	}
	return 0;
}

int plan_create(const struct config *config, const u8 fleet_seed[static 16], struct plan **out)
{
	struct plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return -ENOMEM;
	plan->config = config;
	memcpy(plan->fleet_seed, fleet_seed, sizeof(plan->fleet_seed));
	plan->services = calloc(config->services_count + 1, sizeof(*plan->services));
	if (!plan->services)
		goto fail;
	for (size_t i = 0; i < config->services_count; i++)
		if (service_create(&config->services[i], &plan->services[i]) < 0)
			goto fail;
	*out = plan;
	return 0;
fail:
	plan_destroy(plan);
	return -ENOMEM;
}

static int by_address(const void *a, const void *b)
{
	const struct plan_backend *const *x = a, *const *y = b;

	return memcmp((*x)->config->address.bytes, (*y)->config->address.bytes, 16);
}

int plan_number_offline(struct plan *plan)
{
	u32 counter = 0;

	for (size_t i = 0; i < plan->config->services_count; i++) {
		struct plan_service *service = &plan->services[i];
		size_t count = service->config->backends_count;
		struct plan_backend **sorted = calloc(count + 1, sizeof(struct plan_backend *));

		if (!sorted)
			return -ENOMEM;
		service->number = (u16)(i + 1);
		service->counter = counter++;
		for (size_t k = 0; k < count; k++)
			sorted[k] = &service->backends[k];
		qsort(sorted, count, sizeof(struct plan_backend *), by_address);
		for (size_t k = 0; k < count; k++) {
			sorted[k]->number = (u16)(k + 1);
			sorted[k]->counter = counter++;
		}
		free(sorted);
	}
	plan->counters_count = counter;
	return 0;
}

static bool mac_given(const u8 mac[static 6])
{
	static const u8 none[6];

	return memcmp(mac, none, sizeof(none)) != 0;
}

void plan_hop_offline(struct plan *plan)
{
	const struct config_dataplane *dataplane = &plan->config->dataplane;
	struct plan_hop hop = {
		.reachable = true,
		.destination_mac = PLAN_OFFLINE_GATEWAY_MAC,
		.source_mac = PLAN_OFFLINE_MAC,
		.mtu = PLAN_OFFLINE_MTU,
	};

	if (dataplane->interfaces_count > 0) {
		const struct config_interface *interface = &dataplane->interfaces[0];

		if (mac_given(interface->mac))
			memcpy(hop.source_mac, interface->mac, 6);
		if (mac_given(interface->gateway_mac))
			memcpy(hop.destination_mac, interface->gateway_mac, 6);
		if (interface->mtu)
			hop.mtu = interface->mtu;
	}
	for (size_t i = 0; i < plan->config->services_count; i++)
		for (size_t k = 0; k < plan->services[i].config->backends_count; k++)
			plan->services[i].backends[k].hop = hop;
}

enum config_backend_state plan_backend_state(const struct plan_backend *backend)
{
	if (backend->config->state == CONFIG_STATE_UP && backend->drain.operator_since_s)
		return CONFIG_STATE_DRAIN;
	return backend->config->state;
}

/* Whether its operator wants it to get new flows. */
static bool wanted(const struct plan_backend *backend)
{
	return backend->config->weight > 0 && plan_backend_state(backend) == CONFIG_STATE_UP;
}

bool plan_service_judge(struct plan_service *service)
{
	size_t count = service->config->backends_count, wanted_count = 0, up_count = 0;
	bool changed = false;

	for (size_t i = 0; i < count; i++) {
		wanted_count += wanted(&service->backends[i]);
		up_count += wanted(&service->backends[i]) && service->backends[i].up;
	}
	service->fail_open = wanted_count > 0 && up_count == 0 &&
			     service->config->all_down == CONFIG_ALL_DOWN_FORWARD;
	for (size_t i = 0; i < count; i++) {
		struct plan_backend *backend = &service->backends[i];
		bool before = plan_backend_eligible(backend);

		backend->healthy = backend->up || service->fail_open;
		changed |= plan_backend_eligible(backend) != before;
	}
	return changed;
}

bool plan_backend_eligible(const struct plan_backend *backend)
{
	return backend->healthy && wanted(backend);
}

struct plan_backend *plan_backend_find(const struct plan_service *service,
				       const struct addr *address)
{
	for (size_t i = 0; i < service->config->backends_count; i++)
		if (addr_equal(&service->backends[i].config->address, address))
			return &service->backends[i];
	return NULL;
}

u32 plan_highest_number(const struct plan_service *service)
{
	u32 highest = 0;

	for (size_t i = 0; i < service->config->backends_count; i++)
		if (service->backends[i].number > highest)
			highest = service->backends[i].number;
	return highest;
}

void plan_note_published(struct plan *plan, u64 generation)
{
	for (size_t i = 0; i < plan->config->services_count; i++) {
		struct plan_service *service = &plan->services[i];

		for (size_t k = 0; k < service->config->backends_count; k++) {
			struct plan_backend *backend = &service->backends[k];

			if (plan_backend_eligible(backend))
				backend->closed_generation = 0;
			else if (backend->closed_generation == 0 && !service->settling)
				backend->closed_generation = generation;
		}
	}
}
