/* SPDX-License-Identifier: BSD-2-Clause */
/* burst.c once more, over a flow table without probation: whoever comes to two full buckets gets
 * somebody's entry. Only whom a newcomer replaces is exchanged; all else is the engine's code. */
#define burst_process careless_burst_process
#define burst_count careless_unused_burst_count
#define burst_follow careless_unused_burst_follow
#define burst_sweep careless_unused_burst_sweep
#define flow_bucket_evictable careless_unused_evictable

#include "dataplane/core/flow.h"

#undef flow_bucket_evictable
static always_inline u32 flow_bucket_evictable(const struct flow_bucket *bucket);

#include "dataplane/burst/burst.c"

#include "tests/bench/careless.h"

/* Any entry: which one, what the bucket holds decides, so that it is another one every time. */
static always_inline u32 flow_bucket_evictable(const struct flow_bucket *bucket)
{
	u64 mixed = 0;

	for (u32 i = 0; i < FLOW_BUCKET_ENTRIES; i++)
		mixed = hash_unkeyed(mixed ^ bucket->entries[i]);
	return fastrange32((u32)(mixed >> 32), FLOW_BUCKET_ENTRIES);
}
