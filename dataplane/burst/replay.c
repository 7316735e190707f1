/* SPDX-License-Identifier: BSD-2-Clause */
/* Ages have six bits, so one sweep sees right only up to 31 ticks after the one before; two do
 * for a whole timeout, and after more than that nothing is alive. */
#include "dataplane/burst/replay.h"

#include <string.h>

#define SWEEP_WITHIN_TICKS (FLOW_AGE_MASK - FLOW_TIMEOUT_TICKS)

static void sweep(struct env *env, u64 tick)
{
	for (u32 i = 0; i < env->flow_buckets; i++)
		flow_bucket_sweep(&env->flows[i], (u8)(tick & FLOW_AGE_MASK));
}

u64 burst_advance(struct env *env, u64 tick, u64 next)
{
	if (next <= tick)
		return tick;
	env->tick = (u8)(next & FLOW_AGE_MASK);
	if (next - tick > FLOW_TIMEOUT_TICKS) {
		memset(env->flows, 0, (size_t)env->flow_buckets * sizeof(env->flows[0]));
		return next;
	}
	if (next - tick > SWEEP_WITHIN_TICKS)
		sweep(env, tick + SWEEP_WITHIN_TICKS);
	sweep(env, next);
	return next;
}
