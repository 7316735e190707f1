/* SPDX-License-Identifier: BSD-2-Clause */
/* The new headers. Expected bytes are written here by hand from RFC 791, RFC 2003, RFC 2473,
 * RFC 4213, RFC 8200, RFC 768 and the GUE draft; the random part checks the rules (lengths, TOS,
 * DF, ID, entropy) and sums every IPv4 header anew, byte by byte. */
#include "tests/unit/cmocka_help.h"
#include "tests/unit/fixture.h"

/* An inner packet of 100 bytes, TOS 0xb9, ID 0xbeef; entropy 0xabcde. The four lines of a case:
 * Ethernet; IPv4 (version and IHL, TOS, total length, ID, flags | TTL, protocol, checksum, source
 * with the entropy in its host bits, destination) or IPv6 (version, class and label, payload
 * length, next header, hop limit | source | destination); UDP and GUE (variant, control and
 * length, protocol, flags). */
static const struct {
	const char *name;
	u8 backend;
	bool inner_v6, df;
	u8 overhead;
	const char *bytes; /* hexadecimal */
} cases[] = {
	/* ID 0 with DF: RFC 6864 section 4.1; else the sender's, 0xbeef ^ 0xbcde. */
	{"IPv4 in IPv4 with DF", BACKEND_IPIP4, false, true, 20,
	 "020000000101 020000000001 0800"
	 "45b9 0078 0000 4000 4004 c5d9 ac10bcde 0a000101"},
	{"IPv4 in IPv4 without DF", BACKEND_IPIP4, false, false, 20,
	 "020000000101 020000000001 0800"
	 "45b9 0078 0231 0000 4004 03a9 ac10bcde 0a000101"},
	/* Protocol 41: RFC 4213 section 3.5. */
	{"IPv6 in IPv4", BACKEND_IPIP4, true, true, 20,
	 "020000000101 020000000001 0800"
	 "45b9 0078 0000 4000 4029 c5b4 ac10bcde 0a000101"},
	{"IPv4 in IPv6", BACKEND_IPIP6, false, true, 40,
	 "020000000102 020000000001 86dd"
	 "6b9abcde 0064 04 40"
	 "fd00 0000 0000 0001 0000 0000 0000 bcde"
	 "fd00 0000 0000 0002 0000 0000 0000 0002"},
	{"IPv6 in IPv6", BACKEND_IPIP6, true, true, 40,
	 "020000000102 020000000001 86dd"
	 "6b9abcde 0064 29 40"
	 "fd00 0000 0000 0001 0000 0000 0000 bcde"
	 "fd00 0000 0000 0002 0000 0000 0000 0002"},
	/* Source port 0xc000 | entropy, port 6080, length 8 + 4 + 100, no checksum. */
	{"IPv4 in GUE over IPv4", BACKEND_GUE4, false, false, 32,
	 "020000000103 020000000001 0800"
	 "45b9 0084 0231 0000 4011 038e ac10bcde 0a000103"
	 "fcde 17c0 0070 0000 00 04 0000"},
	{"IPv6 in GUE over IPv4", BACKEND_GUE4, true, true, 32,
	 "020000000103 020000000001 0800"
	 "45b9 0084 0000 4000 4011 c5be ac10bcde 0a000103"
	 "fcde 17c0 0070 0000 00 29 0000"},
	{"IPv4 in GUE over IPv6", BACKEND_GUE6, false, false, 52,
	 "020000000104 020000000001 86dd"
	 "6b9abcde 0070 11 40"
	 "fd00 0000 0000 0001 0000 0000 0000 bcde"
	 "fd00 0000 0000 0002 0000 0000 0000 0004"
	 "fcde 17c0 0070 0000 00 04 0000"},
	{"IPv6 in GUE over IPv6", BACKEND_GUE6, true, true, 52,
	 "020000000104 020000000001 86dd"
	 "6b9abcde 0070 11 40"
	 "fd00 0000 0000 0001 0000 0000 0000 bcde"
	 "fd00 0000 0000 0002 0000 0000 0000 0004"
	 "fcde 17c0 0070 0000 00 29 0000"},
	{"IPv4 as it came", BACKEND_BESIDE, false, false, 0, "020000000105 020000000001 0800"},
	{"IPv6 as it came", BACKEND_BESIDE, true, true, 0, "020000000105 020000000001 86dd"},
};

