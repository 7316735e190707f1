/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs of --mode xdp and tc by bpf_prog_test_run, and the code of --mode tun beside them:
 * the same frames, what the RFCs say must become of them, and the same counters. Frames and
 * expectations are written by hand (decap_frame.h); only the random frames at the end compare the
 * programs with the same rules compiled for user space, bounds and all. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/pkt_cls.h>

#include "bpf/decap.skel.h"
#include "dataplane/decap/frame.h"
#include "dataplane/decap/kernel.h"
#include "dataplane/decap/kernel_maps.h"
#include "tests/unit/decap_frame.h"

enum { VERIFIED_MAX = 150000, RANDOM_FRAMES = 40000 };

/* The kernel refuses test runs of tc on half an IP header. */
enum { TC_BYTES_MIN = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES };

/* Not of this host: allowed by --vip; of this host: not allowed by --vip. */
#define STRANGER_VIP "203.0.113.11"
#define OTHER_ADDRESS "203.0.113.12"

/* Since Linux 6.16: the run keeps a sum of the whole packet, as a NIC hands it over, and fails with
 * EBADMSG where it isn't the packet's any more. */
#ifndef BPF_F_TEST_SKB_CHECKSUM_COMPLETE
#define BPF_F_TEST_SKB_CHECKSUM_COMPLETE (1U << 2)
#endif

static struct options options = {.gue_port = GUE_TEST_PORT};
static struct prefix_list locals;
static struct kernel xdp, tc;
static u32 tc_flags; /* of a test run */

/* --- Running -------------------------------------------------------------------------- */

struct outcome {
	enum decap_verdict verdict; /* or FRAME_PASS */
	u8 bytes[WIRE_MAX_BYTES];
	u32 len_bytes;
};

/* The verdict whose counter has moved by one; FRAME_PASS if none has. */
static enum decap_verdict verdict_between(const struct counters *before,
					  const struct counters *after)
{
	u64 moved = 0, received = 0;
	u32 verdict = FRAME_PASS;

	for (u32 i = 0; i < DECAP_VERDICT_COUNT; i++) {
		if (after->verdicts[i] == before->verdicts[i])
			continue;
		moved += after->verdicts[i] - before->verdicts[i];
		verdict = i;
	}
	for (u32 i = NOTE_RECEIVED_PROTOCOL_4; i <= NOTE_RECEIVED_GUE; i++)
		received += after->notes[i] - before->notes[i];
	assert_true(moved <= 1);
	assert_int_equal(received, moved);
	return (enum decap_verdict)verdict;
}

static void counters_of(const struct kernel *kernel, struct counters *counters)
{
	assert_int_equal(kernel_counters_read(kernel, counters), 0);
}

/* What the program does must be what it counts. */
static void program_run(const struct kernel *kernel, enum mode_kind kind, const u8 *bytes, u32 len,
			struct outcome *outcome)
{
	struct counters before, after;
	u32 kept = kind == MODE_XDP ? (u32)XDP_PASS : (u32)TC_ACT_UNSPEC;
	u32 dropped = kind == MODE_XDP ? (u32)XDP_DROP : (u32)TC_ACT_SHOT;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = bytes, .data_size_in = len,
		    .data_out = outcome->bytes, .data_size_out = sizeof(outcome->bytes),
		    .repeat = 1, .flags = kind == MODE_TC ? tc_flags : 0);

	counters_of(kernel, &before);
	if (bpf_prog_test_run_opts(kernel_program_fd(kernel, kind), &run) < 0)
		fail_msg("a test run of mode %d on %u bytes: errno %d", kind, len, errno);
	counters_of(kernel, &after);
	outcome->verdict = verdict_between(&before, &after);
	outcome->len_bytes = run.data_size_out;
	assert_int_equal(run.retval,
			 outcome->verdict == DECAP_DELIVERED || (u32)outcome->verdict == FRAME_PASS
				 ? kept
				 : dropped);
	if ((u32)outcome->verdict != FRAME_PASS)
		return;
	assert_int_equal(outcome->len_bytes, len);
	assert_memory_equal(outcome->bytes, bytes, len);
}

/* Runs a wire frame through both programs, tc only where it has no tags: the kernel takes them off
 * before. Both must give `verdict`, and the same bytes. */
static void both_run(const char *name, const struct wire *wire, u32 tags, u32 verdict,
		     struct outcome *outcome)
{
	struct outcome by_tc;

