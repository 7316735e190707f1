/* SPDX-License-Identifier: BSD-2-Clause */
/* The flow tables that an ended dataplane left, where ours are laid out otherwise: another number
 * of workers, another size. They are only read, and only for a flow that ours don't know, whose
 * entry is then written into ours. Nobody sweeps them, so ages are reckoned from the tick in which
 * they were last written: every one of them is over once that is a timeout ago.
 * docs/adr/0005-flow-deposit.md. */
#ifndef SHUNT_STATE_FLOW_ELDER_H
#define SHUNT_STATE_FLOW_ELDER_H

#include "dataplane/core/flow.h"

/* One worker says for all which tick it is: others may have been this far ahead. An entry that old
 * would have been swept. */
#define FLOW_ELDER_AHEAD_TICKS 8

struct flow_elder {
	const struct flow_bucket *buckets; /* workers_count * buckets_count; NULL: there are none */
	u32 workers_count, buckets_count;
	u64 incarnation; /* of the numbers that the entries hold */
	u64 last_tick;   /* in which they were still written */
	void *base;
	size_t size_bytes;
	int fd; /* holds the lock */
};

/* Whether all its flows have timed out. */
static inline bool flow_elder_over(const struct flow_elder *elder, u64 tick)
{
	return tick - elder->last_tick > FLOW_TIMEOUT_TICKS;
}

/* Tables that are not ours: a predecessor's, or those of the other workers beside us, who write
 * them. */
struct flow_others {
	const struct flow_bucket *buckets; /* workers_count * buckets_count; NULL: there are none */
	u32 workers_count, buckets_count;
};

/* Looks into one bucket. Where it knows the flow, alive and heard of more lately than *age ticks
 * ago, sets *age and *number. The entry is read once: its writer may be at work. */
static always_inline void flow_elder_look(const struct flow_bucket *bucket,
					  const struct flow_key *key, u32 choice, u8 last_tick,
					  u32 *age, u16 *number)
{
	u32 slot = flow_bucket_find(bucket, key, choice);
	u64 entry;
	u32 now;

	if (slot == FLOW_BUCKET_ENTRIES)
		return;
	entry = *(const volatile u64 *)&bucket->entries[slot & 7];
	if (entry >> 16 != key->key)
		return;
	now = (u32)(last_tick - bucket->ages[slot & 7]) & FLOW_AGE_MASK;
	if (now > FLOW_AGE_MASK - FLOW_ELDER_AHEAD_TICKS)
		now = 0;
	if (now >= *age)
		return;
	*age = now;
	*number = flow_entry_backend(entry);
}

/* The backend number of a flow that they heard of less than `age` ticks before last_tick, or 0.
 * Where several workers knew it, the one that heard of it last is right. */
static rarely_called u16 flow_others_find(const struct flow_others *others, u32 service_number,
					  const struct flow_key *key, u8 last_tick, u32 age)
{
	u32 first = flow_bucket_first(key->hash, service_number, others->buckets_count);
	u32 second = flow_bucket_second(key->hash, service_number, others->buckets_count);
	u16 number = 0;

	for (u32 i = 0; i < others->workers_count; i++) {
		const struct flow_bucket *buckets =
			others->buckets + (size_t)i * others->buckets_count;

		flow_elder_look(&buckets[first], key, 0, last_tick, &age, &number);
		if (buckets[first].choices & FLOW_OVERFLOWED)
			flow_elder_look(&buckets[second], key, 1, last_tick, &age, &number);
	}
	return number;
}

/* The backend number of a flow that is still alive at `tick` (0..63, and not flow_elder_over()),
 * or 0. */
static inline u16 flow_elder_find(const struct flow_elder *elder, u32 service_number,
				  const struct flow_key *key, u8 tick)
{
	const struct flow_others others = {elder->buckets, elder->workers_count,
					   elder->buckets_count};
	u8 last_tick = (u8)elder->last_tick;
	u32 silent = (u32)(tick - last_tick) & FLOW_AGE_MASK;

	if (silent > FLOW_TIMEOUT_TICKS)
		return 0;
	return flow_others_find(&others, service_number, key, last_tick,
				FLOW_TIMEOUT_TICKS + 1 - silent);
}

#endif
