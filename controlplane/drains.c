/* SPDX-License-Identifier: BSD-2-Clause */
/* The file, drains.json, which is also the form in memory:
 *
 *	{ "version": 1, "services": { "203.0.113.10/128 tcp 443": {
 *	    "10.0.1.1": { "operator": 1764286800 },
 *	    "10.0.1.2": { "file": 1764283200 } } } }
 *
 * with seconds of the Unix epoch since when. It is no part of numbers.json: there a backend is
 * retired before the reload that removes it has been published, and comes back where that fails.
 * A drain must not be lost on the way.
 *
 * A change is made in a copy that takes the place of what holds once it is on disk. */
#include "controlplane/drains.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/assign.h"
#include "controlplane/state_file.h"

#define FILE_VERSION 1
#define FILE_NAME "drains.json"
#define BY_OPERATOR "operator"
#define BY_FILE "file"

struct drains {
	int dir_fd;
	json_t *services; /* what holds: service key to address to who to since when */
	json_t *next;     /* what is to hold after drains_commit(); NULL: the same */
};

/* --- Reading -------------------------------------------------------------------------- */

static bool entry_valid(const char *address, json_t *entry)
{
	char canonical[ADDR_TEXT_MAX];
	struct addr addr;
	const char *who;
	json_t *since;

	if (addr_parse(address, &addr) < 0 || strcmp(addr_format(&addr, canonical), address) != 0 ||
	    json_object_size(entry) == 0) /* nothing else than an object has a size either */
		return false;
	json_object_foreach(entry, who, since)
	{
		if (strcmp(who, BY_OPERATOR) != 0 && strcmp(who, BY_FILE) != 0)
			return false;
		if (!json_is_integer(since) || json_integer_value(since) <= 0)
			return false;
	}
	return true;
}

static bool root_valid(const json_t *root)
{
	json_t *services = json_object_get(root, "services"), *service, *entry;
	const char *key, *address;

	if (json_integer_value(json_object_get(root, "version")) != FILE_VERSION ||
	    !json_is_object(services))
		return false;
	json_object_foreach(services, key, service)
	{
		if (!json_is_object(service))
			return false;
		json_object_foreach(service, address, entry)
		{
			if (!entry_valid(address, entry))
				return false;
		}
	}
	return true;
}

/* Takes over what the file holds, or sets it aside. */
static int take(struct drains *drains, const char *text, size_t len_bytes, char *message,
		size_t message_bytes)
{
	char aside[STATE_FILE_NAME_MAX];
	json_t *root = json_loadb(text, len_bytes, JSON_REJECT_DUPLICATES, NULL);
	int err;

	if (root && root_valid(root)) {
		json_decref(drains->services);
		drains->services = json_incref(json_object_get(root, "services"));
		json_decref(root);
		return 0;
	}
	json_decref(root);
	err = state_file_set_aside(drains->dir_fd, FILE_NAME, aside);
	if (!err)
		snprintf(message, message_bytes,
			 FILE_NAME " cannot be understood; set aside as %s, and what `shunt drain` "
				   "had drained takes new flows again",
			 aside);
	return err;
}

static int load(struct drains *drains, char *message, size_t message_bytes)
{
	size_t len_bytes;
	char *text;
	int err = state_file_read(drains->dir_fd, FILE_NAME, &text, &len_bytes);

	if (!err)
		err = take(drains, text, len_bytes, message, message_bytes);
	free(text);
	return err == -ENOENT ? 0 : err;
}

int drains_open(const char *dir, struct drains **out, char *message, size_t message_bytes)
{
	struct drains *drains = calloc(1, sizeof(*drains));
	int err = -ENOMEM;

	message[0] = '\0';
	if (!drains)
		goto fail;
	drains->services = json_object();
	drains->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (drains->dir_fd < 0)
		err = -errno;
	else if (drains->services)
		err = load(drains, message, message_bytes);
	if (err)
		goto fail;
	*out = drains;
	return 0;
fail:
	snprintf(message, message_bytes, "cannot read " FILE_NAME " in %s: %s", dir,
		 strerror(-err));
	drains_close(drains);
	return err;
}

void drains_close(struct drains *drains)
{
	if (!drains)
		return;
	json_decref(drains->services);
	json_decref(drains->next);
	if (drains->dir_fd >= 0)
		close(drains->dir_fd);
	free(drains);
}

/* --- Changing ------------------------------------------------------------------------- */

static json_int_t since(const json_t *entry, const char *who)
{
	return json_integer_value(json_object_get(entry, who));
}

/* Gives up what was to hold, lest half a change be committed. */
static int give_up(struct drains *drains)
{
	json_decref(drains->next);
	drains->next = NULL;
	return -ENOMEM;
}

