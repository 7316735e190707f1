/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* shunt-decap in the kernel: takes the encapsulation off before the kernel looks at the packet, as
 * an XDP program or behind tc's clsact. One decision (dataplane/decap/frame.h), two ways of taking
 * bytes out of a frame and of reading those that are far behind.
 *
 * tc: what the kernel knows about a packet's checksum has to stay true. The bytes that are taken out
 * leave its sum by themselves, and a NIC's "verified", which was about the outer UDP header, is
 * withdrawn (bpf_skb_adjust_room does both). An ECN field that changes inside IPv4 leaves the sum as
 * it is, since the header's checksum follows; inside IPv6 the sum has to be told. Where the families
 * differ, bpf_skb_change_proto() makes the packet one of the inner family first, and the bytes that
 * this adds or takes are reckoned with: the flags that adjust_room has for it are newer than
 * Debian 12's kernel. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "dataplane/decap/frame.h"
#include "dataplane/decap/kernel_maps.h"

enum { CHUNK_BYTES = 512, CHUNKS_MAX = 65536 / CHUNK_BYTES };

/* Of no type of ours, since the skeleton repeats it where there may be none. */
const volatile unsigned short gue_port; /* be16 */
const volatile bool from_given, vips_given;

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LIST_PREFIXES_MAX);
	__type(key, struct list_key);
	__type(value, u32);
} decap_from SEC(".maps"), decap_vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LIST_LOCAL_MAX);
	__type(key, struct list_key);
	__type(value, u32);
} decap_local SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counters);
} decap_counts SEC(".maps");

