/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The engine in the kernel: the forwarding core in an XDP program, over maps that outlive the process
 * which fills them.
 *
 * Stages are global functions that leave what they learn in scratch memory of the CPU's own: the
 * verifier walks each of them once, not once for every path that leads to it. Each looks its
 * tables up anew, under the slot that the packet chose at its beginning. Packet pointers are
 * taken anew, too: they die whenever headroom is gained.
 *
 * One packet at a time comes through a receive queue, so what belongs to a queue is written by plain
 * stores. That is so for drivers' native mode; where the generic mode spreads one queue over
 * CPUs, a count or a new flow may get lost, nothing else. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/shunt_env.h"

/* A plain DEVMAP belongs to programs of one kind, and what libxdp's dispatcher runs is of another than
 * what runs alone. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, KERNEL_PORTS_MAX);
	__type(key, u32);
	__type(value, u32);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, KERNEL_WORKERS_MAX);
	__type(key, u32);
	__type(value, u32);
} sockets SEC(".maps");

/* --- Stages --------------------------------------------------------------------------- */

__attribute__((noinline)) int stage_parse(struct xdp_md *ctx, struct scratch *s)
{
	struct cursor cursor = {(u8 *)(long)ctx->data, (u8 *)(long)ctx->data_end};

	if (!s)
		return VERDICT_NOT_IP;
	return parse_frame(cursor, s->frame_bytes, &s->station, &s->packet);
}

__attribute__((noinline)) int stage_service(struct scratch *s)
{
	struct env env;

	if (!s || !env_open(&env, s))
		return VERDICT_NOT_IP;
	s->result.l3_len = s->packet.l3_len;
	return forward_service(&env, &s->packet, &s->service);
}

__attribute__((noinline)) int stage_icmp(struct xdp_md *ctx, struct scratch *s)
{
	struct cursor cursor = {(u8 *)(long)ctx->data, (u8 *)(long)ctx->data_end};
	struct env env;

	if (!s || !env_open(&env, s))
		return VERDICT_NOT_IP;
	return icmp_service(&env, cursor, &s->packet, &s->embedded, &s->service);
}

__attribute__((noinline)) int stage_pick(struct scratch *s)
{
	struct forward_choice choice;
	const struct service *service;
	enum verdict verdict;
	struct env env;

	if (!s || !env_open(&env, s))
		return VERDICT_NOT_IP;
	service = env_service(&env, s->service);
	if (!service)
		return VERDICT_NO_BACKEND;
	s->result.service_number = service->number;
	flow_key_of(service, &s->packet, env_seed(&env), &s->key);
	verdict = forward_pick(&env, service, &s->packet, &s->key,
			       forward_find(&env, service, &s->key), &choice);
	s->result.backend_number = choice.number;
	s->unplaced = choice.record == FORWARD_NO_ROOM;
	s->service_counter = service->counter;
	s->backend_line = env.tables->backends_line + service->backends_first + (u32)choice.number;
	return choice.backend ? verdict : VERDICT_NO_BACKEND;
}

/* Gains the headroom, writes the headers, loses the padding. `flags` is constant: so is every
 * length that the verifier compares. */
static always_inline enum verdict wrap_as(struct xdp_md *ctx, const struct backend *backend,
					  const struct scratch *s, u8 flags)
{
	const struct packet *packet = &s->packet;
	u32 overhead = encap_overhead_of(flags);
	int grown = encap_grown_of(packet, flags);
	int padding = (int)s->frame_bytes + grown -
		      (int)(ETHERNET_HEADER_BYTES + overhead + packet->l3_len);
	u8 *out, *end;

	if (bpf_xdp_adjust_head(ctx, -grown))
		return VERDICT_NO_HEADROOM;
	out = (u8 *)(long)ctx->data;
	end = (u8 *)(long)ctx->data_end;
	if (out + ETHERNET_HEADER_BYTES + overhead > end)
		return VERDICT_NO_HEADROOM;
	encap_write_as(out, backend, packet, s->key.entropy, flags);
	if (padding != 0 && bpf_xdp_adjust_tail(ctx, -padding))
		return VERDICT_NO_HEADROOM;
	return VERDICT_UNDECIDED;
}

__attribute__((noinline)) int stage_wrap(struct xdp_md *ctx, struct scratch *s)
{
	const struct backend *backend;
	enum verdict verdict;
	struct env env;

	if (!s || !env_open(&env, s))
		return VERDICT_NOT_IP;
	backend = env_line(&env, s->backend_line);
	if (!backend)
		return VERDICT_NO_BACKEND;
	verdict = forward_fits(backend, &s->packet);
	if (verdict != VERDICT_UNDECIDED)
		return verdict;
	s->result.port = backend->port;
	s->backend_counter = backend->counter;
	switch (backend->flags & BACKEND_FORM) {
	case 0:
		return wrap_as(ctx, backend, s, 0);
	case BACKEND_GUE:
		return wrap_as(ctx, backend, s, BACKEND_GUE);
	case BACKEND_OUTER_V6:
		return wrap_as(ctx, backend, s, BACKEND_OUTER_V6);
	case BACKEND_L2:
		return wrap_as(ctx, backend, s, BACKEND_L2);
	default:
		return wrap_as(ctx, backend, s, BACKEND_GUE | BACKEND_OUTER_V6);
	}
}