/* Gets what stands below a key, made where it is missing; NULL without memory. */
static json_t *below(json_t *object, const char *key)
{
	json_t *found = json_object_get(object, key);

	if (found)
		return found;
	found = json_object();
	return json_object_set_new(object, key, found) == 0 ? found : NULL;
}

/* Writes who drains a backend since when; nothing at all where nobody does. */
static int entry_set(json_t *services, const char *key, const char *address,
		     json_int_t operator_since, json_int_t file_since)
{
	json_t *service = below(services, key);
	json_t *entry = service ? below(service, address) : NULL;
	int err = entry ? json_object_clear(entry) : -1;

	if (!err && operator_since)
		err = json_object_set_new(entry, BY_OPERATOR, json_integer(operator_since));
	if (!err && file_since)
		err = json_object_set_new(entry, BY_FILE, json_integer(file_since));
	if (!err && json_object_size(entry) == 0)
		err = json_object_del(service, address);
	if (!err && json_object_size(service) == 0)
		err = json_object_del(services, key);
	return err ? -ENOMEM : 0;
}

int drains_set(struct drains *drains, const struct config_service *service,
	       const struct addr *address, bool drained, s64 now_s)
{
	char key[SERVICE_KEY_TEXT_MAX], text[ADDR_TEXT_MAX];
	json_int_t operator_since;
	json_t *entry;

	if (!drains->next)
		drains->next = json_deep_copy(drains->services);
	if (!drains->next)
		return -ENOMEM;
	service_key_format(service, key);
	addr_format(address, text);
	entry = json_object_get(json_object_get(drains->next, key), text);
	operator_since = since(entry, BY_OPERATOR);
	if (drained == (operator_since != 0))
		return 0;
	if (entry_set(drains->next, key, text, drained ? now_s : 0, since(entry, BY_FILE)) < 0)
		return give_up(drains);
	return 0;
}

static int follow_service(const json_t *before, json_t *after, const struct config_service *service,
			  s64 now_s)
{
	char key[SERVICE_KEY_TEXT_MAX], address[ADDR_TEXT_MAX];
	const json_t *known;
	int err = 0;

	service_key_format(service, key);
	known = json_object_get(before, key);
	for (size_t i = 0; i < service->backends_count && !err; i++) {
		const struct config_backend *backend = &service->backends[i];
		bool by_file = backend->state == CONFIG_STATE_DRAIN;
		json_int_t file_since;
		const json_t *entry;

		if (!known && !by_file)
			continue;
		entry = json_object_get(known, addr_format(&backend->address, address));
		file_since = since(entry, BY_FILE);
		if (entry || by_file)
			err = entry_set(after, key, address, since(entry, BY_OPERATOR),
					!by_file     ? 0
					: file_since ? file_since
						     : now_s);
	}
	return err;
}

int drains_follow(struct drains *drains, const struct config *config, s64 now_s)
{
	const json_t *before = drains->next ? drains->next : drains->services;
	json_t *after = json_object();
	int err = after ? 0 : -ENOMEM;

	for (size_t i = 0; i < config->services_count && !err; i++)
		err = follow_service(before, after, &config->services[i], now_s);
	json_decref(drains->next);
	drains->next = after;
	return err ? give_up(drains) : 0;
}

static int save(const struct drains *drains)
{
	json_t *root = json_pack("{s:i, s:O}", "version", FILE_VERSION, "services", drains->next);
	char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
	int err = text ? state_file_replace(drains->dir_fd, FILE_NAME, text) : -ENOMEM;

	free(text);
	json_decref(root);
	return err;
}

int drains_commit(struct drains *drains)
{
	bool changed = drains->next && !json_equal(drains->next, drains->services);
	int err = changed ? save(drains) : 0;

	if (changed && !err) {
		json_decref(drains->services);
		drains->services = json_incref(drains->next);
	}
	json_decref(drains->next);
	drains->next = NULL;
	return err;
}

/* --- Telling -------------------------------------------------------------------------- */

bool drains_apply(const struct drains *drains, struct plan *plan)
{
	char key[SERVICE_KEY_TEXT_MAX], address[ADDR_TEXT_MAX];
	bool changed = false;

	for (size_t i = 0; i < plan->config->services_count; i++) {
		struct plan_service *service = &plan->services[i];
		const json_t *known;

		service_key_format(service->config, key);
		known = json_object_get(drains->services, key);
		for (size_t k = 0; k < service->config->backends_count; k++) {
			struct plan_backend *backend = &service->backends[k];
			const json_t *entry =
				known ? json_object_get(known,
							addr_format(&backend->config->address,
								    address))
				      : NULL;
			bool before = plan_backend_eligible(backend);

			backend->drain = (struct plan_drain){
				.operator_since_s = since(entry, BY_OPERATOR),
				.file_since_s = since(entry, BY_FILE),
			};
			changed |= plan_backend_eligible(backend) != before;
		}
	}
	return changed;
}
