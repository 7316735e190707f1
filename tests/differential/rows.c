/* SPDX-License-Identifier: BSD-2-Clause */
/* What engines make of a frame is the same in every row; where one differs, it is by what happens to
 * the frame afterwards. */
#include "tests/differential/rows.h"

#include <string.h>

#include "dataplane/burst/hold.h"

static struct frame piece(u16 flags_and_offset)
{
	struct frame frame;

	frame_build(&frame, &(struct frame_spec){
				    .source = "192.0.2.250",
				    .source_port = 50000,
				    .destination = "203.0.113.10",
				    .destination_port = 53,
				    .protocol = FRAME_UDP,
				    .id = 4711,
				    .fragment = flags_and_offset,
				    .payload_bytes = 8,
			    });
	return frame;
}

/* A burst of one, of a worker that keeps what waits. */
static void in_user_space(struct world *world, struct burst *burst, const struct frame *frame)
{
	static u8 room[WORLD_HEADROOM + FRAME_MAX_BYTES];

	memcpy(room + WORLD_HEADROOM, frame->bytes, frame->len);
	*burst = (struct burst){.count = 1, .station = world->ports[0].station};
	burst->frame[0] = room + WORLD_HEADROOM;
	burst->contiguous_bytes[0] = burst->frame_bytes[0] = frame->len;
	burst->headroom_bytes[0] = WORLD_HEADROOM;
	burst_process(&world->burst.workers[0].env, burst);
}

static void must(const struct world *world, bool true_here, const char *what)
{
	if (!true_here)
		world_fail(world, "an early fragment: %s", what);
}

/* The kernel drops it at once; user space keeps it, and sends it to where the first one went. What
 * this leaves behind in one engine alone is undone. */
static void early_fragment_waits_in_user_space_alone(struct world *world)
{
	static struct env_recent before;
	static struct burst burst;
	struct frame early = piece(2), first = piece(FRAME_MF);
	struct env_recent *recent = &world->burst.workers[0].recent;
	struct hold hold = {0};
	struct held held = {.frame = &early};
	struct world_result result;

	result = world_frame(world, 0, early.bytes, early.len);
	must(world, result.verdict == VERDICT_FRAGMENT, "the kernel takes it for another thing");
	result = world_frame(world, 0, first.bytes, first.len);
	must(world, verdict_action(result.verdict) == ACTION_FORWARD, "the first one is not sent");
	world_compare(world); /* all agree: nobody has sent anything but the first one */

	before = *recent;
	memset(recent->fragments, 0, sizeof(recent->fragments));
	recent->kept_count = 0;
	in_user_space(world, &burst, &early);
	must(world, burst.verdict[0] == VERDICT_FRAGMENT, "a burst finds its first one");
	held.datagram = burst.datagram[0];
	must(world, hold_put(&hold, &held), "there is no place for it");
	must(world, !hold_release(&hold, recent, &held), "it does not wait");
	in_user_space(world, &burst, &first);
	must(world, hold_release(&hold, recent, &held) && held.frame == &early, "it waits on");
	in_user_space(world, &burst, held.frame);
	must(world, verdict_action(burst.verdict[0]) == ACTION_FORWARD, "it is not sent");
	must(world, burst.backend_number[0] == result.backend_number, "it goes elsewhere");
	*recent = before;
}

static void (*const differences[VERDICT_COUNT])(struct world *world) = {
	[VERDICT_FRAGMENT] = early_fragment_waits_in_user_space_alone,
};

void rows_check(struct world *world)
{
	static const char *const engines[VERDICT_COUNT] = {
#define ROW_ENGINES(id, action, reason, text, advice, engines_text) [VERDICT_##id] = engines_text,
		VERDICTS(ROW_ENGINES)
#undef ROW_ENGINES
	};

	for (u32 i = 0; i < VERDICT_COUNT; i++) {
		const char *reason = verdict_reason((enum verdict)i);

		if (engines[i][0] && !differences[i])
			world_fail(world,
				   "%s: verdict.h says that engines differ, and nothing "
				   "here shows how",
				   reason);
		if (!engines[i][0] && differences[i])
			world_fail(world, "%s: engines differ, and verdict.h does not say so",
				   reason);
		if (differences[i])
			differences[i](world);
	}
}