/* Whether an answer is due to a packet that is not forwarded, and which. */
__attribute__((noinline)) int stage_consider(struct xdp_md *ctx, struct scratch *s, u32 verdict)
{
	struct cursor cursor = {(u8 *)(long)ctx->data, (u8 *)(long)ctx->data_end};
	const struct backend *backend = NULL;
	const struct service *service;
	struct env env;

	if (!s || !env_open(&env, s))
		return (int)verdict;
	if (verdict == VERDICT_TOO_BIG_DF) {
		service = env_service(&env, s->service);
		backend =
			service ? env_backend(&env, service, (u16)s->result.backend_number) : NULL;
		if (!backend)
			return (int)verdict;
	}
	if (!reply_consider(&env, &s->station, cursor, s->frame_bytes, &s->packet,
			    (enum verdict)verdict, backend, &s->reply))
		return (int)verdict;
	return s->reply.verdict;
}

/* The reply's lengths, constant for each kind: what it grows by, and how far it is written and
 * read. */
static always_inline enum verdict reply_as(struct xdp_md *ctx, const struct scratch *s,
					   enum verdict verdict, bool v6, u32 grown_bytes,
					   u32 touched_bytes)
{
	const struct reply *reply = &s->reply;
	u8 *out, *l3, *end;

	if (bpf_xdp_adjust_head(ctx, -(int)grown_bytes))
		return VERDICT_NO_HEADROOM;
	out = (u8 *)(long)ctx->data;
	end = (u8 *)(long)ctx->data_end;
	l3 = out + packet_bounded_l3(reply->l3_offset);
	checked(l3);
	if (out + ETHERNET_HEADER_BYTES + PARSE_TAGS_MAX * VLAN_TAG_BYTES > end ||
	    out + ETHERNET_HEADER_BYTES + touched_bytes > end || l3 + touched_bytes > end)
		return VERDICT_NO_HEADROOM;
	reply_write_as(out, l3, reply, verdict, v6);
	if (bpf_xdp_adjust_tail(ctx, (int)(reply->frame_bytes - s->frame_bytes - grown_bytes)))
		return VERDICT_NO_HEADROOM;
	return verdict;
}

__attribute__((noinline)) int stage_reply(struct xdp_md *ctx, struct scratch *s)
{
	const u32 v4 = IPV4_HEADER_BYTES + ICMP_HEADER_BYTES;
	const u32 v6 = IPV6_HEADER_BYTES + ICMP_HEADER_BYTES;
	const struct reply *reply;

	if (!s)
		return VERDICT_NOT_IP;
	reply = &s->reply;
	switch (reply->verdict) {
	case VERDICT_ARP:
		return reply_as(ctx, s, VERDICT_ARP, false, 0, ARP_PACKET_BYTES);
	case VERDICT_NEIGHBOUR:
		return reply_as(ctx, s, VERDICT_NEIGHBOUR, true, NEIGHBOUR_LINK_BYTES,
				ADVERTISEMENT_FRAME_BYTES - ETHERNET_HEADER_BYTES);
	case VERDICT_ECHO:
		return reply->v6 ? reply_as(ctx, s, VERDICT_ECHO, true, 0, v6)
				 : reply_as(ctx, s, VERDICT_ECHO, false, 0, v4);
	default:
		return reply->v6
			       ? reply_as(ctx, s, VERDICT_PATH_MTU, true, v6, v6 + REPLY_QUOTE_V6)
			       : reply_as(ctx, s, VERDICT_PATH_MTU, false, v4, v4 + REPLY_QUOTE_V4);
	}
}

/* --- Counters ------------------------------------------------------------------------- */

static always_inline struct kernel_count *count_at(const struct env *env, u32 index)
{
	u32 stride = kernel_counts_stride(env->tables->counters_count);
	u32 place;
	void *chunk;

	index += env->scratch->worker * stride;
	place = (env->slot << KERNEL_COUNTS_CHUNKS_BITS) + (index >> KERNEL_COUNTS_CHUNK_BITS);
	chunk = bpf_map_lookup_elem(&counts, &place);
	index %= 1u << KERNEL_COUNTS_CHUNK_BITS;
	return chunk ? bpf_map_lookup_elem(chunk, &index) : NULL;
}

