/* SPDX-License-Identifier: BSD-2-Clause */
/* shunt-decap's programs in the kernel, XDP and tc: every pair of families behind every carrier with
 * every pair of ECN fields of RFC 6040 figure 4, byte for byte; every reason to refuse; and what is
 * none of their business. Frames and what must come of them are written out by hand from the RFCs. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "dataplane/decap/program.h"
#include "tests/unit/cmocka_help.h"

#include "bpf/decap.skel.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

enum { FRAME_MAX = 512, CPUS_MAX = 1024, VERIFIED_MAX = 50000, PORT = 6080 };

enum carrier { IPIP, GUE, GUE_DIRECT, CARRIERS };

struct frame {
	u8 bytes[FRAME_MAX];
	u32 len;
	u32 outer; /* offsets */
	u32 carried;
	u32 inner;
};

static struct decap_bpf *skeleton;
static struct decap_counts counts[CPUS_MAX];

/* --- Frames --------------------------------------------------------------------------- */

static void put16(u8 *bytes, u32 value)
{
	bytes[0] = (u8)(value >> 8);
	bytes[1] = (u8)value;
}

static u32 get16(const u8 *bytes)
{
	return (u32)bytes[0] << 8 | bytes[1];
}

/* RFC 1071, and RFC 791's header checksum by it. */
static void seal(u8 *header)
{
	u32 len = (header[0] & 15) * 4u, sum = 0;

	put16(header + 10, 0);
	for (u32 i = 0; i < len; i += 2)
		sum += get16(header + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put16(header + 10, ~sum & 0xffff);
}

static void address_put(u8 *to, bool v4, const char *text)
{
	assert_int_equal(inet_pton(v4 ? AF_INET : AF_INET6, text, to), 1);
}

/* An IP header at the end of the frame for `len` bytes behind it. */
static void header_add(struct frame *frame, bool v4, u32 protocol, u32 len, u32 ecn,
		       const char *source, const char *destination)
{
	u8 *header = frame->bytes + frame->len;

	frame->len += v4 ? 20 : 40;
	if (!v4) {
		header[0] = 0x60;
		header[1] = (u8)(ecn << 4);
		put16(header + 4, len);
		header[6] = (u8)protocol;
		header[7] = 64;
	} else {
		memcpy(header, (u8[]){0x45, (u8)ecn, 0, 0, 0x12, 0x34, 0x40, 0, 64, (u8)protocol},
		       10);
		put16(header + 2, 20 + len);
	}
	address_put(header + (v4 ? 12 : 8), v4, source);
	address_put(header + (v4 ? 16 : 24), v4, destination);
	if (v4)
		seal(header);
}

static void bytes_add(struct frame *frame, const void *bytes, u32 len)
{
	memcpy(frame->bytes + frame->len, bytes, len);
	frame->len += len;
}

enum { PAYLOAD = 21 };

/* A datagram for the VIP, as the client sent it. */
static void inner_add(struct frame *frame, bool v4, u32 ecn)
{
	frame->inner = frame->len;
	header_add(frame, v4, 17, 8 + PAYLOAD, ecn, v4 ? "198.51.100.2" : "2001:db8:1::2",
		   v4 ? "203.0.113.10" : "2001:db8:ff::10");
	bytes_add(frame, (u8[]){0x0f, 0xa0, 0, 7, 0, 8 + PAYLOAD, 0, 0}, 8);
	for (u32 i = 0; i < PAYLOAD; i++)
		bytes_add(frame, (u8[]){(u8)(i * 7)}, 1);
}

static void ethernet_add(struct frame *frame, bool v4)
{
	bytes_add(frame,
		  (u8[]){2, 0, 0, 0, 0, 0xf2, 2, 0, 0, 0, 0, 2, v4 ? 8 : 0x86, v4 ? 0 : 0xdd}, 14);
}

static struct frame frame_make(enum carrier carrier, bool outer_v4, u32 outer_ecn, bool inner_v4,
			       u32 inner_ecn)
{
	u32 len = (inner_v4 ? 20 : 40) + 8 + PAYLOAD, gue = carrier == GUE ? 4 : 0;
	u8 protocol = inner_v4 ? 4 : 41;
	struct frame frame = {.outer = 14};

	ethernet_add(&frame, outer_v4);
	if (carrier != IPIP)
		len += 8 + gue;
	header_add(&frame, outer_v4, carrier == IPIP ? protocol : 17, len, outer_ecn,
		   outer_v4 ? "10.0.0.1" : "fd00::1", outer_v4 ? "10.0.0.254" : "fd00::fe");
	frame.carried = frame.len;
	if (carrier != IPIP)
		bytes_add(&frame, (u8[]){0xc0, 0, PORT >> 8, PORT & 0xff, 0, (u8)len, 0, 0}, 8);
	bytes_add(&frame, (u8[]){0, protocol, 0, 0}, gue);
	inner_add(&frame, inner_v4, inner_ecn);
	return frame;
}

/* --- Running -------------------------------------------------------------------------- */

static struct decap_counts counts_read(void)
{
	struct decap_counts sum = {};
	u64 *words = (u64 *)&sum;
	u32 zero = 0;

	assert_in_range(libbpf_num_possible_cpus(), 1, CPUS_MAX);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.counts), &zero, counts), 0);
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		for (u32 i = 0; i < sizeof(sum) / sizeof(u64); i++)
			words[i] += ((const u64 *)&counts[cpu])[i];
	return sum;
}

