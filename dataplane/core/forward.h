/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The forwarding core: the stages between parsing and sending.
 *
 *     parse_frame -> forward_service -> flow_key_of -> forward_find -> forward_pick
 *         -> forward_fits -> encap_write
 *
 * Each stage takes a packet one step or settles its verdict. User space runs every stage over a
 * whole burst with prefetches between them; BPF and `replay` call them back to back. The order
 * of effects on the flow table is that of the packets, in a burst too, so that every engine
 * gives the same answer to the same sequence. */
#ifndef SHUNT_CORE_FORWARD_H
#define SHUNT_CORE_FORWARD_H

#include "encap.h"
#include "env.h"
#include "flow.h"
#include "maglev.h"
#include "parse.h"
#include "service.h"

/* Finds one key; returns its record's index or SERVICE_NONE. */
static always_inline u32 forward_lookup(const struct env *env, bool v6, const struct addr *vip,
					u32 host_bits, be16 port, u8 protocol)
{
	u64 key = service_key(v6, vip, host_bits, port, protocol);
	u32 bucket = service_bucket_index(key, env_service_buckets(env));
	const struct service_bucket *keys = env_service_bucket(env, bucket);
	u32 place, index;
	const struct service *service;

	if (!keys)
		return SERVICE_NONE;
	place = service_bucket_find(keys, key);
	if (place >= SERVICE_BUCKET_KEYS)
		return SERVICE_NONE;
	index = bucket * SERVICE_BUCKET_KEYS + place;
	service = env_service(env, index);
	if (!service || !service_matches(service, v6, vip, host_bits, port, protocol))
		return SERVICE_NONE;
	return index;
}

/* The VIPs that may cover an address, longest first: the 0th is the address itself. False where
 * there are no more. */
static always_inline bool forward_vip(const struct env *env, bool v6, const struct addr *address,
				      u32 i, struct addr *vip, u32 *host_bits)
{
	*host_bits = i == 0 ? 0 : env_prefix(env, v6, i - 1);
	*vip = addr_first(address, *host_bits);
	return i == 0 || *host_bits != 0;
}

/* Whether the address, or a prefix that it is in, has a service. */
static inline bool forward_is_vip(const struct env *env, bool v6, const struct addr *address)
{
	struct addr vip;
	u32 host_bits;

	for (u32 i = 0; i <= SERVICE_PREFIXES_MAX; i++) {
		if (!forward_vip(env, v6, address, i, &vip, &host_bits))
			break;
		if (forward_lookup(env, v6, &vip, host_bits, 0, 0) != SERVICE_NONE)
			return true;
	}
	return false;
}

/* What keeps a packet to a VIP from being looked up at all, worst first. */
static inline enum verdict forward_suspect(const struct packet *packet)
{
	if (packet->flags & PACKET_GROUP)
		return VERDICT_L2_GROUP;
	if (packet->flags & PACKET_DEFECT)
		return (enum verdict)packet->defect;
	if (packet->flags & PACKET_MARTIAN)
		return VERDICT_MARTIAN;
	if (packet->flags & PACKET_LAND)
		return VERDICT_LAND;
	if (packet->flags & PACKET_TTL_ZERO)
		return VERDICT_TTL_ZERO;
	return VERDICT_UNDECIDED;
}

/* Lets the first fragment of a datagram leave its ports to the later ones. */
static inline enum verdict forward_fragment(const struct env *env, struct packet *packet)
{
	u64 datagram = fragment_datagram(packet, env_seed(env));
	struct fragment_bucket *bucket = env_fragment_bucket(env, fragment_bucket_index(datagram));
	const struct fragment *first;

	if (!(packet->flags & PACKET_LATER)) {
		if (!bucket)
			return VERDICT_UNDECIDED;
		fragment_keep(bucket, datagram, packet, env_now_ms(env));
		env_fragment_kept(env, datagram);
		return VERDICT_UNDECIDED;
	}
	first = bucket ? fragment_find(bucket, datagram, env_now_ms(env)) : NULL;
	if (!first)
		return VERDICT_FRAGMENT;
	packet->protocol = (u8)first->datagram;
	packet->source_port = first->source_port;
	packet->destination_port = first->destination_port;
	return VERDICT_UNDECIDED;
}

/* The service of the longest prefix that has one on the packet's port or, within that, on any. */
static inline u32 forward_lookup_ports(const struct env *env, const struct packet *packet)
{
	bool v6 = packet->flags & PACKET_V6;
	u32 index = SERVICE_NONE, host_bits;
	struct addr vip;

	for (u32 i = 0; i <= SERVICE_PREFIXES_MAX && index == SERVICE_NONE; i++) {
		if (!forward_vip(env, v6, &packet->destination, i, &vip, &host_bits))
			break;
		if (packet->destination_port != 0)
			index = forward_lookup(env, v6, &vip, host_bits, packet->destination_port,
					       packet->protocol);
		if (index == SERVICE_NONE)
			index = forward_lookup(env, v6, &vip, host_bits, 0, packet->protocol);
	}
	return index;
}