	program_run(&xdp, MODE_XDP, wire->bytes, wire->len_bytes, outcome);
	if (outcome->verdict != verdict)
		fail_msg("%s: xdp says %u, not %u", name, outcome->verdict, verdict);
	if (tags > 0 || wire->len_bytes < TC_BYTES_MIN)
		return;
	program_run(&tc, MODE_TC, wire->bytes, wire->len_bytes, &by_tc);
	if (by_tc.verdict != verdict)
		fail_msg("%s: tc says %u, not %u", name, by_tc.verdict, verdict);
	if (verdict != DECAP_DELIVERED)
		return;
	assert_int_equal(by_tc.len_bytes, outcome->len_bytes);
	assert_memory_equal(by_tc.bytes, outcome->bytes, outcome->len_bytes);
}

/* What the tun mode makes of the same, after a kernel has taken the outer IP and UDP header off. */
static enum decap_verdict tun_run(const struct wire *wire, const struct wrapping *how,
				  struct sample *inner)
{
	static const enum decap_carrier ipip[] = {
		[4] = CARRIER_PROTOCOL_4, [6] = CARRIER_PROTOCOL_41};
	struct decap_outer outer = {
		.source = addr_of(balancers[how->v6]),
		.carrier = how->gue ? CARRIER_GUE : ipip[wire->bytes[wire->inner] >> 4],
		.ecn = how->ecn,
	};
	struct decap_result result;
	struct wire copy = *wire;
	enum decap_verdict verdict =
		decap_packet(&options.policy, &outer, copy.bytes + copy.payload,
			     copy.len_bytes - how->padding_len - copy.payload, &result);

	if (verdict != DECAP_DELIVERED)
		return verdict;
	inner->len_bytes = result.inner.len_bytes;
	memcpy(inner->bytes, copy.bytes + copy.payload + result.carrier_bytes, inner->len_bytes);
	return verdict;
}

/* All three deliver `expected`; what stands before it and behind it in a frame stays. */
static void delivered_check(const char *name, const struct wire *wire, const struct wrapping *how,
			    const struct sample *expected)
{
	u8 l2[32];
	struct wrapping inside = *how;
	struct outcome outcome;
	struct sample by_tun;
	u32 l2_len;

	inside.v6 = expected->bytes[0] >> 4 == 6;
	l2_len = wire_ethernet(l2, &inside);
	both_run(name, wire, how->tags, DECAP_DELIVERED, &outcome);
	assert_int_equal(outcome.len_bytes, l2_len + expected->len_bytes + how->padding_len);
	assert_memory_equal(outcome.bytes, l2, l2_len);
	assert_memory_equal(outcome.bytes + l2_len, expected->bytes, expected->len_bytes);
	assert_int_equal(tun_run(wire, how, &by_tun), DECAP_DELIVERED);
	assert_int_equal(by_tun.len_bytes, expected->len_bytes);
	assert_memory_equal(by_tun.bytes, expected->bytes, expected->len_bytes);
}

/* --- What is delivered ---------------------------------------------------------------- */

/* Every pair of families, every carrier; and, one after the other, tags, options, padding and the
 * four kinds of a UDP checksum. */
static void every_form_is_unwrapped(void **state)
{
	for (u32 i = 0; i < 2 * 2 * 3 * 3 * 4 * 3 * 2; i++) {
		bool inner_v4 = i & 1;
		u32 form = i >> 2, carrier = form % 3, tags = form / 3 % 3, sum = form / 9 % 4;
		struct wrapping how = {
			.v6 = i >> 1 & 1,
			.gue = carrier > 0,
			.gue_direct = carrier == 2,
			.tags = tags,
			.options_len = i >> 1 & 1 ? 0 : form / 36 % 3 * 20,
			.sum = sum == UDP_SUM_WRONG ? UDP_SUM_ZERO : (enum udp_sum)sum,
			.padding_len = form / 108 * 7,
		};
		struct sample inner = sample_make(inner_v4, 6, 33 + form * 7, (u8)(form + 1));
		struct wire wire = wire_of(&inner, &how);

		delivered_check("a form", &wire, &how, &inner);
	}
}

