/* SPDX-License-Identifier: BSD-2-Clause */
/* What each service's Maglev table held before it changed, for as long as a handshake may still
 * be under way that began at it: the `previous_offset` of a service's record.
 *
 * A generation is a round: begin, one step for each service, end. */
#ifndef SHUNT_CONTROLPLANE_MAGLEV_HISTORY_H
#define SHUNT_CONTROLPLANE_MAGLEV_HISTORY_H

#include "controlplane/arena_writer.h"

/* A slot that has not changed for so long is settled. */
#define MAGLEV_SETTLE_MS 3000

struct maglev_history;

int maglev_history_create(struct maglev_history **history) __attribute__((warn_unused_result));
void maglev_history_destroy(struct maglev_history *history);

/* A service in the generation being built. */
struct maglev_present {
	u16 service_number;
	u32 size;
	u64 offset;         /* of its table in the arena */
	const u16 *numbers; /* of all its backends, ascending: whose record is still theirs */
	size_t numbers_count;
};

/* Begins a round in an arena: the one of the round before, or a new one that replaces it, while
 * the old one is still mapped. */
void maglev_history_begin(struct maglev_history *history, struct arena_writer *writer, u64 now_ms);

/* Gives the offset of the service's previous table, which is its present one where no slot is
 * unsettled. Returns 0; -ENOSPC where the arena is full; -ENOMEM. */
int maglev_history_step(struct maglev_history *history, const struct maglev_present *present,
			u64 *previous_offset) __attribute__((warn_unused_result));

/* Ends the round; where the generation was not published, as if it had not been. */
void maglev_history_end(struct maglev_history *history, bool published);

/* When all slots will have settled if nothing is published before, which takes another
 * generation then; 0: none is unsettled. */
u64 maglev_history_due_ms(const struct maglev_history *history);

/* Whether the service has unsettled slots. */
bool maglev_history_settling(const struct maglev_history *history, u16 service_number);

#endif
