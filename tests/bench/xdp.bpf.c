/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine's program under measurement: bpf_prog_test_run() gives it the same packet again and again
 * with whatever became of it, so before each go the encapsulation is undone and another flow's
 * addresses and port are written in. Beside it: that alone, nothing at all, and the same program with
 * the kernel's LRU_HASH in place of our flow table. */
#include "bpf/shunt.bpf.c"

#include "tests/bench/xdp_feed.h"

#define OUTER_BYTES 20
#define FRAME_BYTES 64

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct feed);
} feeds SEC(".maps");

struct lru_key {
	u64 key;
	u64 service_number;
};

struct lru_flow {
	u32 number;
	u32 tick;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1500000);
	__type(key, struct lru_key);
	__type(value, struct lru_flow);
} lru_flows SEC(".maps");

/* The flow of the next packet. */
static always_inline u32 flow_next(struct feed *feed)
{
	u32 flow = (u32)(feed->packets++ * HASH_MULTIPLIER_A >> (64 - feed->flows_bits));

	if (feed->fresh_every == 0 || --feed->until_fresh > 0)
		return flow;
	feed->until_fresh = feed->fresh_every;
	return 1u << 24 | (u32)(feed->fresh++ & 0xffffff);
}

/* An address whose halves are each other's complement, an ID that makes up for the destination: the
 * header's checksum is the same for all flows. */
static always_inline bool feed_packet(struct xdp_md *ctx)
{
	struct feed *feed;
	struct ipv4_header *ip;
	struct tcp_header *tcp;
	u32 flow, vip, high;
	u8 *frame, *end;
	u32 zero = 0;

	feed = bpf_map_lookup_elem(&feeds, &zero);
	if (!feed)
		return false;
	if (ctx->data_end - ctx->data > FRAME_BYTES && bpf_xdp_adjust_head(ctx, OUTER_BYTES))
		return false;
	frame = (u8 *)(long)ctx->data;
	end = (u8 *)(long)ctx->data_end;
	if (frame + ETHERNET_HEADER_BYTES + sizeof(*ip) + sizeof(*tcp) > end)
		return false;
	flow = flow_next(feed);
	vip = 1 + fastrange32(flow * 0x9e3779b1u, feed->services_count);
	high = 0x1000 + (flow & 0x3fff);
	__builtin_memcpy(frame, &feed->ethernet, sizeof(feed->ethernet));
	ip = (struct ipv4_header *)(frame + ETHERNET_HEADER_BYTES);
	tcp = (struct tcp_header *)(ip + 1);
	ip->source = BE32(high << 16 | (~high & 0xffff));
	ip->destination = BE32(0xc6120000u + vip);
	ip->id = BE16(0x8000 - vip);
	tcp->source_port = BE16(1024 + (flow >> 14));
	return true;
}

SEC("xdp.frags")
int bench_floor(struct xdp_md *ctx)
{
	return XDP_TX;
}

/* Gives everything to the socket: tests/bench/af_xdp.c. */
SEC("xdp")
int bench_steer(struct xdp_md *ctx)
{
	return (int)bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_ABORTED);
}

SEC("xdp.frags")
int bench_feed(struct xdp_md *ctx)
{
	return feed_packet(ctx) ? XDP_TX : XDP_ABORTED;
}

SEC("xdp.frags")
int bench_shunt(struct xdp_md *ctx)
{
	return feed_packet(ctx) ? shunt(ctx, stage_pick) : XDP_ABORTED;
}

/* --- With LRU_HASH -------------------------------------------------------------------- */

__attribute__((noinline)) int lru_pick(struct scratch *s)
{
	struct lru_flow fresh = {0}, *flow;
	const struct service *service;
	const struct backend *backend;
	struct lru_key key = {0};
	struct env env;
	bool moved;

	if (!s || !env_open(&env, s))
		return VERDICT_NOT_IP;
	service = env_service(&env, s->service);
	if (!service)
		return VERDICT_NO_BACKEND;
	s->result.service_number = service->number;
	flow_key_of(service, &s->packet, env_seed(&env), &s->key);
	s->service_counter = service->counter;
	key.key = s->key.key;
	key.service_number = service->number;
	flow = bpf_map_lookup_elem(&lru_flows, &key);
	s->backend_line = env.tables->backends_line + service->backends_first;
	if (flow) {
		s->backend_line += flow->number;
		s->result.backend_number = flow->number;
		if (flow->tick != s->tick)
			flow->tick = s->tick;
		return VERDICT_FLOW;
	}
	fresh.number = forward_slot(&env, service, &s->packet, &s->key, &moved);
	fresh.tick = s->tick;
	backend = env_backend(&env, service, (u16)fresh.number);
	s->backend_line += fresh.number;
	s->result.backend_number = fresh.number;
	if (!backend)
		return VERDICT_NO_BACKEND;
	bpf_map_update_elem(&lru_flows, &key, &fresh, BPF_ANY);
	return VERDICT_MAGLEV;
}

SEC("xdp.frags")
int bench_lru(struct xdp_md *ctx)
{
	return feed_packet(ctx) ? shunt(ctx, lru_pick) : XDP_ABORTED;
}
