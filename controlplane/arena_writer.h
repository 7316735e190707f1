/* SPDX-License-Identifier: BSD-2-Clause */
/* The writing side of the arena: space in it, generations, and what may be written over.
 *
 * A generation is built from new blocks and from blocks of the one before; publishing it marks
 * what it no longer uses as dying; a dying block is free again once every reader has been seen
 * at a later generation. */
#ifndef SHUNT_CONTROLPLANE_ARENA_WRITER_H
#define SHUNT_CONTROLPLANE_ARENA_WRITER_H

#include "dataplane/state/arena.h"

struct arena_writer;

/* Makes a sealed arena. Returns 0 or -errno. */
int arena_writer_create(u64 size_bytes, u64 epoch, u64 incarnation, u32 counters_count,
			struct arena_writer **writer) __attribute__((warn_unused_result));
void arena_writer_destroy(struct arena_writer *writer);

/* A read-only descriptor to hand out; stays the writer's. */
int arena_writer_fd(const struct arena_writer *writer);
bool arena_writer_huge(const struct arena_writer *writer);
u64 arena_writer_epoch(const struct arena_writer *writer);
u32 arena_writer_counters_count(const struct arena_writer *writer);
u64 arena_writer_generation(const struct arena_writer *writer); /* published; 0: none yet */
u64 arena_writer_free_bytes(const struct arena_writer *writer);

/* Space for the generation being built, zeroed, at a multiple of 64; returns its offset, or 0
 * where the arena is full. */
u64 arena_writer_alloc(struct arena_writer *writer, u64 bytes) __attribute__((warn_unused_result));
void *arena_writer_at(const struct arena_writer *writer, u64 offset);

/* Says that the generation being built uses this older block too. */
void arena_writer_keep(struct arena_writer *writer, u64 offset);

/* Publishes the generation being built: numbers and checksums the root at `root_offset` and
 * flips to it. */
void arena_writer_publish(struct arena_writer *writer, u64 root_offset, u64 generation);

/* Gives up the generation being built. */
void arena_writer_abandon(struct arena_writer *writer);

/* Frees what only generations below `seen` used: every reader has been seen at `seen` or
 * later. Returns how many blocks. */
size_t arena_writer_reclaim(struct arena_writer *writer, u64 seen);

#endif
