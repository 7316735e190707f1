/* SPDX-License-Identifier: BSD-2-Clause */
/* An entry says which backend, by its number within a service; the service follows from where a
 * raw key lies -- its bucket is its hash, shifted by the service's number -- and stands beside the
 * bucket for a fingerprint (docs/adr/0008-drain.md).
 *
 * Nothing here is trusted, and everything may change under the reader: each word is loaded once,
 * and what names no service and backend of the plan is not counted. A count is exact for what
 * does not change while the pass goes by. A flow that moves between two buckets meanwhile, or a
 * slot that changes its owner, may be missed or counted twice; the next pass puts that right.
 *
 * An entry is alive by its age against the last tick that its writer noted. A writer that has
 * gone notes no more: then the time since passes by our own clock, on top. */
#include "controlplane/flow_count.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "controlplane/log.h"
#include "dataplane/state/flow_table.h"

#define SLICE_US 1000
#define SLICE_BUCKETS 256 /* between looks at the clock */
#define BETWEEN_SLICES_MS 1
#define BETWEEN_PASSES_MS 1000
#define IDLE_SHARE 9       /* a pass is followed by at least nine times its working time, ... */
#define IDLE_SHARE_HASTY 1 /* ... or by as much again where an answer is awaited */
#define ASK_AGAIN_MS 10    /* at first; twice as long each time */
#define ASK_AGAIN_MAX_MS 500
#define SERVICE_NUMBERS 65536

/* Where a service's counts are: number 0 to count - 1 of its backends. */
struct span {
	u32 first, count;
};

struct counts {
	struct span services[SERVICE_NUMBERS]; /* by number */
	u64 generation;
	u64 flows[];
};

/* One dataplane's tables during a pass. */
struct source {
	struct flow_tables tables;
	dev_t device;
	ino_t file;
	bool live;
};

struct pass {
	struct counts *counts; /* NULL: none is under way, but for giving the sources back */
	struct hash_seed seed;
	struct source sources[SESSION_FLOWS_MAX];
	size_t sources_count;
	size_t source; /* where it stands */
	u32 worker, bucket;
	u64 worked_us;
};

struct flow_count {
	struct loop *loop;
	flow_count_ask *ask;
	void *context;
	u64 timer;
	u64 ask_again_ms;
	bool hasty; /* kicked since the last pass began */
	bool told;  /* of tables that cannot be read */
	struct pass pass;
	struct counts *found; /* NULL: nothing is known */
};

static u64 now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000 + (u64)now.tv_nsec / 1000;
}

/* --- One entry ------------------------------------------------------------------------ */

/* How a table's ages are to be read at this moment. */
struct clock {
	u8 tick;
	u64 since; /* ticks that have passed since then */
};

static struct clock clock_of(const struct source *source)
{
	u64 last = __atomic_load_n(&source->tables.header->last_tick, __ATOMIC_RELAXED);
	u64 now = flow_tick_of(now_us() / 1000, source->tables.tick_ms);

	return (struct clock){
		.tick = (u8)(last & FLOW_AGE_MASK),
		.since = source->live || now < last ? 0 : now - last,
	};
}

static bool alive(u8 age, const struct clock *clock)
{
	return (u64)((clock->tick - age) & FLOW_AGE_MASK) + clock->since <= FLOW_TIMEOUT_TICKS;
}

/* Undoes flow_bucket_first() or flow_bucket_second(): the service that puts this key here. */
static u32 raw_service(u64 key, bool second, u32 bucket, u32 buckets_count,
		       const struct hash_seed *seed)
{
	u64 hash = hash_word(key, seed->flow);
	u32 base = second ? flow_bucket_second(hash, 0, buckets_count)
			  : flow_bucket_first(hash, 0, buckets_count);

	return bucket >= base ? bucket - base : bucket + buckets_count - base;
}

