/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* shunt-decap in the kernel: one body for an XDP program and for a tc classifier at ingress.
 *
 * The body reads and writes frames by the kernel's helpers, never by pointer: these know fragments of
 * a frame (XDP) and pages behind its head (tc), need no headroom pulled into the head, and leave the
 * verifier nothing to prove. Only how the outer headers are cut off differs between the two.
 *
 * A frame is ours if it is of IPIP or to the GUE port and its outer destination is an address of this
 * host: whatever else passes as it came, broken IP headers included, which the host refuses by itself.
 * What is ours ends in one verdict of dataplane/decap/verdict.h, by the rules that the tun mode has.
 *
 * The host goes on with the inner packet as if it had come in without a tunnel: it checks it again,
 * and cuts padding off. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "dataplane/core/wire.h"
#include "dataplane/decap/inner.h"
#include "dataplane/decap/program.h"
#include "dataplane/decap/rules.h"

const volatile struct decap_settings settings;

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, DECAP_PREFIXES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct decap_prefix_key);
	__type(value, u8);
} from SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, DECAP_PREFIXES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct decap_prefix_key);
	__type(value, u8);
} vips SEC(".maps");

/* Those of this host. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DECAP_ADDRESSES_MAX);
	__type(key, struct addr);
	__type(value, u8);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct decap_counts);
} counts SEC(".maps");

enum { NOT_OURS = -1 };

_Static_assert((int)NOTE_RECEIVED_GUE - (int)NOTE_RECEIVED_PROTOCOL_4 ==
		       (int)CARRIER_GUE - (int)CARRIER_PROTOCOL_4,
	       "in one order");

/* --- Frames --------------------------------------------------------------------------- */

struct frame {
	void *ctx;
	bool is_xdp; /* a constant in each program */
};

static always_inline u32 frame_bytes(const struct frame *frame)
{
	return frame->is_xdp ? (u32)bpf_xdp_get_buff_len(frame->ctx)
			     : ((struct __sk_buff *)frame->ctx)->len;
}

static always_inline bool frame_load(const struct frame *frame, u32 offset, void *to, u32 len)
{
	return (frame->is_xdp ? bpf_xdp_load_bytes(frame->ctx, offset, to, len)
			      : bpf_skb_load_bytes(frame->ctx, offset, to, len)) == 0;
}

static always_inline bool frame_store(const struct frame *frame, u32 offset, void *bytes, u32 len)
{
	return (frame->is_xdp ? bpf_xdp_store_bytes(frame->ctx, offset, bytes, len)
			      : bpf_skb_store_bytes(frame->ctx, offset, bytes, len,
						    BPF_F_RECOMPUTE_CSUM)) == 0;
}

/* --- Outer headers -------------------------------------------------------------------- */

struct outer {
	struct ethernet_header ethernet;
	struct addr source, destination;
	enum decap_carrier carrier;
	enum decap_verdict defect; /* DECAP_DELIVERED: none */
	u32 offset;                /* in the frame, of what is carried */
	u32 len_bytes;             /* of what is carried */
	bool is_v4;
	bool is_piece;
	u8 protocol;
	u8 ecn;
};

/* The sum of an IPv4 header's options, which are rare. */
static always_inline u64 options_sum(const struct frame *frame, u32 header_len)
{
	u64 sum = 0;

	for (u32 i = IPV4_HEADER_BYTES; i < 60; i += 4) {
		u32 word = 0;

		if (i < header_len && frame_load(frame, ETHERNET_HEADER_BYTES + i, &word, 4))
			sum += word;
	}
	return sum;
}

