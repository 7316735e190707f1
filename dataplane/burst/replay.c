/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/burst/replay.h"

u64 burst_advance(struct env *env, u64 tick, u64 new_tick)
{
	if (new_tick <= tick)
		return tick;
	env->tick = (u8)(new_tick & FLOW_AGE_MASK);
	for (u32 i = 0; i < env->flow_buckets; i++) {
		if (new_tick - tick > FLOW_TIMEOUT_TICKS)
			env->flows[i] = (struct flow_bucket){0};
		else
			flow_bucket_sweep(&env->flows[i], env->tick);
	}
	return new_tick;
}
