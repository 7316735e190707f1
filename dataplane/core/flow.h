/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Flows: what identifies one, and the bucket that remembers its backend.
 *
 * A bucket is one cache line of seven entries. An entry is 48 bits of key and 16 of backend
 * number in one u64, so that it is read and written whole. A service with one IPv4 address and
 * one port that hashes by 5-tuple stores (source address, source port) itself: exact. Every
 * other form stores a keyed 48-bit fingerprint of what its hash mode covers.
 *
 * The service is part of the address: bucket = (fastrange(hash) + service number) mod n, with
 * n above every service number, so that one client address and port talking to two services
 * lands in two buckets. An entry may sit in its first or in its second bucket; which one, and
 * the form of its key, are compared with the key, or two services could meet.
 *
 * Ages count ticks of timeout/32 in six bits; beside them a probation bit (not yet seen in a
 * second tick) and the form bit. Placement, ages and forms: docs/adr/0003-flow-table.md. */
#ifndef SHUNT_CORE_FLOW_H
#define SHUNT_CORE_FLOW_H

#include "hash.h"
#include "packet.h"
#include "service.h"

#define FLOW_BUCKET_ENTRIES 7
#define FLOW_TIMEOUT_TICKS 32
#define FLOW_SWEEP_TICKS 15 /* a sweep of the whole table takes no longer */
#define FLOW_AGE_MASK 0x3f
#define FLOW_PROBATION 0x40
#define FLOW_RAW 0x80
#define FLOW_OVERFLOWED 0x80 /* in choices: some entry went to its second bucket from here */
#define FLOW_CROWDED 5       /* entries in a first bucket from which the second is looked at */

struct flow_bucket {
	u64 entries[FLOW_BUCKET_ENTRIES]; /* key << 16 | backend number; 0: empty */
	u8 ages[FLOW_BUCKET_ENTRIES];
	u8 choices; /* bit i: entry i sits in its second bucket */
} cache_aligned;

_Static_assert(sizeof(struct flow_bucket) == 64, "one cache line");

/* Beside each bucket, for who counts flows and never for the packet path: which service an entry
 * belongs to. A raw key tells that by itself, so only fingerprints' owners are written:
 * docs/adr/0008-drain.md. */
struct flow_owners {
	u16 services[8]; /* numbers, by slot; the last one is unused */
};

_Static_assert(sizeof(struct flow_owners) == 16, "crosses processes");

struct flow_key {
	u64 hash;    /* bucket and Maglev slot */
	u64 key;     /* 48 bits */
	u32 entropy; /* 20 bits over the whole 5-tuple, for the outer header */
	u8 form;     /* FLOW_RAW or 0 */
};

struct flow_hit {
	struct flow_bucket *bucket; /* NULL: no entry */
	u32 slot;
};

/* Absorbs one word in both lanes: hash and fingerprint. */
static always_inline void flow_absorb(struct flow_key *key, u64 word, const struct hash_seed *seed)
{
	key->hash = hash_word(key->hash ^ word, seed->flow);
	key->key = hash_word(key->key + word, seed->fingerprint);
}

/* Two destinations never give one number. */
static inline u64 flow_destination(const struct packet *packet, const struct hash_seed *seed)
{
	u64 hash = hash_word(packet->destination.halves[0], seed->fingerprint);

	return hash_word(hash ^ packet->destination.halves[1], seed->fingerprint);
}

static inline void flow_key_fingerprint(const struct service *service, const struct packet *packet,
					const struct hash_seed *seed, struct flow_key *key)
{
	u64 rest = (u64)packet->source_port << 16 | packet->destination_port;
	u64 covered;

	/* Of a single address the destination tells nothing. */
	if (service->host_bits != 0)
		rest ^= flow_destination(packet, seed);
	covered = service->hash_mode == SERVICE_HASH_5TUPLE   ? rest
		  : service->hash_mode == SERVICE_HASH_SOURCE ? 0
							      : packet->destination_port;
	key->hash = service->hash_mode;
	key->key = 0;
	flow_absorb(key, packet->source.halves[0], seed);
	flow_absorb(key, packet->source.halves[1], seed);
	key->entropy = (u32)(hash_word(key->hash ^ rest, seed->fingerprint) >> 40) & 0xfffff;
	flow_absorb(key, covered, seed);
	key->key &= 0xffffffffffffull;
	key->form = 0;
}

/* What identifies the packet's flow for this service. */
static always_inline void flow_key_of(const struct service *service, const struct packet *packet,
				      const struct hash_seed *seed, struct flow_key *key)
{
	if (likely(service->raw_keys)) {
		key->key = (u64)addr_v4(&packet->source) << 16 | packet->source_port;
		key->hash = hash_word(key->key, seed->flow);
		key->entropy = (u32)(key->hash >> 32) & 0xfffff;
		key->form = FLOW_RAW;
		return;
	}
	flow_key_fingerprint(service, packet, seed, key);
}

static always_inline u32 flow_bucket_shift(u32 base, u32 service_number, u32 buckets_count)
{
	u32 index = base + service_number;

	return index >= buckets_count ? index - buckets_count : index;
}

