/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules that bind several keys or several items together. They run when all keys of their
 * map have been read, and leave alone what was already reported: a value that could not be
 * read holds its default, about which the file says nothing. */
#include <stdlib.h>
#include <string.h>

#include "config/schema.h"

#define SLOTS_A_BACKEND 100 /* below that, weights come out coarse */

/* Where to point: at the key's value, else at the whole map. */
static struct config_place place_of(const struct node *map, const char *key)
{
	const struct node *value = node_find(map, key);

	return value ? value->place : map->place;
}

static bool bad(const struct node *map, const char *key)
{
	const struct node *value = node_find(map, key);

	return value && value->kind == NODE_BAD;
}

/* A dataplane tries one length after the other. */
static void prefix_lengths_rule(struct report *report, const struct node *map,
				const struct config *config)
{
	const struct node *list = node_find(map, "services");
	bool seen[2][128] = {{false}};
	unsigned lengths[2] = {0};

	if (config->services_count == 0)
		return;
	const struct node *item = list->child;
	for (size_t i = 0; i < config->services_count; i++, item = item->next) {
		const struct config_prefix *vip = &config->services[i].vip;
		bool v4 = addr_is_v4(&vip->addr);

		if (!node_find(item, "vip") || bad(item, "vip") || vip->bits == 128 ||
		    seen[v4][vip->bits])
			continue;
		seen[v4][vip->bits] = true;
		if (++lengths[v4] > CONFIG_PREFIX_LENGTHS_MAX)
			report_error(
				report, place_of(item, "vip"),
				"the IPv%c vips before this one have %d different prefix lengths, which is the limit: use one of those, or single addresses",
				v4 ? '4' : '6', CONFIG_PREFIX_LENGTHS_MAX);
	}
}

void rule_config(struct report *report, const struct node *map, void *object)
{
	struct config *config = object;
	const struct node *seed = node_find(map, "fleet_seed");
	const struct node *file = node_find(map, "fleet_seed_file");

	config->fleet_seed_given = seed != NULL;
	if (seed && file)
		report_error(report, seed->place,
			     "fleet_seed and fleet_seed_file exclude each other: keep one of them");
	if (!seed && !file && map->complete)
		report_error(
			report, map->place,
			"no fleet seed: add fleet_seed_file (or fleet_seed), make one with 'shunt seed'");
	prefix_lengths_rule(report, map, config);
}

/* Whether the kernel could have an interface of this name (dev_valid_name()). */
static bool kernel_name(const char *name)
{
	return strlen(name) < 16 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       strpbrk(name, "/: \t\n,") == NULL;
}

const struct config_interface *config_dpdk_interface(const struct config_dataplane *dataplane)
{
	for (size_t i = 0; i < dataplane->interfaces_count; i++) {
		const char *device = dataplane->interfaces[i].device;

		if (device[0] && (!kernel_name(device) || strncmp(device, "net_", 4) == 0))
			return &dataplane->interfaces[i];
	}
	return NULL;
}

/* The engines in the kernel work on its own interfaces. */
void rule_dataplane(struct report *report, const struct node *map, void *object)
{
	const struct config_dataplane *dataplane = object;
	const struct node *list = node_find(map, "interfaces");
	const char *engine = config_engine_name(dataplane->engine);

	if (bad(map, "engine") || dataplane->interfaces_count == 0 ||
	    (dataplane->engine != CONFIG_ENGINE_XDP && dataplane->engine != CONFIG_ENGINE_AF_XDP))
		return;
	const struct node *item = list->child;
	for (size_t i = 0; i < dataplane->interfaces_count; i++, item = item->next) {
		const struct config_interface *interface = &dataplane->interfaces[i];
		const char *key = interface->device[0] ? "device" : "name";
		char name[CONFIG_DEVICE_MAX + 1];

		config_kernel_name(interface, name);
		if (bad(item, key) || kernel_name(name))
			continue;
		report_error(
			report, place_of(item, key),
			"engine %s works on the kernel's interfaces, and '%s' is none: give one by device, such as eth0, or use engine: dpdk",
			engine, interface->device[0] ? interface->device : interface->name);
	}
}

void rule_check(struct report *report, const struct node *map, void *object)
{
	const struct config_check *check = object;
	const char *key = node_find(map, "timeout") ? "timeout" : "interval";

	if (!bad(map, "timeout") && !bad(map, "interval") && map->complete &&
	    check->timeout_ms > check->interval_ms)
		report_error(report, place_of(map, key),
			     "the check's timeout (%llu ms) must not exceed its interval (%llu ms)",
			     (unsigned long long)check->timeout_ms,
			     (unsigned long long)check->interval_ms);
}

static void table_rule(struct report *report, const struct node *map,
		       const struct config_service *service)
{
	size_t weighted = 0;

	for (size_t i = 0; i < service->backends_count; i++)
		weighted += service->backends[i].weight > 0;
	if (service->table_size >= weighted || bad(map, "table_size"))
		return;

	u64 wished = prime_from(weighted * SLOTS_A_BACKEND);
	report_error(
		report, place_of(map, "table_size"),
		"table_size %u has no slot for each of %zu backends: use a prime of some %d slots a backend, such as %llu",
		service->table_size, weighted, SLOTS_A_BACKEND, (unsigned long long)wished);
}

