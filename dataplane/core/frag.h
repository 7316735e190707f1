/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Fragments: only the first of a datagram has ports, so it leaves them here for the others.
 *
 * What is remembered is the flow, not a backend: with its ports a fragment goes the way of every
 * other packet, and so to where the flow's unfragmented packets go, whatever has happened to the
 * tables in between. The table is a worker's own, of fixed size and apart from the flow table: a
 * flood of fragments pushes out other fragments and no flow.
 *
 * A datagram is known by its addresses and identification, and over IPv4 by its protocol (RFC
 * 791 section 2.3, RFC 8200 section 4.5), of which a keyed hash is kept. */
#ifndef SHUNT_CORE_FRAG_H
#define SHUNT_CORE_FRAG_H

#include "hash.h"
#include "packet.h"

#define FRAGMENT_BUCKET_ENTRIES 4
#define FRAGMENT_BUCKETS 1024     /* of each table */
#define FRAGMENT_TIMEOUT_MS 30000 /* as long as Linux waits for the rest of a datagram */

struct fragment {
	u64 datagram; /* hash, with the transport's protocol in the low byte; 0: empty */
	be16 source_port;
	be16 destination_port;
	u32 first_ms; /* when the first fragment came */
};

struct fragment_bucket {
	struct fragment entries[FRAGMENT_BUCKET_ENTRIES];
} cache_aligned;

_Static_assert(sizeof(struct fragment_bucket) == 64, "one cache line");

/* The datagram of a fragment; the low byte is 0. */
static inline u64 fragment_datagram(const struct packet *packet, const struct hash_seed *seed)
{
	u64 hash = packet->fragment_id |
		   (u64)(packet->flags & PACKET_V6 ? 0 : 256 + packet->protocol) << 32;

	for (u32 i = 0; i < 2; i++)
		hash = hash_word(hash ^ packet->source.halves[i], seed->fingerprint);
	for (u32 i = 0; i < 2; i++)
		hash = hash_word(hash ^ packet->destination.halves[i], seed->fingerprint);
	return hash & ~0xffull;
}

static inline u32 fragment_bucket_index(u64 datagram)
{
	return (u32)(datagram >> 32) % FRAGMENT_BUCKETS;
}

/* The entry of a datagram whose first fragment came a short time ago, or NULL. */
static inline const struct fragment *fragment_find(const struct fragment_bucket *bucket,
						   u64 datagram, u32 now_ms)
{
	for (u32 i = 0; i < FRAGMENT_BUCKET_ENTRIES; i++) {
		const struct fragment *entry = &bucket->entries[i];

		if ((entry->datagram & ~0xffull) == datagram && entry->datagram != 0 &&
		    now_ms - entry->first_ms <= FRAGMENT_TIMEOUT_MS)
			return entry;
	}
	return NULL;
}

/* Milliseconds since the first fragment; an empty entry is older than any. */
static inline u32 fragment_age_ms(const struct fragment *entry, u32 now_ms)
{
	return entry->datagram == 0 ? ~0u : now_ms - entry->first_ms;
}

/* Remembers a first fragment, in the place of its predecessor or else of the oldest. */
static inline void fragment_keep(struct fragment_bucket *bucket, u64 datagram,
				 const struct packet *packet, u32 now_ms)
{
	struct fragment *entries = bucket->entries;
	u32 place = 0;

	for (u32 i = 1; i < FRAGMENT_BUCKET_ENTRIES; i++)
		if (fragment_age_ms(&entries[i], now_ms) >
		    fragment_age_ms(&entries[place & 3], now_ms))
			place = i;
	for (u32 i = 0; i < FRAGMENT_BUCKET_ENTRIES; i++)
		if ((entries[i].datagram & ~0xffull) == datagram)
			place = i;
	entries[place & 3] = (struct fragment){
		.datagram = datagram | packet->protocol,
		.source_port = packet->source_port,
		.destination_port = packet->destination_port,
		.first_ms = now_ms,
	};
}

#endif
