/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions of the ordinary packet, for callgrind to count: an IPv4 TCP ACK of 64 bytes that
 * the flow table knows, wrapped in IPIP, in bursts of 32. instructions.py runs it with
 * --toggle-collect=measured and divides by the packets that this program says it sent. A count
 * depends on compiler, flags and code alone, so it tells a slower change on any machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/burst/burst.h"
#include "tests/bench/scene.h"

#define BURST 32
#define BURSTS 64
#define HEADROOM_BYTES 64
#define SLOT_BYTES (HEADROOM_BYTES + SCENE_FRAME_BYTES)

static u8 buffers[BURST][SLOT_BYTES] __attribute__((aligned(64)));

void measured(struct env *env, struct burst *burst, struct report_worker *report);

/* By this name callgrind knows when to count. */
__attribute__((noinline)) void measured(struct env *env, struct burst *burst,
					struct report_worker *report)
{
	burst_process(env, burst);
	burst_count(burst, 0, burst->count, report);
}

static void burst_make(struct burst *burst, const struct scene *scene, u32 number)
{
	const u8 *trace = scene->trace + (size_t)number * BURST * SCENE_FRAME_BYTES;

	burst->count = BURST;
	for (u32 i = 0; i < BURST; i++) {
		burst->frame[i] = buffers[i] + HEADROOM_BYTES;
		burst->contiguous_bytes[i] = burst->frame_bytes[i] = SCENE_FRAME_BYTES;
		burst->headroom_bytes[i] = HEADROOM_BYTES;
		memcpy(burst->frame[i], trace + (size_t)i * SCENE_FRAME_BYTES, SCENE_FRAME_BYTES);
	}
}

int main(void)
{
	static const struct scene_shape shape = {1, 10, BURST * BURSTS, false};
	struct burst burst = {.station = {.mac = SCENE_MAC}};
	struct report_worker *report;
	struct scene scene;
	u64 learned;

	scene_open(&scene, &shape);
	report = report_worker(&scene.report, 0);
	for (u32 i = 0; i < BURSTS; i++) {
		burst_make(&burst, &scene, i);
		burst_process(&scene.env, &burst);
		burst_count(&burst, 0, BURST, report);
	}
	learned = report->verdicts[VERDICT_MAGLEV];
	for (u32 i = 0; i < BURSTS; i++) {
		burst_make(&burst, &scene, i);
		measured(&scene.env, &burst, report);
	}
	if (learned != shape.flows_count || report->verdicts[VERDICT_FLOW] != shape.flows_count) {
		fprintf(stderr, "instructions: the packets were not all of known flows\n");
		return 1;
	}
	printf("packets %u\ncompiler %s\n", shape.flows_count, __VERSION__);
	scene_close(&scene);
	return 0;
}
