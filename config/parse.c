/* SPDX-License-Identifier: BSD-2-Clause */
/* The walk of the schema over the tree: three mutually recursive steps (a section's fields,
 * a list's items, a single value), as deep as the schema.
 *
 * Nothing stops at an error. A value that cannot be read is reported, marked NODE_BAD, and
 * its field takes the default, so that the walk goes on with a whole model and the rules
 * that look at several values know which to leave alone. The model is thrown away if there
 * was any error. Missing keys are reported only of maps whose end was seen. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/schema.h"
#include "config/text.h"

#define SUGGESTION_DISTANCE_MAX 2

struct parse {
	struct report *report;
	struct config *config; /* where inherited defaults stand */
};

static void section_parse(struct parse *parse, const struct section *section, struct node *map,
			  void *object);

/* What is meant by an unknown key: the nearest known one, or any of them. */
static void unknown_key(struct parse *parse, const struct section *section, const struct node *key)
{
	unsigned nearest = TEXT_FAR;
	const char *suggestion = NULL;
	char quoted[TEXT_QUOTE_MAX], known[256] = "";

	for (size_t i = 0; i < section->fields_count && !report_full(parse->report); i++) {
		const char *name = section->fields[i].key;
		unsigned distance = text_distance(key->text, name);

		if (distance < nearest) {
			nearest = distance;
			suggestion = name;
		}
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
			 i > 0 ? ", " : "", name);
	}
	text_quote(key->text, quoted);
	if (suggestion && nearest <= SUGGESTION_DISTANCE_MAX && nearest < strlen(suggestion))
		report_error(parse->report, key->place, "unknown key '%s': did you mean '%s'?",
			     quoted, suggestion);
	else
		report_error(parse->report, key->place, "unknown key '%s': a %s has %s", quoted,
			     section->noun, known);
}

/* Sorts a map's values by field; reports keys that are unknown, given twice or no words. */
static void keys_resolve(struct parse *parse, const struct section *section, struct node *map,
			 struct node *values[static SECTION_FIELDS_MAX])
{
	const struct node *keys[SECTION_FIELDS_MAX] = {NULL};

	for (struct node *key = map->child; key; key = key->next ? key->next->next : NULL) {
		const struct field *field =
			key->kind == NODE_SCALAR ? section_field(section, key->text) : NULL;
		size_t i = field ? (size_t)(field - section->fields) : 0;

		if (key->kind == NODE_MAP || key->kind == NODE_LIST) {
			report_error(parse->report, key->place,
				     "a key must be a plain word such as '%s'",
				     section->fields[0].key);
		} else if (key->kind == NODE_SCALAR && !field) {
			unknown_key(parse, section, key);
		} else if (field && keys[i]) {
			report_error(parse->report, key->place,
				     "'%s' stands twice, first at line %u: remove one of them",
				     key->text, keys[i]->place.line);
		} else if (field) {
			keys[i] = key;
			values[i] = key->next;
		}
	}
}

static void value_report(struct parse *parse, const struct field *field, const struct node *node,
			 const struct problem *problem)
{
	char quoted[TEXT_QUOTE_MAX];

	if (problem->no_memory)
		parse->report->no_memory = true;
	else if (problem->sentence)
		report_error(parse->report, node->place, "%s", problem->text);
	else if (node->text[0] == '\0')
		report_error(parse->report, node->place, "%s has no value: it must be %s",
			     field->key, problem->text);
	else
		report_error(parse->report, node->place, "%s must be %s, not '%s'", field->key,
			     problem->text, text_quote(node->text, quoted));
}

/* A node of another kind than the schema wants is reported once and then left alone. An
 * empty place ("services:") passes for an empty map or list. */
static bool kind_check(struct parse *parse, const char *what, const char *wanted, struct node *node,
		       enum node_kind kind)
{
	bool fits = node->kind == kind || (node->empty && kind != NODE_SCALAR);

	if (!fits && node->kind != NODE_BAD) {
		report_error(parse->report, node->place, "%s must be %s", what, wanted);
		node->kind = NODE_BAD;
	}
	return fits;
}

static void default_take(struct parse *parse, const struct field *field, void *value)
{
	struct problem problem;

	if (field->inherit > 0)
		memcpy(value, (const u8 *)parse->config + field->inherit, field->size_bytes);
	else if (field->fallback && !field->type->read(field, field->fallback, value, &problem))
		abort(); /* the schema contradicts itself */
}