static void entry_count(struct pass *pass, const struct flow_bucket *bucket,
			const struct flow_owners *owners, u32 index, u32 slot,
			const struct clock *clock)
{
	/* Pairs with flow_write(): what an entry needs is in place before it. */
	u64 entry = __atomic_load_n(&bucket->entries[slot], __ATOMIC_ACQUIRE);
	u16 backend = flow_entry_backend(entry);
	const struct span *span;
	u32 service;
	u8 age;

	if (backend == 0)
		return;
	age = __atomic_load_n(&bucket->ages[slot], __ATOMIC_RELAXED);
	if (!alive(age, clock))
		return;
	if (age & FLOW_RAW)
		service =
			raw_service(entry >> 16,
				    __atomic_load_n(&bucket->choices, __ATOMIC_RELAXED) >> slot & 1,
				    index, pass->sources[pass->source].tables.buckets_count,
				    &pass->seed);
	else
		service = __atomic_load_n(&owners->services[slot], __ATOMIC_RELAXED);
	if (service >= SERVICE_NUMBERS)
		return;
	span = &pass->counts->services[service];
	if (backend < span->count)
		pass->counts->flows[span->first + backend]++;
}

/* --- One pass ------------------------------------------------------------------------- */

static struct counts *counts_new(const struct flow_count_job *job)
{
	const struct plan *plan = job->plan;
	struct counts *counts;
	size_t total = 0;

	for (size_t i = 0; i < plan->config->services_count; i++)
		total += plan_highest_number(&plan->services[i]) + 1;
	counts = calloc(1, sizeof(*counts) + total * sizeof(counts->flows[0]));
	if (!counts)
		return NULL;
	counts->generation = job->generation;
	total = 0;
	for (size_t i = 0; i < plan->config->services_count; i++) {
		const struct plan_service *service = &plan->services[i];
		struct span span = {(u32)total, plan_highest_number(service) + 1};

		counts->services[service->number] = span;
		total += span.count;
	}
	return counts;
}

/* Gives a part of the mapped tables back. Returns whether that was the last. */
static bool pass_release(struct pass *pass)
{
	if (pass->sources_count > 0 &&
	    flow_tables_unmap(&pass->sources[pass->sources_count - 1].tables))
		pass->sources_count--;
	return pass->sources_count == 0;
}

static void pass_end(struct pass *pass)
{
	while (!pass_release(pass))
		;
	free(pass->counts);
	*pass = (struct pass){0};
}

/* Maps tables unless the pass has them already: a dataplane that calls anew tells the ones that
 * it left behind. Returns whether they can be read. */
static bool source_add(struct flow_count *count, const struct session_flows *flows)
{
	struct pass *pass = &count->pass;
	struct source *source = &pass->sources[pass->sources_count];
	char text[160] = "they are no file";
	struct stat stat;

	if (fstat(flows->fd, &stat) == 0) {
		for (size_t i = 0; i < pass->sources_count; i++)
			if (pass->sources[i].device == stat.st_dev &&
			    pass->sources[i].file == stat.st_ino)
				return true;
		if (flow_tables_map(flows->fd, &source->tables, text, sizeof(text)) == 0) {
			source->device = stat.st_dev;
			source->file = stat.st_ino;
			source->live = flows->live;
			pass->sources_count++;
			return true;
		}
	}
	if (!count->told)
		log_line("cannot count a dataplane's flows in its flow tables: %s", text);
	count->told = true;
	return false;
}

static bool pass_begin(struct flow_count *count, const struct flow_count_job *job)
{
	struct pass *pass = &count->pass;

	*pass = (struct pass){
		.counts = counts_new(job),
		.seed = hash_seed_derive(job->plan->fleet_seed),
	};
	if (!pass->counts)
		return false;
	for (size_t i = 0; i < job->flows_count; i++)
		if (!source_add(count, &job->flows[i])) {
			pass_end(pass);
			return false;
		}
	count->told = count->hasty = false;
	count->ask_again_ms = ASK_AGAIN_MS;
	return true;
}

/* Counts a run of buckets of one worker. */
static void run_count(struct pass *pass, const struct source *source, u32 buckets)
{
	const struct flow_bucket *first = flow_tables_of(&source->tables, pass->worker);
	const struct flow_owners *owners = flow_tables_owners(&source->tables, pass->worker);
	struct clock clock = clock_of(source);

	for (u32 i = pass->bucket; i < pass->bucket + buckets; i++)
		for (u32 slot = 0; slot < FLOW_BUCKET_ENTRIES; slot++)
			entry_count(pass, &first[i], &owners[i], i, slot, &clock);
}

