/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory in the kernel that grows under a program: an array of maps of one size each, chunks, which this
 * process maps as one. The kernel inlines a program's look into a map whose size it knew when the
 * program was loaded, and a map of maps holds no others; so what grows is their number. */
#ifndef SHUNT_KERNEL_CHUNKS_H
#define SHUNT_KERNEL_CHUNKS_H

#include "dataplane/core/base.h"

/* An array of maps, of which each of KERNEL_SLOTS generations has as many places. */
struct chunks_kind {
	const char *name; /* of the chunks */
	u32 value_bytes;  /* of an entry */
	u32 entries_bits; /* of a chunk: 2 to the power of it */
	u32 places_bits;  /* of a slot, likewise */
};

extern const struct chunks_kind chunks_of_arena, chunks_of_counts;

struct chunks {
	u8 *base; /* NULL: none */
	u32 count;
};

/* Maps those that a slot has. Returns 0 or -errno. */
int chunks_open(const struct chunks_kind *kind, int outer_fd, u32 slot, struct chunks *chunks)
	__attribute__((warn_unused_result));

/* Lets go of the mapping; the kernel keeps them. */
void chunks_close(const struct chunks_kind *kind, struct chunks *chunks);

/* Makes a slot's chunks as many as hold so many bytes, at least; those that it has stay, and what is in
 * them. Returns 0, -E2BIG or -errno. */
int chunks_grow(const struct chunks_kind *kind, int outer_fd, u32 slot, u64 bytes,
		struct chunks *chunks) __attribute__((warn_unused_result));

/* Takes a slot's chunks from it. Returns 0 or -errno. */
int chunks_drop(const struct chunks_kind *kind, int outer_fd, u32 slot, struct chunks *chunks)
	__attribute__((warn_unused_result));

/* Gives a slot those of another one, in place of its own. Returns 0 or -errno. */
int chunks_share(const struct chunks_kind *kind, int outer_fd, u32 from, u32 slot,
		 struct chunks *chunks) __attribute__((warn_unused_result));

u64 chunks_bytes(const struct chunks_kind *kind, const struct chunks *chunks);

/* Returns when every packet has ended that began before: an update of a map of maps does. Returns 0 or
 * -errno. */
int chunks_grace(const struct chunks_kind *kind, int outer_fd, u32 slot)
	__attribute__((warn_unused_result));

#endif
