/* SPDX-License-Identifier: BSD-2-Clause */
/* The VIPs are read from the arena that the worker uses, in memory that shuntd writes anew once
 * no worker uses it any more. The main thread doesn't report what it uses; it looks after the
 * reading whether worker 0 still reports that generation. If so, nothing was written meanwhile;
 * if not, it reads again next time.
 *
 * RFC 5227 section 2.3 has an address announced twice, two seconds apart; RFC 4861 section 7.2.6
 * allows as much. A VIP is not probed for first: that another balancer has it until now is the
 * ordinary case. */
#include "dataplane/session/announce.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/core/resolve.h"

#define ANNOUNCEMENTS 2
#define ANNOUNCE_INTERVAL_MS 2000

struct announce_vip {
	struct addr address;
	u64 next_at_ms;
	u8 left;
};

/* --- Following the tables ------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
	const struct announce_vip *x = a, *y = b;

	return memcmp(x->address.bytes, y->address.bytes, sizeof(x->address));
}

static bool still_used(const struct attachment *attachment, u64 generation)
{
	const struct report_worker *report = report_worker(&attachment->report, 0);

	return __atomic_load_n(&report->generation, __ATOMIC_ACQUIRE) == generation;
}

/* The VIPs of the tables in use, sorted; NULL where they can't be read now. */
static struct announce_vip *vips_read(const struct attachment *attachment, u64 root_offset,
				      size_t *count)
{
	struct announce_vip *list;
	struct tables tables;
	size_t records;

	if (arena_tables(&attachment->arena, root_offset, &tables) < 0)
		return NULL;
	records = (size_t)tables.buckets_count * SERVICE_BUCKET_KEYS;
	list = calloc(records, sizeof(*list));
	*count = 0;
	for (size_t i = 0; list && i < records; i++)
		if (tables.services[i].kind == SERVICE_VIP_ONLY)
			list[(*count)++] = (struct announce_vip){
				.address = tables.services[i].vip,
				.left = ANNOUNCEMENTS,
			};
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (!list || !still_used(attachment, tables.generation)) {
		free(list);
		return NULL;
	}
	qsort(list, *count, sizeof(*list), by_address);
	return list;
}

static const struct announce_vip *vip_find(const struct announcer *announcer,
					   const struct announce_vip *vip)
{
	if (announcer->count == 0)
		return NULL;
	return bsearch(vip, announcer->list, announcer->count, sizeof(*vip), by_address);
}

static void follow(struct announcer *announcer, const struct attachment *attachment)
{
	u64 root_offset = arena_root_offset(&attachment->arena);
	struct announce_vip *list;
	size_t count;

	if (attachment->incarnation == announcer->incarnation &&
	    attachment->arena.epoch == announcer->epoch && root_offset == announcer->root_offset)
		return;
	list = vips_read(attachment, root_offset, &count);
	if (!list)
		return;
	announcer->waiting = 0;
	for (size_t i = 0; i < count; i++) {
		const struct announce_vip *known = vip_find(announcer, &list[i]);

		if (known)
			list[i] = *known;
		announcer->waiting += list[i].left > 0;
	}
	free(announcer->list);
	announcer->list = list;
	announcer->count = count;
	announcer->incarnation = attachment->incarnation;
	announcer->epoch = attachment->arena.epoch;
	announcer->root_offset = root_offset;
}

/* --- Telling -------------------------------------------------------------------------- */

static bool announce(const struct announcer *announcer, const struct addr *address,
		     announce_send *send, void *context)
{
	static const struct addr everyone;
	u8 frame[ADVERTISEMENT_FRAME_BYTES];
	u32 frame_bytes = sizeof(frame);

	for (u32 i = 0; i < announcer->stations_count; i++) {
		const struct station *station = &announcer->stations[i];

		if (!station->answers)
			continue;
		if (addr_is_v4(address)) {
			frame_bytes = ARP_FRAME_BYTES;
			arp_write(frame, ARP_REQUEST, station->mac, addr_v4(address), NULL,
				  addr_v4(address));
		} else {
			advertisement_write(frame, station->mac, address, NULL, &everyone);
		}
		if (!send(context, i, frame, frame_bytes))
			return false;
	}
	return true;
}

void announcer_run(struct announcer *announcer, const struct attachment *attachment, u64 now_ms,
		   announce_send *send, void *context)
{
	if (attachment)
		follow(announcer, attachment);
	if (announcer->waiting == 0)
		return;
	for (size_t i = 0; i < announcer->count; i++) {
		struct announce_vip *vip = &announcer->list[i];

		if (vip->left == 0 || now_ms < vip->next_at_ms)
			continue;
		if (!announce(announcer, &vip->address, send, context))
			return; /* the rest at the next call */
		vip->next_at_ms = now_ms + ANNOUNCE_INTERVAL_MS;
		vip->left--;
		announcer->waiting -= vip->left == 0;
	}
}

void announcer_repeat(struct announcer *announcer)
{
	for (size_t i = 0; i < announcer->count; i++) {
		announcer->list[i].left = ANNOUNCEMENTS;
		announcer->list[i].next_at_ms = 0;
	}
	announcer->waiting = announcer->count;
}

void announcer_free(struct announcer *announcer)
{
	free(announcer->list);
	announcer->list = NULL;
	announcer->count = 0;
}