/* Lengths around those at which a sum over far bytes begins a new piece, and odd ones. */
static void udp_checksums_of_every_length(void **state)
{
	static const u32 lens[] = {0, 1, 2, 471, 472, 473, 474, 983, 984, 985, 986, 1400, 1401};

	for (u32 i = 0; i < ARRAY_LEN(lens) * 4; i++) {
		struct wrapping how = {.v6 = i & 1, .gue = true, .sum = UDP_SUM_RIGHT};
		struct sample inner = sample_make(i & 2, 1, lens[i >> 2], 0x5a);
		struct wire wire = wire_of(&inner, &how);
		struct outcome outcome;

		delivered_check("a right checksum", &wire, &how, &inner);
		how.sum = UDP_SUM_WRONG;
		wire = wire_of(&inner, &how);
		both_run("a wrong checksum", &wire, 0, DECAP_OUTER_CHECKSUM, &outcome);
		/* Right, but for the last byte. */
		how.sum = UDP_SUM_RIGHT;
		wire = wire_of(&inner, &how);
		wire.bytes[wire.len_bytes - 1] ^= 0x40;
		both_run("a changed last byte", &wire, 0, DECAP_OUTER_CHECKSUM, &outcome);
	}
}

/* RFC 6040, figure 4, row by row as printed: what goes out, or -1 for a drop. */
static void every_pair_of_ecn_fields(void **state)
{
	static const struct {
		u8 inner, outer;
		int out;
		bool unexpected;
	} rows[] = {
		{0, 0, 0, false}, {0, 2, 0, true},  {0, 1, 0, true},  {0, 3, -1, true},
		{2, 0, 2, false}, {2, 2, 2, false}, {2, 1, 1, false}, {2, 3, 3, false},
		{1, 0, 1, false}, {1, 2, 1, true},  {1, 1, 1, false}, {1, 3, 3, false},
		{3, 0, 3, false}, {3, 2, 3, false}, {3, 1, 3, true},  {3, 3, 3, false},
	};

	for (u32 i = 0; i < ARRAY_LEN(rows) * 12; i++) {
		u8 inner_ecn = rows[i / 12].inner;
		bool inner_v4 = i & 1;
		int out = rows[i / 12].out;
		struct wrapping how = {.v6 = i >> 1 & 1,
				       .gue = i / 4 % 3 > 0,
				       .gue_direct = i / 4 % 3 == 2,
				       .ecn = rows[i / 12].outer};
		struct sample inner = sample_make(inner_v4, 17, 40, 9), expected;
		struct counters before, after;
		struct outcome outcome;
		struct wire wire;

		inner.bytes[1] = inner_v4 ? 0xb8 | inner_ecn : (u8)(inner_ecn << 4 | 7);
		if (inner_v4)
			v4_seal(&inner);
		wire = wire_of(&inner, &how);
		expected = inner;
		expected.bytes[1] = inner_v4 ? 0xb8 | (out & 3) : (u8)((out & 3) << 4 | 7);
		if (inner_v4)
			v4_seal(&expected);
		counters_of(&xdp, &before);
		if (out < 0) {
			both_run("an ECN drop", &wire, 0, DECAP_ECN, &outcome);
			assert_int_equal(tun_run(&wire, &how, &expected), DECAP_ECN);
		} else {
			delivered_check("an ECN pair", &wire, &how, &expected);
		}
		counters_of(&xdp, &after);
		assert_int_equal(after.notes[NOTE_ECN_UNEXPECTED] -
					 before.notes[NOTE_ECN_UNEXPECTED],
				 rows[i / 12].unexpected);
		assert_int_equal(after.notes[NOTE_ECN_CHANGED] - before.notes[NOTE_ECN_CHANGED],
				 out >= 0 && out != inner_ecn);
		assert_int_equal(after.notes[NOTE_DELIVERED_BYTES] -
					 before.notes[NOTE_DELIVERED_BYTES],
				 out >= 0 ? inner.len_bytes : 0);
	}
}

/* --- What is dropped ------------------------------------------------------------------ */

enum place { OUTER, PAYLOAD, INNER }; /* where an edit counts from */

/* A byte of a good frame is replaced. */
struct edit {
	enum decap_verdict verdict;
	bool gue, inner_v6;
	enum place place;
	u32 at;
	u8 value;
	bool kernel_only; /* the tun mode leaves it to the kernel, or to its device */
	bool sealed;      /* the outer IPv4 checksum follows */
};

