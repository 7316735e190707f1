/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/burst/hold.h"

#include <string.h>

bool hold_put(struct hold *hold, const struct held *held)
{
	if (hold->count == HOLD_MAX || hold->releasing)
		return false;
	hold->list[hold->count++] = *held;
	return true;
}

static struct held take(struct hold *hold, u32 i)
{
	struct held held = hold->list[i];

	hold->count--;
	memmove(&hold->list[i], &hold->list[i + 1], (hold->count - i) * sizeof(held));
	return held;
}

static bool has_come(const struct env_recent *recent, u64 datagram)
{
	for (u32 i = 0; i < recent->kept_count; i++)
		if (recent->kept[i] == datagram)
			return true;
	return false;
}

bool hold_release(struct hold *hold, struct env_recent *recent, struct held *held)
{
	for (u32 i = 0; i < hold->count && recent->kept_count > 0; i++) {
		if (!has_come(recent, hold->list[i].datagram))
			continue;
		*held = take(hold, i);
		hold->releasing = true;
		return true;
	}
	hold->releasing = false;
	recent->kept_count = 0;
	return false;
}

bool hold_expire(struct hold *hold, u32 now_ms, struct held *held)
{
	if (hold->count == 0 || now_ms - hold->list[0].since_ms < HOLD_MS)
		return false;
	*held = take(hold, 0);
	return true;
}
