/* SPDX-License-Identifier: BSD-2-Clause */
/* Which keys of two dataplane sections differ. Buffers are compared as bytes: the parser
 * leaves zeroes behind their strings. */
#include <string.h>

#include "config/schema.h"

struct diff {
	char *out;
	size_t room_bytes;
	size_t count;
};

/* Names that no longer fit are counted and left out whole. */
static void diff_add(struct diff *diff, const char *prefix, const char *key)
{
	size_t used = diff->room_bytes > 0 ? strlen(diff->out) : 0;
	size_t need = (used > 0) + strlen(prefix) + strlen(key) + 1;

	diff->count++;
	if (used + need <= diff->room_bytes)
		snprintf(diff->out + used, diff->room_bytes - used, "%s%s%s", used > 0 ? " " : "",
			 prefix, key);
}

static bool field_equal(const struct field *field, const void *a, const void *b)
{
	return memcmp((const u8 *)a + field->offset, (const u8 *)b + field->offset,
		      field->size_bytes) == 0;
}

static void section_diff(struct diff *diff, const char *prefix, const struct section *section,
			 const void *a, const void *b);

/* Lists whose items have the same names are compared item by item, others as a whole. */
static void list_diff(struct diff *diff, const char *prefix, const struct field *field,
		      const void *a, const void *b)
{
	const struct section *item = field->list->item;
	const struct field *name = section_field(item, "name");
	const u8 *a_items = list_items(field, a), *b_items = list_items(field, b);
	size_t count = list_count(field, a), same = 0;

	while (same < count && field_equal(name, a_items + same * item->size_bytes,
					   b_items + same * item->size_bytes))
		same++;
	if (count != list_count(field, b) || same < count) {
		diff_add(diff, prefix, field->key);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		char inner[2 * CONFIG_NAME_MAX];
		const char *item_name = (const char *)a_items + i * item->size_bytes + name->offset;

		snprintf(inner, sizeof(inner), "%s%s[%.*s].", prefix, field->key, CONFIG_NAME_MAX,
			 item_name);
		section_diff(diff, inner, item, a_items + i * item->size_bytes,
			     b_items + i * item->size_bytes);
	}
}

static void section_diff(struct diff *diff, const char *prefix, const struct section *section,
			 const void *a, const void *b)
{
	for (size_t i = 0; i < section->fields_count; i++) {
		const struct field *field = &section->fields[i];

		if (field->list)
			list_diff(diff, prefix, field, a, b);
		else if (!field_equal(field, a, b))
			diff_add(diff, prefix, field->key);
	}
}

size_t config_dataplane_diff(const struct config_dataplane *a, const struct config_dataplane *b,
			     char *out, size_t out_bytes)
{
	struct diff diff = {.out = out, .room_bytes = out_bytes};

	if (out_bytes > 0)
		out[0] = '\0';
	section_diff(&diff, "dataplane.", &dataplane_section, a, b);
	return diff.count;
}
