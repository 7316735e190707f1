/* SPDX-License-Identifier: BSD-2-Clause */
/* Who has which number. Services and the backends of each are pools (numbers_pool.c) that take
 * the same path; keys of backends are addresses in their canonical text. Removal never frees an
 * entry, it only retires it: freeing is left to numbers_reclaim, which is told how far the flow
 * tables have been swept. */
#include "controlplane/numbers_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

#define GENERATIONS_RESERVED 1024

/* ---- opening ---- */

int numbers_reset(struct numbers *numbers)
{
	struct pool *services = pool_new();

	if (!services)
		return -ENOMEM;
	pool_free(numbers->services);
	numbers->services = services;
	free(numbers->counters.used);
	numbers->counters = (struct counters){0};
	numbers->epoch = numbers->generation = numbers->generation_reserved = 0;
	numbers->dirty = true;
	do {
		if (getrandom(&numbers->incarnation, sizeof(u64), 0) != sizeof(u64))
			return -errno;
	} while (numbers->incarnation == 0);
	return 0;
}

/* The holder's pid stands in the lock file for the one who is refused. */
static int lock_take(int dir_fd, int *lock_fd, char *message, size_t message_bytes)
{
	char holder[16] = "";
	int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int status = errno == EWOULDBLOCK ? -EBUSY : -errno;
		ssize_t len = pread(fd, holder, sizeof(holder) - 1, 0);
		holder[len > 0 ? strspn(holder, "0123456789") : 0] = '\0';
		if (status == -EBUSY)
			snprintf(message, message_bytes, "in use by another shuntd%s%s",
				 *holder ? ", process " : "", holder);
		close(fd);
		return status;
	}
	snprintf(holder, sizeof(holder), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, holder, strlen(holder), 0) < 0) {
		int status = -errno;
		close(fd);
		return status;
	}
	*lock_fd = fd;
	return 0;
}

static int state_open(struct numbers *numbers, const char *dir, char *message, size_t message_bytes)
{
	if (mkdir(dir, 0750) != 0 && errno != EEXIST)
		return -errno;
	numbers->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (numbers->dir_fd < 0)
		return -errno;
	int status = lock_take(numbers->dir_fd, &numbers->lock_fd, message, message_bytes);
	if (status == 0)
		status = numbers_reset(numbers);
	if (status == 0)
		status = numbers_load(numbers, message, message_bytes);
	return status;
}

int numbers_open(const char *dir, struct numbers **out, char *message, size_t message_bytes)
{
	struct numbers *numbers = calloc(1, sizeof(*numbers));
	char text[256] = "";
	int status = -ENOMEM;

	*out = NULL;
	if (numbers) {
		numbers->dir_fd = numbers->lock_fd = -1;
		status = state_open(numbers, dir, text, sizeof(text));
	}
	message[0] = '\0';
	if (status || *text)
		snprintf(message, message_bytes, "state directory %s: %s", dir,
			 *text ? text : strerror(-status));
	if (status)
		numbers_close(numbers);
	else
		*out = numbers;
	return status;
}

void numbers_close(struct numbers *numbers)
{
	if (!numbers)
		return;
	pool_free(numbers->services);
	free(numbers->counters.used);
	if (numbers->lock_fd >= 0)
		close(numbers->lock_fd);
	if (numbers->dir_fd >= 0)
		close(numbers->dir_fd);
	free(numbers);
}

/* ---- incarnation, epoch, generation ---- */

int numbers_commit(struct numbers *numbers)
{
	u64 reserved_before = numbers->generation_reserved;

	if (!numbers->dirty)
		return 0;
	if (numbers->generation_reserved <= numbers->generation)
		numbers->generation_reserved = numbers->generation + GENERATIONS_RESERVED;
	int status = numbers_save(numbers);
	if (status)
		numbers->generation_reserved = reserved_before;
	else
		numbers->dirty = false;
	return status;
}

u64 numbers_incarnation(const struct numbers *numbers)
{
	return numbers->incarnation;
}

u64 numbers_epoch(const struct numbers *numbers)
{
	return numbers->epoch;
}

