/* SPDX-License-Identifier: BSD-2-Clause */
/* The schema walked over a model, writing. Every default is spelled out; what has none and
 * was not given is all zero in the model and left out. */
#include <errno.h>
#include <string.h>

#include "config/schema.h"

struct render {
	FILE *out;
	unsigned indent;
	bool item; /* the next key is an item's first and stands behind its "- " */
};

static void section_render(struct render *render, const struct section *section,
			   const void *object);

static void key_render(struct render *render, const char *key)
{
	unsigned indent = render->indent - (render->item ? 1 : 0);

	fprintf(render->out, "%*s%s%s:", (int)(indent * 2), "", render->item ? "- " : "", key);
	render->item = false;
}

static bool bytes_zero(const u8 *bytes, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

static bool section_zero(const struct section *section, const u8 *object)
{
	for (size_t i = 0; i < section->fields_count; i++) {
		const struct field *field = &section->fields[i];
		if (!bytes_zero(object + field->offset, field->size_bytes))
			return false;
	}
	return true;
}

static void list_render(struct render *render, const struct field *field, const void *object)
{
	const u8 *item = list_items(field, object);
	size_t count = list_count(field, object);

	key_render(render, field->key);
	fputs(count > 0 ? "\n" : " []\n", render->out);
	render->indent += 2;
	for (size_t i = 0; i < count; i++, item += field->list->item->size_bytes) {
		render->item = true;
		section_render(render, field->list->item, item);
	}
	render->indent -= 2;
}

static void field_render(struct render *render, const struct field *field, const u8 *object)
{
	const u8 *value = object + field->offset;

	if (field->list) {
		list_render(render, field, object);
	} else if (field->section) {
		if (field->optional && section_zero(field->section, value))
			return;
		key_render(render, field->key);
		fputc('\n', render->out);
		render->indent++;
		section_render(render, field->section, value);
		render->indent--;
	} else if (field->required || field->fallback || field->inherit > 0 ||
		   !bytes_zero(value, field->size_bytes)) {
		key_render(render, field->key);
		fputc(' ', render->out);
		field->type->write(field, value, render->out);
		fputc('\n', render->out);
	}
}

static void section_render(struct render *render, const struct section *section, const void *object)
{
	for (size_t i = 0; i < section->fields_count; i++)
		field_render(render, &section->fields[i], object);
}

int config_render(const struct config *config, FILE *out)
{
	struct render render = {.out = out};

	section_render(&render, &config_section, config);
	return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}