/* Returns how many bytes the text says. */
static u32 from_hex(const char *text, u8 *bytes)
{
	u32 digits = 0;

	for (; *text; text++) {
		u8 value = (u8)(*text <= '9' ? *text - '0' : *text - 'a' + 10);

		if (*text == ' ')
			continue;
		bytes[digits / 2] = (u8)(digits % 2 ? bytes[digits / 2] | value : value << 4);
		digits++;
	}
	return digits / 2;
}

/* Writes the headers into a block of exactly their size. */
static u8 *write_headers(const struct backend *backend, const struct packet *packet, u32 entropy)
{
	u8 *out = malloc(14 + encap_overhead(backend));

	encap_write(out, backend, packet, entropy);
	return out;
}

static void writes_what_the_rfcs_say(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct packet packet = {
			.l3_len = 100,
			.tos = 0xb9,
			.id = cases[i].inner_v6 ? 0 : BE16(0xbeef),
			.flags =
				(cases[i].inner_v6 ? PACKET_V6 : 0) | (cases[i].df ? PACKET_DF : 0),
		};
		struct backend backend;
		u8 expected[14 + ENCAP_OVERHEAD_MAX];
		u8 *out;

		fixture_backend(&backend, cases[i].backend, cases[i].inner_v6);
		assert_int_equal(encap_overhead(&backend), cases[i].overhead);
		assert_int_equal(from_hex(cases[i].bytes, expected), 14 + cases[i].overhead);
		out = write_headers(&backend, &packet, 0xabcde);
		for (u32 k = 0; k < 14u + cases[i].overhead; k++)
			if (out[k] != expected[k])
				fail_msg("%s: byte %u is %02x, not %02x", cases[i].name, k, out[k],
					 expected[k]);
		free(out);
	}
}

static void check_ipv4(const u8 *ip, const struct backend *backend, const struct packet *packet,
		       u32 entropy)
{
	u32 mask = be16_to_cpu(backend->source_mask);
	bool df = packet->flags & PACKET_DF;
	u32 id = df ? 0 : be16_to_cpu(packet->id) ^ (entropy & 0xffff);

	assert_int_equal(ip[0], 0x45);
	assert_int_equal(ip[1], packet->tos);
	assert_int_equal(get16(ip + 2), packet->l3_len + encap_overhead(backend));
	assert_int_equal(get16(ip + 4), id);
	assert_int_equal(get16(ip + 6), df ? 0x4000 : 0);
	assert_int_equal(get16(ip + 14),
			 get16((const u8 *)&backend->outer + 14) | (entropy & mask));
	assert_true(frame_ipv4_is_sealed(ip));
}

static void check_ipv6(const u8 *ip, const struct backend *backend, const struct packet *packet,
		       u32 entropy)
{
	u32 mask = be16_to_cpu(backend->source_mask);

	assert_int_equal(get32(ip), 6u << 28 | (u32)packet->tos << 20 | (entropy & 0xfffff));
	assert_int_equal(get16(ip + 4), packet->l3_len + encap_overhead(backend) - 40);
	assert_int_equal(get16(ip + 22),
			 get16((const u8 *)&backend->outer + 22) | (entropy & mask));
	assert_memory_equal(ip + 24, (const u8 *)&backend->outer + 24, 16);
}

/* A template with random addresses and a prefix of any length whose host bits are zero. */
static void random_backend(struct random *random, struct backend *backend, bool inner_v6)
{
	u16 mask = (u16)((1u << random_below(random, 17)) - 1);
	u8 *header = (u8 *)&backend->outer;

	fixture_backend(backend, BACKEND_IPIP4 + random_below(random, 4), inner_v6);
	backend->source_mask = BE16(mask);
	if (backend->flags & BACKEND_OUTER_V6) {
		put16(header + 22, random_below(random, 0x10000) & ~mask & 0xffff);
		return;
	}
	put32(header + 12, (u32)random_next(random) | (random_one_in(random, 2) ? 0xffff0000 : 0));
	put16(header + 14, get16(header + 14) & ~mask & 0xffff);
	put32(header + 16, (u32)random_next(random) | (random_one_in(random, 2) ? 0xffffffff : 0));
	put16(header + 10, 0);
	put16(header + 10, frame_sum(header, 20, 0));
}

