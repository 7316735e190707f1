/* SPDX-License-Identifier: BSD-2-Clause */
/* Fragments that came before the first one of their datagram, which alone has ports: they wait a
 * moment for it, and then go the way that it went. Few and short, so that fragments of nothing
 * cost little: whoever finds no place, or waits in vain, is dropped. */
#ifndef SHUNT_BURST_HOLD_H
#define SHUNT_BURST_HOLD_H

#include "dataplane/state/env_user.h"

#define HOLD_MAX 64
#define HOLD_MS 250

struct held {
	void *frame; /* the engine's own */
	const void *port;
	u64 datagram;
	u32 since_ms;
};

/* In the order of arrival. One thread. */
struct hold {
	u32 count;
	bool releasing; /* between a frame that was released and the last one */
	struct held list[HOLD_MAX];
};

/* Keeps a frame with the verdict VERDICT_FRAGMENT. Returns whether there was a place: for what was
 * just released there is none, or a first fragment that came and is forgotten already would have
 * the two go round for ever. */
bool hold_put(struct hold *hold, const struct held *held);

/* Whether hold_release() has anything to do: after each burst it is to be called until it returns
 * false, even if nobody waits. Else who waits later would take what came long ago for news. */
static inline bool hold_pending(const struct hold *hold, const struct env_recent *recent)
{
	return (hold->count | recent->kept_count) != 0;
}

/* Takes out the next frame whose first fragment env->recent has noted since the last time that
 * there was none. Returns whether there is one. */
bool hold_release(struct hold *hold, struct env_recent *recent, struct held *held);

/* Takes out the oldest frame if it has waited for HOLD_MS. Returns whether it has. */
bool hold_expire(struct hold *hold, u32 now_ms, struct held *held);

#endif
