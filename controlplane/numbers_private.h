/* SPDX-License-Identifier: BSD-2-Clause */
/* What numbers.c (who has which number), numbers_pool.c (finding, taking, freeing) and
 * numbers_file.c (the form on disk) share. */
#ifndef SHUNT_CONTROLPLANE_NUMBERS_PRIVATE_H
#define SHUNT_CONTROLPLANE_NUMBERS_PRIVATE_H

#include <jansson.h>

#include "controlplane/numbers.h"

struct pool;

struct entry {
	bool used, retired;
	u32 counter;
	u64 retired_generation;
	struct pool *backends; /* of a service; NULL in a backend */
};

/* A set of numbered keys: service keys, or a service's backends by address text. */
struct pool {
	json_t *index;         /* key to number */
	struct entry *entries; /* by number; [0] is nobody */
	u32 entries_count;
	u32 lowest_free; /* no lower number is free */
};

/* The lowest free counter is given first, so that reports stay small. */
struct counters {
	u64 *used; /* one bit each */
	u32 words_count;
	u32 lowest_free_word; /* no lower word has a free bit */
};

struct numbers {
	int dir_fd, lock_fd;
	u64 incarnation, epoch;
	u64 generation, generation_reserved; /* given out; on disk */
	bool dirty;                          /* the file is behind */
	struct pool *services;
	struct counters counters;
};

struct pool *pool_new(void);
void pool_free(struct pool *pool);

/* Takes one given number for a key; -EEXIST when either is taken, -ENOSPC out of range. */
int pool_put(struct pool *pool, const char *key, u32 number, struct entry **entry)
	__attribute__((warn_unused_result));

u32 pool_find(const struct pool *pool, const char *key); /* 0: not there */
u32 pool_used(const struct pool *pool);                  /* how many numbers are taken */
u32 pool_lowest_free(struct pool *pool);                 /* above NUMBERS_MAX: none */
void pool_remove(struct pool *pool, const char *key, u32 number);

/* Marks one given counter used; -EEXIST when it is, -ENOSPC out of range. */
int counters_put(struct counters *counters, u32 counter) __attribute__((warn_unused_result));

/* Takes the lowest free counter. */
int counters_take(struct counters *counters, u32 *counter) __attribute__((warn_unused_result));
void counters_release(struct counters *counters, u32 counter);

/* Drops every number, counter, epoch and generation and draws a new incarnation. */
int numbers_reset(struct numbers *numbers) __attribute__((warn_unused_result));

/* Fills freshly reset numbers from numbers.json in dir_fd; message as numbers_open says. */
int numbers_load(struct numbers *numbers, char *message, size_t message_bytes)
	__attribute__((warn_unused_result));

/* Writes numbers.json durably. */
int numbers_save(const struct numbers *numbers) __attribute__((warn_unused_result));

#endif
