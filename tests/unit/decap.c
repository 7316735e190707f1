/* SPDX-License-Identifier: BSD-2-Clause */
/* The decapsulator's decisions, table by table: RFC 6040 figure 4, the GUE header, the inner
 * checks, the checksum that follows a change, and every sample cut at every length. */
#include <errno.h>
#include <stdlib.h>

#include "tests/unit/decap_help.h"

static struct span span_of(const u8 *bytes, u32 len_bytes)
{
	return (struct span){.cursor = {(u8 *)bytes, (u8 *)bytes + len_bytes},
			     .left_bytes = len_bytes};
}

static enum decap_verdict check_inner(u8 *bytes, u32 len_bytes, u8 protocol, struct inner *inner)
{
	return inner_check(span_of(bytes, len_bytes), protocol, inner);
}

static void test_ecn_figure_4(void **state)
{
	/* Row by row as printed in the RFC. */
	static const struct {
		u8 inner, outer, ecn;
		bool drop, unexpected;
	} rows[] = {
		{ECN_NOT_ECT, ECN_NOT_ECT, ECN_NOT_ECT, false, false},
		{ECN_NOT_ECT, ECN_ECT0, ECN_NOT_ECT, false, true},
		{ECN_NOT_ECT, ECN_ECT1, ECN_NOT_ECT, false, true},
		{ECN_NOT_ECT, ECN_CE, 0, true, true},
		{ECN_ECT0, ECN_NOT_ECT, ECN_ECT0, false, false},
		{ECN_ECT0, ECN_ECT0, ECN_ECT0, false, false},
		{ECN_ECT0, ECN_ECT1, ECN_ECT1, false, false},
		{ECN_ECT0, ECN_CE, ECN_CE, false, false},
		{ECN_ECT1, ECN_NOT_ECT, ECN_ECT1, false, false},
		{ECN_ECT1, ECN_ECT0, ECN_ECT1, false, true},
		{ECN_ECT1, ECN_ECT1, ECN_ECT1, false, false},
		{ECN_ECT1, ECN_CE, ECN_CE, false, false},
		{ECN_CE, ECN_NOT_ECT, ECN_CE, false, false},
		{ECN_CE, ECN_ECT0, ECN_CE, false, false},
		{ECN_CE, ECN_ECT1, ECN_CE, false, true},
		{ECN_CE, ECN_CE, ECN_CE, false, false},
	};

	assert_int_equal(ARRAY_LEN(rows), 16);
	for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
		struct ecn_choice choice = decap_ecn(rows[i].inner, rows[i].outer);

		assert_int_equal(choice.drop, rows[i].drop);
		assert_int_equal(choice.unexpected, rows[i].unexpected);
		if (!choice.drop)
			assert_int_equal(choice.ecn, rows[i].ecn);
	}
	/* DSCP bits above the field don't matter. */
	assert_int_equal(decap_ecn(0xb8 | ECN_ECT0, 0x28 | ECN_CE).ecn, ECN_CE);
}

static void test_gue_header(void **state)
{
	static const struct {
		u8 bytes[8];
		u32 len_bytes;
		enum decap_verdict verdict;
		u32 offset;
		u8 protocol;
	} rows[] = {
		{{0, 4, 0, 0, 0x45}, 5, DECAP_DELIVERED, 4, 4},
		{{0, 41, 0, 0, 0x60}, 5, DECAP_DELIVERED, 4, 41},
		{{0, 4, 0, 0}, 4, DECAP_DELIVERED, 4, 4},
		{{0x45}, 1, DECAP_DELIVERED, 0, 4},
		{{0x60}, 1, DECAP_DELIVERED, 0, 41},
		{{0x50}, 1, DECAP_GUE_VARIANT, 0, 0},
		{{0x70}, 1, DECAP_GUE_VARIANT, 0, 0},
		{{0x80, 4, 0, 0}, 4, DECAP_GUE_VARIANT, 0, 0},
		{{0xc0, 4, 0, 0}, 4, DECAP_GUE_VARIANT, 0, 0},
		{{0}, 0, DECAP_GUE_TRUNCATED, 0, 0},
		{{0, 4, 0}, 3, DECAP_GUE_TRUNCATED, 0, 0},
		{{0x20, 4, 0, 0}, 4, DECAP_GUE_CONTROL, 0, 0},
		{{0, 4, 0x80, 0}, 4, DECAP_GUE_FLAGS, 0, 0},
		{{0, 4, 0, 1}, 4, DECAP_GUE_FLAGS, 0, 0},
		{{1, 4, 0, 0, 0, 0, 0, 0}, 8, DECAP_GUE_PRIVATE, 0, 0},
		{{0x1f, 4, 0, 0}, 4, DECAP_GUE_PRIVATE, 0, 0},
		{{0, 17, 0, 0}, 4, DECAP_GUE_PROTOCOL, 0, 0},
		{{0, 59, 0, 0}, 4, DECAP_GUE_PROTOCOL, 0, 0},
	};

	for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
		struct span span = span_of(rows[i].bytes, rows[i].len_bytes);
		u8 protocol = 99;

		assert_int_equal(decap_gue(&span, &protocol), rows[i].verdict);
		if (rows[i].verdict != DECAP_DELIVERED)
			continue;
		assert_int_equal(span.left_bytes, rows[i].len_bytes - rows[i].offset);
		assert_ptr_equal(span.cursor.position, rows[i].bytes + rows[i].offset);
		assert_int_equal(protocol, rows[i].protocol);
	}
}

