/* SPDX-License-Identifier: BSD-2-Clause */
/* One shape serves services and backends: a pool is an array by number with an index from key
 * text to number, so that finding, giving and freeing take constant time whatever the size, and
 * the state file is the index written out. Counters are one bit map over all of them. */
#include "controlplane/numbers_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- pools ---- */

struct pool *pool_new(void)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->lowest_free = 1;
	pool->index = json_object();
	if (!pool->index) {
		free(pool);
		return NULL;
	}
	return pool;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	for (u32 number = 0; number < pool->entries_count; number++)
		pool_free(pool->entries[number].backends);
	json_decref(pool->index);
	free(pool->entries);
	free(pool);
}

u32 pool_find(const struct pool *pool, const char *key)
{
	return (u32)json_integer_value(json_object_get(pool->index, key));
}

u32 pool_used(const struct pool *pool)
{
	return (u32)json_object_size(pool->index);
}

static int pool_grow(struct pool *pool, u32 number)
{
	u32 count = pool->entries_count ? pool->entries_count : 8;

	while (count <= number)
		count *= 2;
	if (count == pool->entries_count)
		return 0;
	struct entry *entries = reallocarray(pool->entries, count, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	memset(entries + pool->entries_count, 0, (count - pool->entries_count) * sizeof(*entries));
	pool->entries = entries;
	pool->entries_count = count;
	return 0;
}

int pool_put(struct pool *pool, const char *key, u32 number, struct entry **entry)
{
	if (number < 1 || number > NUMBERS_MAX)
		return -ENOSPC;
	int status = pool_grow(pool, number);
	if (status)
		return status;
	if (pool->entries[number].used || pool_find(pool, key))
		return -EEXIST;
	if (json_object_set_new(pool->index, key, json_integer(number)) != 0)
		return -EINVAL;
	*entry = &pool->entries[number];
	(*entry)->used = true;
	return 0;
}

u32 pool_lowest_free(struct pool *pool)
{
	while (pool->lowest_free < pool->entries_count && pool->entries[pool->lowest_free].used)
		pool->lowest_free++;
	return pool->lowest_free;
}

void pool_remove(struct pool *pool, const char *key, u32 number)
{
	pool_free(pool->entries[number].backends);
	pool->entries[number] = (struct entry){0};
	if (number < pool->lowest_free)
		pool->lowest_free = number;
	(void)json_object_del(pool->index, key); /* last: key may be the index's own text */
}

/* ---- counters ---- */

int counters_put(struct counters *counters, u32 counter)
{
	u32 word = counter / 64, count = counters->words_count ? counters->words_count : 16;

	if (counter >= NUMBERS_COUNTERS_MAX)
		return -ENOSPC;
	while (count <= word)
		count *= 2;
	if (count != counters->words_count) {
		u64 *used = reallocarray(counters->used, count, sizeof(*used));
		if (!used)
			return -ENOMEM;
		memset(used + counters->words_count, 0,
		       (count - counters->words_count) * sizeof(*used));
		counters->used = used;
		counters->words_count = count;
	}
	if (counters->used[word] >> counter % 64 & 1)
		return -EEXIST;
	counters->used[word] |= 1ull << counter % 64;
	return 0;
}

int counters_take(struct counters *counters, u32 *counter)
{
	u32 word = counters->lowest_free_word;

	while (word < counters->words_count && counters->used[word] == ~0ull)
		word++;
	counters->lowest_free_word = word;
	*counter = word * 64;
	if (word < counters->words_count)
		*counter += (u32)__builtin_ctzll(~counters->used[word]);
	return counters_put(counters, *counter);
}

void counters_release(struct counters *counters, u32 counter)
{
	counters->used[counter / 64] &= ~(1ull << counter % 64);
	if (counter / 64 < counters->lowest_free_word)
		counters->lowest_free_word = counter / 64;
}
