/* SPDX-License-Identifier: BSD-2-Clause */
/* libyaml's events become a tree before the schema sees them, because the schema reads keys
 * in its own order (the defaults before the services that inherit them) and wants to point
 * back at a value after it has read the next one.
 *
 * Anchors, aliases, tags and further documents are refused here: a configuration of this
 * size needs none of them, and aliases let a few bytes stand for gigabytes. After an error
 * of that sort the walk goes on, so that later errors are found too; only malformed YAML
 * ends it. What was open then stays incomplete: a key that has not been seen in an
 * incomplete map may well stand further down, so nobody reports it as missing. */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "config/text.h"
#include "config/tree.h"

struct builder {
	struct tree *tree;
	struct report *report;
	struct text_cursor cursor;
	struct node *open[TREE_DEPTH_MAX];
	struct node **link[TREE_DEPTH_MAX + 1]; /* where the next node of that depth hangs */
	size_t depth;
	unsigned documents;
};

/* What people meet most, by the start of libyaml's own words. */
static const struct {
	const char *problem, *advice;
} advices[] = {
	{"found character that cannot start any token",
	 "quote the value, and indent with spaces only"},
	{"mapping values are not allowed",
	 "align the key with its neighbours, or quote a value that holds ': '"},
	{"could not find expected ':'", "write 'key: value', with a blank after the colon"},
	{"did not find expected node content", "write a value, in quotes if it begins with ':'"},
	{"did not find expected key", "align the key with its neighbours"},
	{"did not find expected '-' indicator", "align the '-' with those of the other items"},
	{"did not find expected ',' or '}'",
	 "close the brace, and quote a value that holds ':' next to a blank or comma"},
	{"did not find expected ',' or ']'", "close the bracket"},
	{"found unexpected end of stream", "close the quote"},
	{"block sequence entries are not allowed",
	 "put the '-' on a line of its own below the key"},
	{"", "mend this place"},
};

static struct config_place builder_place(struct builder *builder, yaml_mark_t mark)
{
	return text_place(&builder->cursor, mark.line, mark.column);
}

static void syntax_error(struct builder *builder, const yaml_parser_t *parser)
{
	const char *problem = parser->problem ? parser->problem : "unreadable";
	char context[96] = "";
	size_t i = 0;

	if (parser->error == YAML_MEMORY_ERROR) {
		builder->report->no_memory = true;
		return;
	}
	while (strncmp(problem, advices[i].problem, strlen(advices[i].problem)) != 0)
		i++;
	if (parser->context)
		snprintf(context, sizeof(context), " %s that began on line %zu", parser->context,
			 parser->context_mark.line + 1);
	report_error(builder->report, builder_place(builder, parser->problem_mark),
		     "not valid YAML (%s%s): %s; nothing after it was checked", problem, context,
		     advices[i].advice);
}

/* Adds a node after its elder siblings; NULL without memory or beyond the bound. */
static struct node *builder_add(struct builder *builder, enum node_kind kind, yaml_mark_t mark,
				const yaml_char_t *text, size_t len_bytes)
{
	struct config_place place = builder_place(builder, mark);
	struct tree *tree = builder->tree;

	if (++tree->nodes_count > TREE_NODES_MAX) {
		report_error(builder->report, place,
			     "more than %u values: split the services over several balancers",
			     TREE_NODES_MAX);
		return NULL;
	}
	struct node *node = calloc(1, sizeof(*node) + len_bytes + 1);
	if (!node) {
		builder->report->no_memory = true;
		return NULL;
	}
	node->kind = kind;
	node->place = place;
	if (len_bytes > 0)
		memcpy(node->text, text, len_bytes);
	node->older = tree->newest;
	tree->newest = node;
	*builder->link[builder->depth] = node;
	builder->link[builder->depth] = &node->next;
	return node;
}

static bool builder_open(struct builder *builder, enum node_kind kind, yaml_mark_t mark)
{
	struct node *node = builder_add(builder, kind, mark, NULL, 0);

	if (!node)
		return false;
	if (builder->depth == TREE_DEPTH_MAX) {
		report_error(
			builder->report, node->place,
			"nested more than %d levels deep: no key of shunt needs that; nothing after it was checked",
			TREE_DEPTH_MAX);
		return false;
	}
	builder->open[builder->depth++] = node;
	builder->link[builder->depth] = &node->child;
	return true;
}

static void builder_close(struct builder *builder)
{
	builder->open[--builder->depth]->complete = true;
}

/* Double quotes can spell any character, "\0" too. */
static bool scalar_printable(const char *text, size_t len_bytes)
{
	for (size_t at = 0; at < len_bytes;) {
		u32 code;
		size_t len = text_decode(text + at, len_bytes - at, &code);

		if (len == 0 || !text_allowed(code) || code == '\t')
			return false;
		at += len;
	}
	return true;
}