struct outcome {
	u8 bytes[FRAME_MAX];
	u32 len;
	bool stays; /* goes on into the host */
	struct decap_counts moved;
};

static void run_as(bool xdp, const struct frame *frame, u32 gso_bytes, struct outcome *outcome)
{
	struct decap_counts before = counts_read(), after;
	struct __sk_buff context = {.gso_size = gso_bytes};
	u32 stays = xdp ? XDP_PASS : (u32)TC_ACT_UNSPEC, drops = xdp ? XDP_DROP : TC_ACT_SHOT;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame->bytes, .data_size_in = frame->len,
		    .data_out = outcome->bytes, .data_size_out = sizeof(outcome->bytes),
		    .repeat = 1);

	if (gso_bytes) {
		run.ctx_in = &context;
		run.ctx_size_in = sizeof(context);
	}
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(xdp ? skeleton->progs.decap_xdp
								    : skeleton->progs.decap_tc),
						&run),
			 0);
	assert_true(run.retval == stays || run.retval == drops);
	outcome->stays = run.retval == stays;
	outcome->len = run.data_size_out;
	after = counts_read();
	for (u32 i = 0; i < sizeof(after) / sizeof(u64); i++)
		((u64 *)&outcome->moved)[i] = ((u64 *)&after)[i] - ((u64 *)&before)[i];
}

/* The only verdict that was counted, or DECAP_VERDICT_COUNT where none was. */
static enum decap_verdict verdict_of(const struct outcome *outcome)
{
	enum decap_verdict verdict = DECAP_VERDICT_COUNT;
	u64 sum = 0;

	for (u32 i = 0; i < DECAP_VERDICT_COUNT; i++) {
		sum += outcome->moved.verdicts[i];
		if (outcome->moved.verdicts[i])
			verdict = (enum decap_verdict)i;
	}
	assert_in_range(sum, 0, 1);
	assert_int_equal(outcome->moved.notes[NOTE_RECEIVED_PROTOCOL_4] +
				 outcome->moved.notes[NOTE_RECEIVED_PROTOCOL_41] +
				 outcome->moved.notes[NOTE_RECEIVED_GUE],
			 sum);
	return verdict;
}

static void expect_refused(const struct frame *frame, enum decap_verdict verdict, const char *text)
{
	for (u32 xdp = 0; xdp < 2; xdp++) {
		struct outcome outcome;

		run_as(xdp, frame, 0, &outcome);
		if (verdict_of(&outcome) != verdict || outcome.stays)
			fail_msg("%s (%s): verdict %u and not %u", text, xdp ? "xdp" : "tc",
				 verdict_of(&outcome), verdict);
	}
}

static void expect_left_alone(const struct frame *frame, const char *text)
{
	for (u32 xdp = 0; xdp < 2; xdp++) {
		struct outcome outcome;

		run_as(xdp, frame, 0, &outcome);
		if (verdict_of(&outcome) != DECAP_VERDICT_COUNT || !outcome.stays)
			fail_msg("%s (%s): taken for ours", text, xdp ? "xdp" : "tc");
		assert_int_equal(outcome.len, frame->len);
		assert_memory_equal(outcome.bytes, frame->bytes, frame->len);
	}
}