/* The way of every packet that is not plain TCP or UDP to an exact port. */
static inline enum verdict forward_service_slow(const struct env *env, struct packet *packet,
						u32 *index)
{
	bool v6 = packet->flags & PACKET_V6;
	enum verdict verdict;

	if (!forward_is_vip(env, v6, &packet->destination))
		return VERDICT_OTHER_ADDRESS;
	verdict = forward_suspect(packet);
	if (verdict != VERDICT_UNDECIDED)
		return verdict;
	if (packet->protocol == (v6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP))
		return VERDICT_ICMP;
	/* A later IPv6 fragment may name an extension header in place of its transport. */
	if (packet->flags & PACKET_FRAGMENT &&
	    (v6 || packet->protocol == PROTOCOL_TCP || packet->protocol == PROTOCOL_UDP)) {
		verdict = forward_fragment(env, packet);
		if (verdict != VERDICT_UNDECIDED)
			return verdict;
	}
	if (packet->protocol == PROTOCOL_TCP || packet->protocol == PROTOCOL_UDP) {
		*index = forward_lookup_ports(env, packet);
		if (*index != SERVICE_NONE)
			return VERDICT_UNDECIDED;
	}
	return env_unmatched_pass(env) ? VERDICT_UNMATCHED_PASS : VERDICT_UNMATCHED;
}

/* Stage: which service is the packet for? Undecided, with *index set, where there is one. */
static always_inline enum verdict forward_service(const struct env *env, struct packet *packet,
						  u32 *index)
{
	if (likely(!(packet->flags & PACKET_SUSPECT))) {
		*index = forward_lookup(env, packet->flags & PACKET_V6, &packet->destination, 0,
					packet->destination_port, packet->protocol);
		if (likely(*index != SERVICE_NONE) && likely(packet->destination_port != 0))
			return VERDICT_UNDECIDED;
	}
	return forward_service_slow(env, packet, index);
}

/* The first bucket of a flow, or NULL where there is no flow table. */
static always_inline struct flow_bucket *forward_bucket(const struct env *env,
							const struct service *service,
							const struct flow_key *key)
{
	u32 buckets = env_flow_buckets(env);

	if (unlikely(buckets == 0))
		return NULL;
	return env_flow_bucket(env, flow_bucket_first(key->hash, service->number, buckets));
}

/* forward_find() where forward_bucket() is known already. */
static always_inline struct flow_hit forward_find_in(struct flow_bucket *bucket,
						     const struct env *env,
						     const struct service *service,
						     const struct flow_key *key)
{
	u32 buckets = env_flow_buckets(env);
	struct flow_hit hit = {NULL, 0};

	if (!bucket)
		return hit;
	hit.slot = flow_bucket_find(bucket, key, 0);
	if (likely(hit.slot < FLOW_BUCKET_ENTRIES)) {
		hit.bucket = bucket;
		return hit;
	}
	if (!(bucket->choices & FLOW_OVERFLOWED))
		return hit;
	bucket = env_flow_bucket(env, flow_bucket_second(key->hash, service->number, buckets));
	if (!bucket)
		return hit;
	hit.slot = flow_bucket_find(bucket, key, 1);
	if (hit.slot < FLOW_BUCKET_ENTRIES)
		hit.bucket = bucket;
	return hit;
}

/* Stage: the flow's entry, live or not; changes nothing. */
static always_inline struct flow_hit forward_find(const struct env *env,
						  const struct service *service,
						  const struct flow_key *key)
{
	return forward_find_in(forward_bucket(env, service, key), env, service, key);
}

enum forward_record {
	FORWARD_NOT_DUE,
	FORWARD_PLACED,
	FORWARD_OVERWROTE, /* an entry, living or dead, that a later packet may have found already */
	FORWARD_NO_ROOM,   /* the flow is forwarded statelessly */
};

/* A bucket that a new flow may go to, and its place there. */
struct forward_spot {
	struct flow_bucket *bucket;
	u32 index, slot, used;
};

static always_inline struct forward_spot forward_spot_at(const struct env *env, u32 index, u64 hash)
{
	struct forward_spot spot = {.bucket = env_flow_bucket(env, index), .index = index};

	if (!spot.bucket)
		return spot;
	spot.used = flow_bucket_room(spot.bucket, env_tick(env), &spot.slot);
	forget_value(spot.used, hash);
	forget_value(spot.slot, hash);
	return spot;
}

