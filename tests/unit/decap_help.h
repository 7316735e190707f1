/* SPDX-License-Identifier: BSD-2-Clause */
/* Inner packets, written by hand, for the tests of the decapsulator; sums that are reckoned in
 * another way than the code under test does; lists of prefixes. */
#ifndef SHUNT_TESTS_DECAP_HELP_H
#define SHUNT_TESTS_DECAP_HELP_H

#include <string.h>

#include "dataplane/decap/decap.h"
#include "tests/unit/cmocka_help.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

enum { SAMPLE_MAX_BYTES = 1600 };

struct sample {
	u8 bytes[SAMPLE_MAX_BYTES];
	u32 len_bytes;
};

/* The full sum as RFC 1071 words it, from native words and with its own folding: not the code
 * under test. */
static inline u16 reference_sum(const u8 *bytes, u32 len_bytes, u32 start)
{
	u32 sum = start;

	for (u32 i = 0; i < len_bytes; i++) {
		sum += i % 2 ? bytes[i] : (u32)bytes[i] << 8;
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return (u16)sum;
}

static inline void put16(u8 *bytes, u32 value)
{
	bytes[0] = (u8)(value >> 8);
	bytes[1] = (u8)value;
}

static inline u32 get16(const u8 *bytes)
{
	return (u32)bytes[0] << 8 | bytes[1];
}

/* Length and protocol, the pseudo header's other half (RFC 9293 section 3.1). */
static inline u16 pseudo_sum(const struct sample *sample)
{
	bool v4 = sample->bytes[0] >> 4 == 4;
	u32 header = v4 ? (sample->bytes[0] & 15) * 4u : 40;
	u32 protocol = sample->bytes[v4 ? 9 : 6];

	return reference_sum(sample->bytes + (v4 ? 12 : 8), v4 ? 8 : 32,
			     sample->len_bytes - header + protocol);
}

static inline void v4_seal(struct sample *sample)
{
	put16(sample->bytes + 10, 0);
	put16(sample->bytes + 10, 0xffff & ~(u32)reference_sum(sample->bytes, 20, 0));
}

/* 198.51.100.2 to 203.0.113.10, `protocol`, its header and payload `fill`ed. */
static inline struct sample sample_v4(u8 protocol, u32 transport_len, u8 fill)
{
	struct sample sample = {.bytes = {0x45, 0, 0,   0,  0x12, 0x34, 0x40, 0, 64,  protocol,
					  0,    0, 198, 51, 100,  2,    203,  0, 113, 10},
				.len_bytes = 20 + transport_len};

	put16(sample.bytes + 2, sample.len_bytes);
	v4_seal(&sample);
	memset(sample.bytes + 20, fill, transport_len);
	return sample;
}

/* 2001:db8::2 to 2001:db8:ff::10. */
static inline struct sample sample_v6(u8 protocol, u32 transport_len, u8 fill)
{
	struct sample sample = {.bytes = {0x60, 0,    0,    0,   0,    0,          protocol,
					  64,   0x20, 1,    0xd, 0xb8, [23] = 2,   [24] = 0x20,
					  1,    0xd,  0xb8, 0,   0xff, [39] = 0x10},
				.len_bytes = 40 + transport_len};

	put16(sample.bytes + 4, transport_len);
	memset(sample.bytes + 40, fill, transport_len);
	return sample;
}

static inline struct sample sample_make(bool v4, u8 protocol, u32 transport_len, u8 fill)
{
	return v4 ? sample_v4(protocol, transport_len, fill)
		  : sample_v6(protocol, transport_len, fill);
}

static inline void list_add(struct prefix_list *list, const char *text)
{
	struct prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	assert_int_equal(prefix_list_add(list, &prefix), 0);
}

static inline struct addr addr_of(const char *text)
{
	struct prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	assert_int_equal(prefix.len_bits, 128);
	return prefix.addr;
}

#endif