int numbers_next_epoch(struct numbers *numbers, u64 *epoch)
{
	*epoch = ++numbers->epoch; /* kept after a failure, too: the file may be there already */
	numbers->dirty = true;
	return numbers_commit(numbers);
}

u64 numbers_generation(const struct numbers *numbers)
{
	return numbers->generation;
}

int numbers_next_generation(struct numbers *numbers, u64 *generation)
{
	*generation = ++numbers->generation;
	if (*generation <= numbers->generation_reserved)
		return 0;
	numbers->dirty = true;
	return numbers_commit(numbers);
}

/* ---- giving numbers ---- */

/* The key's entry: found, brought back from retirement, or new under the lowest free number. */
static int entry_take(struct numbers *numbers, struct pool *pool, const char *key, u32 *number,
		      struct entry **entry)
{
	u32 counter;

	*number = pool_find(pool, key);
	if (*number) {
		*entry = &pool->entries[*number];
		if ((*entry)->retired) {
			(*entry)->retired = false;
			(*entry)->retired_generation = 0;
			numbers->dirty = true;
		}
		return 0;
	}
	int status = counters_take(&numbers->counters, &counter);
	if (status)
		return status;
	*number = pool_lowest_free(pool);
	status = pool_put(pool, key, *number, entry);
	if (status) {
		counters_release(&numbers->counters, counter);
		return status;
	}
	(*entry)->counter = counter;
	numbers->dirty = true;
	return 0;
}

static struct pool *backends_of(const struct numbers *numbers, const char *key)
{
	u32 number = pool_find(numbers->services, key);

	if (!number || numbers->services->entries[number].retired)
		return NULL;
	return numbers->services->entries[number].backends;
}

int numbers_service(struct numbers *numbers, const char *key, u16 *number)
{
	struct entry *entry;
	u32 taken;
	int status = entry_take(numbers, numbers->services, key, &taken, &entry);

	if (status)
		return status;
	if (!entry->backends && !(entry->backends = pool_new())) {
		counters_release(&numbers->counters, entry->counter);
		pool_remove(numbers->services, key, taken);
		return -ENOMEM;
	}
	*number = (u16)taken;
	return 0;
}

int numbers_backend(struct numbers *numbers, const char *key, const struct addr *address,
		    u16 *number)
{
	return numbers_backends(numbers, key, address, 1, number);
}

struct wish {
	struct addr address;
	size_t at; /* in the caller's array */
};

static int wish_compare(const void *a, const void *b)
{
	return memcmp(((const struct wish *)a)->address.bytes,
		      ((const struct wish *)b)->address.bytes, sizeof(struct addr));
}

static struct wish *wishes_sorted(const struct addr *addresses, size_t count)
{
	struct wish *wishes = calloc(count + 1, sizeof(*wishes));

	if (!wishes)
		return NULL;
	for (size_t at = 0; at < count; at++)
		wishes[at] = (struct wish){.address = addresses[at], .at = at};
	qsort(wishes, count, sizeof(*wishes), wish_compare);
	return wishes;
}

/* Whether every new one of the sorted wishes will find a number. */
static bool wishes_fit(const struct pool *pool, const struct wish *wishes, size_t count)
{
	char text[ADDR_TEXT_MAX];
	size_t needed = pool_used(pool);

	if (needed + count <= NUMBERS_MAX)
		return true;
	for (size_t at = 0; at < count; at++) {
		if (at > 0 && wish_compare(&wishes[at], &wishes[at - 1]) == 0)
			continue;
		if (!pool_find(pool, addr_format(&wishes[at].address, text)))
			needed++;
	}
	return needed <= NUMBERS_MAX;
}

int numbers_backends(struct numbers *numbers, const char *key, const struct addr *addresses,
		     size_t count, u16 *out)
{
	struct pool *pool = backends_of(numbers, key);
	struct wish *wishes;
	int status = 0;

	if (!pool)
		return -ENOENT;
	wishes = wishes_sorted(addresses, count);
	if (!wishes)
		return -ENOMEM;
	if (!wishes_fit(pool, wishes, count))
		status = -ENOSPC;
	for (size_t at = 0; at < count && status == 0; at++) {
		char text[ADDR_TEXT_MAX];
		struct entry *entry;
		u32 number;

		status = entry_take(numbers, pool, addr_format(&wishes[at].address, text), &number,
				    &entry);
		out[wishes[at].at] = (u16)number;
	}
	free(wishes);
	return status;
}

