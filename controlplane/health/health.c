/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/health/health.h"

#include <limits.h>

#include "dataplane/core/hash.h"

#define JITTER_DIVISOR 10

void health_start(struct health *health, u64 now_ms)
{
	*health = (struct health){.up = true, .changed_ms = now_ms};
}

bool health_note(struct health *health, unsigned rise, unsigned fall, bool passed, u64 now_ms)
{
	unsigned needed = health->up ? (health->known ? fall : 1) : rise;
	unsigned *row = passed ? &health->passed : &health->failed;

	*(passed ? &health->failed : &health->passed) = 0;
	*row += *row < UINT_MAX;
	health->known = true;
	if (passed == health->up || *row < needed)
		return false;
	health->up = passed;
	health->changed_ms = now_ms;
	return true;
}

static u64 draw(u64 *random, u64 below)
{
	*random += 0x9e3779b97f4a7c15; /* a Weyl sequence: every state is met */
	return hash_unkeyed(hash_unkeyed(*random)) % below;
}

u64 health_first_delay_ms(u64 *random, u64 interval_ms)
{
	return draw(random, interval_ms);
}

u64 health_next_delay_ms(u64 *random, u64 interval_ms)
{
	u64 jitter_ms = interval_ms / JITTER_DIVISOR;

	return interval_ms - jitter_ms + draw(random, 2 * jitter_ms + 1);
}