/* Places a new flow: in its first bucket unless that is crowded, else in the less loaded of
 * its two; a flow on probation gives way, an established one never does. One of which only the
 * SYN was seen leaves every bucket's last place to others. */
static inline enum forward_record forward_place(const struct env *env,
						const struct service *service,
						const struct flow_key *key, u16 number,
						bool opening)
{
	u32 buckets = env_flow_buckets(env);
	struct forward_spot first, second, spot;
	bool overwrites;

	first = forward_spot_at(env, flow_bucket_first(key->hash, service->number, buckets),
				key->hash);
	if (!first.bucket)
		return FORWARD_NO_ROOM;
	spot = first;
	if (first.used >= FLOW_CROWDED) {
		second = forward_spot_at(env,
					 flow_bucket_second(key->hash, service->number, buckets),
					 key->hash);
		if (second.bucket && second.index != first.index && second.used < first.used)
			spot = second;
		if (spot.used >= FLOW_BUCKET_ENTRIES - (u32)opening)
			spot.slot = flow_bucket_evictable(spot.bucket);
	}
	if (spot.slot >= FLOW_BUCKET_ENTRIES)
		return FORWARD_NO_ROOM;
	overwrites = spot.bucket->entries[spot.slot & 7] != 0;
	if (!key->form)
		env_flow_own(env, spot.index, spot.slot & 7, service->number);
	flow_write(spot.bucket, spot.slot & 7, spot.index != first.index, key, number,
		   env_tick(env));
	if (spot.index != first.index)
		first.bucket->choices |= FLOW_OVERFLOWED;
	return overwrites ? FORWARD_OVERWROTE : FORWARD_PLACED;
}

struct forward_choice {
	const struct backend *backend; /* NULL: none, or the number has no record */
	u16 number;                    /* backend number; 0: none */
	u8 record;                     /* enum forward_record */
};

/* The backend that the Maglev table has for a flow without an entry.
 *
 * A slot that changed within the last seconds (*moved) holds two answers. A connection begins at
 * the present one, and is remembered at once. A packet from within a connection that nobody
 * remembers belongs to one that began before the change: it goes where its SYN went. (Services
 * without connections have no previous table.) */
static always_inline u16 forward_slot(const struct env *env, const struct service *service,
				      const struct packet *packet, const struct flow_key *key,
				      bool *moved)
{
	u32 slot = maglev_slot(key->hash, service->maglev_size);
	u16 number = env_maglev(env, service->maglev_offset, slot);
	u16 previous;

	*moved = false;
	if (likely(service->previous_offset == service->maglev_offset))
		return number;
	previous = env_maglev(env, service->previous_offset, slot);
	*moved = previous != number;
	if (*moved && !(packet->flags & PACKET_OPENING) && env_backend(env, service, previous))
		return previous;
	return number;
}

/* Remembers a flow where it is due: UDP with its first packet, TCP with the first that is not
 * an opening SYN (a SYN flood then writes nothing), or with its SYN where the slot has moved. */
static always_inline enum forward_record forward_remember(
	const struct env *env, const struct service *service, const struct packet *packet,
	const struct flow_key *key, struct flow_hit hit, u16 number, bool moved)
{
	bool opening = packet->flags & PACKET_OPENING;

	if (env_flow_buckets(env) == 0)
		return FORWARD_NOT_DUE;
	if (opening && !moved) {
		if (!hit.bucket)
			return FORWARD_NOT_DUE;
		hit.bucket->entries[hit.slot & 7] = 0;
		return FORWARD_OVERWROTE;
	}
	if (!hit.bucket)
		return forward_place(env, service, key, number, opening);
	flow_write(hit.bucket, hit.slot & 7, hit.bucket->choices >> hit.slot & 1, key, number,
		   env_tick(env));
	return FORWARD_OVERWROTE;
}

/* Writes a flow that a predecessor's tables know, as an established one. */
static inline enum forward_record forward_adopt(const struct env *env,
						const struct service *service,
						const struct flow_key *key, struct flow_hit hit,
						u16 number)
{
	enum forward_record record = FORWARD_OVERWROTE;

	if (hit.bucket)
		flow_write(hit.bucket, hit.slot & 7, hit.bucket->choices >> hit.slot & 1, key,
			   number, env_tick(env));
	else
		record = forward_place(env, service, key, number, false);
	hit = forward_find(env, service, key);
	if (hit.bucket)
		hit.bucket->ages[hit.slot & 7] &= (u8)~FLOW_PROBATION;
	return record;
}