static const struct edit edits[] = {
	{DECAP_OUTER_TRUNCATED, false, false, OUTER, 2, 9, true, true},
	{DECAP_OUTER_TRUNCATED, false, false, OUTER, 3, 19, true, true},
	{DECAP_OUTER_TRUNCATED, true, false, OUTER, 24, 9, true, false},
	{DECAP_OUTER_TRUNCATED, true, false, OUTER, 25, 7, true, false},
	{DECAP_OUTER_CHECKSUM, false, false, OUTER, 10, 1, true, false},
	{DECAP_OUTER_CHECKSUM, false, false, OUTER, 8, 63, true, false},
	{DECAP_OUTER_CHECKSUM, true, false, OUTER, 26, 1, true, false},
	{DECAP_OUTER_FRAGMENT, false, false, OUTER, 6, 0x20, true, true},
	{DECAP_OUTER_FRAGMENT, false, false, OUTER, 7, 1, true, true},
	{DECAP_OUTER_FRAGMENT, true, false, OUTER, 6, 0x20, true, true},
	{DECAP_GUE_VARIANT, true, false, PAYLOAD, 0, 0x80, false, false},
	{DECAP_GUE_VARIANT, true, false, PAYLOAD, 0, 0xc0, false, false},
	{DECAP_GUE_VARIANT, true, false, PAYLOAD, 0, 0x50, false, false},
	{DECAP_GUE_CONTROL, true, false, PAYLOAD, 0, 0x20, false, false},
	{DECAP_GUE_FLAGS, true, false, PAYLOAD, 2, 0x80, false, false},
	{DECAP_GUE_FLAGS, true, false, PAYLOAD, 3, 1, false, false},
	{DECAP_GUE_PRIVATE, true, false, PAYLOAD, 0, 1, false, false},
	{DECAP_GUE_PROTOCOL, true, false, PAYLOAD, 1, 17, false, false},
	{DECAP_INNER_VERSION, true, false, PAYLOAD, 1, 41, false, false},
	{DECAP_INNER_VERSION, true, true, PAYLOAD, 1, 4, false, false},
	{DECAP_INNER_VERSION, true, false, INNER, 0, 0x55, false, false},
	{DECAP_INNER_HEADER, false, false, INNER, 0, 0x44, false, false},
	{DECAP_INNER_HEADER, false, false, INNER, 3, 19, false, false},
	{DECAP_INNER_LENGTH, false, false, INNER, 3, 61, false, false},
	{DECAP_INNER_LENGTH, true, false, INNER, 2, 1, false, false},
	{DECAP_INNER_LENGTH, false, true, INNER, 5, 41, false, false},
	{DECAP_INNER_MARTIAN, false, false, INNER, 12, 127, false, false},
	{DECAP_INNER_MARTIAN, false, false, INNER, 16, 224, false, false},
	{DECAP_INNER_MARTIAN, true, true, INNER, 8, 0xff, false, false},
	{DECAP_INNER_DESTINATION, false, false, INNER, 19, 12, false, false},
	{DECAP_INNER_DESTINATION, true, true, INNER, 39, 0x11, false, false},
	{DECAP_INNER_NOT_LOCAL, false, false, INNER, 19, 11, true, false},
	{DECAP_NESTED, false, false, INNER, 9, 4, true, false},
	{DECAP_NESTED, true, true, INNER, 6, 41, true, false},
	{DECAP_NESTED, true, false, INNER, 22, GUE_TEST_PORT >> 8, true, false},
};

static void every_reason_to_drop(void **state)
{
	bool met[DECAP_VERDICT_COUNT] = {};

	for (u32 i = 0; i < ARRAY_LEN(edits); i++) {
		const struct edit *edit = &edits[i];
		struct wrapping how = {.gue = edit->gue};
		/* Ports 0x0303 to 0xc0 of the GUE port: one byte makes it that. */
		struct sample inner = sample_make(!edit->inner_v6, 17, 40, 3), by_tun;
		struct outcome outcome;
		struct wire wire;
		char name[32];
		u32 base;

		inner.bytes[(edit->inner_v6 ? 40 : 20) + 3] = GUE_TEST_PORT & 0xff;
		wire = wire_of(&inner, &how);
		base = edit->place == OUTER     ? wire.l3
		       : edit->place == PAYLOAD ? wire.payload
						: wire.inner;
		wire.bytes[base + edit->at] = edit->value;
		if (edit->sealed)
			wire_seal(&wire);
		snprintf(name, sizeof(name), "edit %u", i);
		both_run(name, &wire, 0, edit->verdict, &outcome);
		met[edit->verdict] = true;
		if (!edit->kernel_only)
			assert_int_equal(tun_run(&wire, &how, &by_tun), edit->verdict);
	}
	/* Those that are met elsewhere: by cutting, by another source; and the device's, which
	 * the kernel would have to fail for. */
	met[DECAP_DELIVERED] = met[DECAP_OUTER_SOURCE] = met[DECAP_GUE_TRUNCATED] = true;
	met[DECAP_INNER_TRUNCATED] = met[DECAP_ECN] = met[DECAP_DEVICE] = true;
	for (u32 i = 0; i < DECAP_VERDICT_COUNT; i++) {
		if (!met[i])
			fail_msg("reason %u is not met by any edit", i);
	}
}

