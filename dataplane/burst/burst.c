/* SPDX-License-Identifier: BSD-2-Clause */
/* Stages over a burst. Each loop touches memory that the loop before it prefetched:
 *
 *     parse       frame headers           -> prefetch service bucket
 *     service     service bucket, record  -> prefetch flow bucket
 *     find        flow bucket             -> prefetch backend record, or the Maglev slot
 *     pick        in packet order         -> prefetch backend of the misses
 *     wrap        backend record, headroom
 *     answer      what is not forwarded, where an answer is due
 *
 * `find` changes nothing. `pick` has the effects and runs strictly in order: a miss looks
 * again, because a packet before it may have placed its flow; and once an entry was overwritten
 * every later hit looks again too. So a burst gives what its packets one by one would. */
#include "dataplane/burst/burst.h"

#include "dataplane/core/reply.h"

struct work {
	struct packet packets[BURST_MAX];
	struct flow_key keys[BURST_MAX];
	struct flow_bucket *buckets[BURST_MAX]; /* each flow's first one, prefetched; NULL: none */
	struct flow_hit hits[BURST_MAX];
	u32 active[BURST_MAX]; /* packets that no stage has settled */
	u32 active_count;
	u32 unsent[BURST_MAX]; /* packets that are not forwarded */
	u32 unsent_count;
};

static inline void settle(struct burst *burst, u32 i, enum verdict verdict)
{
	burst->verdict[i] = (u8)verdict;
}

/* Settles a packet that has no service; it may be answered yet. */
static void settle_foreign(struct burst *burst, struct work *work, u32 i, enum verdict verdict,
			   u32 l3_len)
{
	settle(burst, i, verdict);
	burst->service[i] = NULL;
	burst->backend[i] = NULL;
	burst->backend_number[i] = 0;
	burst->l3_len[i] = l3_len;
	work->unsent[work->unsent_count++] = i;
}

static void stage_parse(struct burst *burst, struct work *work)
{
	u32 active = 0;

	work->unsent_count = 0;
	for (u32 i = 0; i < burst->count; i++)
		prefetch_write(burst->frame[i]);
	for (u32 i = 0; i < burst->count; i++) {
		struct packet *packet = &work->packets[i];
		struct cursor cursor = {burst->frame[i],
					burst->frame[i] + burst->contiguous_bytes[i]};
		enum verdict verdict =
			parse_frame(cursor, burst->frame_bytes[i], &burst->station, packet);

		if (unlikely(verdict != VERDICT_UNDECIDED)) {
			settle_foreign(burst, work, i, verdict, 0);
			continue;
		}
		burst->l3_len[i] = packet->l3_len;
		work->active[active++] = i;
	}
	work->active_count = active;
}

static __attribute__((noinline)) enum verdict icmp_of(const struct env *env,
						      const struct burst *burst, u32 i,
						      struct packet *packet, u32 *index)
{
	struct cursor cursor = {burst->frame[i], burst->frame[i] + burst->contiguous_bytes[i]};
	struct packet embedded;

	return icmp_service(env, cursor, packet, &embedded, index);
}

static void stage_service(const struct env *env, struct burst *burst, struct work *work)
{
	u32 active = 0;

	for (u32 k = 0; k < work->active_count; k++) {
		u32 i = work->active[k];
		struct packet *packet = &work->packets[i];
		u32 index;
		enum verdict verdict = forward_service(env, packet, &index);
		const struct service *service;

		if (unlikely(verdict == VERDICT_ICMP))
			verdict = icmp_of(env, burst, i, packet, &index);

		if (unlikely(verdict != VERDICT_UNDECIDED)) {
			settle_foreign(burst, work, i, verdict, packet->l3_len);
			if (verdict == VERDICT_FRAGMENT)
				burst->datagram[i] = fragment_datagram(packet, env_seed(env));
			continue;
		}
		service = env_service(env, index);
		burst->service[i] = service;
		flow_key_of(service, packet, env_seed(env), &work->keys[i]);
		work->buckets[i] = forward_bucket(env, service, &work->keys[i]);
		prefetch_write(work->buckets[i]);
		work->active[active++] = i;
	}
	work->active_count = active;
}

static void stage_find(const struct env *env, struct burst *burst, struct work *work)
{
	for (u32 k = 0; k < work->active_count; k++) {
		u32 i = work->active[k];
		const struct service *service = burst->service[i];
		const struct flow_key *key = &work->keys[i];
		struct flow_hit hit = forward_find_in(work->buckets[i], env, service, key);

		work->hits[i] = hit;
		if (likely(hit.bucket != NULL)) {
			u16 number = flow_entry_backend(hit.bucket->entries[hit.slot]);

			if (likely(number < service->backends_count))
				prefetch_read(
					&env->tables.backends[service->backends_first + number]);
		} else {
			prefetch_read(&env_maglev_table(env, service->maglev_offset)[maglev_slot(
				key->hash, service->maglev_size)]);
		}
	}
}

