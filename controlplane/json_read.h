/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading answers whose fields are there or are of no interest. */
#ifndef SHUNT_CONTROLPLANE_JSON_READ_H
#define SHUNT_CONTROLPLANE_JSON_READ_H

#include <jansson.h>

/* The text, or "-". */
static inline const char *string_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

/* The number, or 0. */
static inline long long integer_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

#endif