/* The inner packet behind the outer Ethernet header, with `ecn` for its own. */
static void expect_delivered(const struct frame *frame, bool inner_v4, u32 ecn)
{
	struct frame wanted = {};

	bytes_add(&wanted, frame->bytes, 12);
	bytes_add(&wanted, inner_v4 ? (u8[]){8, 0} : (u8[]){0x86, 0xdd}, 2);
	bytes_add(&wanted, frame->bytes + frame->inner, frame->len - frame->inner);
	if (inner_v4) {
		wanted.bytes[15] = (u8)((wanted.bytes[15] & 0xfc) | ecn);
		seal(wanted.bytes + 14);
	} else {
		wanted.bytes[15] = (u8)((wanted.bytes[15] & 0xcf) | ecn << 4);
	}
	for (u32 xdp = 0; xdp < 2; xdp++) {
		struct outcome outcome;

		run_as(xdp, frame, 0, &outcome);
		assert_int_equal(verdict_of(&outcome), DECAP_DELIVERED);
		assert_true(outcome.stays);
		assert_int_equal(outcome.len, wanted.len);
		assert_memory_equal(outcome.bytes, wanted.bytes, wanted.len);
		assert_int_equal(outcome.moved.notes[NOTE_DELIVERED_BYTES],
				 (inner_v4 ? 20 : 40) + 8 + PAYLOAD);
	}
}

/* --- Tests ---------------------------------------------------------------------------- */

/* RFC 6040 figure 4, as printed: rows are the inner field, columns the outer one, both in the order
 * Not-ECT, ECT(0), ECT(1), CE. */
enum { NOT_ECT = 0, ECT0 = 2, ECT1 = 1, CE = 3, DROP = 4 };

static const u8 order[] = {NOT_ECT, ECT0, ECT1, CE};
static const u8 figure_4[4][4] = {
	{NOT_ECT, NOT_ECT, NOT_ECT, DROP},
	{ECT0, ECT0, ECT1, CE},
	{ECT1, ECT1, ECT1, CE},
	{CE, CE, CE, CE},
};
/* Marked (!) or (!!!) there. */
static const bool unexpected[4][4] = {
	{false, true, true, true},
	{},
	{false, true, false, false},
	{false, false, true, false},
};

static void one_pair(enum carrier carrier, bool outer_v4, bool inner_v4, u32 row, u32 column)
{
	struct frame frame = frame_make(carrier, outer_v4, order[column], inner_v4, order[row]);
	struct outcome outcome;

	if (figure_4[row][column] == DROP)
		expect_refused(&frame, DECAP_ECN, "Not-ECT met congestion");
	else
		expect_delivered(&frame, inner_v4, figure_4[row][column]);
	run_as(true, &frame, 0, &outcome);
	assert_int_equal(outcome.moved.notes[NOTE_ECN_UNEXPECTED], unexpected[row][column]);
	assert_int_equal(outcome.moved.notes[NOTE_ECN_CHANGED],
			 figure_4[row][column] != DROP && figure_4[row][column] != order[row]);
	assert_int_equal(outcome.moved.notes[carrier != IPIP ? NOTE_RECEIVED_GUE
					     : inner_v4      ? NOTE_RECEIVED_PROTOCOL_4
							     : NOTE_RECEIVED_PROTOCOL_41],
			 1);
}

static void every_pair_comes_out(void **state)
{
	for (u32 carrier = 0; carrier < CARRIERS; carrier++)
		for (u32 families = 0; families < 4; families++)
			for (u32 i = 0; i < 16; i++)
				one_pair((enum carrier)carrier, families & 1, families & 2, i / 4,
					 i % 4);
}

/* The DSCP, the flow label and a checksum that was wrong already are not touched. */
static void only_ecn_is_changed(void **state)
{
	struct frame v4 = frame_make(GUE, false, CE, true, ECT0);
	struct frame v6 = frame_make(IPIP, true, CE, false, ECT0);
	struct outcome outcome;

	v4.bytes[v4.inner + 1] |= 0xb8;
	seal(v4.bytes + v4.inner);
	v6.bytes[v6.inner] = 0x6b;
	v6.bytes[v6.inner + 1] |= 0x8f;
	v6.bytes[v6.inner + 3] = 0x77;
	expect_delivered(&v4, true, CE);
	expect_delivered(&v6, false, CE);
	put16(v4.bytes + v4.inner + 10, get16(v4.bytes + v4.inner + 10) ^ 0x0100);
	run_as(true, &v4, 0, &outcome);
	assert_int_equal(verdict_of(&outcome), DECAP_DELIVERED);
	seal(v4.bytes + v4.inner);
	v4.bytes[v4.inner + 1] |= 3;
	seal(v4.bytes + v4.inner);
	assert_int_not_equal(get16(outcome.bytes + 14 + 10), get16(v4.bytes + v4.inner + 10));
}

