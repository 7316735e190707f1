/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Proof that the forwarding core runs inside the kernel: its headers, a plain environment of
 * arrays, and an XDP program that calls the stages back to back. It is no engine, and no
 * traffic ever meets it; tests/unit/core_bpf.c feeds it frames and compares every byte with
 * what the same headers do in user space.
 *
 * The four steps are global functions that leave what they learn in one scratch structure: the
 * verifier then walks each of them once, not once for every path that leads to it. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/check/state.h"
#include "dataplane/core/reply.h"

struct check_state state;

/* An index or pointer that was checked, kept from clang, which would compute first and compare
 * later: the verifier follows only the order that is written. */
#define checked(x) asm volatile("" : "+r"(x))

struct env {
	u32 unused; /* everything is in the one global */
};

static inline const struct hash_seed *env_seed(const struct env *env)
{
	return &state.seed;
}

static inline u32 env_service_buckets(const struct env *env)
{
	return CHECK_SERVICE_BUCKETS;
}

static inline const struct service_bucket *env_service_bucket(const struct env *env, u32 index)
{
	if (index >= CHECK_SERVICE_BUCKETS)
		return NULL;
	checked(index);
	return &state.buckets[index];
}

static inline const struct service *env_service(const struct env *env, u32 index)
{
	if (index >= CHECK_SERVICES)
		return NULL;
	checked(index);
	return &state.services[index];
}

static inline u32 env_prefix(const struct env *env, bool v6, u32 i)
{
	return state.prefixes[v6][i & (SERVICE_PREFIXES_MAX - 1)];
}

static inline bool env_unmatched_pass(const struct env *env)
{
	return state.unmatched_pass;
}

static inline u32 env_flow_buckets(const struct env *env)
{
	return CHECK_FLOW_BUCKETS;
}

static inline struct flow_bucket *env_flow_bucket(const struct env *env, u32 index)
{
	if (index >= CHECK_FLOW_BUCKETS)
		return NULL;
	checked(index);
	return &state.flows[index];
}

static inline u16 env_flow_elder(const struct env *env, const struct service *service,
				 const struct packet *packet, const struct flow_key *key)
{
	return 0;
}

static inline void env_flow_own(const struct env *env, u32 index, u32 slot, u16 service_number)
{
	if (index >= CHECK_FLOW_BUCKETS)
		return;
	checked(index);
	*(volatile u16 *)&state.flow_owners[index].services[slot & 7] = service_number;
}

static inline struct fragment_bucket *env_fragment_bucket(const struct env *env, u32 index)
{
	if (index >= FRAGMENT_BUCKETS)
		return NULL;
	checked(index);
	return &state.fragments[index];
}

static inline void env_fragment_kept(const struct env *env, u64 datagram)
{
	/* Nothing waits for it here. */
}

static inline u32 *env_told_ms(const struct env *env, u32 index)
{
	if (index >= ENV_TOLD_CLASSES)
		return NULL;
	checked(index);
	return &state.told_ms[index];
}

static inline u32 env_now_ms(const struct env *env)
{
	return state.now_ms;
}

static inline u8 env_tick(const struct env *env)
{
	return state.tick;
}

static inline u16 env_maglev(const struct env *env, u64 table_offset, u32 slot)
{
	u64 index = table_offset / sizeof(u16) + slot;

	if (index >= CHECK_MAGLEV)
		return 0;
	checked(index);
	return state.maglev[index];
}

static inline const struct backend *env_backend(const struct env *env,
						const struct service *service, u16 number)
{
	u32 index = service->backends_first + number;
	const struct backend *backend;

	if (number >= service->backends_count || index >= CHECK_BACKENDS)
		return NULL;
	checked(index);
	backend = &state.backends[index];
	if (!(backend->flags & BACKEND_PRESENT))
		return NULL;
	checked(backend);
	return backend;
}

/* Gains the headroom, writes the headers, loses the padding. `flags` is constant: so is every
 * length that the verifier compares. */
