/* SPDX-License-Identifier: BSD-2-Clause */
/* Publication: generations into the present arena, and a new arena when it has no room left.
 *
 * A reader that lags delays reclamation, never publication: when the arena is full, the next
 * generation goes into a new one with the next epoch, and the old one stays only as long as
 * dataplanes hold their own mappings of it. */
#ifndef SHUNT_CONTROLPLANE_PUBLISH_H
#define SHUNT_CONTROLPLANE_PUBLISH_H

#include "controlplane/numbers.h"
#include "controlplane/plan.h"
#include "dataplane/state/arena.h"

struct publisher;

/* numbers gives the epochs, and outlives the publisher. Returns 0 or -ENOMEM. */
int publisher_create(struct numbers *numbers, struct publisher **publisher)
	__attribute__((warn_unused_result));
void publisher_destroy(struct publisher *publisher);

/* Publishes the plan. generation: from numbers_next_generation; seen: the generation that every
 * reader of the present arena has reached; now_ms: of a clock that only goes on. Returns 0, or -errno: then what was published before
 * stands. Compare publisher_epoch() to learn whether a new arena was begun. */
int publisher_publish(struct publisher *publisher, const struct plan *plan, u64 generation,
		      u64 seen, u64 now_ms) __attribute__((warn_unused_result));

/* When slots that have changed are settled, and the plan wants to be published again for them;
 * 0: there is nothing to wait for. */
u64 publisher_due_ms(const struct publisher *publisher);

/* Whether slots of this service are among them. */
bool publisher_settling(const struct publisher *publisher, u16 service_number);

/* What is published; 0 before the first publication. */
u64 publisher_epoch(const struct publisher *publisher);
u64 publisher_generation(const struct publisher *publisher);

/* The present arena's read-only descriptor, the publisher's own. */
int publisher_fd(const struct publisher *publisher);

u64 publisher_bytes(const struct publisher *publisher);
u64 publisher_free_bytes(const struct publisher *publisher);
bool publisher_huge(const struct publisher *publisher);

/* The published tables, as a dataplane reads them; valid until the next publication. Returns 0
 * or -EINVAL. */
int publisher_tables(const struct publisher *publisher, struct tables *tables)
	__attribute__((warn_unused_result));

/* How many slots of a published service's Maglev table a backend number holds. */
u32 publisher_slots(const struct publisher *publisher, const struct service *service, u16 number);

#endif
