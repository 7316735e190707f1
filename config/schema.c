/* SPDX-License-Identifier: BSD-2-Clause */
/* Every key of the language: its type, range, default and where it lands. Keys are read
 * and rendered in this order, whatever their order in the file; `defaults` stands before
 * `services` because services inherit from it. */
#include <stddef.h>
#include <string.h>

#include "config/schema.h"

#define SECOND_MS 1000ull
#define HOUR_MS (3600 * SECOND_MS)
#define WEEK_MS (168 * HOUR_MS)

#define LANDS(container, member)                                                                   \
	.offset = offsetof(struct container, member),                                              \
	.size_bytes = sizeof(((struct container *)0)->member)
#define FIELDS(table) .fields = (table), .fields_count = sizeof(table) / sizeof((table)[0])
#define FITS(table) _Static_assert(sizeof(table) / sizeof((table)[0]) <= SECTION_FIELDS_MAX, "")

static const struct value_choice engine_choices[] = {
	{.name = "auto", .value = CONFIG_ENGINE_AUTO},
	{.name = "dpdk", .value = CONFIG_ENGINE_DPDK},
	{.name = "af_xdp", .value = CONFIG_ENGINE_AF_XDP},
	{.name = "xdp", .value = CONFIG_ENGINE_XDP},
	{.name = NULL},
};
static const struct value_choice encapsulation_choices[] = {
	{.name = "ipip", .value = CONFIG_ENCAP_IPIP},
	{.name = "gue", .value = CONFIG_ENCAP_GUE},
	{.name = "l2", .value = CONFIG_ENCAP_L2},
	{.name = NULL},
};
static const struct value_choice hash_choices[] = {
	{.name = "5-tuple", .value = CONFIG_HASH_5TUPLE},
	{.name = "source", .value = CONFIG_HASH_SOURCE},
	{.name = "source+dest-port", .value = CONFIG_HASH_SOURCE_DEST_PORT},
	{.name = NULL},
};
static const struct value_choice unmatched_choices[] = {
	{.name = "drop", .value = CONFIG_UNMATCHED_DROP},
	{.name = "pass", .value = CONFIG_UNMATCHED_PASS},
	{.name = NULL},
};
static const struct value_choice exception_choices[] = {
	{.name = "auto", .value = CONFIG_EXCEPTION_AUTO},
	{.name = "off", .value = CONFIG_EXCEPTION_OFF},
	{.name = NULL},
};
static const struct value_choice answer_choices[] = {
	{.name = "none", .value = CONFIG_ANSWER_NONE},
	{.name = "arp", .value = CONFIG_ANSWER_ARP},
	{.name = NULL},
};
static const struct value_choice all_down_choices[] = {
	{.name = "forward", .value = CONFIG_ALL_DOWN_FORWARD},
	{.name = "drop", .value = CONFIG_ALL_DOWN_DROP},
	{.name = NULL},
};
static const struct value_choice check_choices[] = {
	{.name = "tcp", .value = CONFIG_CHECK_TCP},
	{.name = NULL},
};
static const struct value_choice state_choices[] = {
	{.name = "up", .value = CONFIG_STATE_UP},
	{.name = "drain", .value = CONFIG_STATE_DRAIN},
	{.name = "maintenance", .value = CONFIG_STATE_MAINTENANCE},
	{.name = NULL},
};
static const struct value_choice protocol_choices[] = {
	{.name = "tcp", .value = CONFIG_PROTOCOL_TCP},
	{.name = "udp", .value = CONFIG_PROTOCOL_UDP},
	{.name = NULL},
};