static void value_parse(struct parse *parse, const struct field *field, struct node *node,
			void *value)
{
	struct problem problem = {.sentence = false};

	if (node && kind_check(parse, field->key, "a single value", node, NODE_SCALAR)) {
		if (field->type->read(field, node->text, value, &problem))
			return;
		value_report(parse, field, node, &problem);
		node->kind = NODE_BAD;
	}
	default_take(parse, field, value);
}

static void items_parse(struct parse *parse, const struct section *section, struct node *list,
			u8 *items, size_t count)
{
	struct node *item = list->child;

	for (size_t i = 0; i < count; i++, item = item->next) {
		bool fits =
			kind_check(parse, "each item", "a map of keys and values", item, NODE_MAP);
		section_parse(parse, section, fits ? item : NULL, items + i * section->size_bytes);
	}
	rule_unique(parse->report, section, list, items, count);
}

static void list_parse(struct parse *parse, const struct field *field, struct node *node,
		       void *object)
{
	const struct list *list = field->list;
	u8 *items = (u8 *)object + field->offset;
	size_t *count = (size_t *)((u8 *)object + list->count_offset);
	size_t given = 0;

	if (!node ||
	    !kind_check(parse, field->key, "a list, each item with its '-'", node, NODE_LIST))
		return;
	for (const struct node *item = node->child; item; item = item->next) {
		if (given++ == list->items_max)
			report_error(parse->report, item->place, "too many: %s holds at most %zu",
				     field->key, list->items_max);
	}
	if (given > list->items_max)
		given = list->items_max;
	if (given > 0 && list->allocated) {
		items = calloc(given, list->item->size_bytes);
		if (!items) {
			parse->report->no_memory = true;
			return;
		}
		memcpy((u8 *)object + field->offset, &items, sizeof(items));
	}
	*count = given;
	items_parse(parse, list->item, node, items, given);
}

static void field_parse(struct parse *parse, const struct field *field, struct node *node,
			void *object)
{
	u8 *value = (u8 *)object + field->offset;

	if (field->list)
		list_parse(parse, field, node, object);
	else if (field->type)
		value_parse(parse, field, node, value);
	else if (node && kind_check(parse, field->key, "a map of keys and values", node, NODE_MAP))
		section_parse(parse, field->section, node, value);
	else if (!field->optional)
		section_parse(parse, field->section, NULL, value);
}

/* Without a map every field takes its default, and nothing is said of missing keys. */
static void section_parse(struct parse *parse, const struct section *section, struct node *map,
			  void *object)
{
	struct node *values[SECTION_FIELDS_MAX] = {NULL};

	if (map)
		keys_resolve(parse, section, map, values);
	if (map && section->place_offset != NOWHERE)
		memcpy((u8 *)object + section->place_offset, &map->place, sizeof(map->place));
	for (size_t i = 0; i < section->fields_count; i++) {
		const struct field *field = &section->fields[i];

		if (field->required && map && map->complete && !values[i])
			report_error(parse->report, map->place, "this %s has no %s: add it",
				     section->noun, field->key);
		field_parse(parse, field, values[i], object);
	}
	if (map && section->rule)
		section->rule(parse->report, map, object);
}

static void root_parse(struct parse *parse, struct node *root)
{
	struct config_place start = {1, 1};

	if ((!root || root->empty) && parse->report->errors->count == 0)
		report_error(parse->report, root ? root->place : start,
			     "the file is empty: it needs 'version: 1' and a fleet seed at least");
	else if (root &&
		 kind_check(parse, "the file", "a map of keys and values such as 'version: 1'",
			    root, NODE_MAP))
		section_parse(parse, &config_section, root, parse->config);
}

int config_parse(const char *text, size_t len_bytes, struct config **config,
		 struct config_errors *errors)
{
	struct report report = {.errors = errors};
	struct parse parse = {.report = &report};
	struct tree tree = {.root = NULL};
	int result = -ENOMEM;

	*errors = (struct config_errors){0};
	*config = NULL;
	parse.config = calloc(1, sizeof(*parse.config));
	if (!parse.config)
		return -ENOMEM;
	text_check(text, len_bytes, &report);
	if (errors->count == 0) { /* bytes that are no text have no YAML in them */
		tree_build(&tree, text, len_bytes, &report);
		root_parse(&parse, tree.root);
		tree_free(&tree);
	}
	report_finish(&report);
	if (!report.no_memory && errors->count == 0) {
		*config = parse.config;
		return 0;
	}
	if (!report.no_memory)
		result = -EINVAL;
	config_free(parse.config);
	return result;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->services_count; i++)
		free(config->services[i].backends);
	free(config->services);
	free(config->fleet_seed_file);
	free(config);
}