static void test_outer_v4(void **state)
{
	u8 packet[24] = {0x46, 0xb8 | ECN_CE};
	u32 offset;
	u8 ecn;

	assert_int_equal(decap_outer_v4(packet, 24, &offset, &ecn), DECAP_DELIVERED);
	assert_int_equal(offset, 24);
	assert_int_equal(ecn, ECN_CE);
	assert_int_equal(decap_outer_v4(packet, 23, &offset, &ecn), DECAP_OUTER_TRUNCATED);
	assert_int_equal(decap_outer_v4(packet, 19, &offset, &ecn), DECAP_OUTER_TRUNCATED);
	packet[0] = 0x44;
	assert_int_equal(decap_outer_v4(packet, 24, &offset, &ecn), DECAP_OUTER_TRUNCATED);
}

/* One byte of a good packet is replaced. */
struct edit {
	u32 at;
	u8 value;
	enum decap_verdict verdict;
};

static void edits_check(const struct sample *good, u8 protocol, const struct edit *edits, u32 count)
{
	struct inner inner;

	for (u32 i = 0; i < count; i++) {
		struct sample sample = *good;

		sample.bytes[edits[i].at] = edits[i].value;
		assert_int_equal(check_inner(sample.bytes, sample.len_bytes, protocol, &inner),
				 edits[i].verdict);
	}
}

static void test_inner_v4(void **state)
{
	static const struct edit edits[] = {
		{0, 0x45, DECAP_DELIVERED},     {0, 0x65, DECAP_INNER_VERSION},
		{0, 0x05, DECAP_INNER_VERSION}, {0, 0x44, DECAP_INNER_HEADER},
		{0, 0x40, DECAP_INNER_HEADER},  {0, 0x4f, DECAP_INNER_HEADER},
		{0, 0x47, DECAP_DELIVERED},     {3, 29, DECAP_INNER_LENGTH},
		{2, 1, DECAP_INNER_LENGTH},     {3, 19, DECAP_INNER_HEADER},
		{3, 0, DECAP_INNER_HEADER},     {3, 20, DECAP_DELIVERED},
		{12, 127, DECAP_INNER_MARTIAN}, {12, 0, DECAP_INNER_MARTIAN},
		{12, 224, DECAP_INNER_MARTIAN}, {12, 255, DECAP_INNER_MARTIAN},
		{12, 223, DECAP_DELIVERED},     {16, 127, DECAP_INNER_MARTIAN},
		{16, 239, DECAP_INNER_MARTIAN}, {16, 0, DECAP_INNER_MARTIAN},
	};
	struct sample sample = sample_v4(17, 8, 0);
	struct inner inner;

	edits_check(&sample, 4, edits, ARRAY_LEN(edits));
	assert_int_equal(check_inner(sample.bytes, 28, 41, &inner), DECAP_INNER_VERSION);
	sample.bytes[1] = 0xb8 | ECN_ECT1;
	assert_int_equal(check_inner(sample.bytes, 28, 4, &inner), DECAP_DELIVERED);
	assert_true(inner.is_v4 && !inner.is_fragment);
	assert_int_equal(inner.ecn, ECN_ECT1);
	assert_int_equal(inner.transport_offset, 20);
	assert_int_equal(inner.transport_protocol, 17);
	assert_int_equal(be32_to_cpu(addr_v4(&inner.source)), 0xc6336402);
	assert_int_equal(be32_to_cpu(addr_v4(&inner.destination)), 0xcb00710a);
	sample.bytes[6] = 0x20;
	assert_int_equal(check_inner(sample.bytes, 28, 4, &inner), DECAP_DELIVERED);
	assert_true(inner.is_fragment);
}

