/* SPDX-License-Identifier: BSD-2-Clause */
/* Telling a segment whose a VIP is, before anyone asks: for each VIP that the tables have begun
 * to hold, on every port that answers for VIPs. */
#ifndef SHUNT_SESSION_ANNOUNCE_H
#define SHUNT_SESSION_ANNOUNCE_H

#include "dataplane/core/packet.h"
#include "dataplane/session/attachment.h"

struct announce_vip;

/* One thread: the main one. */
struct announcer {
	struct station stations[ATTACH_PORTS_MAX]; /* of the ports */
	u32 stations_count;
	u64 incarnation, epoch, root_offset; /* of the tables whose VIPs they are */
	struct announce_vip *list;           /* by address */
	size_t count;
	size_t waiting; /* have something left to be told */
};

/* Sends a frame on a port, or returns false where there is no room now. */
typedef bool announce_send(void *context, u32 port, const u8 *frame, u32 frame_bytes);

/* To be called every now and then with what the worker uses (NULL: nothing yet). */
void announcer_run(struct announcer *announcer, const struct attachment *attachment, u64 now_ms,
		   announce_send *send, void *context);

/* Tells all of them anew. */
void announcer_repeat(struct announcer *announcer);
void announcer_free(struct announcer *announcer);

#endif