/* Of the packet at hand; on the stack there is no room for it. */
struct scratch {
	struct frame frame;
	u8 chunk[CHUNK_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} decap_scratch SEC(".maps");

struct judge {
	void *context; /* struct xdp_md or struct __sk_buff */
	bool is_skb;   /* constant */
};

/* --- Lists ---------------------------------------------------------------------------- */

static always_inline bool list_has(void *list, const struct addr *addr)
{
	struct list_key key = list_key_of(addr, addr_is_v4(addr), 128);

	return bpf_map_lookup_elem(list, &key) != NULL;
}

static always_inline bool frame_local(const struct judge *judge, const struct addr *addr)
{
	return list_has(&decap_local, addr);
}

static always_inline bool judge_source_allowed(const struct judge *judge, const struct addr *source)
{
	return !from_given || list_has(&decap_from, source);
}

static always_inline enum decap_verdict judge_destination(const struct judge *judge,
							  const struct addr *vip)
{
	if (vips_given && !list_has(&decap_vips, vip))
		return DECAP_INNER_DESTINATION;
	return list_has(&decap_local, vip) ? DECAP_DELIVERED : DECAP_INNER_NOT_LOCAL;
}

static always_inline bool judge_nested(const struct judge *judge, struct span span,
				       const struct inner *inner)
{
	return inner_is_wrapped(span, inner, gue_port);
}

/* --- Sums of bytes far behind ------------------------------------------------------ */

struct summing {
	void *context;
	u32 offset;
	u32 left_bytes;
	u64 sum;
	bool failed;
};

/* The next bytes of it into the scratch, zeros behind them; their sum. */
static always_inline long sum_chunk(struct summing *summing, bool is_skb)
{
	u32 zero = 0;
	u32 n = summing->left_bytes < CHUNK_BYTES ? summing->left_bytes : CHUNK_BYTES;
	u64 last = n - 1;
	struct scratch *scratch = bpf_map_lookup_elem(&decap_scratch, &zero);
	long err;

	if (!scratch || n == 0)
		return 1;
	/* 1 to CHUNK_BYTES, as Linux 6.1 can follow it too. */
	hide_value(last);
	n = (u32)(last & (CHUNK_BYTES - 1)) + 1;
	if (n < CHUNK_BYTES)
		__builtin_memset(scratch->chunk, 0, CHUNK_BYTES);
	err = is_skb ? bpf_skb_load_bytes(summing->context, summing->offset, scratch->chunk, n)
		     : bpf_xdp_load_bytes(summing->context, summing->offset, scratch->chunk, n);
	if (err) {
		summing->failed = true;
		return 1;
	}
	summing->sum += (u32)bpf_csum_diff(NULL, 0, (__be32 *)scratch->chunk, CHUNK_BYTES, 0);
	summing->offset += n;
	summing->left_bytes -= n;
	return 0;
}

static long sum_chunk_xdp(u32 index, struct summing *summing)
{
	return sum_chunk(summing, false);
}

static long sum_chunk_skb(u32 index, struct summing *summing)
{
	return sum_chunk(summing, true);
}

static always_inline bool frame_sum(const struct judge *judge, u32 offset, u32 len_bytes, u64 *sum)
{
	struct summing summing = {
		.context = judge->context,
		.offset = offset,
		.left_bytes = len_bytes,
	};

	if (judge->is_skb)
		bpf_loop(CHUNKS_MAX, sum_chunk_skb, &summing, 0);
	else
		bpf_loop(CHUNKS_MAX, sum_chunk_xdp, &summing, 0);
	*sum += summing.sum;
	return !summing.failed && summing.left_bytes == 0;
}

/* --- Counting ------------------------------------------------------------------------- */

static always_inline void count(const struct frame *frame, enum decap_verdict verdict)
{
	u32 zero = 0, number = verdict;
	struct counters *counters = bpf_map_lookup_elem(&decap_counts, &zero);

	if (!counters || number >= DECAP_VERDICT_COUNT)
		return;
	counters->verdicts[number]++;
	if (frame->outer.carrier == CARRIER_GUE)
		counters->notes[NOTE_RECEIVED_GUE]++;
	else if (frame->outer.carrier == CARRIER_PROTOCOL_4)
		counters->notes[NOTE_RECEIVED_PROTOCOL_4]++;
	else
		counters->notes[NOTE_RECEIVED_PROTOCOL_41]++;
	counters->notes[NOTE_ECN_UNEXPECTED] += frame->result.ecn_unexpected;
	if (verdict != DECAP_DELIVERED)
		return;
	counters->notes[NOTE_DELIVERED_BYTES] += frame->result.inner.len_bytes;
	counters->notes[NOTE_ECN_CHANGED] += frame->result.ecn_changed;
}

static always_inline be16 inner_type(const struct frame *frame)
{
	return frame->result.inner.is_v4 ? BE16(ETHERTYPE_IPV4) : BE16(ETHERTYPE_IPV6);
}

static always_inline struct frame *frame_new(void)
{
	u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&decap_scratch, &zero);

	if (!scratch)
		return NULL;
	scratch->frame = (struct frame){0};
	return &scratch->frame;
}

/* --- XDP ------------------------------------------------------------------------------ */

/* Moves the first l2_bytes, a constant, behind what is taken out. */
static always_inline enum decap_verdict xdp_unwrap_as(struct xdp_md *ctx, const struct frame *frame,
						      u32 l2_bytes)
{
	u8 *start = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;
	u8 l2[ETHERNET_HEADER_BYTES + FRAME_TAGS_MAX * VLAN_TAG_BYTES];
	be16 type = inner_type(frame);

	if (start + l2_bytes > end)
		return DECAP_DEVICE;
	__builtin_memcpy(l2, start, l2_bytes);
	__builtin_memcpy(l2 + l2_bytes - 2, &type, 2);
	if (bpf_xdp_adjust_head(ctx, (int)frame->overhead_bytes))
		return DECAP_DEVICE;
	start = (u8 *)(long)ctx->data;
	end = (u8 *)(long)ctx->data_end;
	if (start + l2_bytes > end)
		return DECAP_DEVICE;
	__builtin_memcpy(start, l2, l2_bytes);
	return DECAP_DELIVERED;
}

static always_inline enum decap_verdict xdp_unwrap(struct xdp_md *ctx, const struct frame *frame)
{
	switch (frame->l2_bytes) {
	case ETHERNET_HEADER_BYTES:
		return xdp_unwrap_as(ctx, frame, ETHERNET_HEADER_BYTES);
	case ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES:
		return xdp_unwrap_as(ctx, frame, ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES);
	default:
		return xdp_unwrap_as(ctx, frame, ETHERNET_HEADER_BYTES + 2 * VLAN_TAG_BYTES);
	}
}