static void every_checksum_is_right(void **state)
{
	struct random random = random_start("encap");
	u32 zeros = 0, ones = 0;

	for (u32 i = 0; i < 300000; i++) {
		bool v6 = random_one_in(&random, 2);
		const struct packet packet = {
			.l3_len = 20 + random_below(&random, 65535 - 52 - 20),
			.tos = (u8)random_next(&random),
			.id = random_one_in(&random, 8) ? 0xffff : (be16)random_next(&random),
			.flags = v6                          ? PACKET_V6 | PACKET_DF
				 : random_one_in(&random, 2) ? PACKET_DF
							     : 0,
		};
		u32 entropy = random_one_in(&random, 8) ? 0xfffff : random_below(&random, 1 << 20);
		struct backend backend;
		u8 *out;

		random_backend(&random, &backend, v6);
		out = write_headers(&backend, &packet, entropy);
		assert_memory_equal(out, &backend, 14);
		if (backend.flags & BACKEND_OUTER_V6) {
			check_ipv6(out + 14, &backend, &packet, entropy);
		} else {
			check_ipv4(out + 14, &backend, &packet, entropy);
			zeros += get16(out + 24) == 0;
			ones += get16(out + 24) == 0xffff;
		}
		if (backend.flags & BACKEND_GUE) {
			const u8 *udp = out + 14 + encap_overhead(&backend) - 12;

			assert_int_equal(get16(udp), 0xc000 | (entropy & 0x3fff));
			assert_int_equal(get16(udp + 2), 6080);
			assert_int_equal(get16(udp + 4), packet.l3_len + 12);
			assert_int_equal(get16(udp + 6), 0);
			assert_int_equal(get32(udp + 8), v6 ? 41 << 16 : 4 << 16);
		}
		free(out);
	}
	/* A header is never all zeros, so RFC 1071's other zero cannot be its checksum. */
	assert_int_equal(ones, 0);
	printf("encap: 300000 outer headers; an IPv4 checksum was 0x0000 %u times\n", zeros);
}

/* RFC 6040 section 4.1, normal mode, and RFC 2983's uniform model: copied whole, CE included. */
static void every_tos_is_copied(void **state)
{
	for (u32 tos = 0; tos < 256; tos++) {
		for (u32 number = BACKEND_IPIP4; number <= BACKEND_GUE6; number++) {
			const struct packet packet = {.l3_len = 40, .tos = (u8)tos};
			struct backend backend;
			u8 *out;

			fixture_backend(&backend, number, false);
			out = write_headers(&backend, &packet, 0);
			if (backend.flags & BACKEND_OUTER_V6)
				assert_int_equal(get32(out + 14) >> 20 & 0xff, tos);
			else
				assert_int_equal(out[15], tos);
			free(out);
		}
	}
}

/* RFC 6864 section 4.3: a packet that may be fragmented has an ID of its own; here a flow's run
 * of IDs stays a run of distinct ones. */
static void ids_stay_distinct_within_a_flow(void **state)
{
	bool seen[65536] = {false};
	struct backend backend;

	fixture_backend(&backend, BACKEND_IPIP4, false);
	for (u32 id = 0; id < 65536; id++) {
		const struct packet packet = {.l3_len = 40, .id = BE16(id)};
		u8 *out = write_headers(&backend, &packet, 0x5a5a5);

		assert_false(seen[get16(out + 18)]);
		seen[get16(out + 18)] = true;
		free(out);
	}
}

static void a_host_route_carries_no_entropy(void **state)
{
	const struct packet packet = {.l3_len = 40, .flags = PACKET_DF};
	struct backend backend;
	u8 *out;

	fixture_backend(&backend, BACKEND_IPIP4, false);
	backend.source_mask = 0;
	out = write_headers(&backend, &packet, 0xfffff);
	assert_int_equal(get32(out + 26), 0xac100000);
	assert_true(frame_ipv4_is_sealed(out + 14));
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_what_the_rfcs_say),
		cmocka_unit_test(every_checksum_is_right),
		cmocka_unit_test(every_tos_is_copied),
		cmocka_unit_test(ids_stay_distinct_within_a_flow),
		cmocka_unit_test(a_host_route_carries_no_entropy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
