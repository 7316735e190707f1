/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The one place where a frame's end is compared with anything.
 *
 * The BPF verifier accepts only `pointer + n > end`; user space must not form a pointer past
 * the end. That difference is the one `#ifdef __bpf__` in the core's logic. */
#ifndef SHUNT_CORE_CURSOR_H
#define SHUNT_CORE_CURSOR_H

#include "base.h"

struct cursor {
	u8 *position;
	u8 *end;
};

/* Returns the next n bytes and steps over them, or NULL where fewer are left. */
static always_inline void *cursor_pull(struct cursor *cursor, u32 n)
{
	u8 *start = cursor->position;

#ifdef __bpf__
	if (start + n > cursor->end)
		return NULL;
#else
	if (unlikely((size_t)(cursor->end - start) < n))
		return NULL;
#endif
	cursor->position = start + n;
	return start;
}

#endif
