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
				 const struct flow_key *key)
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

	if (bpf_xdp_adjust_head(ctx, -(int)overhead))
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

	if (!reply_consider(&env, &state.station, cursor, (u32)(cursor.end - cursor.position),
			    &state.packet, (enum verdict)verdict, &state.reply))
		return verdict;
	return state.reply.verdict;
}

/* The reply's lengths, constant for each kind. */
static always_inline enum verdict reply_as(struct xdp_md *ctx, enum verdict verdict,
					   u32 grown_bytes, u32 written_bytes)
{
	u8 *out, *end;
	u64 bytes;

	if (bpf_xdp_adjust_head(ctx, -(int)grown_bytes))
		return VERDICT_NO_HEADROOM;
	out = (u8 *)(long)ctx->data;
	end = (u8 *)(long)ctx->data_end;
	if (out + written_bytes > end)
		return VERDICT_NO_HEADROOM;
	reply_write_as(out, &state.reply, verdict);
	bytes = (u64)(end - out);
	checked(bytes);
	if (bpf_xdp_adjust_tail(ctx, (int)(state.reply.frame_bytes - (u32)bytes)))
		return VERDICT_NO_HEADROOM;
	return verdict;
}

__attribute__((noinline)) int check_reply(struct xdp_md *ctx)
{
	if (state.reply.verdict == VERDICT_ARP)
		return reply_as(ctx, VERDICT_ARP, 0, ARP_FRAME_BYTES);
	return reply_as(ctx, VERDICT_NEIGHBOUR, REPLY_GROWN_MAX, ADVERTISEMENT_FRAME_BYTES);
}

static always_inline enum verdict forward(struct xdp_md *ctx)
{
	enum verdict verdict = (enum verdict)check_parse(ctx);
	enum verdict last;

	if (verdict == VERDICT_UNDECIDED)
		verdict = (enum verdict)check_service();
	if (verdict != VERDICT_UNDECIDED) {
		verdict = (enum verdict)check_consider(ctx, verdict);
		if (verdict == VERDICT_ARP || verdict == VERDICT_NEIGHBOUR)
			verdict = (enum verdict)check_reply(ctx);
		return verdict;
	}
	verdict = (enum verdict)check_pick();
	if (verdict != VERDICT_FLOW && verdict != VERDICT_MAGLEV)
		return verdict;
	last = (enum verdict)check_wrap(ctx);
	return last == VERDICT_UNDECIDED ? verdict : last;
}

SEC("xdp")
int check_core(struct xdp_md *ctx)
{
	u64 verdict;

	state.backend_number = 0;
	state.l3_len = 0;
	verdict = forward(ctx);
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
