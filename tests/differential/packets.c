/* SPDX-License-Identifier: BSD-2-Clause */
/* A million frames, always the same ones, through the core, the burst pipeline and the program in
 * the kernel, while tables change: one verdict, the same bytes, one backend, the same counters. */
#include <stdlib.h>
#include <string.h>

#include "tests/differential/capture.h"
#include "tests/differential/generator.h"
#include "tests/differential/rows.h"
#include "tests/differential/world.h"

#define SEED 0x5eed5eed5eed5eedull

enum { FRAMES_BETWEEN_STEPS = 64, STEP_MAX_MS = 60, COMPARISONS = 100 };
enum { CHANGES_MAX = 400, FRAMES_BETWEEN_CHANGES_MIN = 400 };
enum { FLOW_BUCKETS_SMALL = 31, VERIFIED_MAX = 150000 };

/* What cannot happen here, and why. */
static const char *const elsewhere[VERDICT_COUNT] = {
	[VERDICT_NO_HEADROOM] = "every buffer of these engines has headroom; tests/unit/burst.c",
	[VERDICT_QUEUE_FULL] = "nothing is transmitted here; tests/unit/burst.c, tests/netns",
};

static u64 unplaced(const struct world *world)
{
	u64 sum = 0;

	for (u32 i = 0; i < WORLD_WORKERS; i++)
		sum += report_worker(&world->core.report, i)->flows_unplaced;
	return sum;
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
	printf("%9llu  forwarded in all\n%9llu  new flows found no room\n",
	       (unsigned long long)forwarded, (unsigned long long)unplaced(world));
	if (unplaced(world) == 0)
		world_fail(world, "the flow tables were never full");
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

static int run_engines(const char *config_path, u32 frames)
{
	static struct world world;
	struct generator generator = {.random = {SEED}, .workers_count = WORLD_WORKERS};

	world_open(&world, config_path, FLOW_BUCKETS_SMALL);
	rows_check(&world);
	verifier_check(&world);
	run(&world, &generator, frames);
	histogram_check(&world);
	printf("%llu frames as by the core, under %llu generations; what was remembered and "
	       "counted compared %llu times\n",
	       (unsigned long long)world.frames, (unsigned long long)world.publications,
	       (unsigned long long)world.compared_states);
	world_close(&world);
	return 0;
}

/* For engines that see a capture, under the same tables all the time. */
static int write_capture(const char *path, u32 frames, u64 seed)
{
	struct generator generator = {.random = {seed}, .workers_count = 1, .capture = true};
	static struct generator_frame frame;
	struct capture capture;

	capture_open(&capture, path);
	for (u32 i = 0; i < frames; i++) {
		if (i % FRAMES_BETWEEN_STEPS == 0)
			capture.time_ms += random_below(&generator.random, STEP_MAX_MS);
		generator_next(&generator, &frame);
		capture_write(&capture, frame.bytes, frame.len);
	}
	capture_close(&capture);
	return 0;
}

int main(int argc, char **argv)
{
	int frames = argc >= 4 ? atoi(argv[3]) : 0;
	bool capturing = argc == 5 && strcmp(argv[1], "--capture") == 0;
	u64 seed = capturing ? SEED ^ hash_unkeyed(strtoull(argv[4], NULL, 0)) : SEED;

	if (frames < COMPARISONS || (!capturing && strcmp(argv[1], "--engines") != 0)) {
		fprintf(stderr, "usage: packets --engines CONFIG FRAMES\n"
				"       packets --capture FILE FRAMES NUMBER\n");
		return 64;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %#llx, %d frames\n", (unsigned long long)seed, frames);
	return capturing ? write_capture(argv[2], (u32)frames, seed)
			 : run_engines(argv[2], (u32)frames);
}