/* Fills in what the header says, and what is wrong with it; false where it is none. */
static always_inline bool outer_v4_read(const struct frame *frame, struct outer *outer)
{
	u32 left = frame_bytes(frame) - ETHERNET_HEADER_BYTES, header_len = 0, total_len;
	struct ipv4_header header;
	u64 sum;

	if (!frame_load(frame, ETHERNET_HEADER_BYTES, &header, sizeof(header)) ||
	    header.version_ihl >> 4 != 4)
		return false;
	outer->is_v4 = true;
	outer->protocol = header.protocol;
	outer->source = addr_from_v4(header.source);
	outer->destination = addr_from_v4(header.destination);
	outer->is_piece = (header.fragment & IPV4_MF_OR_OFFSET) != 0;
	total_len = be16_to_cpu(header.total_len);
	outer->defect = decap_outer_v4((const u8 *)&header, total_len < left ? total_len : left,
				       &header_len, &outer->ecn);
	if (total_len > left)
		outer->defect = DECAP_OUTER_TRUNCATED;
	if (outer->defect != DECAP_DELIVERED)
		header_len = IPV4_HEADER_BYTES;
	sum = csum_words(&header, IPV4_HEADER_BYTES / 4);
	if (header_len > IPV4_HEADER_BYTES)
		sum += options_sum(frame, header_len);
	if (outer->defect == DECAP_DELIVERED && csum_fold(sum) != 0xffff)
		outer->defect = DECAP_OUTER_CHECKSUM;
	outer->offset = ETHERNET_HEADER_BYTES + header_len;
	outer->len_bytes = total_len - header_len;
	/* Only a first piece says what it carries. */
	return outer->protocol != PROTOCOL_UDP || !(header.fragment & IPV4_OFFSET);
}

static always_inline bool fragment_read(const struct frame *frame, struct outer *outer)
{
	struct fragment_header header;

	if (!frame_load(frame, outer->offset, &header, sizeof(header)))
		return false;
	outer->is_piece = true;
	outer->protocol = header.next_header;
	outer->offset += sizeof(header);
	outer->len_bytes -= sizeof(header);
	return outer->protocol != PROTOCOL_UDP || !(header.offset & FRAGMENT_OFFSET);
}

static always_inline bool outer_v6_read(const struct frame *frame, struct outer *outer)
{
	u32 left = frame_bytes(frame) - ETHERNET_HEADER_BYTES;
	struct ipv6_header header;

	if (!frame_load(frame, ETHERNET_HEADER_BYTES, &header, sizeof(header)) ||
	    be32_to_cpu(header.version_class_label) >> 28 != 6)
		return false;
	outer->protocol = header.next_header;
	__builtin_memcpy(outer->source.bytes, header.source, 16);
	__builtin_memcpy(outer->destination.bytes, header.destination, 16);
	outer->ecn = (be32_to_cpu(header.version_class_label) >> 20) & 3;
	outer->offset = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES;
	outer->len_bytes = be16_to_cpu(header.payload_len);
	if (outer->len_bytes > left - IPV6_HEADER_BYTES)
		outer->defect = DECAP_OUTER_TRUNCATED;
	/* A v4-mapped address means IPv4 in here, and is nobody's on the wire. */
	return !addr_is_v4(&outer->destination) &&
	       (outer->protocol != PROTOCOL_FRAGMENT || fragment_read(frame, outer));
}

static always_inline bool udp_read(const struct frame *frame, struct outer *outer)
{
	struct udp_header header;
	u32 len;

	if (!frame_load(frame, outer->offset, &header, sizeof(header)) ||
	    header.destination_port != settings.gue_port)
		return false;
	len = be16_to_cpu(header.len);
	if (outer->defect == DECAP_DELIVERED && !outer->is_piece &&
	    (len < UDP_HEADER_BYTES || len > outer->len_bytes))
		outer->defect = DECAP_OUTER_TRUNCATED;
	outer->offset += UDP_HEADER_BYTES;
	outer->len_bytes = len - UDP_HEADER_BYTES;
	return true;
}

static always_inline bool carrier_read(const struct frame *frame, struct outer *outer)
{
	switch (outer->protocol) {
	case PROTOCOL_IPV4:
		outer->carrier = CARRIER_PROTOCOL_4;
		return true;
	case PROTOCOL_IPV6:
		outer->carrier = CARRIER_PROTOCOL_41;
		return true;
	case PROTOCOL_UDP:
		outer->carrier = CARRIER_GUE;
		return udp_read(frame, outer);
	default:
		return false;
	}
}