static void own_vip_rule(struct report *report, const struct node *map,
			 const struct config_service *service)
{
	const struct node *list = node_find(map, "backends");

	if (!node_find(map, "vip") || bad(map, "vip") || service->backends_count == 0)
		return;
	const struct node *item = list->child;
	for (size_t i = 0; i < service->backends_count; i++, item = item->next) {
		struct addr first =
			addr_first(&service->backends[i].address, 128u - service->vip.bits);

		if (addr_equal(&first, &service->vip.addr))
			report_error(
				report, place_of(item, "address"),
				"this is %sthe service's own vip: give the backend's own address",
				service->vip.bits < 128 ? "in the prefix of " : "");
	}
}

/* L2 sends the packet as it came. */
static void family_rule(struct report *report, const struct node *map,
			const struct config_service *service)
{
	const struct node *list = node_find(map, "backends");
	bool v4 = addr_is_v4(&service->vip.addr);

	if (service->encapsulation != CONFIG_ENCAP_L2 || bad(map, "encapsulation") ||
	    !node_find(map, "vip") || bad(map, "vip") || service->backends_count == 0)
		return;
	const struct node *item = list->child;
	for (size_t i = 0; i < service->backends_count; i++, item = item->next) {
		if (!node_find(item, "address") || bad(item, "address") ||
		    addr_is_v4(&service->backends[i].address) == v4)
			continue;
		report_error(
			report, place_of(item, "address"),
			"encapsulation: l2 leaves the packet as it is, so the backend must have an %s address like the vip: give that one, or use ipip or gue",
			v4 ? "IPv4" : "IPv6");
	}
}

void rule_service(struct report *report, const struct node *map, void *object)
{
	const struct config_service *service = object;
	const struct node *check = node_find(map, "check");
	bool any_port = node_find(map, "port") && !bad(map, "port") && service->port == 0;

	table_rule(report, map, service);
	own_vip_rule(report, map, service);
	family_rule(report, map, service);
	if (any_port && check && check->kind == NODE_MAP && check->complete &&
	    !node_find(check, "port"))
		report_error(
			report, check->place,
			"a check of a service with 'port: any' needs a port of its own: add 'port' to it");
}

/* Items that agree in all keys of one row of section->unique. */

struct entry {
	const u8 *object;
	const struct node *map;
};

struct row {
	const struct section *section;
	const char *const *keys;
};

static int row_compare(const struct row *row, const struct entry *a, const struct entry *b)
{
	int order = 0;

	for (const char *const *key = row->keys; *key && order == 0; key++) {
		const struct field *field = section_field(row->section, *key);
		order = memcmp(a->object + field->offset, b->object + field->offset,
			       field->size_bytes);
	}
	return order;
}

/* Equal ones in file order, so that the first of them comes first. */
static int entry_compare(const void *left, const void *right, void *row)
{
	const struct entry *a = left, *b = right;
	int order = row_compare(row, a, b);

	return order != 0 ? order : (a->object > b->object) - (a->object < b->object);
}

static bool row_readable(const struct row *row, const struct node *map)
{
	for (const char *const *key = row->keys; *key; key++) {
		const struct node *value = node_find(map, *key);
		if (!value || value->kind != NODE_SCALAR)
			return false;
	}
	return true;
}

static void row_report(struct report *report, const struct row *row, const struct entry *first,
		       const struct entry *again)
{
	char keys[64] = "";

	for (const char *const *key = row->keys; *key; key++)
		snprintf(keys + strlen(keys), sizeof(keys) - strlen(keys), "%s%s",
			 keys[0] == '\0' ? ""
			 : key[1]        ? ", "
					 : " and ",
			 *key);
	report_error(report, place_of(again->map, row->keys[0]),
		     "the %s at line %u has the same %s: give each %s its own", row->section->noun,
		     place_of(first->map, row->keys[0]).line, keys, row->section->noun);
}

static void row_rule(struct report *report, const struct row *row, const struct node *list,
		     const u8 *items, size_t items_count, struct entry *entries)
{
	const struct node *item = list->child;
	size_t count = 0, first = 0;

	for (size_t i = 0; i < items_count; i++, item = item->next) {
		if (row_readable(row, item))
			entries[count++] =
				(struct entry){items + i * row->section->size_bytes, item};
	}
	qsort_r(entries, count, sizeof(*entries), entry_compare, (void *)row);
	for (size_t i = 1; i < count; i++) {
		if (row_compare(row, &entries[first], &entries[i]) == 0)
			row_report(report, row, &entries[first], &entries[i]);
		else
			first = i;
	}
}

void rule_unique(struct report *report, const struct section *section, const struct node *list,
		 const void *items, size_t items_count)
{
	struct entry *entries = calloc(items_count + 1, sizeof(*entries));

	if (!entries) {
		report->no_memory = true;
		return;
	}
	for (size_t i = 0; i < SECTION_UNIQUE_MAX && section->unique[i][0]; i++) {
		struct row row = {section, section->unique[i]};
		row_rule(report, &row, list, items, items_count, entries);
	}
	free(entries);
}
