/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection's SYN goes where the table says and is not remembered, lest a SYN flood fill the
 * flow table; the next packet is. If the slot changes in between, the two part. So a slot has a
 * present and a previous backend, and the dataplane keeps this invariant:
 *
 *     a SYN that nobody remembers went to the slot's previous backend.
 *
 * It holds because a SYN is remembered at once while the two differ, and because the previous
 * one follows the present one only after that has stood for MAGLEV_SETTLE_MS: by then every
 * handshake that began before is over. However often a slot changes meanwhile, its previous
 * backend is the one from before the first change. (A table of the last generation would not do:
 * two changes within one round trip, and the connection is lost.)
 *
 * A number of which the service has no backend any more may soon mean another one, so it is
 * never anybody's previous.
 *
 * Services that have the same table and the same past share one `struct past`, as they share the
 * tables themselves. */
#include "controlplane/maglev_history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where a service's slots stand, in one generation. Never changed once made. */
struct past {
	size_t holders;
	u32 size;
	const u16 *present, *previous; /* in the arena; the same one where all is settled */
	u64 previous_offset;
	u32 *changed_ms; /* of a slot where the two differ; NULL where all is settled */
};

/* What one step of this round led to, for services with the same past and present. */
struct transition {
	const struct past *before; /* NULL: none */
	struct maglev_present present;
	struct past *after;
};

/* Service number to past. */
struct pasts {
	struct past **list;
	size_t count;
};

struct maglev_history {
	struct arena_writer *writer, *writer_before;
	u64 now_ms; /* of the present round, or the last one */
	struct pasts published, building;
	struct transition *transitions;
	size_t transitions_count;
};