static void options_and_padding(void **state)
{
	struct frame plain = frame_make(IPIP, true, 0, true, 0), frame = {.outer = 14};

	bytes_add(&frame, plain.bytes, 34);
	bytes_add(&frame, (u8[40]){1, 1, 1, 0}, 40); /* RFC 791: no operation, end */
	frame.inner = frame.len;
	bytes_add(&frame, plain.bytes + plain.inner, plain.len - plain.inner);
	frame.bytes[14] = 0x4f;
	put16(frame.bytes + 16, frame.len - 14);
	seal(frame.bytes + 14);
	expect_delivered(&frame, true, 0);
	frame.bytes[14 + 59] = 1;
	expect_refused(&frame, DECAP_OUTER_CHECKSUM, "an option against the checksum");
	bytes_add(&plain, "\0\0\0\0\0\0\0", 7);
	expect_delivered(&plain, true, 0); /* the host cuts it off, by the inner length */
}

enum { OUTER, CARRIED, INNER };

/* One or two bytes of a good frame changed. */
static const struct {
	const char *text;
	enum carrier carrier;
	bool outer_v4, inner_v4;
	u8 base;
	s64 offset;
	u8 value[2];
	enum decap_verdict verdict;
} bad[] = {
	{"IHL of 4", IPIP, 1, 1, OUTER, 0, {0x44, 0}, DECAP_OUTER_TRUNCATED},
	{"longer than the frame", IPIP, 1, 1, OUTER, 2, {2, 0}, DECAP_OUTER_TRUNCATED},
	{"shorter than a header", IPIP, 1, 1, OUTER, 2, {0, 19}, DECAP_OUTER_TRUNCATED},
	{"IPv6, longer than the frame", IPIP, 0, 1, OUTER, 4, {2, 0}, DECAP_OUTER_TRUNCATED},
	{"UDP length of 7", GUE, 1, 1, CARRIED, 4, {0, 7}, DECAP_OUTER_TRUNCATED},
	{"UDP beyond its packet", GUE, 0, 1, CARRIED, 4, {1, 0}, DECAP_OUTER_TRUNCATED},
	{"outer checksum", IPIP, 1, 1, OUTER, 10, {0, 1}, DECAP_OUTER_CHECKSUM},
	{"source 10.0.1.1", IPIP, 1, 0, OUTER, 14, {1, 1}, DECAP_OUTER_SOURCE},
	{"source fd00:0:0:1::1", GUE, 0, 0, OUTER, 14, {0, 1}, DECAP_OUTER_SOURCE},
	{"more fragments", IPIP, 1, 1, OUTER, 6, {0x20, 0}, DECAP_OUTER_FRAGMENT},
	{"a later fragment", IPIP, 1, 1, OUTER, 6, {0, 9}, DECAP_OUTER_FRAGMENT},
	{"a first fragment of GUE", GUE, 1, 1, OUTER, 6, {0x20, 0}, DECAP_OUTER_FRAGMENT},
	{"IPIP inside", IPIP, 1, 1, INNER, 8, {64, 4}, DECAP_NESTED},
	{"IPv6 inside IPv4 inside", GUE, 1, 1, INNER, 8, {64, 41}, DECAP_NESTED},
	{"IPIP inside IPv6", GUE, 0, 0, INNER, 6, {4, 64}, DECAP_NESTED},
	{"UDP without payload", GUE, 1, 1, CARRIED, 4, {0, 8}, DECAP_GUE_TRUNCATED},
	{"half a GUE header", GUE, 1, 1, CARRIED, 4, {0, 11}, DECAP_GUE_TRUNCATED},
	{"variant 2", GUE, 1, 1, CARRIED, 8, {0x80, 4}, DECAP_GUE_VARIANT},
	{"variant 3", GUE, 1, 1, CARRIED, 8, {0xc0, 4}, DECAP_GUE_VARIANT},
	{"variant 1 without IP", GUE, 1, 1, CARRIED, 8, {0x50, 4}, DECAP_GUE_VARIANT},
	{"control", GUE, 1, 1, CARRIED, 8, {0x20, 4}, DECAP_GUE_CONTROL},
	{"a flag", GUE, 1, 1, CARRIED, 10, {0x80, 0}, DECAP_GUE_FLAGS},
	{"private data", GUE, 1, 1, CARRIED, 8, {1, 4}, DECAP_GUE_PRIVATE},
	{"UDP in GUE", GUE, 1, 1, CARRIED, 8, {0, 17}, DECAP_GUE_PROTOCOL},
	{"half an inner header", GUE, 1, 1, CARRIED, 4, {0, 8 + 4 + 19}, DECAP_INNER_TRUNCATED},
	{"39 bytes of IPv6", GUE, 1, 0, CARRIED, 4, {0, 8 + 4 + 39}, DECAP_INNER_TRUNCATED},
	{"nothing inside", GUE, 1, 0, CARRIED, 4, {0, 8 + 4}, DECAP_INNER_TRUNCATED},
	{"IPv6 announced as 4", IPIP, 1, 0, OUTER, 8, {64, 4}, DECAP_INNER_VERSION},
	{"IPv4 announced as 41", GUE, 0, 1, CARRIED, 8, {0, 41}, DECAP_INNER_VERSION},
	{"inner IHL of 4", IPIP, 0, 1, INNER, 0, {0x44, 0}, DECAP_INNER_HEADER},
	{"inner length too large", IPIP, 0, 1, INNER, 2, {0, 50}, DECAP_INNER_LENGTH},
	{"inner IPv6 too long", IPIP, 0, 0, INNER, 4, {0, 30}, DECAP_INNER_LENGTH},
	{"to loopback", IPIP, 1, 1, INNER, 16, {127, 0}, DECAP_INNER_MARTIAN},
	{"from a group", IPIP, 1, 1, INNER, 12, {224, 0}, DECAP_INNER_MARTIAN},
	{"from fe80::", IPIP, 1, 0, INNER, 8, {0xfe, 0x80}, DECAP_INNER_MARTIAN},
	{"to 203.0.113.11", IPIP, 1, 1, INNER, 18, {113, 11}, DECAP_INNER_DESTINATION},
	{"to 2001:db8:ff::11", GUE, 0, 0, INNER, 38, {0, 0x11}, DECAP_INNER_DESTINATION},
	{"congestion", IPIP, 1, 1, OUTER, 0, {0x45, CE}, DECAP_ECN},
};