/* A miss of a flow that a predecessor sent to backend `elder`: goes on with that, unless the
 * predecessor's entry would be of no use in ours either. It can't be erased, not even by a SYN, so
 * whatever is chosen instead is written down to outvote it; and what we know ourselves is newer. */
static rarely_called enum verdict forward_pick_elder(
	const struct env *env, const struct service *service, const struct packet *packet,
	const struct flow_key *key, struct flow_hit hit, u16 elder, struct forward_choice *choice)
{
	bool known = hit.bucket && !flow_expired(hit.bucket->ages[hit.slot & 7], env_tick(env));
	enum verdict verdict = VERDICT_FLOW;
	bool moved;

	choice->number = elder;
	choice->backend = env_backend(env, service, elder);
	if (known || !choice->backend ||
	    (packet->flags & PACKET_OPENING && choice->backend->flags & BACKEND_NO_NEW)) {
		verdict = VERDICT_MAGLEV;
		choice->number = forward_slot(env, service, packet, key, &moved);
		choice->backend = env_backend(env, service, choice->number);
	}
	if (choice->number == 0)
		return VERDICT_NO_BACKEND;
	choice->record = (u8)forward_adopt(env, service, key, hit, choice->number);
	return verdict;
}

/* An ICMP error about a flow that has no entry goes where that flow would, and leaves no trace. */
static always_inline enum verdict forward_pick_error(const struct env *env,
						     const struct service *service,
						     const struct packet *packet,
						     const struct flow_key *key, u16 elder,
						     struct forward_choice *choice)
{
	bool moved;

	choice->number = elder;
	choice->backend = env_backend(env, service, elder);
	if (!choice->backend) {
		choice->number = forward_slot(env, service, packet, key, &moved);
		choice->backend = env_backend(env, service, choice->number);
	}
	return choice->number == 0 ? VERDICT_NO_BACKEND : VERDICT_ICMP_ERROR;
}

/* Stage: the backend, from the flow's entry or else from the Maglev table. `hit` is what
 * forward_find() answers at this point of the packet sequence. */
static always_inline enum verdict forward_pick(const struct env *env, const struct service *service,
					       const struct packet *packet,
					       const struct flow_key *key, struct flow_hit hit,
					       struct forward_choice *choice)
{
	u16 elder;
	bool moved;

	choice->record = FORWARD_NOT_DUE;
	if (likely(hit.bucket != NULL) &&
	    likely(!flow_expired(hit.bucket->ages[hit.slot & 7], env_tick(env)))) {
		choice->number = flow_entry_backend(hit.bucket->entries[hit.slot & 7]);
		choice->backend = env_backend(env, service, choice->number);
		if (likely(choice->backend != NULL) &&
		    likely(!(packet->flags & (PACKET_OPENING | PACKET_ERROR)))) {
			flow_touch(hit.bucket, hit.slot & 7, env_tick(env));
			return VERDICT_FLOW;
		}
		if (choice->backend && packet->flags & PACKET_ERROR)
			return VERDICT_ICMP_ERROR;
		if (choice->backend && !(choice->backend->flags & BACKEND_NO_NEW)) {
			flow_touch(hit.bucket, hit.slot & 7, env_tick(env));
			return VERDICT_FLOW;
		}
	}
	elder = env_flow_elder(env, service, packet, key);
	if (unlikely(packet->flags & PACKET_ERROR))
		return forward_pick_error(env, service, packet, key, elder, choice);
	if (unlikely(elder != 0))
		return forward_pick_elder(env, service, packet, key, hit, elder, choice);
	choice->number = forward_slot(env, service, packet, key, &moved);
	choice->backend = env_backend(env, service, choice->number);
	if (unlikely(choice->number == 0))
		return VERDICT_NO_BACKEND;
	choice->record = forward_remember(env, service, packet, key, hit, choice->number, moved);
	return VERDICT_MAGLEV;
}

/* forward_fits() where the encapsulation's flags may be constant. */
static always_inline enum verdict forward_fits_as(const struct backend *backend,
						  const struct packet *packet, u8 flags)
{
	if (unlikely(!(backend->flags & BACKEND_REACHABLE)))
		return VERDICT_NO_NEXT_HOP;
	if (unlikely(packet->l3_len + encap_overhead_of(flags) > backend->mtu))
		return packet->flags & PACKET_DF ? VERDICT_TOO_BIG_DF : VERDICT_TOO_BIG;
	return VERDICT_UNDECIDED;
}

/* Stage: may the packet be sent to this backend as it is? Undecided where it may. */
static always_inline enum verdict forward_fits(const struct backend *backend,
					       const struct packet *packet)
{
	return forward_fits_as(backend, packet, backend->flags);
}

#endif
