/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Integer types, byte order and compiler hints: what every core header stands on.
 *
 * The core is compiled by gcc and clang for user space and by clang for BPF, so it names
 * its own types instead of pulling in a C library: <linux/in.h> and <netinet/in.h> cannot
 * be included together, and neither exists for `-target bpf`. */
#ifndef SHUNT_CORE_BASE_H
#define SHUNT_CORE_BASE_H

#include <stdbool.h>
#include <stddef.h>

typedef __UINT8_TYPE__ u8;
typedef __UINT16_TYPE__ u16;
typedef __UINT32_TYPE__ u32;
typedef __UINT64_TYPE__ u64;
typedef __INT64_TYPE__ s64;

/* Values in network byte order; only the helpers below look inside. */
typedef u16 be16;
typedef u32 be32;

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "shunt is written for little-endian machines"
#endif

#define BE16(x) ((be16)__builtin_bswap16((u16)(x)))
#define BE32(x) ((be32)__builtin_bswap32((u32)(x)))

static inline u16 be16_to_cpu(be16 x)
{
	return __builtin_bswap16(x);
}

static inline u32 be32_to_cpu(be32 x)
{
	return __builtin_bswap32(x);
}

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define always_inline inline __attribute__((always_inline))
/* For what is rarely needed on the way of every packet: kept out of it, but in BPF, whose
 * functions take fewer arguments. */
#ifdef __bpf__
#define apart always_inline
#define rarely_called always_inline __attribute__((unused))
#else
#define apart __attribute__((noinline))
#define rarely_called __attribute__((noinline, cold, unused))
#endif

#define packed_struct __attribute__((packed, may_alias, aligned(1)))
#define cache_aligned __attribute__((aligned(64)))
#define prefetch_read(p) __builtin_prefetch((p), 0, 3)
#define prefetch_write(p) __builtin_prefetch((p), 1, 3)

/* Sends what is known back to memory, where the BPF verifier does not follow it: paths that differ
 * in nothing else are walked once instead of once each. Nothing in user space. */
#ifdef __bpf__
#define join_paths() asm volatile("" ::: "memory")
#else
#define join_paths() ((void)0)
#endif

/* Keeps a number's origin from clang, which for BPF makes branches of arithmetic that it sees
 * through. */
#ifdef __bpf__
#define hide_value(x) asm volatile("" : "+r"(x))
#else
#define hide_value(x) ((void)0)
#endif

/* yes where x == y, else no. Without a branch: in BPF the verifier would walk both of its ways. By
 * a mask, not a product: the verifier of Linux 6.1 knows no bound of a product with a number that
 * isn't constant, and clang, which does, takes `& 7` from an index that was chosen here. */
static always_inline u32 choose_equal(u64 x, u64 y, u32 yes, u32 no)
{
#ifdef __bpf__
	u64 differ = x ^ y;
	u64 negative = 0 - differ;

	hide_value(negative);
	return yes + ((no - yes) & (u32)((s64)(differ | negative) >> 63));
#else
	return x == y ? yes : no;
#endif
}

/* yes where the condition, told as 1 or 0, holds, else no; and the two conditions that are asked where
 * the verifier would walk both ways of each entry of a bucket: whether x is 0, and whether x is above
 * y, both below 2^31. */
static always_inline u32 choose_if(u32 one, u32 yes, u32 no)
{
#ifdef __bpf__
	return no + ((yes - no) & (0 - one));
#else
	return one ? yes : no;
#endif
}

static always_inline u32 one_if_zero(u64 x)
{
	return choose_equal(x, 0, 1, 0);
}

static always_inline u32 one_if_above(u32 x, u32 y)
{
#ifdef __bpf__
	u32 below = y - x;

	hide_value(below);
	return below >> 31;
#else
	return x > y;
#endif
}

/* fastrange: maps a uniform 32-bit value onto [0, n) without a division. */
static inline u32 fastrange32(u32 x, u32 n)
{
	return (u32)(((u64)x * n) >> 32);
}

#endif