SEC("xdp.frags")
int shunt_decap_xdp(struct xdp_md *ctx)
{
	const struct judge judge = {.context = ctx};
	struct cursor cursor = {(u8 *)(long)ctx->data, (u8 *)(long)ctx->data_end};
	struct frame *frame = frame_new();
	enum decap_verdict verdict;

	if (!frame)
		return XDP_PASS;
	verdict = frame_decide(&judge, cursor, (u32)bpf_xdp_get_buff_len(ctx), FRAME_TAGS_MAX,
			       gue_port, frame);
	if ((u32)verdict == FRAME_PASS)
		return XDP_PASS;
	if (verdict == DECAP_DELIVERED)
		verdict = xdp_unwrap(ctx, frame);
	count(frame, verdict);
	return verdict == DECAP_DELIVERED ? XDP_PASS : XDP_DROP;
}

/* --- tc ------------------------------------------------------------------------------- */

/* What the kernel knows of the packet's sum, after byte 1 of the inner IPv6 header has changed. */
static always_inline void skb_sum_ecn(struct __sk_buff *skb, const struct frame *frame)
{
	const struct decap_result *result = &frame->result;
	u32 after, before;

	if (bpf_skb_load_bytes(skb, frame->l2_bytes + frame->overhead_bytes, &after, 4))
		return;
	before = (after & ~BE32(3 << 20)) | BE32((u32)result->ecn_before << 20);
	bpf_csum_update(skb, (u32)bpf_csum_diff(&before, 4, &after, 4, 0));
}

static always_inline enum decap_verdict skb_unwrap(struct __sk_buff *skb, const struct frame *frame)
{
	const int grown_bytes = IPV6_HEADER_BYTES - IPV4_HEADER_BYTES;
	be16 type = inner_type(frame);
	int overhead_bytes = (int)frame->overhead_bytes;

	if (frame->outer_v6 == frame->result.inner.is_v4) {
		if (bpf_skb_change_proto(skb, type, 0))
			return DECAP_DEVICE;
		overhead_bytes += frame->outer_v6 ? -grown_bytes : grown_bytes;
	}
	if (bpf_skb_adjust_room(skb, -overhead_bytes, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) ||
	    bpf_skb_store_bytes(skb, offsetof(struct ethernet_header, type), &type, sizeof(type),
				0))
		return DECAP_DEVICE;
	return DECAP_DELIVERED;
}

SEC("tc")
int shunt_decap_tc(struct __sk_buff *skb)
{
	const struct judge judge = {.context = skb, .is_skb = true};
	struct cursor cursor = {(u8 *)(long)skb->data, (u8 *)(long)skb->data_end};
	u32 wanted_bytes = skb->len < FRAME_HEADERS_BYTES ? skb->len : FRAME_HEADERS_BYTES;
	struct frame *frame = frame_new();
	enum decap_verdict verdict;

	if (!frame)
		return TC_ACT_UNSPEC;
	if (cursor.position + FRAME_HEADERS_BYTES > cursor.end) {
		bpf_skb_pull_data(skb, wanted_bytes);
		cursor = (struct cursor){(u8 *)(long)skb->data, (u8 *)(long)skb->data_end};
	}
	/* The kernel has taken the VLAN tag off already; a second one is left to it. */
	verdict = frame_decide(&judge, cursor, skb->len, 0, gue_port, frame);
	if ((u32)verdict == FRAME_PASS)
		return TC_ACT_UNSPEC;
	if (verdict == DECAP_DELIVERED) {
		if (frame->result.ecn_changed && !frame->result.inner.is_v4)
			skb_sum_ecn(skb, frame);
		verdict = skb_unwrap(skb, frame);
	}
	count(frame, verdict);
	return verdict == DECAP_DELIVERED ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

char decap_license[] SEC("license") = "Dual BSD/GPL";