/* Whether a frame is ours. */
static always_inline bool outer_read(const struct frame *frame, struct outer *outer)
{
	if (!frame_load(frame, 0, &outer->ethernet, sizeof(outer->ethernet)))
		return false;
	if (outer->ethernet.type == BE16(ETHERTYPE_IPV4)) {
		if (!outer_v4_read(frame, outer))
			return false;
	} else if (outer->ethernet.type != BE16(ETHERTYPE_IPV6) || !outer_v6_read(frame, outer)) {
		return false;
	}
	return carrier_read(frame, outer) && bpf_map_lookup_elem(&addresses, &outer->destination);
}

/* --- The inner packet ----------------------------------------------------------------- */

static always_inline bool prefix_allows(void *map, bool any, const struct addr *addr, bool is_v4)
{
	struct decap_prefix_key key = {
		.len_bits = DECAP_FAMILY_BITS + 128,
		.family = is_v4 ? 4 : 6,
	};

	if (any)
		return true;
	__builtin_memcpy(key.bytes, addr->bytes, sizeof(key.bytes));
	return bpf_map_lookup_elem(map, &key);
}

/* As many bytes of a header as rules may read, of those that are there. */
static always_inline bool start_load(const struct frame *frame, u32 offset, u32 len,
				     u8 bytes[static IPV6_HEADER_BYTES])
{
	if (len >= IPV6_HEADER_BYTES)
		return frame_load(frame, offset, bytes, IPV6_HEADER_BYTES);
	if (len >= IPV4_HEADER_BYTES)
		return frame_load(frame, offset, bytes, IPV4_HEADER_BYTES);
	if (len >= GUE_HEADER_BYTES)
		return frame_load(frame, offset, bytes, GUE_HEADER_BYTES);
	return len == 0 || frame_load(frame, offset, bytes, 1);
}

static always_inline enum decap_verdict inner_read(const struct frame *frame, struct outer *outer,
						   u8 bytes[static IPV6_HEADER_BYTES],
						   struct inner *inner)
{
	enum decap_verdict verdict;
	u32 offset = 0;
	u8 protocol = 0;

	if (!start_load(frame, outer->offset, outer->len_bytes, bytes))
		return DECAP_OUTER_TRUNCATED;
	verdict = decap_carrier_open(outer->carrier, bytes, outer->len_bytes, &offset, &protocol);
	if (verdict != DECAP_DELIVERED)
		return verdict;
	outer->offset += offset;
	outer->len_bytes -= offset;
	if (offset > 0 && !start_load(frame, outer->offset, outer->len_bytes, bytes))
		return DECAP_OUTER_TRUNCATED;
	return inner_check(bytes, outer->len_bytes, protocol, inner);
}

/* --- Cutting -------------------------------------------------------------------------- */

static always_inline bool cut_xdp(struct xdp_md *ctx, const struct frame *frame,
				  struct outer *outer)
{
	u32 overhead = outer->offset - ETHERNET_HEADER_BYTES;

	return frame_store(frame, overhead, &outer->ethernet, sizeof(outer->ethernet)) &&
	       bpf_xdp_adjust_head(ctx, (int)overhead) == 0;
}

/* Changing the family by bpf_skb_change_proto() takes 20 bytes off the outer header or adds them, and
 * the rest is cut after it. BPF_F_ADJ_ROOM_DECAP_L3_*, which say the same, came with Linux 6.3. */
static always_inline bool cut_tc(struct __sk_buff *ctx, const struct frame *frame,
				 struct outer *outer, bool inner_is_v4)
{
	int overhead = (int)outer->offset - ETHERNET_HEADER_BYTES;
	int grown = inner_is_v4 ? IPV4_HEADER_BYTES - IPV6_HEADER_BYTES
				: IPV6_HEADER_BYTES - IPV4_HEADER_BYTES;

	if (bpf_skb_store_bytes(ctx, 0, &outer->ethernet, sizeof(outer->ethernet), 0) != 0)
		return false;
	if (outer->is_v4 != inner_is_v4) {
		if (bpf_skb_change_proto(ctx, outer->ethernet.type, 0) != 0)
			return false;
		overhead += grown;
	}
	return bpf_skb_adjust_room(ctx, -overhead, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) == 0;
}

