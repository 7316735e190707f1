/* SPDX-License-Identifier: BSD-2-Clause */
/* What a worker remembers for seconds, apart from flows; all zero: nothing yet. The kernel's program
 * and a user-space worker of the same queue share it. */
#ifndef SHUNT_STATE_RECENT_H
#define SHUNT_STATE_RECENT_H

#include "dataplane/core/frag.h"

#define RECENT_TOLD_CLASSES 1024
#define RECENT_KEPT_MAX 64

struct env_recent {
	struct fragment_bucket fragments[FRAGMENT_BUCKETS];
	u32 told_ms[RECENT_TOLD_CLASSES];
	/* First fragments that came just now, for who waits for them; whoever looks, empties it. User
	 * space alone waits, and writes it. */
	u32 kept_count;
	u64 kept[RECENT_KEPT_MAX];
};

#endif
