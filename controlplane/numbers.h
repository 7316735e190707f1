/* SPDX-License-Identifier: BSD-2-Clause */
/* Small integers for services, and for the backends of each service, that outlive shuntd.
 *
 * A flow table holds backend numbers, not addresses, and it outlives both processes. So a number
 * must mean the same backend for as long as any flow entry may name it: numbers are kept in a
 * state file that is on disk before they are published, and a number goes to another backend
 * only after every flow table has been swept since its removal. The order of one change is
 *
 *	numbers_service, numbers_backends   for what is wanted
 *	numbers_retire_*                    what is wanted no more, at the generation to come
 *	numbers_commit                      only when this returned 0:
 *	publish
 *	numbers_reclaim                     once the flow tables have been swept since then
 *
 * Numbers run from 1 to 65535; 0 is nobody. One thread. */
#ifndef SHUNT_CONTROLPLANE_NUMBERS_H
#define SHUNT_CONTROLPLANE_NUMBERS_H

#include "dataplane/core/addr.h"

#define NUMBERS_MAX 65535 /* services; backends of one service */
#define NUMBERS_COUNTERS_MAX (1 << 24)

struct numbers;

/* Opens the state directory (made if only its last part is missing) and holds its lock until
 * numbers_close. A missing state file begins a new incarnation; one that can't be understood is
 * set aside as numbers.json.bad-TIME and begins one too, which message then tells; message is
 * empty when there is nothing to tell. Returns 0; -EBUSY when another process holds the lock;
 * other -errno; in all these cases message is one sentence. */
int numbers_open(const char *dir, struct numbers **numbers, char *message, size_t message_bytes)
	__attribute__((warn_unused_result));

/* Gives the lock back; what was not committed is forgotten. */
void numbers_close(struct numbers *numbers);

/* Puts everything on disk: new file, fsync, rename, fsync of the directory; at once 0 when
 * nothing changed since the last time. After a failure the old file still stands, or the new
 * one whole; nothing may be published then, but the call may be repeated. */
int numbers_commit(struct numbers *numbers) __attribute__((warn_unused_result));

/* Identifies this line of numbers: where it differs, no number means anything. Never 0. */
u64 numbers_incarnation(const struct numbers *numbers);

/* The last epoch given out, 0 for none. Epochs compare only within one incarnation. */
u64 numbers_epoch(const struct numbers *numbers);

/* Gives the next epoch, which is on disk when this returns 0. */
int numbers_next_epoch(struct numbers *numbers, u64 *epoch) __attribute__((warn_unused_result));

/* The last generation given out, 0 for none; after a restart a later one than was ever given. */
u64 numbers_generation(const struct numbers *numbers);

/* Gives the next generation. The file reserves generations far ahead, so that a publication
 * which changes no number costs no disk write. Returns 0 or what numbers_commit returned. */
int numbers_next_generation(struct numbers *numbers, u64 *generation)
	__attribute__((warn_unused_result));

/* The number of a service, given at its first mention; key is UTF-8 text that identifies it.
 * A retired service comes back with its old number, its backends stay retired until named.
 * Returns 0, -ENOSPC when all numbers are taken, -ENOMEM, -EINVAL for a key that isn't UTF-8. */
int numbers_service(struct numbers *numbers, const char *key, u16 *number)
	__attribute__((warn_unused_result));

/* The number of one backend, given at its first mention; one that comes back while retired gets
 * its old number. Returns 0, -ENOENT for a service unknown or retired, -ENOSPC, -ENOMEM. */
int numbers_backend(struct numbers *numbers, const char *key, const struct addr *address,
		    u16 *number) __attribute__((warn_unused_result));

/* As numbers_backend for many at once, none where there is no room for all; out[i] belongs to
 * addresses[i]. New ones are numbered in address order whatever the order given, so two new
 * services with equal sets get equal numbers and can share one Maglev table. */
int numbers_backends(struct numbers *numbers, const char *key, const struct addr *addresses,
		     size_t count, u16 *out) __attribute__((warn_unused_result));

/* The global counter index of a service (address NULL) or of one of its backends: stable while
 * the number is held, then free for others. Returns 0 or -ENOENT. */
int numbers_counter(const struct numbers *numbers, const char *key, const struct addr *address,
		    u32 *counter) __attribute__((warn_unused_result));

/* Retires every service not in wanted, with its backends. generation: the first one to be
 * published without them. What is retired already keeps its earlier generation. */
int numbers_retire_services(struct numbers *numbers, const char *const *wanted, size_t count,
			    u64 generation) __attribute__((warn_unused_result));

/* Retires every backend of one service that is not in wanted. Returns 0, -ENOENT, -ENOMEM. */
int numbers_retire_backends(struct numbers *numbers, const char *key, const struct addr *wanted,
			    size_t count, u64 generation) __attribute__((warn_unused_result));

/* Frees what was retired at swept_generation or before: the caller knows that every flow table
 * has been swept in full since a worker last used an older generation. Returns how many. */
size_t numbers_reclaim(struct numbers *numbers, u64 swept_generation);

/* One above the highest in use, retired ones included: the sizes of arrays indexed by them. */
u32 numbers_services_bound(const struct numbers *numbers);
u32 numbers_counters_bound(const struct numbers *numbers);

#endif