static void sources_outside_from(void **state)
{
	static const char *const strangers[][2] = {{"10.0.1.1", "11.0.0.1"},
						   {"fd01::1", "fe80::1"}};

	for (u32 i = 0; i < 8; i++) {
		bool v6 = i & 1;
		struct wrapping how = {.v6 = v6, .gue = i >> 1 & 1};
		struct sample inner = sample_v4(6, 20, 1);
		struct wire wire = wire_of(&inner, &how);
		struct addr stranger = addr_of(strangers[v6][i >> 2]);
		struct outcome outcome;

		memcpy(wire.bytes + wire.l3 + (v6 ? 8 : 12), stranger.bytes + (v6 ? 0 : 12),
		       v6 ? 16 : 4);
		if (!v6)
			wire_seal(&wire);
		both_run("a stranger", &wire, 0, DECAP_OUTER_SOURCE, &outcome);
	}
}

/* The outer packet is as short as its headers say; what is missing is missing inside. */
static void payloads_cut_short(void **state)
{
	for (u32 i = 0; i < 2 * 2 * 2; i++) {
		struct wrapping how = {.v6 = i & 1, .gue = i >> 1 & 1};
		struct sample inner = sample_make(i >> 2, 17, 30, 3), by_tun;
		u32 header = i >> 2 ? 20 : 40;

		for (u32 len = 0; len < inner.len_bytes; len++) {
			struct sample cut = inner;
			struct outcome outcome;
			struct wire wire;

			cut.len_bytes = len;
			wire = wire_of(&cut, &how);
			/* wire_of() reads the version from bytes that are there all the same. */
			both_run("cut inside", &wire, 0,
				 len < header ? DECAP_INNER_TRUNCATED : DECAP_INNER_LENGTH,
				 &outcome);
			if (len > 0)
				assert_int_equal(tun_run(&wire, &how, &by_tun), outcome.verdict);
		}
		for (u32 len = 0; how.gue && len < 4; len++) {
			struct wire wire = wire_of(&inner, &how);
			u8 *ip = wire.bytes + wire.l3;
			struct outcome outcome;

			wire.len_bytes = wire.payload + len;
			put16(ip + (how.v6 ? 4 : 2), (how.v6 ? 8 : 28) + len);
			put16(wire.bytes + wire.payload - 4, 8 + len);
			if (!how.v6)
				wire_seal(&wire);
			both_run("cut in GUE", &wire, 0, DECAP_GUE_TRUNCATED, &outcome);
		}
	}
}

/* --- What is left alone --------------------------------------------------------------- */

static void passed_check(const char *name, const struct wire *wire)
{
	struct outcome outcome;

	both_run(name, wire, 0, FRAME_PASS, &outcome);
}