static const struct field interface_fields[] = {
	{"name", &value_name, LANDS(config_interface, name), .required = true},
	{"device", &value_text, LANDS(config_interface, device)},
	{"mtu", &value_uint, LANDS(config_interface, mtu), .min = 576, .max = 9216},
	{"mac", &value_mac, LANDS(config_interface, mac)},
	{"gateway_mac", &value_mac, LANDS(config_interface, gateway_mac)},
	{"exception", &value_enum, LANDS(config_interface, exception), .choices = exception_choices,
	 .fallback = "auto"},
	{"answer", &value_enum, LANDS(config_interface, answer), .choices = answer_choices,
	 .fallback = "none"},
};
static const struct section interface_section = {
	.noun = "interface",
	FIELDS(interface_fields),
	.size_bytes = sizeof(struct config_interface),
	.place_offset = offsetof(struct config_interface, place),
	.unique = {{"name"}},
};
static const struct list interfaces = {
	.item = &interface_section,
	.items_max = CONFIG_INTERFACES_MAX,
	.count_offset = offsetof(struct config_dataplane, interfaces_count),
};

static const struct field dataplane_fields[] = {
	{"engine", &value_enum, LANDS(config_dataplane, engine), .choices = engine_choices,
	 .fallback = "auto"},
	{"interfaces", .list = &interfaces, LANDS(config_dataplane, interfaces)},
	{"workers", &value_workers, LANDS(config_dataplane, workers), .fallback = "auto"},
	{"flows", &value_count, LANDS(config_dataplane, flows), .min = 1000, .max = 4000000000,
	 .fallback = "10M"},
	{"flow_timeout", &value_duration, LANDS(config_dataplane, flow_timeout_ms),
	 .min = SECOND_MS, .max = WEEK_MS, .fallback = "5m"},
};
const struct section dataplane_section = {
	.noun = "dataplane section",
	FIELDS(dataplane_fields),
	.size_bytes = sizeof(struct config_dataplane),
	.place_offset = offsetof(struct config_dataplane, place),
	.rule = rule_dataplane,
};

static const struct field defaults_fields[] = {
	{"encapsulation", &value_enum, LANDS(config_defaults, encapsulation),
	 .choices = encapsulation_choices, .fallback = "ipip"},
	{"drain_timeout", &value_duration, LANDS(config_defaults, drain_timeout_ms), .max = WEEK_MS,
	 .fallback = "5m"},
	{"unmatched", &value_enum, LANDS(config_defaults, unmatched), .choices = unmatched_choices,
	 .fallback = "drop"},
	{"outer_source_v4", &value_source_v4, LANDS(config_defaults, source_v4),
	 .fallback = "172.16.0.0/16"},
	{"outer_source_v6", &value_source_v6, LANDS(config_defaults, source_v6),
	 .fallback = "100::/64"}, /* the discard prefix of RFC 6666: nobody answers to it */
};
static const struct section defaults_section = {
	.noun = "defaults section",
	FIELDS(defaults_fields),
	.size_bytes = sizeof(struct config_defaults),
	.place_offset = NOWHERE,
};

static const struct field check_fields[] = {
	{"type", &value_enum, LANDS(config_check, type), .choices = check_choices,
	 .required = true},
	{"port", &value_uint, LANDS(config_check, port), .min = 1, .max = 65535},
	{"interval", &value_duration, LANDS(config_check, interval_ms), .min = 10, .max = HOUR_MS,
	 .fallback = "1s"},
	{"timeout", &value_duration, LANDS(config_check, timeout_ms), .min = 1, .max = HOUR_MS,
	 .fallback = "500ms"},
	{"rise", &value_uint, LANDS(config_check, rise), .min = 1, .max = 100, .fallback = "2"},
	{"fall", &value_uint, LANDS(config_check, fall), .min = 1, .max = 100, .fallback = "3"},
};
static const struct section check_section = {
	.noun = "check",
	FIELDS(check_fields),
	.size_bytes = sizeof(struct config_check),
	.place_offset = NOWHERE,
	.rule = rule_check,
};