static void stage_pick(const struct env *env, struct burst *burst, struct work *work)
{
	bool stale = false;
	u32 active = 0;

	for (u32 k = 0; k < work->active_count; k++) {
		u32 i = work->active[k];
		const struct service *service = burst->service[i];
		struct flow_hit hit = work->hits[i];
		struct forward_choice choice;
		enum verdict verdict;

		if (unlikely(hit.bucket == NULL || stale))
			hit = forward_find(env, service, &work->keys[i]);
		verdict =
			forward_pick(env, service, &work->packets[i], &work->keys[i], hit, &choice);
		stale |= choice.record == FORWARD_OVERWROTE;
		burst->flows_unplaced += choice.record == FORWARD_NO_ROOM;
		burst->backend_number[i] = choice.number;
		burst->backend[i] = choice.backend;
		if (unlikely(!choice.backend)) {
			settle(burst, i, VERDICT_NO_BACKEND);
			continue;
		}
		settle(burst, i, verdict);
		prefetch_read(choice.backend);
		work->active[active++] = i;
	}
	work->active_count = active;
}

/* `flags` are the backend's BACKEND_FORM, constant on the ordinary way. */
static always_inline void wrap_as(struct burst *burst, struct work *work, u32 i, u8 flags)
{
	const struct backend *backend = burst->backend[i];
	const struct packet *packet = &work->packets[i];
	int grown = encap_grown_of(packet, flags);
	u32 frame_bytes = ETHERNET_HEADER_BYTES + encap_overhead_of(flags) + packet->l3_len;
	u32 contiguous_bytes = burst->contiguous_bytes[i] + (u32)grown;
	enum verdict verdict = forward_fits_as(backend, packet, flags);

	if (likely(verdict == VERDICT_UNDECIDED) && unlikely(grown > (int)burst->headroom_bytes[i]))
		verdict = VERDICT_NO_HEADROOM;
	if (unlikely(verdict != VERDICT_UNDECIDED)) {
		settle(burst, i, verdict);
		work->unsent[work->unsent_count++] = i;
		return;
	}
	burst->frame[i] -= grown;
	burst->frame_bytes[i] = frame_bytes;
	burst->contiguous_bytes[i] =
		contiguous_bytes < frame_bytes ? contiguous_bytes : frame_bytes;
	burst->port[i] = backend->port;
	encap_write_as(burst->frame[i], backend, packet, work->keys[i].entropy, flags);
}

static void stage_wrap(struct burst *burst, struct work *work)
{
	for (u32 k = 0; k < work->active_count; k++) {
		u32 i = work->active[k];
		u8 flags = burst->backend[i]->flags & BACKEND_FORM;

		if (likely(flags == 0))
			wrap_as(burst, work, i, 0);
		else
			wrap_as(burst, work, i, flags);
	}
}

/* Answers a packet itself, where that is due. */
static enum verdict answer(const struct env *env, struct burst *burst, u32 i,
			   const struct packet *packet, enum verdict verdict)
{
	struct cursor cursor = {burst->frame[i], burst->frame[i] + burst->contiguous_bytes[i]};
	u32 contiguous_bytes;
	struct reply reply;

	if (!reply_consider(env, &burst->station, cursor, burst->frame_bytes[i], packet, verdict,
			    burst->backend[i], &reply))
		return verdict;
	if (reply.grown_bytes > burst->headroom_bytes[i])
		return VERDICT_NO_HEADROOM;
	contiguous_bytes = burst->contiguous_bytes[i] + reply.grown_bytes;
	burst->frame[i] -= reply.grown_bytes;
	burst->frame_bytes[i] = reply.frame_bytes;
	burst->contiguous_bytes[i] =
		contiguous_bytes < reply.frame_bytes ? contiguous_bytes : reply.frame_bytes;
	reply_write(burst->frame[i], &reply);
	return reply.verdict;
}

/* What is not forwarded may be answered. */
static void stage_answer(const struct env *env, struct burst *burst, struct work *work)
{
	for (u32 k = 0; k < work->unsent_count; k++) {
		u32 i = work->unsent[k];

		settle(burst, i, answer(env, burst, i, &work->packets[i], burst->verdict[i]));
	}
}