static void what_is_not_for_us_passes(void **state)
{
	struct wrapping plain = {}, v6 = {.v6 = true}, gue = {.gue = true}, tags = {.tags = 3};
	struct sample inner = sample_v4(6, 30, 2);
	struct wire wire = wire_of(&inner, &plain);
	struct wire tagged = wire_of(&inner, &tags);
	struct outcome outcome;

	wire.bytes[wire.l3 + 9] = 6;
	wire_seal(&wire);
	passed_check("TCP", &wire);
	wire = wire_of(&inner, &plain);
	wire.bytes[wire.l3 + 19] = 253;
	wire_seal(&wire);
	passed_check("IPIP for another host", &wire);
	wire.bytes[wire.l3 + 10] ^= 1;
	passed_check("the same, damaged", &wire);
	wire = wire_of(&inner, &plain);
	wire.bytes[wire.l3] = 0x44;
	passed_check("an impossible outer header", &wire);
	wire.bytes[wire.l3] = 0x65;
	passed_check("another version", &wire);
	wire = wire_of(&inner, &plain);
	put16(wire.bytes + 12, 0x0806);
	passed_check("ARP", &wire);
	wire = wire_of(&inner, &v6);
	wire.bytes[wire.l3 + 39] = 0xfd;
	passed_check("IPIP for another host, IPv6", &wire);
	wire = wire_of(&inner, &v6);
	wire.bytes[wire.l3 + 6] = 60;
	passed_check("outer destination options", &wire);
	for (u32 at = 8; at <= 24; at += 16) {
		/* RFC 4291 section 2.5.5.2: no such thing on the wire. */
		struct addr mapped = addr_of(at == 8 ? balancers[0] : backends[0]);

		wire = wire_of(&inner, &v6);
		memcpy(wire.bytes + wire.l3 + at, mapped.bytes, 16);
		passed_check("a v4-mapped address", &wire);
	}
	wire = wire_of(&inner, &gue);
	wire.bytes[wire.l3 + 23]++;
	passed_check("UDP to another port", &wire);
	wire = wire_of(&inner, &gue);
	wire.bytes[wire.l3 + 7] = 5;
	wire_seal(&wire);
	passed_check("a later fragment of UDP", &wire);
	passed_check("three tags", &tagged);
	tags.tags = 1;
	tagged = wire_of(&inner, &tags);
	program_run(&tc, MODE_TC, tagged.bytes, tagged.len_bytes, &outcome);
	assert_int_equal(outcome.verdict, FRAME_PASS);
}

/* An outer IPv6 fragment, RFC 8200 section 4.5. */
static void fragments_over_ipv6(void **state)
{
	struct wrapping how = {.v6 = true};
	struct sample inner = sample_v4(6, 30, 2);
	struct wire wire = wire_of(&inner, &how);
	u8 *behind = wire.bytes + wire.l3 + 40;
	struct outcome outcome;

	memmove(behind + 8, behind, inner.len_bytes);
	memcpy(behind, (u8[8]){4, 0, 0, 1, 1, 2, 3, 4}, 8);
	wire.bytes[wire.l3 + 6] = 44;
	put16(wire.bytes + wire.l3 + 4, inner.len_bytes + 8);
	wire.len_bytes += 8;
	both_run("the first fragment", &wire, 0, DECAP_OUTER_FRAGMENT, &outcome);
	behind[0] = 6;
	passed_check("a fragment of TCP", &wire);
}

/* Every frame cut at every length: never delivered, never half. */
static void frames_cut_short(void **state)
{
	for (u32 i = 0; i < 2 * 2 * 3; i++) {
		struct wrapping how = {.v6 = i & 1, .gue = i / 4 > 0, .gue_direct = i / 4 == 2};
		struct sample inner = sample_make(i >> 1 & 1, 6, 25, 3);
		struct wire wire = wire_of(&inner, &how);

		for (u32 len = ETHERNET_HEADER_BYTES; len < wire.len_bytes; len++) {
			struct wire cut = wire;
			struct outcome outcome;
			u32 ip_len = how.v6 ? 40 : 20, known = wire.l3 + ip_len + how.gue * 8u;

			cut.len_bytes = len;
			both_run("a cut frame", &cut, 0,
				 len < known ? (u32)FRAME_PASS : (u32)DECAP_OUTER_TRUNCATED,
				 &outcome);
		}
	}
}

/* --- The rules in user space beside them ---------------------------------------------- */

struct judge {
	const u8 *frame;
	u32 len_bytes;
};

static bool judge_source_allowed(const struct judge *judge, const struct addr *source)
{
	return prefix_list_allows(&options.policy.from, source);
}

static bool frame_local(const struct judge *judge, const struct addr *addr)
{
	return prefix_list_allows(&locals, addr);
}

static enum decap_verdict judge_destination(const struct judge *judge, const struct addr *vip)
{
	if (!prefix_list_allows(&options.policy.vips, vip))
		return DECAP_INNER_DESTINATION;
	return frame_local(judge, vip) ? DECAP_DELIVERED : DECAP_INNER_NOT_LOCAL;
}