static void test_inner_v6(void **state)
{
	static const struct edit edits[] = {
		{0, 0x60, DECAP_DELIVERED},     {0, 0x40, DECAP_INNER_VERSION},
		{0, 0x70, DECAP_INNER_VERSION}, {5, 9, DECAP_INNER_LENGTH},
		{4, 1, DECAP_INNER_LENGTH},     {5, 0, DECAP_DELIVERED},
		{8, 0xff, DECAP_INNER_MARTIAN}, {24, 0xff, DECAP_INNER_MARTIAN},
		{8, 0xfd, DECAP_DELIVERED},
	};
	static const u8 martians[][16] = {
		{0},
		{[15] = 1},
		{[10] = 0xff, 0xff, 10, 0, 0, 1},
		{0xfe, 0x80, [15] = 1},
		{0xfe, 0xbf, [15] = 1},
		{0xff, 2, [15] = 1},
	};
	struct sample good = sample_v6(17, 8, 0);
	struct inner inner;

	edits_check(&good, 41, edits, ARRAY_LEN(edits));
	for (u32 i = 0; i < ARRAY_LEN(martians); i++) {
		for (u32 at = 8; at <= 24; at += 16) {
			struct sample sample = good;

			memcpy(sample.bytes + at, martians[i], 16);
			assert_int_equal(check_inner(sample.bytes, 48, 41, &inner),
					 DECAP_INNER_MARTIAN);
		}
	}
	good.bytes[0] = 0x6f;
	good.bytes[1] = 0xef;
	assert_int_equal(check_inner(good.bytes, 48, 41, &inner), DECAP_DELIVERED);
	assert_int_equal(inner.ecn, ECN_ECT0);
	assert_int_equal(inner.destination.bytes[15], 0x10);
	assert_int_equal(inner.source.bytes[15], 2);
}

static void test_padding_is_trimmed(void **state)
{
	struct sample v4 = sample_v4(17, 8, 0), v6 = sample_v6(17, 8, 0);
	struct inner inner;

	assert_int_equal(check_inner(v4.bytes, 46, 4, &inner), DECAP_DELIVERED);
	assert_int_equal(inner.len_bytes, 28);
	assert_int_equal(check_inner(v6.bytes, 60, 41, &inner), DECAP_DELIVERED);
	assert_int_equal(inner.len_bytes, 48);
	v6.bytes[5] = 0;
	assert_int_equal(check_inner(v6.bytes, 60, 41, &inner), DECAP_DELIVERED);
	assert_int_equal(inner.len_bytes, 40);
}

/* For every traffic class and new ECN field the incremental checksum equals the full one, and a
 * checksum that was wrong by something is still wrong by it. */
