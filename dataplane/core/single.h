/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One frame's whole way, the stages back to back: what `replay` and `explain` do, and what a burst
 * must equal. The frame lies in one piece. */
#ifndef SHUNT_CORE_SINGLE_H
#define SHUNT_CORE_SINGLE_H

#include "reply.h"

struct single {
	/* In; out, for a frame that is sent: the new one. */
	u8 *frame;
	u32 frame_bytes;
	u32 headroom_bytes;

	/* Out. */
	struct packet packet;
	const struct service *service; /* NULL: none */
	const struct backend *backend; /* NULL: none */
	struct flow_key key;           /* where there is a service */
	u16 backend_number;            /* 0: none */
	u8 record;                     /* enum forward_record */
};

static inline enum verdict single_service(const struct env *env, const struct station *station,
					  struct single *single)
{
	struct packet *packet = &single->packet;
	struct cursor cursor = {single->frame, single->frame + single->frame_bytes};
	enum verdict verdict = parse_frame(cursor, single->frame_bytes, station, packet);
	struct packet embedded;
	u32 index;

	if (verdict != VERDICT_UNDECIDED)
		return verdict;
	verdict = forward_service(env, packet, &index);
	if (verdict == VERDICT_ICMP)
		verdict = icmp_service(env, cursor, packet, &embedded, &index);
	if (verdict == VERDICT_UNDECIDED)
		single->service = env_service(env, index);
	return verdict;
}

static inline enum verdict single_wrap(struct single *single)
{
	const struct packet *packet = &single->packet;
	u8 flags = single->backend->flags;
	int grown = encap_grown_of(packet, flags);
	enum verdict verdict = forward_fits(single->backend, packet);

	if (verdict != VERDICT_UNDECIDED)
		return verdict;
	if (grown > (int)single->headroom_bytes)
		return VERDICT_NO_HEADROOM;
	single->frame -= grown;
	single->frame_bytes = ETHERNET_HEADER_BYTES + encap_overhead_of(flags) + packet->l3_len;
	encap_write(single->frame, single->backend, packet, single->key.entropy);
	return VERDICT_UNDECIDED;
}

static inline enum verdict single_forward(const struct env *env, const struct station *station,
					  struct single *single)
{
	enum verdict verdict = single_service(env, station, single), wrapped;
	struct forward_choice choice;

	if (verdict != VERDICT_UNDECIDED)
		return verdict;
	flow_key_of(single->service, &single->packet, env_seed(env), &single->key);
	verdict = forward_pick(env, single->service, &single->packet, &single->key,
			       forward_find(env, single->service, &single->key), &choice);
	single->backend = choice.backend;
	single->backend_number = choice.number;
	single->record = choice.record;
	if (!single->backend)
		return VERDICT_NO_BACKEND;
	wrapped = single_wrap(single);
	return wrapped == VERDICT_UNDECIDED ? verdict : wrapped;
}

/* Settles a frame, and makes of it what is sent: verdict_sends() tells whether anything is. */
static inline enum verdict single_run(const struct env *env, const struct station *station,
				      struct single *single)
{
	struct cursor cursor = {single->frame, single->frame + single->frame_bytes};
	enum verdict verdict;
	struct reply reply;

	single->service = NULL;
	single->backend = NULL;
	single->backend_number = 0;
	single->record = FORWARD_NOT_DUE;
	single->packet.l3_len = 0;
	verdict = single_forward(env, station, single);
	if (verdict_action(verdict) == ACTION_FORWARD ||
	    !reply_consider(env, station, cursor, single->frame_bytes, &single->packet, verdict,
			    single->backend, &reply))
		return verdict;
	if (reply.grown_bytes > single->headroom_bytes)
		return VERDICT_NO_HEADROOM;
	single->frame -= reply.grown_bytes;
	single->frame_bytes = reply.frame_bytes;
	reply_write(single->frame, &reply);
	return (enum verdict)reply.verdict;
}

#endif
