/* SPDX-License-Identifier: BSD-2-Clause */
/* From a plan to the tables of one generation in an arena.
 *
 * Only what changed is built: a Maglev table is kept while its service's eligible backends,
 * their numbers and weights and its size stay the same, and services whose sets are equal and
 * equally numbered share one. */
#ifndef SHUNT_CONTROLPLANE_TABLES_H
#define SHUNT_CONTROLPLANE_TABLES_H

#include "controlplane/arena_writer.h"
#include "controlplane/maglev_history.h"
#include "controlplane/plan.h"

struct tables_builder;

/* Remembers the Maglev tables of one arena; dies with it. history outlives it, and has to be in a
 * round in that arena whenever tables are published; NULL: tables have no past. Returns 0 or
 * -ENOMEM. */
int tables_builder_create(struct arena_writer *writer, struct maglev_history *history,
			  struct tables_builder **builder) __attribute__((warn_unused_result));
void tables_builder_destroy(struct tables_builder *builder);

/* Bytes that one generation of this plan needs, nothing shared: an arena of four times this
 * has room for a whole change while two older generations are still read. */
u64 tables_bytes(const struct plan *plan);

/* Builds and publishes a generation, numbered `generation`. Returns 0; -ENOSPC where the arena
 * is too small or its counters too few (make a new one); -EINVAL (a table that cannot be
 * built); -ENOMEM. On failure the published generation stays. */
int tables_publish(struct tables_builder *builder, const struct plan *plan, u64 generation)
	__attribute__((warn_unused_result));

/* How many slots of the Maglev table at this offset a backend number holds. */
u32 tables_slots(const struct tables_builder *builder, u64 maglev_offset, u16 number);

#endif