static void test_ecn_set(void **state)
{
	struct inner inner;

	for (u32 i = 0; i < 256 * 4 * 64; i++) {
		struct sample sample = sample_v4(17, 8, 0);
		u8 tos = i & 255, ecn = i >> 8 & 3;
		u16 error = (i >> 10) % 2 ? 1 + (i >> 10) * 977 : 0;

		sample.bytes[1] = tos;
		put16(sample.bytes + 4, (i >> 10) * 1021);
		v4_seal(&sample);
		put16(sample.bytes + 10, get16(sample.bytes + 10) ^ error);
		assert_int_equal(check_inner(sample.bytes, 28, 4, &inner), DECAP_DELIVERED);
		inner_ecn_set(sample.bytes, &inner, ecn);
		assert_int_equal(sample.bytes[1], (tos & 0xfc) | ecn);
		assert_int_equal(inner.ecn, ecn);
		if (error == 0)
			assert_int_equal(reference_sum(sample.bytes, 20, 0), 0xffff);
		else
			assert_int_not_equal(reference_sum(sample.bytes, 20, 0), 0xffff);
	}
	for (u32 i = 0; i < 256 * 4; i++) {
		struct sample sample = sample_v6(17, 8, 0), before;
		u8 ecn = i >> 8;

		sample.bytes[0] = (u8)(0x60 | (i & 255) >> 4);
		sample.bytes[1] = (u8)(i << 4 | 0xa);
		before = sample;
		assert_int_equal(check_inner(sample.bytes, 48, 41, &inner), DECAP_DELIVERED);
		inner_ecn_set(sample.bytes, &inner, ecn);
		before.bytes[1] = (u8)((before.bytes[1] & 0xcf) | ecn << 4);
		assert_memory_equal(sample.bytes, before.bytes, sample.len_bytes);
	}
}

/* A checksum left at the pseudo header's sum becomes one that a receiver accepts, whatever the
 * length's parity; one that is right, or wrong in any other way, is left alone. */
static void test_checksum_complete(void **state)
{
	static const u8 protocols[] = {6, 17};

	for (u32 i = 0; i < 2 * 2 * 20; i++) {
		bool v4 = i & 1;
		u8 protocol = protocols[i >> 1 & 1];
		u32 len = 24 + (i >> 2);
		struct sample sample = sample_make(v4, protocol, len, (u8)(i * 37 + 1)), done;
		u8 *checksum = sample.bytes + (v4 ? 20 : 40) + (protocol == 6 ? 16 : 6);
		u16 pseudo = pseudo_sum(&sample);
		struct inner inner;

		put16(checksum, pseudo);
		assert_int_equal(check_inner(sample.bytes, sample.len_bytes, v4 ? 4 : 41, &inner),
				 DECAP_DELIVERED);
		assert_true(inner_checksum_complete(sample.bytes, &inner));
		assert_int_equal(reference_sum(sample.bytes + (v4 ? 20 : 40), len, pseudo), 0xffff);
		done = sample;
		assert_false(inner_checksum_complete(sample.bytes, &inner));
		assert_memory_equal(sample.bytes, done.bytes, sample.len_bytes);
		put16(checksum, pseudo ^ 0x0101);
		assert_false(inner_checksum_complete(sample.bytes, &inner));
		assert_int_equal(get16(checksum), pseudo ^ 0x0101);
	}
}

/* The one packet in 65,536 whose right checksum equals the pseudo header's sum. */
static void test_checksum_coincidence(void **state)
{
	struct sample sample = sample_v4(6, 24, 0), before;
	u16 pseudo = pseudo_sum(&sample);
	u32 rest;
	struct inner inner;

	put16(sample.bytes + 36, pseudo);
	rest = 0xffff & ~(u32)reference_sum(sample.bytes + 20, 24, pseudo);
	put16(sample.bytes + 42, rest);
	assert_int_equal(reference_sum(sample.bytes + 20, 24, pseudo), 0xffff);
	before = sample;
	assert_int_equal(check_inner(sample.bytes, 44, 4, &inner), DECAP_DELIVERED);
	assert_false(inner_checksum_complete(sample.bytes, &inner));
	assert_memory_equal(sample.bytes, before.bytes, 44);
}

static void test_checksum_not_ours(void **state)
{
	struct sample fragment = sample_v4(17, 16, 1), icmp = sample_v4(1, 16, 1);
	struct sample stub = sample_v4(6, 18, 1), zero = sample_v4(17, 16, 1);
	struct sample *samples[] = {&fragment, &icmp, &stub, &zero};
	struct inner inner;

	fragment.bytes[6] = 0x20;
	put16(fragment.bytes + 26, pseudo_sum(&fragment));
	put16(icmp.bytes + 26, pseudo_sum(&icmp));
	put16(stub.bytes + 36, pseudo_sum(&stub));
	put16(zero.bytes + 26, 0);
	for (u32 i = 0; i < ARRAY_LEN(samples); i++) {
		assert_int_equal(check_inner(samples[i]->bytes, samples[i]->len_bytes, 4, &inner),
				 DECAP_DELIVERED);
		assert_false(inner_checksum_complete(samples[i]->bytes, &inner));
	}
}

