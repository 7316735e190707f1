/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration language as tables: parse, render and diff all walk them, so a key is
 * added by one line in schema.c. */
#ifndef SHUNT_CONFIG_SCHEMA_H
#define SHUNT_CONFIG_SCHEMA_H

#include "config/tree.h"
#include "config/value.h"

#define SECTION_FIELDS_MAX 16
#define SECTION_UNIQUE_MAX 2
#define NOWHERE ((size_t)-1)

/* One key. Exactly one of type, section and list is set. */
struct field {
	const char *key;
	const struct value_type *type;
	const struct section *section;
	const struct list *list;
	size_t offset, size_bytes; /* where it lands in its section's struct */
	u64 min, max;              /* in the type's unit: a number, bytes or milliseconds */
	const struct value_choice *choices; /* of an enumerated value */
	const char *fallback;               /* the default, spelled as in a file */
	size_t inherit; /* else the default's offset in struct config; 0: none */
	bool required;
	bool optional; /* a section that stays all zero unless it is given */
};

/* A map of keys that fills one struct. */
struct section {
	const char *noun; /* "service": what errors call one such map */
	const struct field *fields;
	size_t fields_count;
	size_t size_bytes;
	size_t place_offset; /* of a struct config_place, or NOWHERE */
	/* In a list of such maps no two may agree in all keys of a row. */
	const char *unique[SECTION_UNIQUE_MAX][4];
	/* What binds several keys together; runs after all of them were read. */
	void (*rule)(struct report *report, const struct node *map, void *object);
};

struct list {
	const struct section *item;
	size_t items_max;
	size_t count_offset; /* of a size_t in the struct that holds the list */
	bool allocated;      /* the field is a pointer, not an array */
};

extern const struct section config_section, dataplane_section;

const struct field *section_field(const struct section *section, const char *key);

/* A list's items inside the struct that holds it. */
const void *list_items(const struct field *field, const void *object);
size_t list_count(const struct field *field, const void *object);

/* rules.c */
void rule_config(struct report *report, const struct node *map, void *object);
void rule_dataplane(struct report *report, const struct node *map, void *object);
void rule_service(struct report *report, const struct node *map, void *object);
void rule_check(struct report *report, const struct node *map, void *object);
void rule_unique(struct report *report, const struct section *section, const struct node *list,
		 const void *items, size_t items_count);

#endif
