/* SPDX-License-Identifier: BSD-2-Clause */
/* The state file, numbers.json:
 *
 *	{ "version": 1, "incarnation": "9f86d081884c7d65", "epoch": 3, "generation": 1024,
 *	  "services": { KEY: { "number": 1, "counter": 0, "backends": {
 *	      "10.0.1.1": { "number": 1, "counter": 1 },
 *	      "10.0.1.2": { "number": 2, "counter": 2, "retired": 17 } } } } }
 *
 * It is always replaced whole: temporary file, fsync, rename, fsync of the directory. A crash
 * at any moment leaves the old file or the new one. It is read with suspicion all the same: a
 * number held twice would send flows to the wrong backend, so a file that isn't consistent to
 * the last entry is set aside for the operator, and a new incarnation makes every flow table
 * start empty. Failing to read is another matter: that is an error, never a fresh start. */
#include "controlplane/numbers_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_VERSION 1
#define FILE_NAME "numbers.json"
#define FILE_NAME_TEMPORARY "numbers.json.tmp"

/* ---- reading ---- */

static int file_read(int dir_fd, char **text, size_t *len_bytes)
{
	struct stat info;
	size_t len = 0;
	int status = -ENOMEM, fd = openat(dir_fd, FILE_NAME, O_RDONLY | O_CLOEXEC);

	*text = NULL;
	*len_bytes = 0;
	if (fd < 0 || fstat(fd, &info) != 0) {
		status = -errno;
		goto out;
	}
	char *bytes = malloc((size_t)info.st_size + 1);
	if (!bytes)
		goto out;
	while (len < (size_t)info.st_size) {
		ssize_t got = read(fd, bytes + len, (size_t)info.st_size - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			status = -errno;
			free(bytes);
			goto out;
		}
		if (got == 0)
			break;
		len += (size_t)got;
	}
	*text = bytes;
	*len_bytes = len;
	status = 0;
out:
	if (fd >= 0)
		close(fd);
	return status;
}

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
	char name[64];
	struct tm utc;
	time_t now = time(NULL);

	strftime(name, sizeof(name), FILE_NAME ".bad-%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
	if (renameat(numbers->dir_fd, FILE_NAME, numbers->dir_fd, name) != 0)
		return -errno;
	snprintf(message, message_bytes,
		 FILE_NAME " is unusable (%s); set aside as %s, all numbers begin anew", why, name);
	return numbers_reset(numbers);
}

int numbers_load(struct numbers *numbers, char *message, size_t message_bytes)
{
	char *text, why[160] = "";
	size_t len_bytes;
	json_error_t error;
	int status = file_read(numbers->dir_fd, &text, &len_bytes);

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

static int bytes_write(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t written = write(fd, bytes, len);
		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			bytes += written;
			len -= (size_t)written;
		}
	}
	return 0;
}

static int file_replace(int dir_fd, const char *text)
{
	int status, fd = openat(dir_fd, FILE_NAME_TEMPORARY,
				O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	status = bytes_write(fd, text, strlen(text));
	if (status == 0 && fsync(fd) != 0)
		status = -errno;
	if (close(fd) != 0 && status == 0)
		status = -errno;
	if (status == 0 && renameat(dir_fd, FILE_NAME_TEMPORARY, dir_fd, FILE_NAME) != 0)
		status = -errno;
	if (status) {
		(void)unlinkat(dir_fd, FILE_NAME_TEMPORARY, 0);
		return status;
	}
	return fsync(dir_fd) == 0 ? 0 : -errno;
}

int numbers_save(const struct numbers *numbers)
{
	char *text = root_write(numbers);

	if (!text)
		return -ENOMEM;
	int status = file_replace(numbers->dir_fd, text);
	free(text);
	return status;
}