static void every_reason_to_refuse(void **state)
{
	bool seen[DECAP_VERDICT_COUNT] = {[DECAP_DELIVERED] = true, [DECAP_DEVICE] = true};

	for (u32 i = 0; i < ARRAY_LEN(bad); i++) {
		struct frame frame =
			frame_make(bad[i].carrier, bad[i].outer_v4, 0, bad[i].inner_v4, 0);
		u32 base[] = {frame.outer, frame.carried, frame.inner};
		u8 *outer = frame.bytes + frame.outer;

		memcpy(frame.bytes + base[bad[i].base] + bad[i].offset, bad[i].value, 2);
		if (bad[i].outer_v4 && bad[i].verdict != DECAP_OUTER_CHECKSUM && outer[0] == 0x45)
			seal(outer);
		expect_refused(&frame, bad[i].verdict, bad[i].text);
		seen[bad[i].verdict] = true;
	}
	for (u32 i = 0; i < DECAP_VERDICT_COUNT; i++)
		assert_true(seen[i]);
}

/* A buffer that was merged of datagrams can't be cut: tc refuses it, and says so. */
static void a_kernel_that_will_not_cut(void **state)
{
	struct frame frame = frame_make(IPIP, true, 0, true, 0);
	struct outcome outcome;

	run_as(false, &frame, 100, &outcome);
	assert_int_equal(verdict_of(&outcome), DECAP_DEVICE);
	assert_false(outcome.stays);
	assert_int_equal(outcome.moved.notes[NOTE_DELIVERED_BYTES], 0);
}