/* Returns whether the pass is over. */
static bool pass_step(struct pass *pass)
{
	const struct source *source = &pass->sources[pass->source];
	u32 left;

	if (pass->source == pass->sources_count)
		return true;
	left = source->tables.buckets_count - pass->bucket;
	if (left > SLICE_BUCKETS)
		left = SLICE_BUCKETS;
	run_count(pass, source, left);
	pass->bucket += left;
	if (pass->bucket < source->tables.buckets_count)
		return false;
	pass->bucket = 0;
	if (++pass->worker < source->tables.workers_count)
		return false;
	pass->worker = 0;
	return ++pass->source == pass->sources_count;
}

/* --- When ----------------------------------------------------------------------------- */

static void due(void *context);

static void schedule(struct flow_count *count, u64 delay_ms)
{
	loop_timer_cancel(count->loop, count->timer);
	count->timer = loop_timer_add(count->loop, delay_ms, 0, due, count);
}

static void forget(struct flow_count *count)
{
	free(count->found);
	count->found = NULL;
}

/* What was found takes the place of what was known. */
static void pass_settle(struct flow_count *count)
{
	forget(count);
	count->found = count->pass.counts;
	count->pass.counts = NULL;
}

/* How long to leave it at that. */
static u64 pause_ms(const struct flow_count *count)
{
	u64 worked_ms = count->pass.worked_us / 1000 + 1;

	if (count->hasty)
		return worked_ms * IDLE_SHARE_HASTY;
	return worked_ms * IDLE_SHARE > BETWEEN_PASSES_MS ? worked_ms * IDLE_SHARE
							  : BETWEEN_PASSES_MS;
}

/* One step of counting, or afterwards of giving back. Returns whether there is none left. */
static bool step(struct flow_count *count)
{
	if (!count->pass.counts)
		return pass_release(&count->pass);
	if (pass_step(&count->pass))
		pass_settle(count);
	return false;
}

static void slice(struct flow_count *count)
{
	u64 start_us = now_us(), worked_us;
	bool over;

	do {
		over = step(count);
		worked_us = now_us() - start_us;
	} while (!over && worked_us < SLICE_US);
	count->pass.worked_us += worked_us;
	schedule(count, over ? pause_ms(count) : BETWEEN_SLICES_MS);
}

static bool under_way(const struct flow_count *count)
{
	return count->pass.counts || count->pass.sources_count > 0;
}

static void ask_later(struct flow_count *count)
{
	schedule(count, count->ask_again_ms);
	count->ask_again_ms *= 2;
	if (count->ask_again_ms > ASK_AGAIN_MAX_MS)
		count->ask_again_ms = ASK_AGAIN_MAX_MS;
}

static void due(void *context)
{
	struct flow_count *count = context;
	struct flow_count_job job = {0};
	enum flow_count_task task = FLOW_COUNT_NOW;

	count->timer = 0;
	if (!under_way(count))
		task = count->ask(count->context, &job);
	if (task == FLOW_COUNT_NOW && (under_way(count) || pass_begin(count, &job))) {
		slice(count);
		return;
	}
	forget(count);
	if (task == FLOW_COUNT_NOW)
		schedule(count, BETWEEN_PASSES_MS); /* tables that cannot be read */
	else if (task == FLOW_COUNT_LATER)
		ask_later(count);
}

void flow_count_kick(struct flow_count *count)
{
	count->hasty = true;
	count->ask_again_ms = ASK_AGAIN_MS;
	if (!under_way(count))
		schedule(count, 0);
}

/* --- The whole ------------------------------------------------------------------------ */

int flow_count_create(struct loop *loop, flow_count_ask *ask, void *context,
		      struct flow_count **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	**out = (struct flow_count){.loop = loop, .ask = ask, .context = context};
	return 0;
}

void flow_count_destroy(struct flow_count *count)
{
	if (!count)
		return;
	loop_timer_cancel(count->loop, count->timer);
	pass_end(&count->pass);
	free(count->found);
	free(count);
}

bool flow_count_of(const struct flow_count *count, const struct plan_service *service,
		   const struct plan_backend *backend, u64 *flows)
{
	const struct counts *found = count->found;
	const struct span *span;

	if (!plan_backend_eligible(backend) && backend->closed_generation == 0)
		return false; /* not published yet */
	if (!found || found->generation < backend->closed_generation)
		return false;
	span = &found->services[service->number];
	if (backend->number >= span->count)
		return false;
	*flows = found->flows[span->first + backend->number];
	return true;
}