static void test_prefix_parse(void **state)
{
	static const struct {
		const char *text;
		int status;
		u32 len_bits;
	} rows[] = {
		{"10.0.0.0/8", 0, 104},
		{"10.0.0.1", 0, 128},
		{"0.0.0.0/0", 0, 96},
		{"::/0", 0, 0},
		{"2001:db8::/32", 0, 32},
		{"2001:db8::1/128", 0, 128},
		{"::ffff:10.0.0.0/104", 0, 104},
		{"10.0.0.1/8", -EDOM, 0},
		{"2001:db8::1/64", -EDOM, 0},
		{"10.0.0.128/25", 0, 121},
		{"10.0.0.192/25", -EDOM, 0},
		{"10.0.0.0/33", -EINVAL, 0},
		{"::/129", -EINVAL, 0},
		{"10.0.0.0/", -EINVAL, 0},
		{"10.0.0/8", -EINVAL, 0},
		{"10.0.0.0/-1", -EINVAL, 0},
		{"10.0.0.0/8 ", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"/8", -EINVAL, 0},
		{"host", -EINVAL, 0},
		{"10.0.0.0/+8", -EINVAL, 0},
		{"10.0.0.0/0008", -EINVAL, 0},
		{"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/8", -EINVAL, 0},
	};

	for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
		struct prefix prefix;

		assert_int_equal(prefix_parse(rows[i].text, &prefix), rows[i].status);
		if (rows[i].status == 0)
			assert_int_equal(prefix.len_bits, rows[i].len_bits);
	}
}

static void test_prefix_list(void **state)
{
	static const struct {
		const char *prefix, *addr;
		bool allowed;
	} rows[] = {
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"10.0.0.0/9", "10.127.1.1", true},
		{"10.0.0.0/9", "10.128.1.1", false},
		{"0.0.0.0/0", "203.0.113.1", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"::/0", "2001:db8::1", true},
		{"::/0", "203.0.113.1", false},
		{"2001:db8::/33", "2001:db8:7fff::", true},
		{"2001:db8::/33", "2001:db8:8000::", false},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
	};
	struct prefix_list full = {};
	struct prefix prefix;
	struct addr addr;

	for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
		struct prefix_list list = {};

		addr = addr_of(rows[i].addr);
		assert_true(prefix_list_allows(&list, &addr));
		list_add(&list, "172.16.0.0/12");
		assert_false(prefix_list_allows(&list, &addr));
		list_add(&list, rows[i].prefix);
		assert_int_equal(prefix_list_allows(&list, &addr), rows[i].allowed);
	}
	assert_int_equal(prefix_parse("10.0.0.0/8", &prefix), 0);
	for (u32 i = 0; i < PREFIX_LIST_MAX; i++)
		assert_int_equal(prefix_list_add(&full, &prefix), 0);
	assert_int_equal(prefix_list_add(&full, &prefix), -ENOSPC);
}

static void test_packet_policy(void **state)
{
	struct decap_outer outer = {.source = addr_of("10.0.0.1"), .carrier = CARRIER_PROTOCOL_4};
	struct sample sample = sample_v4(17, 8, 0);
	struct decap_policy policy = {};
	struct decap_result result;

	assert_int_equal(decap_packet(&policy, &outer, sample.bytes, 28, &result), DECAP_DELIVERED);
	list_add(&policy.from, "10.0.0.0/24");
	list_add(&policy.vips, "203.0.113.10");
	assert_int_equal(decap_packet(&policy, &outer, sample.bytes, 28, &result), DECAP_DELIVERED);
	outer.source = addr_of("10.0.1.1");
	assert_int_equal(decap_packet(&policy, &outer, sample.bytes, 28, &result),
			 DECAP_OUTER_SOURCE);
	outer.source = addr_of("10.0.0.1");
	sample.bytes[19]++;
	assert_int_equal(decap_packet(&policy, &outer, sample.bytes, 28, &result),
			 DECAP_INNER_DESTINATION);
	sample.bytes[19]--;
	outer.from_own_device = true;
	assert_int_equal(decap_packet(&policy, &outer, sample.bytes, 28, &result), DECAP_NESTED);
}