static bool judge_nested(const struct judge *judge, struct span span, const struct inner *inner)
{
	return inner_is_wrapped(span, inner, BE16(GUE_TEST_PORT));
}

static bool frame_sum(const struct judge *judge, u32 offset, u32 len_bytes, u64 *sum)
{
	if (offset + len_bytes > judge->len_bytes)
		return false;
	*sum += BE16(reference_sum(judge->frame + offset, len_bytes, 0));
	return true;
}

static enum decap_verdict native_run(const u8 *bytes, u32 len, u32 tags_max, struct outcome *out)
{
	u8 *copy = malloc(len), *inner;
	struct judge judge = {.frame = copy, .len_bytes = len};
	struct frame frame = {};
	be16 type;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	out->verdict = frame_decide(&judge, (struct cursor){copy, copy + len}, len, tags_max,
				    BE16(GUE_TEST_PORT), &frame);
	if (out->verdict == DECAP_DELIVERED) {
		inner = copy + frame.l2_bytes + frame.overhead_bytes;
		out->len_bytes = len - frame.overhead_bytes;
		memcpy(out->bytes, copy, frame.l2_bytes);
		memcpy(out->bytes + frame.l2_bytes, inner, out->len_bytes - frame.l2_bytes);
		type = BE16(frame.result.inner.is_v4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
		memcpy(out->bytes + frame.l2_bytes - 2, &type, 2);
	}
	free(copy);
	return out->verdict;
}

static u32 random_below(u32 limit)
{
	static u64 state = 0x5348554e54; /* xorshift64*; the same frames each time */

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return fastrange32((u32)(state * 0x2545f4914f6cdd1dull >> 32), limit);
}

static void random_frame(struct wire *wire)
{
	struct wrapping how = {
		.v6 = random_below(2),
		.gue = random_below(2),
		.gue_direct = random_below(3) == 0,
		.ecn = (u8)random_below(4),
		.tags = random_below(4) == 0 ? random_below(4) : 0,
		.options_len = random_below(8) == 0 ? random_below(11) * 4 : 0,
		.sum = (enum udp_sum)random_below(4),
		.padding_len = random_below(4) == 0 ? random_below(60) : 0,
	};
	struct sample inner = sample_make(random_below(2), random_below(2) ? 6 : 17,
					  random_below(90), (u8)random_below(256));
	u32 edits_count = random_below(2) ? 0 : 1 + random_below(3);

	inner.bytes[1] ^= (u8)random_below(256);
	if (how.v6)
		how.options_len = 0;
	*wire = wire_of(&inner, &how);
	for (u32 i = 0; i < edits_count; i++)
		wire->bytes[random_below(random_below(2) ? 70 : wire->len_bytes)] =
			(u8)random_below(256);
	if (random_below(2) && !how.v6 && (wire->bytes[wire->l3] & 15) >= 5)
		wire_seal(wire);
	if (random_below(8) == 0)
		wire->len_bytes = ETHERNET_HEADER_BYTES +
				  random_below(wire->len_bytes - ETHERNET_HEADER_BYTES);
}

static void random_compare(const struct wire *wire, const struct kernel *kernel,
			   enum mode_kind kind, u32 verdicts[static FRAME_PASS + 1])
{
	struct outcome expected, outcome;
	u32 tags_max = kind == MODE_XDP ? FRAME_TAGS_MAX : 0;