static always_inline void count_traffic(const struct env *env, u32 counter)
{
	struct kernel_count *count = count_at(env, KERNEL_COUNT_TRAFFIC + counter);

	if (!count)
		return;
	count->packets++;
	count->bytes += env->scratch->result.l3_len;
}

__attribute__((noinline)) int stage_count(struct scratch *s, u32 verdict)
{
	struct kernel_count *count;
	struct env env;

	if (!s || !env_open(&env, s))
		return 0;
	s->result.verdict = verdict;
	count = count_at(&env, verdict);
	if (count)
		count->packets++;
	if (unlikely(s->unplaced)) {
		count = count_at(&env, KERNEL_COUNT_UNPLACED);
		if (count)
			count->packets++;
	}
	if (verdict >= VERDICT_COUNT || verdict_action((enum verdict)verdict) != ACTION_FORWARD)
		return 0;
	count_traffic(&env, s->service_counter);
	count_traffic(&env, s->backend_counter);
	return 0;
}

/* --- A packet's whole way ------------------------------------------------------------- */

/* The stage that remembers flows: a bench tries another. */
typedef int pick_stage(struct scratch *s);

static always_inline enum verdict find_service(struct xdp_md *ctx, struct scratch *s)
{
	enum verdict verdict = (enum verdict)stage_parse(ctx, s);

	return verdict == VERDICT_UNDECIDED ? (enum verdict)stage_service(s) : verdict;
}

static always_inline enum verdict forward(struct xdp_md *ctx, struct scratch *s,
					  enum verdict verdict, pick_stage *pick)
{
	enum verdict last;

	if (verdict == VERDICT_ICMP)
		verdict = (enum verdict)stage_icmp(ctx, s);
	if (verdict != VERDICT_UNDECIDED)
		return verdict;
	verdict = (enum verdict)pick(s);
	if (verdict == VERDICT_NO_BACKEND)
		return verdict;
	last = (enum verdict)stage_wrap(ctx, s);
	return last == VERDICT_UNDECIDED ? verdict : last;
}

/* As forward(); what it does not send may be answered. */
static always_inline u64 forward_or_reply(struct xdp_md *ctx, struct scratch *s, enum verdict found,
					  pick_stage *pick)
{
	u64 verdict = forward(ctx, s, found, pick);

	checked(verdict); /* clang knows its range, the verifier doesn't */
	if (verdict >= VERDICT_COUNT || verdict_action((enum verdict)verdict) == ACTION_FORWARD)
		return verdict;
	verdict = (u64)stage_consider(ctx, s, (u32)verdict);
	checked(verdict);
	if (verdict >= VERDICT_COUNT || verdict_action((enum verdict)verdict) != ACTION_REPLY)
		return verdict;
	return (u64)stage_reply(ctx, s);
}

/* Which of the interfaces this is, and which of the workers its queue. */
static always_inline bool worker_find(struct xdp_md *ctx, const struct kernel_control *shared,
				      struct scratch *s)
{
	for (u32 i = 0; i < KERNEL_PORTS_MAX; i++) {
		const struct kernel_port *port = &shared->ports[i];

		if (i >= shared->ports_count)
			return false;
		if (port->ifindex != ctx->ingress_ifindex)
			continue;
		s->port = i;
		s->worker = port->first_worker;
		s->own_queue = ctx->rx_queue_index < port->queues_count;
		if (likely(s->own_queue)) /* else the device got more queues */
			s->worker += ctx->rx_queue_index;
		s->station = port->station;
		return true;
	}
	return false;
}

/* --- Steering ------------------------------------------------------------------------- */

/* From now on the program forwards by itself, for a while: a worker that gets a frame now and a
 * frame then would have them overtake each other all the time. */
static always_inline void fall_back(struct kernel_worker *worker, u32 why)
{
	worker->why = why;
	worker->falls++;
	worker->resume_at_ns = bpf_ktime_get_ns() + KERNEL_FALL_BACK_NS;
}

/* Whether the worker's socket can take a frame, and its process is there to look at it. The two
 * clocks are one, which either side may have read a moment ago. */
static always_inline bool worker_ready(struct kernel_worker *worker, u32 now_ms)
{
	u64 room = *(volatile u64 *)&worker->credit - worker->steered;
	int silent_ms = (int)(now_ms - (u32) * (volatile u64 *)&worker->heartbeat_ms);

	if (unlikely(worker->resume_at_ns != 0)) {
		if (silent_ms > KERNEL_HEARTBEAT_MS || room < worker->resume ||
		    bpf_ktime_get_ns() < worker->resume_at_ns)
			return false;
		worker->resume_at_ns = 0;
		return true;
	}
	if (likely(room > worker->reserve) && likely(silent_ms <= KERNEL_HEARTBEAT_MS))
		return true;
	fall_back(worker, room > worker->reserve ? KERNEL_WHY_STALLED : KERNEL_WHY_NO_ROOM);
	return false;
}

