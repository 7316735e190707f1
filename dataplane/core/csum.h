/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The Internet checksum (RFC 1071): sums of 16-bit words as they lie in memory, so that no
 * byte is swapped; folded and complemented only where a field is written. */
#ifndef SHUNT_CORE_CSUM_H
#define SHUNT_CORE_CSUM_H

#include "base.h"

/* Folds a sum to 16 bits. A number added to itself with its halves changed over has in its upper
 * half the sum of the halves, the end-around carry included. */
static always_inline u16 csum_fold(u64 sum)
{
	u32 half = (u32)((sum + (sum << 32 | sum >> 32)) >> 32);

	return (u16)((half + (half << 16 | half >> 16)) >> 16);
}

/* Sums whole 32-bit words at any address. */
static always_inline u64 csum_words(const void *start, u32 words)
{
	const u8 *p = start;
	u64 sum = 0;

#pragma GCC unroll 8
	for (u32 i = 0; i < words; i++) {
		u32 word;

		__builtin_memcpy(&word, p + 4 * i, 4);
		sum += word;
	}
	return sum;
}

/* A checksum after one word that it covers has changed (RFC 1624 section 3, equation 3): right where
 * it was right, wrong where it was wrong. */
static always_inline u16 csum_replace(u16 csum, u16 from, u16 to)
{
	return (u16)~csum_fold((u64)(u16)~csum + (u16)~from + to);
}

#endif
