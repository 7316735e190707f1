/* SPDX-License-Identifier: BSD-2-Clause */
/* Links are few: an array. Neighbours may be many, and nearly all of them of no interest: those
 * live in the table only while they are valid. One that someone asked for stays, resolved or
 * not, and remembers the MAC it had, so that a gateway that misses a probe is not given up at
 * once. */
#include "controlplane/netlink_cache.h"

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "controlplane/netlink_ask.h"

#define NUD_VALID (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)
#define MAC_BYTES 6

/* ---- links ---- */

static struct link *link_find(const struct cache *cache, int ifindex)
{
	for (size_t at = 0; at < cache->links_count; at++)
		if (cache->links[at].ifindex == ifindex)
			return &cache->links[at];
	return NULL;
}

const struct link *cache_link_by_index(const struct cache *cache, int ifindex)
{
	return link_find(cache, ifindex);
}

const struct link *cache_link_by_name(const struct cache *cache, const char *name)
{
	for (size_t at = 0; at < cache->links_count; at++)
		if (strcmp(cache->links[at].name, name) == 0)
			return &cache->links[at];
	return NULL;
}

static struct link *link_make(struct cache *cache, int ifindex)
{
	if (cache->links_count == cache->links_allocated) {
		size_t count = cache->links_allocated ? cache->links_allocated * 2 : 16;
		struct link *links = reallocarray(cache->links, count, sizeof(*links));
		if (!links)
			return NULL;
		cache->links = links;
		cache->links_allocated = count;
	}
	struct link *link = &cache->links[cache->links_count++];
	*link = (struct link){.ifindex = ifindex};
	return link;
}

static void link_attr_read(struct link *link, const struct nlattr *attr)
{
	switch (mnl_attr_get_type(attr)) {
	case IFLA_IFNAME:
		if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) == 0 &&
		    mnl_attr_get_payload_len(attr) <= sizeof(link->name))
			strcpy(link->name, mnl_attr_get_str(attr));
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(attr) == MAC_BYTES)
			memcpy(link->mac, mnl_attr_get_payload(attr), MAC_BYTES);
		break;
	case IFLA_MTU:
		if (mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
			link->mtu = mnl_attr_get_u32(attr);
		break;
	}
}

static bool link_equal(const struct link *a, const struct link *b)
{
	return strcmp(a->name, b->name) == 0 && memcmp(a->mac, b->mac, MAC_BYTES) == 0 &&
	       a->type == b->type && a->mtu == b->mtu && a->flags == b->flags;
}

/* Other families than "none" tell of a bridge's ports: a DELLINK of those deletes no link. */
bool cache_link_take(struct cache *cache, const struct nlmsghdr *message)
{
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header) || header->ifi_family != AF_UNSPEC)
		return false;
	struct link *link = link_find(cache, header->ifi_index);
	if (message->nlmsg_type == RTM_DELLINK) {
		if (link)
			*link = cache->links[--cache->links_count];
		return link != NULL;
	}
	if (!link)
		link = link_make(cache, header->ifi_index);
	if (!link)
		return true;
	struct link before = *link;
	link->type = header->ifi_type;
	link->flags = header->ifi_flags;
	link->seen = cache->dump;
	mnl_attr_for_each(attr, message, sizeof(*header)) link_attr_read(link, attr);
	return !link_equal(link, &before);
}

/* ---- neighbours ---- */

static struct neighbour **bucket_of(struct cache *cache, int ifindex, const struct addr *addr)
{
	u64 mix = (addr->halves[0] ^ addr->halves[1] ^ (u32)ifindex) * 0x9e3779b97f4a7c15ull;

	return &cache->buckets[(mix ^ mix >> 29) * 0x9e3779b97f4a7c15ull >> 54];
}

_Static_assert(CACHE_BUCKETS == 1 << (64 - 54), "bucket_of takes ten bits");

static struct neighbour *neighbour_find(struct cache *cache, int ifindex, const struct addr *addr)
{
	struct neighbour *neighbour = *bucket_of(cache, ifindex, addr);

	while (neighbour && (neighbour->ifindex != ifindex || !addr_equal(&neighbour->addr, addr)))
		neighbour = neighbour->next;
	return neighbour;
}

static struct neighbour *neighbour_make(struct cache *cache, int ifindex, const struct addr *addr)
{
	struct neighbour **bucket = bucket_of(cache, ifindex, addr);
	struct neighbour *neighbour = calloc(1, sizeof(*neighbour));

	if (!neighbour)
		return NULL;
	neighbour->ifindex = ifindex;
	neighbour->addr = *addr;
	neighbour->next = *bucket;
	*bucket = neighbour;
	return neighbour;
}

static void neighbour_drop(struct cache *cache, struct neighbour *neighbour)
{
	struct neighbour **link = bucket_of(cache, neighbour->ifindex, &neighbour->addr);

	while (*link != neighbour)
		link = &(*link)->next;
	*link = neighbour->next;
	free(neighbour);
}

/* What one message says, before it is set against what is known. */
struct neighbour_news {
	struct addr addr;
	bool has_addr;
	const u8 *mac; /* NULL: none */
	u16 state;
	u32 flags, flags_ext;
};