static always_inline u32 flow_bucket_first(u64 hash, u32 service_number, u32 buckets_count)
{
	u32 base = fastrange32((u32)(hash >> 32), buckets_count);

	return flow_bucket_shift(base, service_number, buckets_count);
}

static always_inline u32 flow_bucket_second(u64 hash, u32 service_number, u32 buckets_count)
{
	u32 base = fastrange32((u32)(hash_unkeyed(hash) >> 32), buckets_count);

	return flow_bucket_shift(base, service_number, buckets_count);
}

static always_inline u16 flow_entry_backend(u64 entry)
{
	return (u16)entry;
}

static always_inline bool flow_expired(u8 age, u8 tick)
{
	return ((tick - age) & FLOW_AGE_MASK) > FLOW_TIMEOUT_TICKS;
}

/* Whether an entry with this key is the flow's: not an empty one whose key happens to be 0, nor
 * one of a service with the other form or in its other bucket. */
static always_inline bool flow_entry_owned(const struct flow_bucket *bucket, u32 slot, u8 form,
					   u32 choice)
{
	return (u16)bucket->entries[slot] != 0 && (bucket->ages[slot] & FLOW_RAW) == form &&
	       (bucket->choices >> slot & 1) == choice;
}

/* The slot that holds the key in this bucket as its first (choice 0) or second (choice 1), or
 * FLOW_BUCKET_ENTRIES. The first match wins; matches are never merged. Keys are compared alone
 * first, without a branch: that the first one alike is not the flow's own is rare. */
static always_inline u32 flow_bucket_find(const struct flow_bucket *bucket,
					  const struct flow_key *key, u32 choice)
{
	u32 slot = FLOW_BUCKET_ENTRIES;

#pragma GCC unroll 8
	for (u32 i = FLOW_BUCKET_ENTRIES; i-- > 0;)
		slot = choose_equal(bucket->entries[i] >> 16, key->key, i, slot);
	if (slot == FLOW_BUCKET_ENTRIES ||
	    likely(flow_entry_owned(bucket, slot & 7, key->form, choice)))
		return slot;
	slot = FLOW_BUCKET_ENTRIES;
	for (u32 i = FLOW_BUCKET_ENTRIES; i-- > 0;)
		if (bucket->entries[i] >> 16 == key->key &&
		    flow_entry_owned(bucket, i, key->form, choice))
			slot = i;
	forget_value(slot, key->hash);
	return slot;
}

/* Remembers that the flow spoke at `tick`; a second tick ends its probation. Writes nothing
 * where nothing changes: most packets of a flow find its age already right. */
static always_inline void flow_touch(struct flow_bucket *bucket, u32 slot, u8 tick)
{
	u8 age = bucket->ages[slot];

	if ((age & FLOW_AGE_MASK) != tick)
		bucket->ages[slot] = (u8)((age & FLOW_RAW) | tick);
}

/* How full a bucket is, and a slot for a newcomer: a free or expired one, else
 * FLOW_BUCKET_ENTRIES. */
static always_inline u32 flow_bucket_room(const struct flow_bucket *bucket, u8 tick, u32 *slot)
{
	u32 used = 0;

	*slot = FLOW_BUCKET_ENTRIES;
	for (u32 i = FLOW_BUCKET_ENTRIES; i-- > 0;) {
		if (bucket->entries[i] == 0 || flow_expired(bucket->ages[i], tick))
			*slot = i;
		else
			used++;
	}
	return used;
}

/* A slot held by a flow still on probation, or FLOW_BUCKET_ENTRIES. */
static always_inline u32 flow_bucket_evictable(const struct flow_bucket *bucket)
{
	u32 slot = FLOW_BUCKET_ENTRIES;

	for (u32 i = FLOW_BUCKET_ENTRIES; i-- > 0;)
		if (bucket->ages[i] & FLOW_PROBATION)
			slot = i;
	forget_value(slot, bucket->entries[0]);
	return slot;
}

/* Writes an entry. The choice and form are in place before the entry can be seen. */
static always_inline void flow_write(struct flow_bucket *bucket, u32 slot, u32 choice,
				     const struct flow_key *key, u16 backend, u8 tick)
{
	u8 bit = (u8)(1u << slot);

	bucket->choices = (u8)((bucket->choices & ~bit) | (choice ? bit : 0));
	bucket->ages[slot] = (u8)(tick | FLOW_PROBATION | key->form);
	*(volatile u64 *)&bucket->entries[slot] = key->key << 16 | backend;
}

/* Clears what has expired; called for every bucket at least once in 31 ticks (twice
 * FLOW_SWEEP_TICKS), or the six bits wrap and a dead entry lives on (never the other way
 * round). */
static always_inline void flow_bucket_sweep(struct flow_bucket *bucket, u8 tick)
{
	for (u32 i = 0; i < FLOW_BUCKET_ENTRIES; i++)
		if (bucket->entries[i] != 0 && flow_expired(bucket->ages[i], tick))
			bucket->entries[i] = 0;
}

#endif
