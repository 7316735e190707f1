/* SPDX-License-Identifier: BSD-2-Clause */
/* How packets come to the host, as the program's loop sees it: something to open, descriptors to
 * wait for, counters. One of two is in use: mode_tun.c or mode_kernel.c. */
#ifndef SHUNT_DECAP_MODE_H
#define SHUNT_DECAP_MODE_H

#include "dataplane/decap/counters.h"
#include "dataplane/decap/options.h"

enum { MODE_FDS_MAX = 8 };

struct mode {
	/* Everything that needs a privilege. 0, or -errno after a message. `counters` is kept. */
	int (*open)(const struct options *options, struct counters *counters);
	/* The i-th of at most MODE_FDS_MAX descriptors, -1 for none. */
	int (*fd)(u32 i);
	/* The i-th is readable. Returns false, after a message, where it can't go on. */
	bool (*ready)(u32 i);
	/* Brings the counters up to date. */
	void (*count)(void);
	/* Says that packets are taken now, and how. */
	void (*announce)(const struct options *options);
	/* Which capabilities are needed to close: a list that ends with -1. */
	const int *(*capabilities)(void);
	void (*close)(void);
};

extern const struct mode mode_tun;

#ifdef SHUNT_DECAP_BPF
extern const struct mode mode_kernel;

/* Takes away what an earlier program has left. 0, or -errno after a message. */
int mode_kernel_detach(const struct options *options) __attribute__((warn_unused_result));
#endif

#endif
