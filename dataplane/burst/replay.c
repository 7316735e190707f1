/* SPDX-License-Identifier: BSD-2-Clause */
/* Ages have six bits, so one sweep sees right only up to 31 ticks after the one before; two do
 * for a whole timeout, and after more than that nothing is alive. */
#include "dataplane/burst/replay.h"

#include <string.h>

#include "dataplane/state/flow_table.h"

#define SWEEP_WITHIN_TICKS (FLOW_AGE_MASK - FLOW_TIMEOUT_TICKS)

static void sweep(struct env *env, u64 tick)
{
	for (u32 i = 0; i < env->flow_buckets; i++)
		flow_bucket_sweep(&env->flows[i], (u8)(tick & FLOW_AGE_MASK));
}

static void flows_advance(struct env *env, u64 tick, u64 next)
{
	env->tick = (u8)(next & FLOW_AGE_MASK);
	if (next - tick > FLOW_TIMEOUT_TICKS) {
		memset(env->flows, 0, (size_t)env->flow_buckets * sizeof(env->flows[0]));
		return;
	}
	if (next - tick > SWEEP_WITHIN_TICKS)
		sweep(env, tick + SWEEP_WITHIN_TICKS);
	sweep(env, next);
}

bool replay_clock_moves(const struct replay_clock *clock, u64 now_ms)
{
	return flow_tick_of(now_ms, clock->tick_ms) > clock->tick ||
	       now_ms / REPLAY_STEP_MS > clock->step;
}

void replay_clock_advance(struct replay_clock *clock, struct env *env, u64 now_ms)
{
	u64 tick = flow_tick_of(now_ms, clock->tick_ms);

	if (now_ms / REPLAY_STEP_MS > clock->step)
		clock->step = now_ms / REPLAY_STEP_MS;
	env->now_ms = (u32)(clock->step * REPLAY_STEP_MS);
	if (tick <= clock->tick)
		return;
	flows_advance(env, clock->tick, tick);
	clock->tick = tick;
}
