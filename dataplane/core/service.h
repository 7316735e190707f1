/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The service table: which service, if any, a packet is for.
 *
 * Buckets of eight u64 keys, one cache line, compared without a branch; the control plane
 * grows the table until no bucket overflows. An IPv4 key is exact: VIP, port, protocol. An IPv6
 * key is a hash of the same, so a find is confirmed against the record. Three kinds of key exist:
 * (VIP, port, protocol), (VIP, any port, protocol) and the bare VIP that says "this is one".
 *
 * A VIP is an address or a prefix, told by how many bits lie below it: 0 for an address. Which
 * prefix lengths are in use is a short list; only what no single address has is looked up in
 * each of them: docs/adr/0014-prefixes.md. */
#ifndef SHUNT_CORE_SERVICE_H
#define SHUNT_CORE_SERVICE_H

#include "addr.h"
#include "hash.h"

#define SERVICE_BUCKET_KEYS 8
#define SERVICE_NONE 0xffffffffu
#define SERVICE_PREFIXES_MAX 8 /* lengths of prefix VIPs in use, of each family */

struct service_bucket {
	u64 keys[SERVICE_BUCKET_KEYS]; /* 0: empty */
} cache_aligned;

enum service_kind { SERVICE_EMPTY, SERVICE_ACTIVE, SERVICE_VIP_ONLY };

enum service_hash { SERVICE_HASH_5TUPLE, SERVICE_HASH_SOURCE, SERVICE_HASH_SOURCE_DEST_PORT };

/* What a key leads to; record i belongs to key i % 8 of bucket i / 8. Offsets count bytes from
 * the arena's start. */
struct service {
	struct addr vip;    /* of a prefix the first address */
	u64 maglev_offset;  /* of u16[maglev_size] */
	u32 maglev_size;    /* prime, or 0 for SERVICE_VIP_ONLY */
	u32 backends_first; /* index of backend number 0 in the array of backends */
	u32 backends_count; /* numbers are below this */
	u32 counter;        /* index of the service's counter */
	u16 number;         /* 1..65535, stable */
	be16 port;          /* 0: any */
	u8 protocol;
	u8 kind;       /* enum service_kind */
	u8 hash_mode;  /* enum service_hash */
	bool raw_keys; /* flows are stored as (address, port), not as fingerprints */
	/* Of u16[maglev_size]: what the slots held before they changed in the last seconds.
	 * maglev_offset itself where none did. */
	u64 previous_offset;
	u8 host_bits; /* below the VIP's prefix; 0: a single address */
	u8 unused[7];
} cache_aligned;

_Static_assert(sizeof(struct service_bucket) == 64, "one cache line");
_Static_assert(sizeof(struct service) == 64, "one cache line");
_Static_assert(offsetof(struct service, previous_offset) == 48, "crosses processes");
_Static_assert(offsetof(struct service, host_bits) == 56, "crosses processes");

/* The key of (VIP, port, protocol); port and protocol 0 stand for "any". Never 0. Of an IPv6 key
 * only the address is hashed: whatever differs beside it shows, and can't be undone by an address. */
static always_inline u64 service_key(bool v6, const struct addr *vip, u32 host_bits, be16 port,
				     u8 protocol)
{
	u64 ports = (u64)port << 16 | (u64)protocol << 8;
	u64 x;

	if (likely(!v6))
		return (u64)addr_v4(vip) << 32 | ports | host_bits << 3 | 4;
	x = hash_unkeyed(vip->halves[0] ^ hash_unkeyed(vip->halves[1]));
	return ((x ^ (u64)host_bits << 32 ^ ports) & ~0xffull) | 6;
}

static always_inline u32 service_bucket_index(u64 key, u32 buckets_count)
{
	return fastrange32((u32)(hash_unkeyed(key) >> 32), buckets_count);
}

/* The key's place in its bucket, or SERVICE_BUCKET_KEYS. Keys in a bucket are distinct. */
static always_inline u32 service_bucket_find(const struct service_bucket *bucket, u64 key)
{
	u32 place = SERVICE_BUCKET_KEYS;

#pragma GCC unroll 8
	for (u32 i = 0; i < SERVICE_BUCKET_KEYS; i++)
		place = choose_equal(bucket->keys[i], key, i, place);
	return place;
}

/* Whether the record is the one asked for, and not a colliding hash of another. */
static always_inline bool service_matches(const struct service *service, bool v6,
					  const struct addr *vip, u32 host_bits, be16 port,
					  u8 protocol)
{
	if (likely(!v6))
		return true;
	return addr_equal(&service->vip, vip) && service->host_bits == host_bits &&
	       service->port == port && service->protocol == protocol;
}

#endif
