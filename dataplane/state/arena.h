/* SPDX-License-Identifier: BSD-2-Clause */
/* The arena: shared memory that holds the tables, written by shuntd alone.
 *
 * A memfd, sealed against shrinking, growing and new writable mappings, so a dataplane can
 * trust that it stays mapped and that only its maker writes. Offsets, never pointers. A change
 * writes new tables into free space and flips `header.root` with one store-release; a reader
 * load-acquires it, and says in its report which generation it uses: what no report uses any
 * more is free again. An arena never grows: growth, recovery and an ABI change are one
 * operation, a new arena with the next epoch.
 *
 * The header is the ABI between versions: its first 64 bytes never change meaning. */
#ifndef SHUNT_STATE_ARENA_H
#define SHUNT_STATE_ARENA_H

#include "dataplane/core/encap.h"
#include "dataplane/core/hash.h"
#include "dataplane/core/service.h"

#define ARENA_MAGIC 0x0a616e657261740aull
#define ARENA_ABI 2        /* of the writer of this source tree */
#define ARENA_MIN_READER 2 /* the oldest reader that understands what it writes */
#define ARENA_HEADER_BYTES 4096

struct arena_header {
	u64 magic;
	u32 abi;
	u32 min_reader;
	u64 size_bytes;
	u64 epoch;       /* readers refuse a lower one than they have seen */
	u64 incarnation; /* of the numbers; flow tables of another one are cleared */
	u32 root_bytes;  /* sizes of the structures, against a skewed build */
	u32 service_bytes;
	u32 backend_bytes;
	u32 counters_count; /* counter indexes are below this for the arena's life */
	u8 unused[8];
	u64 root cache_aligned; /* offset of the current struct arena_root; 0: none yet */
};

_Static_assert(offsetof(struct arena_header, root) == 64, "crosses processes");

/* One generation. Immutable once published. */
struct arena_root {
	u64 checksum; /* arena_root_checksum() over the rest */
	u64 generation;
	struct hash_seed seed;
	u64 buckets_offset;  /* struct service_bucket[buckets_count] */
	u64 services_offset; /* struct service[buckets_count * SERVICE_BUCKET_KEYS] */
	u64 backends_offset; /* struct backend[backends_count] */
	u32 buckets_count;
	u32 backends_count;
	u32 highest_service_number;
	u32 unmatched_pass; /* 0 or 1 */
	/* By family (0: IPv4, 1: IPv6), longest first: how many bits lie below the prefixes of each
	 * length that a VIP has; then 0. */
	u8 prefixes[2][SERVICE_PREFIXES_MAX];
	u8 unused[24];
};

_Static_assert(offsetof(struct arena_root, prefixes) == 88, "crosses processes");
_Static_assert(sizeof(struct arena_root) == 128, "crosses processes");

/* Detects a torn or foreign root, not an adversary. */
u64 arena_root_checksum(const struct arena_root *root);

/* A reader's mapping of a whole arena. */
struct arena_view {
	const u8 *base;
	u64 size_bytes;
	u64 epoch;
	u32 counters_count; /* as it was on attaching: what a reader's report has room for */
};

/* Maps the arena behind a descriptor, read-only, after checking its seals, magic, ABI and
 * sizes. Returns 0; -EINVAL or -EPROTO (another ABI) with one sentence in `message`; -errno of
 * the system calls. The descriptor stays the caller's. */
int arena_attach(int fd, struct arena_view *view, char *message, size_t message_bytes)
	__attribute__((warn_unused_result));
void arena_detach(struct arena_view *view);

/* The tables of one generation as pointers into a mapped arena. */
struct tables {
	u64 generation;
	struct hash_seed seed;
	const u8 *arena;
	const struct service_bucket *buckets;
	const struct service *services;
	const struct backend *backends;
	u32 buckets_count;
	u32 backends_count;
	u32 highest_service_number;
	bool unmatched_pass;
	u8 prefixes[2][SERVICE_PREFIXES_MAX]; /* as in the root */
};

/* Loads the current root; returns its offset, 0 where none is published. Compare it with the
 * last one once a burst: a change is a new generation. */
static inline u64 arena_root_offset(const struct arena_view *view)
{
	const struct arena_header *header = (const struct arena_header *)view->base;

	return __atomic_load_n(&header->root, __ATOMIC_ACQUIRE); /* pairs with arena_publish() */
}

/* Follows a root offset and checks that everything it leads to lies inside the arena. Returns
 * 0, or -EINVAL: then *tables is unchanged. */
int arena_tables(const struct arena_view *view, u64 root_offset, struct tables *tables)
	__attribute__((warn_unused_result));

#endif