/* An outer IPv6 header with a fragment header behind it (RFC 8200 section 4.5). */
static struct frame fragment_v6(enum carrier carrier, u32 offset_and_more)
{
	struct frame plain = frame_make(carrier, false, 0, true, 0), frame = {.outer = 14};

	bytes_add(&frame, plain.bytes, plain.carried);
	bytes_add(&frame, (u8[]){frame.bytes[20], 0, 0, (u8)offset_and_more, 0, 0, 0, 7}, 8);
	bytes_add(&frame, plain.bytes + plain.carried, plain.len - plain.carried);
	frame.bytes[20] = 44;
	put16(frame.bytes + 18, frame.len - 54);
	return frame;
}

static void pieces_over_ipv6(void **state)
{
	struct frame frame = fragment_v6(IPIP, 1);

	expect_refused(&frame, DECAP_OUTER_FRAGMENT, "a first piece of IPIP");
	frame = fragment_v6(IPIP, 8);
	expect_refused(&frame, DECAP_OUTER_FRAGMENT, "a last piece of IPIP");
	frame = fragment_v6(GUE, 1);
	expect_refused(&frame, DECAP_OUTER_FRAGMENT, "a first piece of GUE");
	frame = fragment_v6(GUE, 8);
	expect_left_alone(&frame, "a last piece of some UDP");
}

static const struct {
	const char *text;
	enum carrier carrier;
	bool outer_v4;
	u8 base;
	s64 offset;
	u8 value[2];
} foreign[] = {
	{"another protocol", IPIP, true, OUTER, 8, {64, 47}},
	{"another next header", IPIP, false, OUTER, 6, {47, 64}},
	{"another port", GUE, true, CARRIED, 2, {PORT >> 8, (PORT & 0xff) + 1}},
	{"a later piece of some UDP", GUE, true, OUTER, 6, {0, 1}},
	{"to 10.0.0.253", IPIP, true, OUTER, 18, {0, 253}},
	{"to fd00::fd", GUE, false, OUTER, 38, {0, 0xfd}},
	{"version 5", IPIP, true, OUTER, 0, {0x55, 0}},
	{"version 4 where 6 is announced", IPIP, false, OUTER, 0, {0x40, 0}},
	{"a VLAN tag", IPIP, true, OUTER, -2, {0x81, 0}},
	{"a MPLS label", IPIP, false, OUTER, -2, {0x88, 0x47}},
};

static void what_is_not_ours_passes(void **state)
{
	for (u32 i = 0; i < ARRAY_LEN(foreign); i++) {
		struct frame frame =
			frame_make(foreign[i].carrier, foreign[i].outer_v4, 0, true, 0);
		u32 base = foreign[i].base == OUTER ? frame.outer : frame.carried;

		memcpy(frame.bytes + base + foreign[i].offset, foreign[i].value, 2);
		if (foreign[i].outer_v4 && foreign[i].offset >= 0)
			seal(frame.bytes + frame.outer);
		expect_left_alone(&frame, foreign[i].text);
	}
}

/* Cut at every length: never delivered, never counted twice. */
static void every_length(void **state)
{
	for (u32 kind = 0; kind < CARRIERS * 4; kind++) {
		struct frame frame = frame_make((enum carrier)(kind / 4), kind & 1, 0, kind & 2, 0);

		for (u32 len = frame.len - 1; len > 14; len--) {
			struct frame cut = frame;

			cut.len = len;
			/* The kernel makes no buffer for tc that ends inside its IP header. */
			for (u32 xdp = len < frame.carried; xdp < 2; xdp++) {
				struct outcome outcome;
				enum decap_verdict verdict;

				run_as(xdp, &cut, 0, &outcome);
				verdict = verdict_of(&outcome);
				assert_true(verdict == DECAP_OUTER_TRUNCATED ||
					    verdict == DECAP_VERDICT_COUNT);
			}
		}
	}
}

/* --- Loading -------------------------------------------------------------------------- */

static void prefix_put(const struct bpf_map *map, u32 family, u32 len_bits, const char *text)
{
	struct decap_prefix_key key = {.len_bits = 8 + len_bits, .family = (u8)family};
	u8 one = 1;

	if (family == 4)
		key.bytes[10] = key.bytes[11] = 0xff;
	address_put(key.bytes + (family == 4 ? 12 : 0), family == 4, text);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &key, &one, BPF_ANY), 0);
}