static const struct field backend_fields[] = {
	{"address", &value_address, LANDS(config_backend, address), .required = true},
	{"weight", &value_uint, LANDS(config_backend, weight), .max = CONFIG_WEIGHT_MAX,
	 .fallback = "1"},
	{"state", &value_enum, LANDS(config_backend, state), .choices = state_choices,
	 .fallback = "up"},
};
static const struct section backend_section = {
	.noun = "backend",
	FIELDS(backend_fields),
	.size_bytes = sizeof(struct config_backend),
	.place_offset = offsetof(struct config_backend, place),
	.unique = {{"address"}},
};
static const struct list backends = {
	.item = &backend_section,
	.items_max = CONFIG_BACKENDS_MAX,
	.count_offset = offsetof(struct config_service, backends_count),
	.allocated = true,
};

static const struct field service_fields[] = {
	{"name", &value_name, LANDS(config_service, name), .required = true},
	{"vip", &value_vip, LANDS(config_service, vip), .required = true},
	{"protocol", &value_enum, LANDS(config_service, protocol), .choices = protocol_choices,
	 .required = true},
	{"port", &value_port, LANDS(config_service, port), .required = true},
	{"table_size", &value_prime, LANDS(config_service, table_size), .min = 3,
	 .max = CONFIG_TABLE_SIZE_MAX, .fallback = "65537"},
	{"hash", &value_enum, LANDS(config_service, hash), .choices = hash_choices,
	 .fallback = "5-tuple"},
	{"encapsulation", &value_enum, LANDS(config_service, encapsulation),
	 .choices = encapsulation_choices,
	 .inherit = offsetof(struct config, defaults.encapsulation)},
	{"check", .section = &check_section, LANDS(config_service, check), .optional = true},
	{"all_down", &value_enum, LANDS(config_service, all_down), .choices = all_down_choices,
	 .fallback = "forward"},
	{"drain_timeout", &value_duration, LANDS(config_service, drain_timeout_ms), .max = WEEK_MS,
	 .inherit = offsetof(struct config, defaults.drain_timeout_ms)},
	{"backends", .list = &backends, LANDS(config_service, backends)},
};
static const struct section service_section = {
	.noun = "service",
	FIELDS(service_fields),
	.size_bytes = sizeof(struct config_service),
	.place_offset = offsetof(struct config_service, place),
	.unique = {{"name"}, {"vip", "protocol", "port"}},
	.rule = rule_service,
};
static const struct list services = {
	.item = &service_section,
	.items_max = CONFIG_SERVICES_MAX,
	.count_offset = offsetof(struct config, services_count),
	.allocated = true,
};

static const struct field config_fields[] = {
	{"version", &value_uint, LANDS(config, version), .min = 1, .max = 1, .required = true},
	{"fleet_seed_file", &value_path, LANDS(config, fleet_seed_file)},
	{"fleet_seed", &value_seed, LANDS(config, fleet_seed)},
	{"dataplane", .section = &dataplane_section, LANDS(config, dataplane)},
	{"defaults", .section = &defaults_section, LANDS(config, defaults)},
	{"services", .list = &services, LANDS(config, services)},
};
const struct section config_section = {
	.noun = "file",
	FIELDS(config_fields),
	.size_bytes = sizeof(struct config),
	.place_offset = NOWHERE,
	.rule = rule_config,
};

FITS(service_fields); /* the longest */

const struct field *section_field(const struct section *section, const char *key)
{
	for (size_t i = 0; i < section->fields_count; i++) {
		if (strcmp(section->fields[i].key, key) == 0)
			return &section->fields[i];
	}
	return NULL;
}

const void *list_items(const struct field *field, const void *object)
{
	const u8 *at = (const u8 *)object + field->offset;

	return field->list->allocated ? *(const void *const *)at : at;
}

size_t list_count(const struct field *field, const void *object)
{
	return *(const size_t *)((const u8 *)object + field->list->count_offset);
}

const char *config_encapsulation_name(enum config_encapsulation encapsulation)
{
	return value_choice_name(encapsulation_choices, encapsulation);
}

const char *config_hash_name(enum config_hash hash)
{
	return value_choice_name(hash_choices, hash);
}

const char *config_state_name(enum config_backend_state state)
{
	return value_choice_name(state_choices, state);
}

const char *config_engine_name(enum config_engine engine)
{
	return value_choice_name(engine_choices, engine);
}
