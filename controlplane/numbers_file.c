/* SPDX-License-Identifier: BSD-2-Clause */
/* The state file, numbers.json:
 *
 *	{ "version": 1, "incarnation": "9f86d081884c7d65", "epoch": 3, "generation": 1024,
 *	  "services": { KEY: { "number": 1, "counter": 0, "backends": {
 *	      "10.0.1.1": { "number": 1, "counter": 1 },
 *	      "10.0.1.2": { "number": 2, "counter": 2, "retired": 17 } } } } }
 *
 * It is always replaced whole (state_file.c). It is read with suspicion all the same: a
 * number held twice would send flows to the wrong backend, so a file that isn't consistent to
 * the last entry is set aside for the operator, and a new incarnation makes every flow table
 * start empty. Failing to read is another matter: that is an error, never a fresh start. */
#include "controlplane/numbers_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/state_file.h"

#define FILE_VERSION 1
#define FILE_NAME "numbers.json"

/* ---- reading ---- */

/* A whole number from 0 up; false where it is missing or something else. */
static bool number_read(const json_t *object, const char *name, u64 *value)
{
	const json_t *member = json_object_get(object, name);

	if (!json_is_integer(member) || json_integer_value(member) < 0)
		return false;
	*value = (u64)json_integer_value(member);
	return true;
}

static int entry_read(struct numbers *numbers, struct pool *pool, const char *key,
		      const json_t *object, struct entry **out)
{
	u64 number, counter, generation;
	struct entry *entry;

	if (!number_read(object, "number", &number) || number > NUMBERS_MAX ||
	    !number_read(object, "counter", &counter) || counter >= NUMBERS_COUNTERS_MAX)
		return -EINVAL;
	int status = pool_put(pool, key, (u32)number, &entry);
	if (status)
		return status;
	status = counters_put(&numbers->counters, (u32)counter);
	if (status)
		return status;
	entry->counter = (u32)counter;
	if (json_object_get(object, "retired")) {
		if (!number_read(object, "retired", &generation))
			return -EINVAL;
		entry->retired = true;
		entry->retired_generation = generation;
	}
	*out = entry;
	return 0;
}

static int service_read(struct numbers *numbers, const char *key, json_t *object)
{
	json_t *backends = json_object_get(object, "backends"), *backend;
	const char *address;
	struct entry *entry, *ignored;
	int status = entry_read(numbers, numbers->services, key, object, &entry);

	if (status)
		return status;
	if (!json_is_object(backends))
		return -EINVAL;
	entry->backends = pool_new();
	if (!entry->backends)
		return -ENOMEM;
	json_object_foreach(backends, address, backend)
	{
		status = entry_read(numbers, entry->backends, address, backend, &ignored);
		if (status)
			return status;
	}
	return 0;
}

static bool incarnation_read(const json_t *root, u64 *incarnation)
{
	const char *text = json_string_value(json_object_get(root, "incarnation"));

	if (!text || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return false;
	*incarnation = strtoull(text, NULL, 16);
	return *incarnation != 0;
}

static int root_read(struct numbers *numbers, const json_t *root, char *why, size_t why_bytes)
{
	json_t *services = json_object_get(root, "services"), *service;
	const char *key;
	u64 version;

	if (!number_read(root, "version", &version) || version != FILE_VERSION) {
		snprintf(why, why_bytes, "it isn't of version %d", FILE_VERSION);
		return -EINVAL;
	}
	if (!incarnation_read(root, &numbers->incarnation) ||
	    !number_read(root, "epoch", &numbers->epoch) ||
	    !number_read(root, "generation", &numbers->generation) || !json_is_object(services)) {
		snprintf(why, why_bytes, "a member is missing or wrong");
		return -EINVAL;
	}
	numbers->generation_reserved = numbers->generation;
	json_object_foreach(services, key, service)
	{
		int status = service_read(numbers, key, service);
		if (status) {
			snprintf(why, why_bytes, "service \"%.64s\" is not consistent", key);
			return status;
		}
	}
	return 0;
}

/* Gives the unusable file a name of its own and begins anew. */
static int file_set_aside(struct numbers *numbers, const char *why, char *message,
			  size_t message_bytes)
{
	char name[STATE_FILE_NAME_MAX];
	int status = state_file_set_aside(numbers->dir_fd, FILE_NAME, name);

	if (status)
		return status;
	snprintf(message, message_bytes,
		 FILE_NAME " is unusable (%s); set aside as %s, all numbers begin anew", why, name);
	return numbers_reset(numbers);
}

int numbers_load(struct numbers *numbers, char *message, size_t message_bytes)
{
	char *text, why[160] = "";
	size_t len_bytes;
	json_error_t error;
	int status = state_file_read(numbers->dir_fd, FILE_NAME, &text, &len_bytes);

	if (status)
		return status == -ENOENT ? 0 : status;
	json_t *root = json_loadb(text, len_bytes, JSON_REJECT_DUPLICATES, &error);
	free(text);
	if (root) {
		status = root_read(numbers, root, why, sizeof(why));
		json_decref(root);
	} else {
		status = json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
		snprintf(why, sizeof(why), "line %d: %.120s", error.line, error.text);
	}
	if (status == -ENOMEM)
		return status;
	if (status)
		return file_set_aside(numbers, why, message, message_bytes);
	numbers->dirty = false;
	return 0;
}

/* ---- writing ---- */

static json_t *pool_write(const struct pool *pool);

static json_t *entry_write(const struct entry *entry, json_int_t number)
{
	json_t *object =
		json_pack("{s:I, s:I}", "number", number, "counter", (json_int_t)entry->counter);
	int status = object ? 0 : -1;

	if (entry->retired)
		status |= json_object_set_new(object, "retired",
					      json_integer((json_int_t)entry->retired_generation));
	if (entry->backends)
		status |= json_object_set_new(object, "backends", pool_write(entry->backends));
	if (status == 0)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *pool_write(const struct pool *pool)
{
	json_t *object = json_object(), *value;
	const char *key;

	json_object_foreach(pool->index, key, value)
	{
		json_int_t number = json_integer_value(value);
		if (json_object_set_new(object, key, entry_write(&pool->entries[number], number)) !=
		    0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static char *root_write(const struct numbers *numbers)
{
	char incarnation[17];

	snprintf(incarnation, sizeof(incarnation), "%016" PRIx64, (uint64_t)numbers->incarnation);
	json_t *root = json_pack("{s:i, s:s, s:I, s:I, s:o}", "version", FILE_VERSION,
				 "incarnation", incarnation, "epoch", (json_int_t)numbers->epoch,
				 "generation", (json_int_t)numbers->generation_reserved, "services",
				 pool_write(numbers->services));
	char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
	json_decref(root);
	return text;
}

int numbers_save(const struct numbers *numbers)
{
	char *text = root_write(numbers);

	if (!text)
		return -ENOMEM;
	int status = state_file_replace(numbers->dir_fd, FILE_NAME, text);
	free(text);
	return status;
}
