/* SPDX-License-Identifier: BSD-2-Clause */
/* Who stores into which cache line: observed, whatever code it is that stores. */
#ifndef SHUNT_TESTS_ENGINE_STORE_WATCH_H
#define SHUNT_TESTS_ENGINE_STORE_WATCH_H

#include "dataplane/core/base.h"

/* Prepares. Returns 0 or -errno. */
int store_watch_open(void) __attribute__((warn_unused_result));

/* The mapping around this address is left alone: a thread says so of its stack. */
void store_watch_spare(const void *address);

/* From here on, the stores of the thread that says so count for `who` (0 to 6). */
void store_watch_as(u32 who);

/* From begin to end, every store into writable memory that is no thread's stack is noted. One thread
 * at a time may run what is watched. */
void store_watch_begin(void);
void store_watch_end(void);

/* The lines that were stored into, in the order of their first store; NULL after the last. */
struct store_line {
	u64 address;
	u8 by; /* bit i: who = i; 7: a thread that did not say */
};

const struct store_line *store_watch_line(u32 index);

#endif