static void test_packet_ecn(void **state)
{
	struct decap_outer outer = {.carrier = CARRIER_PROTOCOL_4, .ecn = ECN_CE};
	struct sample sample = sample_v4(17, 8, 0);
	struct decap_policy policy = {};
	struct decap_result result;

	assert_int_equal(decap_packet(&policy, &outer, sample.bytes, 28, &result), DECAP_ECN);
	assert_true(result.ecn_unexpected);
	sample.bytes[1] = ECN_ECT0;
	v4_seal(&sample);
	assert_int_equal(decap_packet(&policy, &outer, sample.bytes, 28, &result), DECAP_DELIVERED);
	assert_true(result.ecn_changed && !result.ecn_unexpected);
	assert_int_equal(sample.bytes[1], ECN_CE);
	assert_int_equal(reference_sum(sample.bytes, 20, 0), 0xffff);
}

/* One sample behind one carrier, cut at every length in memory of exactly that size: whatever is
 * cut off is refused, and what is delivered lies within the bytes. */
static void cut_everywhere(const struct sample *sample, enum decap_carrier carrier, u32 inner_len)
{
	struct decap_outer outer = {.carrier = carrier, .ecn = ECN_ECT1};
	struct decap_policy policy = {};
	struct decap_result result;

	for (u32 len = 0; len <= sample->len_bytes; len++) {
		u8 *cut = malloc(len);
		enum decap_verdict verdict;

		assert_true(cut || len == 0);
		if (len > 0)
			memcpy(cut, sample->bytes, len);
		verdict = decap_packet(&policy, &outer, cut, len, &result);
		if (len < sample->len_bytes) {
			assert_int_not_equal(verdict, DECAP_DELIVERED);
		} else {
			assert_int_equal(verdict, DECAP_DELIVERED);
			assert_int_equal(result.inner.len_bytes, inner_len);
			assert_int_equal(result.carrier_bytes, len - inner_len);
		}
		free(cut);
	}
}

static void test_truncation_sweep(void **state)
{
	static const u8 protocols[] = {1, 6, 17, 59};

	for (u32 i = 0; i < ARRAY_LEN(protocols) * 2; i++) {
		bool v4 = i & 1;
		struct sample inner = sample_make(v4, protocols[i >> 1], 25, 3);
		struct sample gue = {.bytes = {0, v4 ? 4 : 41}, .len_bytes = inner.len_bytes + 4};
		u32 header = v4 ? 20 : 40;

		/* So that the sweep also runs through completing a checksum. */
		if (protocols[i >> 1] == 6)
			put16(inner.bytes + header + 16, pseudo_sum(&inner));
		inner.bytes[1] = v4 ? ECN_ECT0 : ECN_ECT0 << 4;
		memcpy(gue.bytes + 4, inner.bytes, inner.len_bytes);
		cut_everywhere(&inner, v4 ? CARRIER_PROTOCOL_4 : CARRIER_PROTOCOL_41,
			       inner.len_bytes);
		cut_everywhere(&gue, CARRIER_GUE, inner.len_bytes);
		cut_everywhere(&inner, CARRIER_GUE, inner.len_bytes);
	}
	for (u32 len = 0; len <= 60; len++) {
		u8 *cut = malloc(len);
		u32 offset;
		u8 ecn;

		if (len > 0)
			memset(cut, 0x4f, len);
		assert_int_equal(decap_outer_v4(cut, len, &offset, &ecn),
				 len == 60 ? DECAP_DELIVERED : DECAP_OUTER_TRUNCATED);
		free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ecn_figure_4),
		cmocka_unit_test(test_gue_header),
		cmocka_unit_test(test_outer_v4),
		cmocka_unit_test(test_inner_v4),
		cmocka_unit_test(test_inner_v6),
		cmocka_unit_test(test_padding_is_trimmed),
		cmocka_unit_test(test_ecn_set),
		cmocka_unit_test(test_checksum_complete),
		cmocka_unit_test(test_checksum_coincidence),
		cmocka_unit_test(test_checksum_not_ours),
		cmocka_unit_test(test_prefix_parse),
		cmocka_unit_test(test_prefix_list),
		cmocka_unit_test(test_packet_policy),
		cmocka_unit_test(test_packet_ecn),
		cmocka_unit_test(test_truncation_sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