int maglev_history_create(struct maglev_history **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

static void past_release(struct past *past)
{
	if (!past || --past->holders > 0)
		return;
	free(past->changed_ms);
	free(past);
}

static void pasts_free(struct pasts *pasts)
{
	for (size_t i = 0; i < pasts->count; i++)
		past_release(pasts->list[i]);
	free(pasts->list);
	*pasts = (struct pasts){0};
}

void maglev_history_destroy(struct maglev_history *history)
{
	if (!history)
		return;
	maglev_history_end(history, false);
	pasts_free(&history->published);
	free(history);
}

void maglev_history_begin(struct maglev_history *history, struct arena_writer *writer, u64 now_ms)
{
	history->writer_before = history->writer;
	history->writer = writer;
	history->now_ms = now_ms;
}

/* --- One service ----------------------------------------------------------------------- */

static struct past *past_settled(const struct maglev_history *history,
				 const struct maglev_present *present)
{
	struct past *past = calloc(1, sizeof(*past));

	if (!past)
		return NULL;
	*past = (struct past){
		.size = present->size,
		.present = arena_writer_at(history->writer, present->offset),
		.previous = arena_writer_at(history->writer, present->offset),
		.previous_offset = present->offset,
	};
	return past;
}

static int by_number(const void *a, const void *b)
{
	return *(const u16 *)a - *(const u16 *)b;
}

static bool number_known(const struct maglev_present *present, u16 number)
{
	return bsearch(&number, present->numbers, present->numbers_count, sizeof(number),
		       by_number) != NULL;
}

/* Writes what each slot's previous backend is, and when the slot last changed. Returns whether any
 * is unsettled. */
static bool slots_step(const struct maglev_history *history, const struct past *before,
		       const struct maglev_present *present, u16 *previous, u32 *changed_ms)
{
	const u16 *now = arena_writer_at(history->writer, present->offset);
	u32 now_ms = (u32)history->now_ms;
	bool unsettled = false;

	for (u32 slot = 0; slot < present->size; slot++) {
		if (now[slot] != before->present[slot])
			changed_ms[slot] = now_ms;
		previous[slot] = now[slot];
		if (before->previous[slot] == now[slot])
			continue;
		if (now_ms - changed_ms[slot] >= MAGLEV_SETTLE_MS ||
		    !number_known(present, before->previous[slot]))
			continue;
		previous[slot] = before->previous[slot];
		unsettled = true;
	}
	return unsettled;
}

/* Gives the past its previous table in this arena: the block of the generation before, where that
 * says the same. */
static int previous_place(const struct maglev_history *history, const struct past *before,
			  struct past *past, const u16 *previous)
{
	size_t bytes = past->size * sizeof(*previous);
	u16 *copy;

	if (history->writer == history->writer_before && before->changed_ms &&
	    memcmp(before->previous, previous, bytes) == 0) {
		arena_writer_keep(history->writer, before->previous_offset);
		past->previous_offset = before->previous_offset;
		past->previous = before->previous;
		return 0;
	}
	past->previous_offset = arena_writer_alloc(history->writer, bytes);
	if (past->previous_offset == 0)
		return -ENOSPC;
	copy = arena_writer_at(history->writer, past->previous_offset);
	memcpy(copy, previous, bytes);
	past->previous = copy;
	return 0;
}

static int past_unsettle(const struct maglev_history *history, const struct past *before,
			 const struct maglev_present *present, struct past *past)
{
	u16 *previous = calloc(present->size, sizeof(*previous));
	int err = -ENOMEM;

	past->changed_ms = calloc(present->size, sizeof(*past->changed_ms));
	if (!previous || !past->changed_ms)
		goto free_previous;
	if (before->changed_ms)
		memcpy(past->changed_ms, before->changed_ms,
		       present->size * sizeof(*past->changed_ms));
	err = 0;
	if (slots_step(history, before, present, previous, past->changed_ms)) {
		err = previous_place(history, before, past, previous);
	} else {
		free(past->changed_ms);
		past->changed_ms = NULL;
	}
free_previous:
	free(previous);
	return err;
}

/* Whether nothing can have moved: the present table is the one before, and that was settled. */
static bool unmoved(const struct past *before, const struct past *past)
{
	return !before->changed_ms &&
	       (before->present == past->present ||
		memcmp(before->present, past->present, past->size * sizeof(*past->present)) == 0);
}

static int past_make(const struct maglev_history *history, const struct past *before,
		     const struct maglev_present *present, struct past **out)
{
	struct past *past = past_settled(history, present);
	int err = 0;

	if (!past)
		return -ENOMEM;
	if (before && before->size == present->size && !unmoved(before, past))
		err = past_unsettle(history, before, present, past);
	if (err) {
		free(past->changed_ms);
		free(past);
		return err;
	}
	*out = past;
	return 0;
}

/* --- A round --------------------------------------------------------------------------- */

static bool same_present(const struct maglev_present *a, const struct maglev_present *b)
{
	return a->offset == b->offset && a->numbers_count == b->numbers_count &&
	       memcmp(a->numbers, b->numbers, a->numbers_count * sizeof(*a->numbers)) == 0;
}

static struct past *transition_find(const struct maglev_history *history, const struct past *before,
				    const struct maglev_present *present)
{
	for (size_t i = 0; i < history->transitions_count; i++) {
		const struct transition *transition = &history->transitions[i];

		if (transition->before == before && same_present(&transition->present, present))
			return transition->after;
	}
	return NULL;
}

/* Keeps a copy of the numbers: they are the caller's. */
static int transition_add(struct maglev_history *history, const struct past *before,
			  const struct maglev_present *present, struct past *after)
{
	size_t bytes = present->numbers_count * sizeof(*present->numbers);
	struct transition *list =
		reallocarray(history->transitions, history->transitions_count + 1, sizeof(*list));
	u16 *numbers = malloc(bytes + 1);

	if (list)
		history->transitions = list;
	if (!list || !numbers) {
		free(numbers);
		return -ENOMEM;
	}
	memcpy(numbers, present->numbers, bytes);
	list[history->transitions_count] = (struct transition){before, *present, after};
	list[history->transitions_count++].present.numbers = numbers;
	return 0;
}

static int pasts_reserve(struct pasts *pasts, u16 number)
{
	size_t count = (size_t)number + 1;
	struct past **list;

	if (count <= pasts->count)
		return 0;
	list = reallocarray(pasts->list, count, sizeof(struct past *));
	if (!list)
		return -ENOMEM;
	memset(list + pasts->count, 0, (count - pasts->count) * sizeof(struct past *));
	*pasts = (struct pasts){list, count};
	return 0;
}

int maglev_history_step(struct maglev_history *history, const struct maglev_present *present,
			u64 *previous_offset)
{
	u16 number = present->service_number;
	const struct past *before =
		number < history->published.count ? history->published.list[number] : NULL;
	struct past *past = transition_find(history, before, present);
	int err = pasts_reserve(&history->building, number);

	if (!err && !past) {
		err = past_make(history, before, present, &past);
		if (!err && transition_add(history, before, present, past) < 0) {
			past->holders = 1;
			past_release(past);
			err = -ENOMEM;
		}
	}
	if (err)
		return err;
	past->holders++;
	history->building.list[number] = past;
	*previous_offset = past->previous_offset;
	return 0;
}

void maglev_history_end(struct maglev_history *history, bool published)
{
	for (size_t i = 0; i < history->transitions_count; i++)
		free((void *)(size_t)history->transitions[i].present.numbers);
	free(history->transitions);
	history->transitions = NULL;
	history->transitions_count = 0;
	if (published) {
		pasts_free(&history->published);
		history->published = history->building;
		history->building = (struct pasts){0};
		return;
	}
	pasts_free(&history->building);
	history->writer = history->writer_before;
}

bool maglev_history_settling(const struct maglev_history *history, u16 service_number)
{
	const struct past *past = service_number < history->published.count
					  ? history->published.list[service_number]
					  : NULL;

	return past && past->changed_ms;
}

u64 maglev_history_due_ms(const struct maglev_history *history)
{
	for (size_t i = 0; i < history->published.count; i++)
		if (maglev_history_settling(history, (u16)i))
			return history->now_ms + MAGLEV_SETTLE_MS;
	return 0;
}