	native_run(wire->bytes, wire->len_bytes, tags_max, &expected);
	program_run(kernel, kind, wire->bytes, wire->len_bytes, &outcome);
	if (outcome.verdict != expected.verdict)
		fail_msg("%s: verdict %u, in user space %u", kind == MODE_XDP ? "xdp" : "tc",
			 outcome.verdict, expected.verdict);
	verdicts[outcome.verdict]++;
	if (outcome.verdict != DECAP_DELIVERED)
		return;
	assert_int_equal(outcome.len_bytes, expected.len_bytes);
	assert_memory_equal(outcome.bytes, expected.bytes, expected.len_bytes);
}

static void random_frames_get_the_same(void **state)
{
	u32 verdicts[FRAME_PASS + 1] = {};

	for (u32 i = 0; i < RANDOM_FRAMES; i++) {
		struct wire wire;

		random_frame(&wire);
		random_compare(&wire, &xdp, MODE_XDP, verdicts);
		if (wire.len_bytes >= TC_BYTES_MIN)
			random_compare(&wire, &tc, MODE_TC, verdicts);
	}
	printf("decap_bpf: %u frames by xdp and tc: %u unwrapped, %u left to the kernel\n",
	       RANDOM_FRAMES, verdicts[DECAP_DELIVERED], verdicts[FRAME_PASS]);
	assert_true(verdicts[DECAP_DELIVERED] > RANDOM_FRAMES / 4);
	assert_true(verdicts[DECAP_OUTER_CHECKSUM] > 100 && verdicts[DECAP_ECN] > 100);
}

/* --- Loading -------------------------------------------------------------------------- */

static void the_verifier_has_little_to_do(void **state)
{
	const struct kernel *kernels[] = {&xdp, &tc};
	static const enum mode_kind kinds[] = {MODE_XDP, MODE_TC};

	for (u32 i = 0; i < 2; i++) {
		struct bpf_prog_info info = {};
		__u32 bytes = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(kernel_program_fd(kernels[i], kinds[i]),
							&info, &bytes),
				 0);
		printf("decap_bpf: %s: %u instructions verified\n", i == 0 ? "xdp" : "tc",
		       info.verified_insns);
		assert_true(info.verified_insns < VERIFIED_MAX);
	}
}

/* Whether this kernel can watch over a packet's sum. */
static void tc_flags_find(void)
{
	struct wrapping how = {};
	struct sample inner = sample_v4(6, 20, 1);
	struct wire wire = wire_of(&inner, &how);
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = wire.bytes, .data_size_in = wire.len_bytes,
		    .flags = BPF_F_TEST_SKB_CHECKSUM_COMPLETE);

	if (bpf_prog_test_run_opts(kernel_program_fd(&tc, MODE_TC), &run) == 0)
		tc_flags = BPF_F_TEST_SKB_CHECKSUM_COMPLETE;
	else
		printf("decap_bpf: this kernel cannot watch over a packet's sum\n");
}

static void local_put(const struct kernel *kernel)
{
	for (u32 i = 0; i < locals.count; i++) {
		const struct prefix *prefix = &locals.entries[i];
		struct list_key key = list_key_of(&prefix->addr, prefix->is_v4, prefix->len_bits);

		assert_int_equal(bpf_map_update_elem(bpf_map__fd(
							     kernel->skeleton->maps.decap_local),
						     &key, &(u32){1}, BPF_ANY),
				 0);
	}
}

static int load(void **state)
{
	/* The last holds every v4-mapped address, and must let no IPv4 source through. */
	static const char *const froms[] = {"10.0.0.0/24", "fd00::/64", "::/64"};
	static const char *const vips[] = {"203.0.113.10", STRANGER_VIP, "2001:db8:ff::10"};
	static const char *const local[] = {"10.0.0.254", "fd00::fe", "203.0.113.10", OTHER_ADDRESS,
					    "2001:db8:ff::10/127"};
	int err;

	for (u32 i = 0; i < ARRAY_LEN(froms); i++)
		list_add(&options.policy.from, froms[i]);
	for (u32 i = 0; i < ARRAY_LEN(vips); i++)
		list_add(&options.policy.vips, vips[i]);
	for (u32 i = 0; i < ARRAY_LEN(local); i++)
		list_add(&locals, local[i]);
	options.mode = MODE_XDP;
	err = kernel_open(&xdp, &options);
	options.mode = MODE_TC;
	if (err == 0)
		err = kernel_open(&tc, &options);
	if (err == -EPERM)
		exit(77);
	assert_int_equal(err, 0);
	local_put(&xdp);
	local_put(&tc);
	tc_flags_find();
	return 0;
}

static int unload(void **state)
{
	kernel_close(&xdp);
	kernel_close(&tc);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_is_unwrapped),
		cmocka_unit_test(udp_checksums_of_every_length),
		cmocka_unit_test(every_pair_of_ecn_fields),
		cmocka_unit_test(every_reason_to_drop),
		cmocka_unit_test(sources_outside_from),
		cmocka_unit_test(payloads_cut_short),
		cmocka_unit_test(what_is_not_for_us_passes),
		cmocka_unit_test(fragments_over_ipv6),
		cmocka_unit_test(frames_cut_short),
		cmocka_unit_test(random_frames_get_the_same),
		cmocka_unit_test(the_verifier_has_little_to_do),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