static void load(bool any)
{
	static const u8 addresses[2][16] = {
		{[10] = 0xff, 0xff, 10, 0, 0, 254},
		{0xfd, [15] = 0xfe},
	};
	u8 one = 1;

	skeleton = decap_bpf__open();
	assert_non_null(skeleton);
	*(struct decap_settings *)&skeleton->rodata->settings =
		(struct decap_settings){.gue_port = BE16(PORT), .from_any = any, .vips_any = any};
	assert_int_equal(decap_bpf__load(skeleton), 0);
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.addresses),
						     addresses[i], &one, BPF_ANY),
				 0);
}

static int lists_open(void **state)
{
	load(false);
	prefix_put(skeleton->maps.from, 4, 96 + 24, "10.0.0.0");
	prefix_put(skeleton->maps.from, 6, 64, "fd00::");
	prefix_put(skeleton->maps.vips, 4, 128, "203.0.113.10");
	prefix_put(skeleton->maps.vips, 6, 128, "2001:db8:ff::10");
	return 0;
}

static int any_open(void **state)
{
	load(true);
	return 0;
}

static int close_all(void **state)
{
	decap_bpf__destroy(skeleton);
	return 0;
}

static void without_lists_everything_comes(void **state)
{
	struct frame v4 = frame_make(IPIP, true, 0, true, 0),
		     v6 = frame_make(GUE, false, 0, false, 0);

	put16(v4.bytes + v4.outer + 12, 0xc0a8);
	seal(v4.bytes + v4.outer);
	v4.bytes[v4.inner + 19] = 99;
	seal(v4.bytes + v4.inner);
	expect_delivered(&v4, true, 0);
	v6.bytes[v6.outer + 8] = 0x20;
	v6.bytes[v6.inner + 39] = 99;
	expect_delivered(&v6, false, 0);
}

/* ::/0 is every IPv6 address and no IPv4 one. */
static void families_do_not_mix(void **state)
{
	struct frame v4 = frame_make(IPIP, true, 0, false, 0),
		     v6 = frame_make(IPIP, false, 0, true, 0);

	decap_bpf__destroy(skeleton);
	load(false);
	prefix_put(skeleton->maps.from, 6, 0, "::");
	prefix_put(skeleton->maps.vips, 6, 0, "::");
	expect_refused(&v4, DECAP_OUTER_SOURCE, "IPv4 within ::/0");
	expect_refused(&v6, DECAP_INNER_DESTINATION, "IPv4 inside within ::/0");
	v6 = frame_make(IPIP, false, 0, false, 0);
	expect_delivered(&v6, false, 0);
}

static void verified_instructions(void **state)
{
	const struct bpf_program *programs[] = {skeleton->progs.decap_xdp,
						skeleton->progs.decap_tc};

	for (u32 i = 0; i < 2; i++) {
		struct bpf_prog_info info = {0};
		__u32 info_bytes = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(programs[i]), &info,
							&info_bytes),
				 0);
		print_message("%s: %u instructions verified\n", info.name, info.verified_insns);
		assert_in_range(info.verified_insns, 1, VERIFIED_MAX);
	}
}

static bool bpf_refused(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);
	int fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "probe", 8, 1, 1, &options);

	return fd < 0 && errno == EPERM;
}

int main(void)
{
	const struct CMUnitTest lists[] = {
		cmocka_unit_test(verified_instructions),
		cmocka_unit_test(every_pair_comes_out),
		cmocka_unit_test(only_ecn_is_changed),
		cmocka_unit_test(options_and_padding),
		cmocka_unit_test(every_reason_to_refuse),
		cmocka_unit_test(a_kernel_that_will_not_cut),
		cmocka_unit_test(pieces_over_ipv6),
		cmocka_unit_test(what_is_not_ours_passes),
		cmocka_unit_test(every_length),
		cmocka_unit_test(families_do_not_mix),
	};
	const struct CMUnitTest any[] = {
		cmocka_unit_test(without_lists_everything_comes),
	};

	if (bpf_refused()) {
		puts("skipped: the kernel refuses BPF to this user: run as root");
		return 77;
	}
	return cmocka_run_group_tests(lists, lists_open, close_all) |
	       cmocka_run_group_tests(any, any_open, close_all);
}
