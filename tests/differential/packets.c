/* SPDX-License-Identifier: BSD-2-Clause */
/* A million frames, always the same ones, through the core, the burst pipeline and the program in
 * the kernel, while tables change: one verdict, the same bytes, one backend, the same counters. */
#include <stdlib.h>
#include <string.h>

#include "tests/differential/generator.h"
#include "tests/differential/world.h"

#define SEED 0x5eed5eed5eed5eedull

enum { FRAMES_BETWEEN_STEPS = 64, STEP_MAX_MS = 60, COMPARISONS = 100 };
enum { CHANGES_MAX = 400, FRAMES_BETWEEN_CHANGES_MIN = 400 };
enum { FLOW_BUCKETS_SMALL = 509, VERIFIED_MAX = 150000 };

/* What cannot happen here, and why. */
static const char *const elsewhere[VERDICT_COUNT] = {
	[VERDICT_NO_HEADROOM] = "every buffer of these engines has headroom; tests/unit/burst.c",
	[VERDICT_QUEUE_FULL] = "nothing is transmitted here; tests/unit/burst.c, tests/netns",
};

/* Engines differ about fragments alone, and by what happens to them after this verdict: user space
 * keeps them for a while. tests/differential/replay.py sees that they do. */
static void marked_rows_check(const struct world *world)
{
	for (u32 i = 0; i < VERDICT_COUNT; i++)
		if ((verdict_engines((enum verdict)i)[0] != 0) != (i == VERDICT_FRAGMENT))
			world_fail(world, "the row of %s says where engines differ, or should",
				   verdict_reason((enum verdict)i));
}

static void histogram_check(const struct world *world)
{
	u64 least = world->frames / 1000, forwarded = 0, wanting = 0;

	for (u32 i = 0; i < VERDICT_COUNT; i++) {
		enum verdict verdict = (enum verdict)i;

		printf("%9llu  %-8s %-16s %s\n", (unsigned long long)world->verdicts[i],
		       action_name(verdict_action(verdict)), verdict_reason(verdict),
		       elsewhere[i] ? elsewhere[i] : "");
		if (verdict_action(verdict) == ACTION_FORWARD)
			forwarded += world->verdicts[i];
		wanting += elsewhere[i] ? world->verdicts[i] != 0 : world->verdicts[i] < least;
	}
	printf("%9llu  forwarded in all\n", (unsigned long long)forwarded);
	if (wanting)
		world_fail(world, "%llu reasons were met less than %llu times, or cannot be met",
			   (unsigned long long)wanting, (unsigned long long)least);
	if (forwarded * 2 < world->frames)
		world_fail(world, "less than half of all frames were forwarded");
}

static void verifier_check(const struct world *world)
{
	u32 verified = world_verified(world);

	printf("%u instructions verified, %u allowed\n", verified, VERIFIED_MAX);
	if (verified > VERIFIED_MAX)
		world_fail(world, "the verifier has too much to do");
}

/* The last quarter has flow tables of the size that shunt-xdp makes, where nothing is crowded. */
static void run(struct world *world, struct generator *generator, u32 frames)
{
	static struct generator_frame frame;
	u32 between = frames / CHANGES_MAX;

	if (between < FRAMES_BETWEEN_CHANGES_MIN)
		between = FRAMES_BETWEEN_CHANGES_MIN;
	for (u32 i = 0; i < frames; i++) {
		if (i == frames / 4 * 3)
			world_flows(world, world->kernel.flows.buckets_count);
		if (i % FRAMES_BETWEEN_STEPS == 0)
			world_pass(world, random_below(&generator->random, STEP_MAX_MS));
		if (i % between == 0)
			world_change(world, &generator->random);
		if (i % (frames / COMPARISONS) == 0)
			world_compare(world);
		generator_next(generator, &frame);
		world_frame(world, frame.worker, frame.bytes, frame.len);
	}
	world_compare(world);
}

int main(int argc, char **argv)
{
	static struct world world;
	struct generator generator = {.random = {SEED}, .workers_count = WORLD_WORKERS};
	int frames = argc == 3 ? atoi(argv[2]) : 0;

	if (frames < COMPARISONS) {
		fprintf(stderr, "usage: packets CONFIG FRAMES (%d or more)\n", COMPARISONS);
		return 64;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %#llx, %d frames\n", (unsigned long long)SEED, frames);
	world_open(&world, argv[1], FLOW_BUCKETS_SMALL);
	marked_rows_check(&world);
	verifier_check(&world);
	run(&world, &generator, (u32)frames);
	histogram_check(&world);
	printf("%llu frames as by the core, under %llu generations; what was remembered and "
	       "counted compared %llu times\n",
	       (unsigned long long)world.frames, (unsigned long long)world.publications,
	       (unsigned long long)world.compared_states);
	world_close(&world);
	return 0;
}
