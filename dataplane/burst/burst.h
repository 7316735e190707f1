/* SPDX-License-Identifier: BSD-2-Clause */
/* The user-space burst pipeline: the core's stages, each over a whole burst, with the next
 * stage's memory prefetched. It knows no mbuf and no AF_XDP descriptor: an engine fills in
 * where frames are and takes out what became of them. */
#ifndef SHUNT_BURST_BURST_H
#define SHUNT_BURST_BURST_H

#include "dataplane/core/packet.h"
#include "dataplane/state/env_user.h"
#include "dataplane/state/report.h"

#define BURST_MAX 64

struct burst {
	u32 count;
	struct station station;

	/* In: the frame, the bytes of it that are contiguous, its whole length, and how many
	 * writable bytes lie before it. Out, for what is sent: the new frame. */
	u8 *frame[BURST_MAX];
	u32 contiguous_bytes[BURST_MAX];
	u32 frame_bytes[BURST_MAX];
	u32 headroom_bytes[BURST_MAX];

	/* Out. */
	u32 flows_unplaced;            /* new flows that found no room; burst_count() takes them */
	u8 verdict[BURST_MAX];         /* enum verdict */
	u8 port[BURST_MAX];            /* where a forwarded packet goes */
	u16 backend_number[BURST_MAX]; /* 0: none */
	u32 l3_len[BURST_MAX];         /* bytes of the inner IP packet */
	u64 datagram[BURST_MAX];       /* of VERDICT_FRAGMENT: whose first fragment is missing */
	const struct service *service[BURST_MAX]; /* NULL: none */
	const struct backend *backend[BURST_MAX]; /* of a forwarded packet */
};

/* Settles every packet of the burst, in order. A forwarded frame is wrapped in place: `frame`
 * moves into the headroom, `frame_bytes` and `contiguous_bytes` follow and lose any Ethernet
 * padding. A reply takes its frame's place likewise, and goes where that came from. Other frames
 * are untouched. Counts nothing: a packet may yet fail to be sent. */
void burst_process(struct env *env, struct burst *burst);

/* Counts the packets [from, to) of a burst by verdict, service and backend. Call it when what
 * was sent is known; a packet that the queue refused has its verdict set first, and one that is
 * kept for later VERDICT_UNDECIDED. */
void burst_count(struct burst *burst, u32 from, u32 to, struct report_worker *report);

/* Follows the arena's root, if it moved, at a burst's beginning. Returns whether it did. */
bool burst_follow(const struct arena_view *arena, u64 *root_offset, struct env *env,
		  struct report_worker *report);

/* A worker's sweep over its flow table: one bucket a call; reports the generation for which a
 * whole pass has run a timeout after it came (then no entry names what that one removed). */
struct burst_sweep {
	bool beside; /* another writes to the table meanwhile: the kernel's program */
	u32 bucket;
	u64 pending_generation; /* waits for a timeout to pass */
	u64 pending_tick;
	u64 passing_generation; /* was old enough when the present pass began; 0: none */
	u64 pass_tick;          /* when it began */
};

void burst_sweep(struct burst_sweep *sweep, const struct env *env, u64 tick,
		 struct report_worker *report);

#endif
