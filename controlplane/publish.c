/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/publish.h"

#include <errno.h>
#include <stdlib.h>

#include "controlplane/arena_writer.h"
#include "controlplane/log.h"
#include "controlplane/tables.h"

#define ARENA_GENERATIONS 4 /* see tables_bytes(); previous tables take from it what they need */
#define ARENA_MIN_BYTES ((u64)4 << 20)
#define ARENA_MIN_COUNTERS 4096
#define ARENA_DOUBLINGS_MAX 6

/* An arena with what is needed to write and to read it. */
struct arena {
	struct arena_writer *writer;
	struct tables_builder *builder;
	struct arena_view view; /* our own, read-only, as a dataplane has it */
};

struct publisher {
	struct numbers *numbers;
	struct maglev_history *history;
	struct arena arena; /* writer NULL before the first publication */
	bool small_pages_told;
};

int publisher_create(struct numbers *numbers, struct publisher **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->numbers = numbers;
	if (maglev_history_create(&(*out)->history) == 0)
		return 0;
	free(*out);
	return -ENOMEM;
}

static void arena_close(struct arena *arena)
{
	arena_detach(&arena->view);
	tables_builder_destroy(arena->builder);
	arena_writer_destroy(arena->writer);
	*arena = (struct arena){0};
}

void publisher_destroy(struct publisher *publisher)
{
	if (!publisher)
		return;
	arena_close(&publisher->arena);
	maglev_history_destroy(publisher->history);
	free(publisher);
}

/* On failure arena_close() releases what was made. */
static int arena_open(struct publisher *publisher, struct arena *arena, u64 size_bytes, u64 epoch,
		      u32 counters_count)
{
	char message[256] = "";
	int err;

	err = arena_writer_create(size_bytes, epoch, numbers_incarnation(publisher->numbers),
				  counters_count, &arena->writer);
	if (err)
		return err;
	err = tables_builder_create(arena->writer, publisher->history, &arena->builder);
	if (err)
		return err;
	err = arena_attach(arena_writer_fd(arena->writer), &arena->view, message, sizeof(message));
	if (err && message[0])
		log_line("%s", message);
	return err;
}

static u64 size_for(const struct plan *plan)
{
	u64 bytes = ARENA_GENERATIONS * tables_bytes(plan);

	return bytes < ARENA_MIN_BYTES ? ARENA_MIN_BYTES : bytes;
}

/* Twice what is needed: counter numbers of what was removed stay taken for a while. */
static u32 counters_for(const struct plan *plan)
{
	u32 count = 2 * plan->counters_count;

	return count < ARENA_MIN_COUNTERS ? ARENA_MIN_COUNTERS : count;
}

static int publish_in(struct publisher *publisher, const struct arena *arena,
		      const struct plan *plan, u64 generation, u64 now_ms)
{
	int err;

	maglev_history_begin(publisher->history, arena->writer, now_ms);
	err = tables_publish(arena->builder, plan, generation);
	maglev_history_end(publisher->history, err == 0);
	return err;
}

static int publish_anew_at(struct publisher *publisher, const struct plan *plan, u64 generation,
			   u64 size_bytes, u64 now_ms)
{
	struct arena arena = {0};
	u64 epoch;
	int err = numbers_next_epoch(publisher->numbers, &epoch);

	if (err)
		return err;
	err = arena_open(publisher, &arena, size_bytes, epoch, counters_for(plan));
	if (!err)
		err = publish_in(publisher, &arena, plan, generation, now_ms);
	if (err) {
		arena_close(&arena);
		return err;
	}
	arena_close(&publisher->arena); /* dataplanes have their own mappings */
	publisher->arena = arena;
	if (!arena_writer_huge(arena.writer) && !publisher->small_pages_told)
		log_line("the arena of %llu KiB has 4 KiB pages, which cost speed with large "
			 "tables; 'sysctl vm.nr_hugepages=N' sets 2 MiB pages aside",
			 (unsigned long long)arena.view.size_bytes / 1024);
	publisher->small_pages_told = true;
	return 0;
}

/* The size follows from an estimate; where that is too small it is doubled. */
static int publish_anew(struct publisher *publisher, const struct plan *plan, u64 generation,
			u64 now_ms)
{
	u64 size_bytes = size_for(plan);
	int err = -ENOSPC;

	for (int i = 0; i <= ARENA_DOUBLINGS_MAX && err == -ENOSPC; i++, size_bytes *= 2)
		err = publish_anew_at(publisher, plan, generation, size_bytes, now_ms);
	return err;
}

int publisher_publish(struct publisher *publisher, const struct plan *plan, u64 generation,
		      u64 seen, u64 now_ms)
{
	int err = -ENOSPC;

	if (publisher->arena.writer) {
		arena_writer_reclaim(publisher->arena.writer, seen);
		err = publish_in(publisher, &publisher->arena, plan, generation, now_ms);
	}
	return err == -ENOSPC ? publish_anew(publisher, plan, generation, now_ms) : err;
}

u64 publisher_due_ms(const struct publisher *publisher)
{
	return maglev_history_due_ms(publisher->history);
}

bool publisher_settling(const struct publisher *publisher, u16 service_number)
{
	return maglev_history_settling(publisher->history, service_number);
}

u64 publisher_epoch(const struct publisher *publisher)
{
	return publisher->arena.writer ? arena_writer_epoch(publisher->arena.writer) : 0;
}

u64 publisher_generation(const struct publisher *publisher)
{
	return publisher->arena.writer ? arena_writer_generation(publisher->arena.writer) : 0;
}

int publisher_fd(const struct publisher *publisher)
{
	return publisher->arena.writer ? arena_writer_fd(publisher->arena.writer) : -1;
}

u64 publisher_bytes(const struct publisher *publisher)
{
	return publisher->arena.view.size_bytes;
}

u64 publisher_free_bytes(const struct publisher *publisher)
{
	return publisher->arena.writer ? arena_writer_free_bytes(publisher->arena.writer) : 0;
}

bool publisher_huge(const struct publisher *publisher)
{
	return publisher->arena.writer && arena_writer_huge(publisher->arena.writer);
}

int publisher_tables(const struct publisher *publisher, struct tables *tables)
{
	if (!publisher->arena.writer)
		return -EINVAL;
	return arena_tables(&publisher->arena.view, arena_root_offset(&publisher->arena.view),
			    tables);
}

u32 publisher_slots(const struct publisher *publisher, const struct service *service, u16 number)
{
	return tables_slots(publisher->arena.builder, service->maglev_offset, number);
}