int numbers_counter(const struct numbers *numbers, const char *key, const struct addr *address,
		    u32 *counter)
{
	const struct pool *pool = numbers->services;
	u32 number = pool_find(pool, key);

	if (number && address) {
		char text[ADDR_TEXT_MAX];
		pool = pool->entries[number].backends;
		number = pool_find(pool, addr_format(address, text));
	}
	if (!number)
		return -ENOENT;
	*counter = pool->entries[number].counter;
	return 0;
}

/* ---- retiring and reclaiming ---- */

static void entry_retire(struct numbers *numbers, struct entry *entry, u64 generation)
{
	if (!entry->used || entry->retired)
		return;
	entry->retired = true;
	entry->retired_generation = generation;
	numbers->dirty = true;
	if (entry->backends)
		for (u32 at = 0; at < entry->backends->entries_count; at++)
			entry_retire(numbers, &entry->backends->entries[at], generation);
}

/* wanted: one flag a number, freed here. */
static int pool_retire(struct numbers *numbers, struct pool *pool, bool *wanted, u64 generation)
{
	if (!wanted)
		return -ENOMEM;
	for (u32 number = 1; number < pool->entries_count; number++)
		if (!wanted[number])
			entry_retire(numbers, &pool->entries[number], generation);
	free(wanted);
	return 0;
}

int numbers_retire_services(struct numbers *numbers, const char *const *wanted, size_t count,
			    u64 generation)
{
	struct pool *pool = numbers->services;
	bool *flags = calloc(pool->entries_count + 1, sizeof(*flags));

	for (size_t at = 0; flags && at < count; at++)
		flags[pool_find(pool, wanted[at])] = true;
	return pool_retire(numbers, pool, flags, generation);
}

int numbers_retire_backends(struct numbers *numbers, const char *key, const struct addr *wanted,
			    size_t count, u64 generation)
{
	struct pool *pool = backends_of(numbers, key);
	char text[ADDR_TEXT_MAX];

	if (!pool)
		return -ENOENT;
	bool *flags = calloc(pool->entries_count + 1, sizeof(*flags));
	for (size_t at = 0; flags && at < count; at++)
		flags[pool_find(pool, addr_format(&wanted[at], text))] = true;
	return pool_retire(numbers, pool, flags, generation);
}

/* A service is freed only once none of its backends holds a number. */
static size_t pool_reclaim(struct numbers *numbers, struct pool *pool, u64 swept_generation)
{
	const char *key;
	json_t *value;
	void *next;
	size_t freed = 0;

	json_object_foreach_safe(pool->index, next, key, value)
	{
		u32 number = (u32)json_integer_value(value);
		struct entry *entry = &pool->entries[number];
		if (entry->backends)
			freed += pool_reclaim(numbers, entry->backends, swept_generation);
		if (!entry->retired || entry->retired_generation > swept_generation)
			continue;
		if (entry->backends && pool_used(entry->backends) > 0)
			continue;
		counters_release(&numbers->counters, entry->counter);
		pool_remove(pool, key, number);
		freed++;
	}
	return freed;
}

size_t numbers_reclaim(struct numbers *numbers, u64 swept_generation)
{
	size_t freed = pool_reclaim(numbers, numbers->services, swept_generation);

	if (freed)
		numbers->dirty = true;
	return freed;
}

u32 numbers_services_bound(const struct numbers *numbers)
{
	u32 bound = numbers->services->entries_count;

	while (bound > 1 && !numbers->services->entries[bound - 1].used)
		bound--;
	return bound ? bound : 1;
}

u32 numbers_counters_bound(const struct numbers *numbers)
{
	const struct counters *counters = &numbers->counters;
	u32 word = counters->words_count;

	while (word > 0 && counters->used[word - 1] == 0)
		word--;
	return word == 0 ? 0 : word * 64 - (u32)__builtin_clzll(counters->used[word - 1]);
}