static bool builder_scalar(struct builder *builder, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len_bytes = event->data.scalar.length;
	struct node *node = builder_add(builder, NODE_SCALAR, event->start_mark,
					event->data.scalar.value, len_bytes);

	if (!node)
		return false;
	node->complete = true;
	node->empty = len_bytes == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (!scalar_printable(text, len_bytes)) {
		report_error(builder->report, node->place,
			     "a value must be one line without tabs or control characters");
		node->kind = NODE_BAD;
	}
	return true;
}

static bool builder_document(struct builder *builder, const yaml_event_t *event)
{
	struct config_place place = builder_place(builder, event->start_mark);

	if (event->data.document_start.tag_directives.start !=
	    event->data.document_start.tag_directives.end)
		report_error(builder->report, place,
			     "tags are not allowed here: remove the %%TAG line");
	if (builder->documents++ == 0)
		return true;
	report_error(
		builder->report, place,
		"a second document starts here: a configuration is one document, so remove this line and what follows");
	return false;
}

static void extras_refuse(struct builder *builder, const yaml_event_t *event,
			  const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct config_place place = builder_place(builder, event->start_mark);
	char quoted[TEXT_QUOTE_MAX];

	if (anchor)
		report_error(builder->report, place, "anchors are not allowed: remove '&%s'",
			     text_quote((const char *)anchor, quoted));
	if (tag)
		report_error(builder->report, place, "tags are not allowed: remove '%s'",
			     text_quote((const char *)tag, quoted));
}

static bool builder_alias(struct builder *builder, const yaml_event_t *event)
{
	struct node *node = builder_add(builder, NODE_BAD, event->start_mark, NULL, 0);
	char quoted[TEXT_QUOTE_MAX];

	if (!node)
		return false;
	report_error(builder->report, node->place,
		     "aliases are not allowed: write the value itself in place of '*%s'",
		     text_quote((const char *)event->data.alias.anchor, quoted));
	return true;
}

/* Returns whether to go on. */
static bool builder_event(struct builder *builder, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return builder_document(builder, event);
	case YAML_ALIAS_EVENT:
		return builder_alias(builder, event);
	case YAML_SCALAR_EVENT:
		extras_refuse(builder, event, event->data.scalar.anchor, event->data.scalar.tag);
		return builder_scalar(builder, event);
	case YAML_SEQUENCE_START_EVENT:
		extras_refuse(builder, event, event->data.sequence_start.anchor,
			      event->data.sequence_start.tag);
		return builder_open(builder, NODE_LIST, event->start_mark);
	case YAML_MAPPING_START_EVENT:
		extras_refuse(builder, event, event->data.mapping_start.anchor,
			      event->data.mapping_start.tag);
		return builder_open(builder, NODE_MAP, event->start_mark);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		builder_close(builder);
		return true;
	default:
		return event->type != YAML_STREAM_END_EVENT;
	}
}

static bool builder_step(struct builder *builder, yaml_parser_t *parser)
{
	yaml_event_t event;

	if (!yaml_parser_parse(parser, &event)) {
		syntax_error(builder, parser);
		return false;
	}
	bool more = builder_event(builder, &event);
	yaml_event_delete(&event);
	return more;
}

void tree_build(struct tree *tree, const char *text, size_t len_bytes, struct report *report)
{
	size_t mark_len = text_mark_len_bytes(text, len_bytes);
	const char *start = text + mark_len;
	struct builder builder = {
		.tree = tree,
		.report = report,
		.cursor = {.text = start,
			   .end = text + len_bytes,
			   .line_start = start,
			   .at = start},
		.link = {&tree->root},
	};
	yaml_parser_t parser;

	*tree = (struct tree){0};
	if (!yaml_parser_initialize(&parser)) {
		report->no_memory = true;
		return;
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const yaml_char_t *)start, len_bytes - mark_len);
	while (builder_step(&builder, &parser))
		;
	yaml_parser_delete(&parser);
}

void tree_free(struct tree *tree)
{
	struct node *older;

	for (struct node *node = tree->newest; node; node = older) {
		older = node->older;
		free(node);
	}
	*tree = (struct tree){0};
}

struct node *node_find(const struct node *map, const char *key)
{
	if (map->kind != NODE_MAP)
		return NULL;
	for (struct node *name = map->child; name && name->next; name = name->next->next) {
		if (name->kind == NODE_SCALAR && strcmp(name->text, key) == 0)
			return name->next;
	}
	return NULL;
}
