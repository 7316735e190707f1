/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Packets that shunt answers itself. A reply takes the place of the frame that asked for it, and
 * goes out of the port where that came in.
 *
 *     a verdict that may be answered -> reply_consider -> room -> reply_write
 *
 * As with forward_fits and encap_write, the first step decides and copies out what it needs, the
 * engine then makes the room (a reply may begin before its frame, and end before it), and the
 * last step only writes. None of it is on the way of a packet that has a service. */
#ifndef SHUNT_CORE_REPLY_H
#define SHUNT_CORE_REPLY_H

#include "forward.h"
#include "resolve.h"

struct reply {
	struct question question;
	u8 our_mac[6];
	u8 verdict;      /* enum verdict: what is written */
	u8 grown_bytes;  /* the reply begins so much before the frame */
	u32 frame_bytes; /* of the reply, from its own beginning */
};

/* A shortest solicitation has no option; the advertisement has one. */
enum { REPLY_GROWN_MAX = NEIGHBOUR_LINK_BYTES };

_Static_assert(ADVERTISEMENT_FRAME_BYTES - REPLY_GROWN_MAX ==
		       ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES + NEIGHBOUR_MESSAGE_BYTES,
	       "every solicitation has room for its answer");

static inline bool reply_is_vip(const struct env *env, const struct addr *address, bool v6)
{
	return forward_lookup(env, v6, address, 0, 0) != SERVICE_NONE;
}

static inline bool reply_arp(const struct env *env, const struct station *station,
			     struct cursor cursor, u32 frame_bytes, struct reply *reply)
{
	if (!arp_read(cursor, station, &reply->question) ||
	    !reply_is_vip(env, &reply->question.about, false))
		return false;
	reply->verdict = VERDICT_ARP;
	reply->grown_bytes = 0;
	reply->frame_bytes = frame_bytes; /* with its padding: it is no shorter than it was */
	return true;
}

static inline bool reply_neighbour(const struct env *env, struct cursor cursor,
				   const struct packet *packet, struct reply *reply)
{
	if (!(packet->flags & PACKET_V6) || packet->protocol != PROTOCOL_ICMPV6 ||
	    packet->flags & (PACKET_DEFECT | PACKET_FRAGMENT | PACKET_EXTENSION))
		return false;
	if (!solicitation_read(cursor, packet, &reply->question) ||
	    !reply_is_vip(env, &reply->question.about, true))
		return false;
	reply->verdict = VERDICT_NEIGHBOUR;
	reply->grown_bytes = REPLY_GROWN_MAX;
	reply->frame_bytes = ADVERTISEMENT_FRAME_BYTES;
	return true;
}

/* Stage: a frame got `verdict`; is it answered instead? If so, reply->verdict is what it has now,
 * and *reply says what room that takes; nothing is changed yet. */
static inline bool reply_consider(const struct env *env, const struct station *station,
				  struct cursor cursor, u32 frame_bytes,
				  const struct packet *packet, enum verdict verdict,
				  struct reply *reply)
{
	if (!station->answers)
		return false;
	__builtin_memcpy(reply->our_mac, station->mac, 6);
	if (verdict == VERDICT_NOT_IP)
		return reply_arp(env, station, cursor, frame_bytes, reply);
	if (verdict == VERDICT_OTHER_ADDRESS || verdict == VERDICT_ICMP)
		return reply_neighbour(env, cursor, packet, reply);
	return false;
}

/* reply_write() where the verdict is constant, and so the length, which BPF must see. */
static always_inline void reply_write_as(u8 *out, const struct reply *reply, enum verdict verdict)
{
	const struct question *question = &reply->question;

	if (verdict == VERDICT_ARP)
		arp_write(out, ARP_REPLY, reply->our_mac, addr_v4(&question->about),
			  question->asker_mac, addr_v4(&question->asker));
	else
		advertisement_write(out, reply->our_mac, &question->about, question->asker_mac,
				    &question->asker);
}

/* Writes the reply at `out`, which is reply->grown_bytes before the frame's old beginning. */
static inline void reply_write(u8 *out, const struct reply *reply)
{
	reply_write_as(out, reply, (enum verdict)reply->verdict);
}

#endif
