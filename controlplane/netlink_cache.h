/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel said about links and neighbours, fed with its messages; asks nobody, not even
 * for the time. */
#ifndef SHUNT_CONTROLPLANE_NETLINK_CACHE_H
#define SHUNT_CONTROLPLANE_NETLINK_CACHE_H

#include <linux/netlink.h>

#include "dataplane/core/addr.h"

#define CACHE_BUCKETS 1024

struct link {
	int ifindex;
	char name[16];
	u8 mac[6];
	u16 type;  /* ARPHRD_* */
	u32 mtu;   /* bytes */
	u32 flags; /* IFF_* */
	u32 seen;  /* the last dump that named it */
};

struct neighbour {
	struct neighbour *next; /* in its bucket */
	int ifindex;
	struct addr addr;
	u8 mac[6];
	bool has_mac; /* now, or lost and still held */
	bool valid;   /* the kernel would use mac now */
	bool managed; /* the kernel keeps it alive */
	bool foreign; /* set by hand or by a routing daemon: not ours to touch */
	bool wanted;  /* someone asked for it; only such an entry outlives its validity */
	bool asked;   /* since the last release */
	bool prodded, managed_by_us;
	u16 state; /* NUD_* */
	u64 lost_at_ms, prodded_at_ms;
	u32 seen;
};

struct cache {
	struct link *links;
	size_t links_count, links_allocated;
	struct neighbour *buckets[CACHE_BUCKETS];
	u32 dump; /* number of the current one */
};

void cache_clear(struct cache *cache);

/* Take one RTM_NEWLINK/DELLINK or RTM_NEWNEIGH/DELNEIGH message. Return whether an answer given
 * to someone may be another now, which a loss of memory always is. */
bool cache_link_take(struct cache *cache, const struct nlmsghdr *message);
bool cache_neighbour_take(struct cache *cache, const struct nlmsghdr *message, u64 now_ms);

/* Around a dump of everything: what it did not name is gone. */
void cache_dump_begin(struct cache *cache);
void cache_dump_end(struct cache *cache, u64 now_ms);

const struct link *cache_link_by_index(const struct cache *cache, int ifindex);
const struct link *cache_link_by_name(const struct cache *cache, const char *name);

/* The entry, made where there is none, and wanted from now on; NULL when out of memory. */
struct neighbour *cache_neighbour_want(struct cache *cache, int ifindex, const struct addr *addr);

/* Nobody wants it any more; it may be gone afterwards. */
void cache_neighbour_unwant(struct cache *cache, struct neighbour *neighbour);

/* Forgets a lost MAC once it was held for hold_ms; returns whether it did. */
bool neighbour_expire(struct neighbour *neighbour, u64 now_ms, u64 hold_ms);

/* Whether nothing needs to be done for the neighbour to stay or become resolved. */
bool neighbour_settled(const struct neighbour *neighbour);

/* Calls back for every wanted neighbour, which the callback may unwant. */
void cache_each_wanted(struct cache *cache, void (*callback)(void *context, struct neighbour *),
		       void *context);

#endif