static always_inline enum verdict wrap_as(struct xdp_md *ctx, const struct backend *backend,
					  const struct packet *packet, u32 entropy, u8 flags)
{
	u32 overhead = encap_overhead_of(flags);
	u32 new_bytes = ETHERNET_HEADER_BYTES + overhead + packet->l3_len;
	u8 *out, *end;
	u64 bytes;

	if (bpf_xdp_adjust_head(ctx, -encap_grown_of(packet, flags)))
		return VERDICT_NO_HEADROOM;
	out = (u8 *)(long)ctx->data;
	end = (u8 *)(long)ctx->data_end;
	if (out + ETHERNET_HEADER_BYTES + overhead > end)
		return VERDICT_NO_HEADROOM;
	encap_write_as(out, backend, packet, entropy, flags);
	bytes = (u64)(end - out);
	checked(bytes); /* or the pointers are subtracted as 32-bit numbers */
	if (bpf_xdp_adjust_tail(ctx, (int)(new_bytes - (u32)bytes)))
		return VERDICT_NO_HEADROOM;
	return VERDICT_UNDECIDED;
}

__attribute__((noinline)) int check_parse(struct xdp_md *ctx)
{
	struct cursor cursor = {(u8 *)(long)ctx->data, (u8 *)(long)ctx->data_end};

	return parse_frame(cursor, (u32)(cursor.end - cursor.position), &state.station,
			   &state.packet);
}

__attribute__((noinline)) int check_service(void)
{
	const struct env env = {0};

	state.l3_len = state.packet.l3_len;
	return forward_service(&env, &state.packet, &state.service);
}

__attribute__((noinline)) int check_icmp(struct xdp_md *ctx)
{
	struct cursor cursor = {(u8 *)(long)ctx->data, (u8 *)(long)ctx->data_end};
	const struct env env = {0};

	return icmp_service(&env, cursor, &state.packet, &state.embedded, &state.service);
}

__attribute__((noinline)) int check_pick(void)
{
	const struct env env = {0};
	const struct service *service = env_service(&env, state.service);
	struct forward_choice choice;
	enum verdict verdict;

	if (!service)
		return VERDICT_OTHER_ADDRESS;
	flow_key_of(service, &state.packet, env_seed(&env), &state.key);
	verdict = forward_pick(&env, service, &state.packet, &state.key,
			       forward_find(&env, service, &state.key), &choice);
	state.backend_number = choice.number;
	return verdict;
}

__attribute__((noinline)) int check_wrap(struct xdp_md *ctx)
{
	const struct env env = {0};
	const struct service *service = env_service(&env, state.service);
	const struct packet *packet = &state.packet;
	u32 entropy = state.key.entropy;
	const struct backend *backend;
	enum verdict verdict;

	if (!service)
		return VERDICT_OTHER_ADDRESS;
	backend = env_backend(&env, service, (u16)state.backend_number);
	if (!backend)
		return VERDICT_NO_BACKEND;
	verdict = forward_fits(backend, packet);
	if (verdict != VERDICT_UNDECIDED)
		return verdict;
	switch (backend->flags & BACKEND_FORM) {
	case 0:
		return wrap_as(ctx, backend, packet, entropy, 0);
	case BACKEND_GUE:
		return wrap_as(ctx, backend, packet, entropy, BACKEND_GUE);
	case BACKEND_OUTER_V6:
		return wrap_as(ctx, backend, packet, entropy, BACKEND_OUTER_V6);
	case BACKEND_L2:
		return wrap_as(ctx, backend, packet, entropy, BACKEND_L2);
	default:
		return wrap_as(ctx, backend, packet, entropy, BACKEND_GUE | BACKEND_OUTER_V6);
	}
}

__attribute__((noinline)) int check_consider(struct xdp_md *ctx, u32 verdict)
{
	struct cursor cursor = {(u8 *)(long)ctx->data, (u8 *)(long)ctx->data_end};
	const struct env env = {0};
	const struct service *service;
	const struct backend *backend = NULL;

	if (verdict == VERDICT_TOO_BIG_DF) {
		service = env_service(&env, state.service);
		backend = service ? env_backend(&env, service, (u16)state.backend_number) : NULL;
		if (!backend)
			return verdict;
	}
	if (!reply_consider(&env, &state.station, cursor, (u32)(cursor.end - cursor.position),
			    &state.packet, (enum verdict)verdict, backend, &state.reply))
		return verdict;
	return state.reply.verdict;
}

/* The reply's lengths, constant for each kind: what it grows by, and how far it is written and
 * read. */