static always_inline bool frame_cut(const struct frame *frame, struct outer *outer,
				    bool inner_is_v4)
{
	outer->ethernet.type = inner_is_v4 ? BE16(ETHERTYPE_IPV4) : BE16(ETHERTYPE_IPV6);
	return frame->is_xdp ? cut_xdp(frame->ctx, frame, outer)
			     : cut_tc(frame->ctx, frame, outer, inner_is_v4);
}

/* --- The whole ------------------------------------------------------------------------ */

static always_inline enum decap_verdict deliver(const struct frame *frame, struct outer *outer,
						struct inner *inner, struct decap_counts *count)
{
	struct ecn_choice choice = decap_ecn(inner->ecn, outer->ecn);
	bool changed = choice.ecn != inner->ecn;

	count->notes[NOTE_ECN_UNEXPECTED] += choice.unexpected;
	if (choice.drop)
		return DECAP_ECN;
	if (changed) {
		inner_ecn_set(inner, choice.ecn);
		if (!frame_store(frame, outer->offset, inner->start, 12))
			return DECAP_DEVICE;
	}
	if (!frame_cut(frame, outer, inner->is_v4))
		return DECAP_DEVICE;
	count->notes[NOTE_ECN_CHANGED] += changed;
	count->notes[NOTE_DELIVERED_BYTES] += inner->len_bytes;
	return DECAP_DELIVERED;
}

static always_inline enum decap_verdict handle(const struct frame *frame, struct outer *outer,
					       struct decap_counts *count)
{
	u8 bytes[IPV6_HEADER_BYTES] = {};
	enum decap_verdict verdict;
	struct inner inner;

	if (outer->defect != DECAP_DELIVERED)
		return outer->defect;
	if (!prefix_allows(&from, settings.from_any, &outer->source, outer->is_v4))
		return DECAP_OUTER_SOURCE;
	if (outer->is_piece)
		return DECAP_OUTER_FRAGMENT;
	verdict = inner_read(frame, outer, bytes, &inner);
	if (verdict != DECAP_DELIVERED)
		return verdict;
	if (!prefix_allows(&vips, settings.vips_any, &inner.destination, inner.is_v4))
		return DECAP_INNER_DESTINATION;
	if (inner.transport_protocol == PROTOCOL_IPV4 || inner.transport_protocol == PROTOCOL_IPV6)
		return DECAP_NESTED;
	return deliver(frame, outer, &inner, count);
}

/* NOT_OURS, or the verdict. */
static always_inline int decapsulate(const struct frame *frame)
{
	struct outer outer = {};
	struct decap_counts *count;
	enum decap_verdict verdict;
	u32 zero = 0;

	if (!outer_read(frame, &outer))
		return NOT_OURS;
	count = bpf_map_lookup_elem(&counts, &zero);
	if (!count)
		return NOT_OURS;
	if ((u32)outer.carrier <= CARRIER_GUE)
		count->notes[NOTE_RECEIVED_PROTOCOL_4 + outer.carrier]++;
	verdict = handle(frame, &outer, count);
	if ((u32)verdict < DECAP_VERDICT_COUNT)
		count->verdicts[verdict]++;
	return (int)verdict;
}

SEC("xdp.frags")
int decap_xdp(struct xdp_md *ctx)
{
	struct frame frame = {.ctx = ctx, .is_xdp = true};
	int verdict = decapsulate(&frame);

	return verdict == NOT_OURS || verdict == DECAP_DELIVERED ? XDP_PASS : XDP_DROP;
}

/* A frame whose VLAN tag the hardware has taken off is not one of this interface. What is left alone or
 * delivered goes on to whatever classifier comes next. */
SEC("tc")
int decap_tc(struct __sk_buff *ctx)
{
	struct frame frame = {.ctx = ctx};
	int verdict = ctx->vlan_present ? NOT_OURS : decapsulate(&frame);

	return verdict == NOT_OURS || verdict == DECAP_DELIVERED ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

char decap_license[] SEC("license") = "Dual BSD/GPL";