void burst_process(struct env *env, struct burst *burst)
{
	struct work work;

	burst->flows_unplaced = 0;
	stage_parse(burst, &work);
	stage_service(env, burst, &work);
	stage_find(env, burst, &work);
	stage_pick(env, burst, &work);
	stage_wrap(burst, &work);
	if (unlikely(work.unsent_count > 0))
		stage_answer(env, burst, &work);
}

void burst_count(struct burst *burst, u32 from, u32 to, struct report_worker *report)
{
	report->flows_unplaced += burst->flows_unplaced;
	burst->flows_unplaced = 0;
	for (u32 i = from; i < to; i++)
		if (likely(burst->backend[i] != NULL))
			prefetch_write(&report->traffic[burst->backend[i]->counter]);
	for (u32 i = from; i < to; i++) {
		const struct service *service = burst->service[i];
		enum verdict verdict = burst->verdict[i];

		report->verdicts[verdict]++;
		if (!service || verdict_action(verdict) != ACTION_FORWARD)
			continue;
		report->traffic[service->counter].packets++;
		report->traffic[service->counter].bytes += burst->l3_len[i];
		report->traffic[burst->backend[i]->counter].packets++;
		report->traffic[burst->backend[i]->counter].bytes += burst->l3_len[i];
	}
}

bool burst_follow(const struct arena_view *arena, u64 *root_offset, struct env *env,
		  struct report_worker *report)
{
	u64 offset = arena_root_offset(arena);

	if (likely(offset == *root_offset))
		return false;
	*root_offset = offset;
	if (arena_tables(arena, offset, &env->tables) < 0) {
		report->roots_refused++;
		return false;
	}
	/* The old generation was last used in the burst before this one. */
	__atomic_store_n(&report->generation, env->tables.generation, __ATOMIC_RELEASE);
	return true;
}

/* Where two passes together outlast the ages' six bits, a dead entry may have come round and
 * look alive: the wait for a generation begins anew. */
static bool sweep_was_slow(const struct burst_sweep *sweep, u64 tick)
{
	return tick - sweep->pass_tick > FLOW_SWEEP_TICKS;
}

static void sweep_begin(struct burst_sweep *sweep, const struct env *env, u64 tick)
{
	bool slow = sweep_was_slow(sweep, tick);
	bool old_enough = !slow && sweep->pending_generation != 0 &&
			  tick - sweep->pending_tick > FLOW_TIMEOUT_TICKS;

	sweep->passing_generation = old_enough ? sweep->pending_generation : 0;
	if (slow || old_enough || sweep->pending_generation == 0) {
		sweep->pending_generation = env->tables.generation;
		sweep->pending_tick = tick;
	}
	sweep->pass_tick = tick;
}

#define SWEEP_AHEAD_TICKS 4 /* that another writer's clock may be ahead */

/* As flow_bucket_sweep(), where the other writer may be a few ticks ahead of the one that was read
 * here, and may use a place again while it is looked at. That entry is never taken away: a place
 * is cleared only if it holds what was looked at, and is given back if it spoke just then. */
static void sweep_beside(struct flow_bucket *bucket, u8 tick)
{
	for (u32 i = 0; i < FLOW_BUCKET_ENTRIES; i++) {
		u64 entry = __atomic_load_n(&bucket->entries[i], __ATOMIC_RELAXED), none = 0;
		u8 age = __atomic_load_n(&bucket->ages[i], __ATOMIC_ACQUIRE);

		if (entry == 0 || !flow_expired(age, tick) ||
		    !flow_expired(age, tick + SWEEP_AHEAD_TICKS))
			continue;
		if (__atomic_compare_exchange_n(&bucket->entries[i], &entry, 0, false,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED) &&
		    __atomic_load_n(&bucket->ages[i], __ATOMIC_RELAXED) != age)
			__atomic_compare_exchange_n(&bucket->entries[i], &none, entry, false,
						    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}
}

void burst_sweep(struct burst_sweep *sweep, const struct env *env, u64 tick,
		 struct report_worker *report)
{
	if (env->flow_buckets == 0)
		return;
	if (sweep->bucket == 0)
		sweep_begin(sweep, env, tick);
	if (sweep->beside)
		sweep_beside(&env->flows[sweep->bucket], env->tick);
	else
		flow_bucket_sweep(&env->flows[sweep->bucket], env->tick);
	if (++sweep->bucket < env->flow_buckets)
		return;
	sweep->bucket = 0;
	if (sweep->passing_generation > report->swept_generation && !sweep_was_slow(sweep, tick))
		report->swept_generation = sweep->passing_generation;
}