static always_inline enum verdict reply_as(struct xdp_md *ctx, enum verdict verdict, bool v6,
					   u32 grown_bytes, u32 touched_bytes)
{
	u8 *out, *l3, *end;
	u64 bytes;

	if (bpf_xdp_adjust_head(ctx, -(int)grown_bytes))
		return VERDICT_NO_HEADROOM;
	out = (u8 *)(long)ctx->data;
	end = (u8 *)(long)ctx->data_end;
	l3 = out + packet_bounded_l3(state.reply.l3_offset);
	checked(l3);
	if (out + ETHERNET_HEADER_BYTES + PARSE_TAGS_MAX * VLAN_TAG_BYTES > end ||
	    out + ETHERNET_HEADER_BYTES + touched_bytes > end || l3 + touched_bytes > end)
		return VERDICT_NO_HEADROOM;
	reply_write_as(out, l3, &state.reply, verdict, v6);
	bytes = (u64)(end - out);
	checked(bytes);
	if (bpf_xdp_adjust_tail(ctx, (int)(state.reply.frame_bytes - (u32)bytes)))
		return VERDICT_NO_HEADROOM;
	return verdict;
}

__attribute__((noinline)) int check_reply(struct xdp_md *ctx)
{
	const u32 v4 = IPV4_HEADER_BYTES + ICMP_HEADER_BYTES;
	const u32 v6 = IPV6_HEADER_BYTES + ICMP_HEADER_BYTES;

	switch (state.reply.verdict) {
	case VERDICT_ARP:
		return reply_as(ctx, VERDICT_ARP, false, 0, ARP_PACKET_BYTES);
	case VERDICT_NEIGHBOUR:
		return reply_as(ctx, VERDICT_NEIGHBOUR, true, NEIGHBOUR_LINK_BYTES,
				ADVERTISEMENT_FRAME_BYTES - ETHERNET_HEADER_BYTES);
	case VERDICT_ECHO:
		return state.reply.v6 ? reply_as(ctx, VERDICT_ECHO, true, 0, v6)
				      : reply_as(ctx, VERDICT_ECHO, false, 0, v4);
	default:
		return state.reply.v6
			       ? reply_as(ctx, VERDICT_PATH_MTU, true, v6, v6 + REPLY_QUOTE_V6)
			       : reply_as(ctx, VERDICT_PATH_MTU, false, v4, v4 + REPLY_QUOTE_V4);
	}
}

static always_inline enum verdict forward(struct xdp_md *ctx)
{
	enum verdict verdict = (enum verdict)check_parse(ctx);
	enum verdict last;

	if (verdict != VERDICT_UNDECIDED)
		return verdict;
	verdict = (enum verdict)check_service();
	if (verdict == VERDICT_ICMP)
		verdict = (enum verdict)check_icmp(ctx);
	if (verdict != VERDICT_UNDECIDED)
		return verdict;
	verdict = (enum verdict)check_pick();
	if (verdict == VERDICT_NO_BACKEND)
		return verdict;
	last = (enum verdict)check_wrap(ctx);
	return last == VERDICT_UNDECIDED ? verdict : last;
}

/* As forward(); what it does not send may be answered. */
static always_inline u64 forward_or_reply(struct xdp_md *ctx)
{
	u64 verdict = forward(ctx);

	checked(verdict); /* clang knows its range, the verifier doesn't */
	if (verdict >= VERDICT_COUNT || verdict_action((enum verdict)verdict) == ACTION_FORWARD)
		return verdict;
	verdict = (u64)check_consider(ctx, (u32)verdict);
	checked(verdict);
	if (verdict >= VERDICT_COUNT || verdict_action((enum verdict)verdict) != ACTION_REPLY)
		return verdict;
	return (u64)check_reply(ctx);
}

SEC("xdp")
int check_core(struct xdp_md *ctx)
{
	u64 verdict;

	state.backend_number = 0;
	state.l3_len = 0;
	verdict = forward_or_reply(ctx);
	checked(verdict); /* clang knows its range, the verifier doesn't */
	if (verdict >= VERDICT_COUNT)
		return XDP_ABORTED;
	state.verdict = verdict;
	switch (verdict_action((enum verdict)verdict)) {
	case ACTION_FORWARD:
	case ACTION_REPLY:
		return XDP_TX;
	case ACTION_PASS:
		return XDP_PASS;
	default:
		return XDP_DROP;
	}
}

char check_license[] SEC("license") = "Dual BSD/GPL";