static void news_attr_read(struct neighbour_news *news, const struct nlattr *attr)
{
	size_t len = mnl_attr_get_payload_len(attr);

	switch (mnl_attr_get_type(attr)) {
	case NDA_DST:
		news->has_addr = addr_from_bytes(mnl_attr_get_payload(attr), len, &news->addr);
		break;
	case NDA_LLADDR:
		if (len == MAC_BYTES)
			news->mac = mnl_attr_get_payload(attr);
		break;
	case NDA_FLAGS_EXT:
		if (mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
			news->flags_ext = mnl_attr_get_u32(attr);
		break;
	}
}

/* Returns whether someone who asked for it would get another answer now. */
static bool neighbour_update(struct neighbour *neighbour, const struct neighbour_news *news,
			     u64 now_ms)
{
	bool valid = (news->state & NUD_VALID) && news->mac;
	bool changed =
		valid && (!neighbour->has_mac || memcmp(neighbour->mac, news->mac, MAC_BYTES) != 0);

	if (neighbour->valid && !valid)
		neighbour->lost_at_ms = now_ms;
	if (valid) {
		memcpy(neighbour->mac, news->mac, MAC_BYTES);
		neighbour->has_mac = true;
	}
	neighbour->valid = valid;
	neighbour->state = news->state;
	neighbour->managed = news->flags_ext & NTF_EXT_MANAGED;
	neighbour->foreign =
		(news->state & (NUD_PERMANENT | NUD_NOARP)) || (news->flags & NTF_EXT_LEARNED);
	return changed && neighbour->wanted;
}

bool cache_neighbour_take(struct cache *cache, const struct nlmsghdr *message, u64 now_ms)
{
	const struct ndmsg *header = mnl_nlmsg_get_payload(message);
	struct neighbour_news news = {0};
	const struct nlattr *attr;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*header) ||
	    (header->ndm_family != AF_INET && header->ndm_family != AF_INET6) ||
	    (header->ndm_flags & NTF_PROXY))
		return false;
	mnl_attr_for_each(attr, message, sizeof(*header)) news_attr_read(&news, attr);
	if (!news.has_addr)
		return false;
	if (message->nlmsg_type == RTM_NEWNEIGH) {
		news.state = header->ndm_state;
		news.flags = header->ndm_flags;
	} else {
		news.flags_ext = 0;
	}

	struct neighbour *neighbour = neighbour_find(cache, header->ndm_ifindex, &news.addr);
	if (!neighbour)
		neighbour = neighbour_make(cache, header->ndm_ifindex, &news.addr);
	if (!neighbour)
		return true;
	neighbour->seen = cache->dump;
	bool changed = neighbour_update(neighbour, &news, now_ms);
	if (!neighbour->wanted && !neighbour->valid)
		neighbour_drop(cache, neighbour);
	return changed;
}

struct neighbour *cache_neighbour_want(struct cache *cache, int ifindex, const struct addr *addr)
{
	struct neighbour *neighbour = neighbour_find(cache, ifindex, addr);

	if (!neighbour)
		neighbour = neighbour_make(cache, ifindex, addr);
	if (neighbour)
		neighbour->wanted = neighbour->asked = true;
	return neighbour;
}

void cache_neighbour_unwant(struct cache *cache, struct neighbour *neighbour)
{
	neighbour->wanted = neighbour->asked = false;
	neighbour->prodded = neighbour->managed_by_us = false;
	if (!neighbour->valid)
		neighbour_drop(cache, neighbour);
}

bool neighbour_expire(struct neighbour *neighbour, u64 now_ms, u64 hold_ms)
{
	if (neighbour->valid || !neighbour->has_mac || now_ms - neighbour->lost_at_ms < hold_ms)
		return false;
	neighbour->has_mac = false;
	return true;
}

bool neighbour_settled(const struct neighbour *neighbour)
{
	if (neighbour->foreign)
		return neighbour->valid || !neighbour->has_mac;
	return neighbour->valid && (neighbour->managed || neighbour->state != NUD_STALE);
}

/* ---- all of it ---- */

void cache_each_wanted(struct cache *cache, void (*callback)(void *context, struct neighbour *),
		       void *context)
{
	for (size_t at = 0; at < CACHE_BUCKETS; at++) {
		for (struct neighbour *one = cache->buckets[at], *next; one; one = next) {
			next = one->next;
			if (one->wanted)
				callback(context, one);
		}
	}
}

void cache_dump_begin(struct cache *cache)
{
	cache->dump++;
}

void cache_dump_end(struct cache *cache, u64 now_ms)
{
	const struct neighbour_news gone = {0};

	for (size_t at = 0; at < cache->links_count;) {
		if (cache->links[at].seen == cache->dump)
			at++;
		else
			cache->links[at] = cache->links[--cache->links_count];
	}
	for (size_t at = 0; at < CACHE_BUCKETS; at++) {
		for (struct neighbour *one = cache->buckets[at], *next; one; one = next) {
			next = one->next;
			if (one->seen == cache->dump)
				continue;
			(void)neighbour_update(one, &gone, now_ms);
			if (!one->wanted)
				neighbour_drop(cache, one);
		}
	}
}

void cache_clear(struct cache *cache)
{
	for (size_t at = 0; at < CACHE_BUCKETS; at++) {
		for (struct neighbour *one = cache->buckets[at], *next; one; one = next) {
			next = one->next;
			free(one);
		}
	}
	free(cache->links);
	*cache = (struct cache){0};
}