/* Gives the frame to the worker's socket: XDP_REDIRECT, or 0. The room is found out first: the kernel
 * says that a socket had none only when the program has ended, and the frame is lost. A frame in
 * several buffers, or one that no buffer of the socket's holds, is the program's; so is one that
 * stage_service has settled, but a fragment that may be early. */
__attribute__((noinline)) int stage_steer(struct xdp_md *ctx, struct scratch *s, u32 verdict)
{
	struct kernel_worker *worker;
	u32 number;

	if (!s || !s->own_queue || (u64)s->frame_bytes != (u64)ctx->data_end - (u64)ctx->data)
		return 0;
	if (verdict != VERDICT_UNDECIDED && verdict != VERDICT_ICMP && verdict != VERDICT_FRAGMENT)
		return 0;
	number = s->worker;
	worker = bpf_map_lookup_elem(&workers, &number);
	if (!worker || s->frame_bytes > worker->bytes_max)
		return 0;
	s->fell_back = !worker_ready(worker, s->now_ms);
	if (unlikely(s->fell_back) ||
	    bpf_redirect_map(&sockets, s->worker, XDP_ABORTED) != XDP_REDIRECT)
		return 0;
	worker->steered++;
	return XDP_REDIRECT;
}

/* The kernel's coarse clock steps every few milliseconds, as flow ages and rate limits need it. */
static always_inline void time_read(const struct kernel_control *shared,
				    struct kernel_worker *worker, struct scratch *s)
{
	u64 now_ms = shared->fixed_ms;

	if (likely(!shared->fixed))
		now_ms = bpf_ktime_get_coarse_ns() / 1000000;
	s->now_ms = (u32)now_ms;
	if (unlikely(now_ms >= worker->tick_ends_ms)) {
		u64 tick = now_ms / (shared->tick_ms | !shared->tick_ms);

		worker->tick_ends_ms = (tick + 1) * shared->tick_ms;
		worker->tick = (u32)tick & FLOW_AGE_MASK;
	}
	s->tick = (u8)worker->tick;
}

/* What becomes of the frame. An interface that is gone, or whose link is down, has no place in the map of
 * ports: what should be sent there isn't. */
static always_inline int act(const struct kernel_control *shared, const struct scratch *s,
			     u64 *verdict)
{
	int action;

	switch (verdict_action((enum verdict) * verdict)) {
	case ACTION_FORWARD:
		if (likely(s->result.port == s->port))
			return XDP_TX;
		action = (int)bpf_redirect_map(&ports, s->result.port, XDP_DROP);
		if (unlikely(action != XDP_REDIRECT))
			*verdict = s->result.port < shared->ports_count ? VERDICT_QUEUE_FULL
									: VERDICT_NO_NEXT_HOP;
		return action;
	case ACTION_REPLY:
		return XDP_TX;
	case ACTION_PASS:
		return XDP_PASS;
	default:
		return XDP_DROP;
	}
}

static always_inline int shunt(struct xdp_md *ctx, pick_stage *pick)
{
	const struct kernel_control *shared;
	struct kernel_worker *worker;
	enum verdict found;
	struct scratch *s;
	u64 verdict;
	u32 zero = 0;
	int action;

	shared = bpf_map_lookup_elem(&control, &zero);
	s = bpf_map_lookup_elem(&scratch, &zero);
	if (!shared || !s)
		return XDP_PASS;
	s->slot = shared->active;
	if (s->slot >= KERNEL_SLOTS || !worker_find(ctx, shared, s))
		return XDP_PASS;
	worker = bpf_map_lookup_elem(&workers, &s->worker);
	if (!worker)
		return XDP_PASS;
	time_read(shared, worker, s);
	__builtin_memset(&s->result, 0, sizeof(s->result));
	s->unplaced = 0;
	s->frame_bytes = (u32)bpf_xdp_get_buff_len(ctx);
	s->fell_back = false;
	found = find_service(ctx, s);
	if (unlikely(worker->steers) && stage_steer(ctx, s, found) == XDP_REDIRECT)
		return XDP_REDIRECT;
	verdict = forward_or_reply(ctx, s, found, pick);
	worker->fallen_back += s->fell_back;
	checked(verdict); /* clang knows its range, the verifier doesn't */
	if (verdict >= VERDICT_COUNT)
		return XDP_ABORTED;
	action = act(shared, s, &verdict);
	stage_count(s, (u32)verdict);
	return action;
}

SEC("xdp.frags")
int shunt_xdp(struct xdp_md *ctx)
{
	return shunt(ctx, stage_pick);
}

char shunt_license[] SEC("license") = "Dual BSD/GPL";
