/* SPDX-License-Identifier: BSD-2-Clause */
/* Any sequence of fragments of a few datagrams, with time between them: each one alone through
 * single_run(), and the same in bursts with early ones held. Both agree, a later fragment follows
 * its first one exactly as long as that is remembered, and of those held none is lost or kept for
 * ever.
 *
 * Input: steps of three bytes. First: bit 0: IPv6, bits 1 to 3: which datagram, bit 4: not the
 * first fragment, bit 5: the burst ends behind it, bit 6: the clock moves before it, bit 7: by
 * seconds instead of milliseconds. Second: how far the clock moves. Third: bits 0 to 6: payload in
 * steps of 8 bytes, bit 7: no more fragments. */
#include "dataplane/burst/burst.h"
#include "dataplane/burst/hold.h"

#include "tests/fuzz/check.h"

enum {
	FLOW_BUCKETS = FIXTURE_HIGHEST_NUMBER + 1,
	DATAGRAMS = 8,
	FRAGMENT_MAX = 14 + 48 + 8 + 1016,
	HEADROOM = 64
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is known of a datagram by the sequence alone. */
struct known {
	bool first_seen;
	u32 first_ms;
	u16 backend_number;
};

struct slot {
	struct frame frame;
	enum verdict verdict; /* alone */
	u16 backend_number;
	u8 buffer[HEADROOM + FRAGMENT_MAX];
};

struct world {
	struct fixture *alone, *together;
	struct hold hold;
	struct burst burst;
	struct known known[2][DATAGRAMS];
	struct slot slots[BURST_MAX];
	u32 count, came, settled;
	/* Frames that are held, copied out of their slots. */
	struct frame held[HOLD_MAX];
	bool held_used[HOLD_MAX];
};

static void fragment_make(struct frame *frame, const u8 step[static 3])
{
	bool v6 = step[0] & 1, later = step[0] & 16, more = !(step[2] & 128);
	u32 id = step[0] >> 1 & 7, offset = later ? 8u * (1 + step[1] % 8u) : 0;
	struct frame_spec spec = {
		.source = v6 ? "2001:db8:2::7" : "192.0.2.7",
		.destination = v6 ? "2001:db8:1::10" : "203.0.113.10",
		.protocol = FRAME_UDP,
		.source_port = (u16)(4000 + id),
		.destination_port = 53,
		.id = (u16)(id + 1),
		.fragment = (u16)(offset / 8 | (more ? FRAME_MF : 0)),
		.extensions = {FRAME_FRAGMENT},
		.extensions_count = 1,
		.payload_bytes = (step[2] & 127u) * 8,
	};

	frame_build(frame, &spec);
	if (!v6)
		return;
	put16(frame->bytes + 14 + 42, offset | more); /* RFC 8200 section 4.5 */
	put32(frame->bytes + 14 + 44, id + 1);
}

/* --- Alone, beside what must come of it ----------------------------------------------- */

static void run_alone(struct world *world, struct slot *slot, const u8 step[static 3])
{
	struct known *known = &world->known[step[0] & 1][step[0] >> 1 & 7];
	bool later = step[0] & 16, fragment = later || !(step[2] & 128);
	u8 *block = malloc(HEADROOM + slot->frame.len);
	u32 now_ms = world->alone->env.now_ms;
	struct outcome outcome;

	frame_require(block != NULL);
	memcpy(block + HEADROOM, slot->frame.bytes, slot->frame.len);
	outcome = fixture_forward(world->alone, block + HEADROOM, slot->frame.len, HEADROOM);
	slot->verdict = outcome.verdict;
	slot->backend_number = outcome.number;
	free(block);
	if (later) {
		bool remembered =
			known->first_seen && now_ms - known->first_ms <= FRAGMENT_TIMEOUT_MS;

		frame_require(outcome.verdict == VERDICT_TINY_FRAGMENT ||
			      (outcome.verdict == VERDICT_FRAGMENT) == !remembered);
		if (outcome.number)
			frame_require(outcome.number == known->backend_number);
		return;
	}
	if (!outcome.number)
		return;
	if (known->backend_number)
		frame_require(outcome.number == known->backend_number);
	known->backend_number = outcome.number;
	if (fragment) {
		known->first_seen = true;
		known->first_ms = now_ms;
	}
}

/* --- Together, with those held that are early ----------------------------------------- */

static bool hold_one(struct world *world, const struct slot *slot, u64 datagram)
{
	u32 place = 0;
	struct held held = {
		.datagram = datagram,
		.since_ms = world->together->env.now_ms,
	};

	while (place < HOLD_MAX && world->held_used[place])
		place++;
	held.frame = &world->held[place < HOLD_MAX ? place : 0];
	if (!hold_put(&world->hold, &held)) {
		frame_require(world->hold.count == HOLD_MAX && place == HOLD_MAX);
		return false;
	}
	frame_require(place < HOLD_MAX);
	world->held[place] = slot->frame;
	world->held_used[place] = true;
	return true;
}

static void describe(struct burst *burst, u32 i, u8 *buffer, const struct frame *frame)
{
	memcpy(buffer + HEADROOM, frame->bytes, frame->len);
	burst->frame[i] = buffer + HEADROOM;
	burst->frame_bytes[i] = burst->contiguous_bytes[i] = frame->len;
	burst->headroom_bytes[i] = HEADROOM;
}

static void let_go(struct world *world, const struct held *held)
{
	world->held_used[(const struct frame *)held->frame - world->held] = false;
	world->settled++;
}

/* What was waited for has come, and goes its way: at once, and even where its first fragment is
 * forgotten again. */
static void release(struct world *world)
{
	static u8 buffer[HEADROOM + FRAGMENT_MAX];
	struct burst *burst = &world->burst;
	struct held held;

	while (hold_pending(&world->hold, world->together->env.recent) &&
	       hold_release(&world->hold, world->together->env.recent, &held)) {
		burst->count = 1;
		describe(burst, 0, buffer, held.frame);
		burst_process(&world->together->env, burst);
		frame_require(burst->verdict[0] != VERDICT_FRAGMENT);
		frame_require(!hold_put(&world->hold, &held));
		let_go(world, &held);
	}
	frame_require(!hold_pending(&world->hold, world->together->env.recent) ||
		      world->together->env.recent->kept_count == 0);
}

static void run_together(struct world *world)
{
	struct burst *burst = &world->burst;

	burst->count = world->count;
	burst->station = world->together->station;
	for (u32 i = 0; i < world->count; i++)
		describe(burst, i, world->slots[i].buffer, &world->slots[i].frame);
	burst_process(&world->together->env, burst);
	for (u32 i = 0; i < world->count; i++) {
		const struct slot *slot = &world->slots[i];

		frame_require(burst->verdict[i] == slot->verdict);
		frame_require(burst->backend_number[i] == slot->backend_number);
		if (burst->verdict[i] != VERDICT_FRAGMENT ||
		    !hold_one(world, slot, burst->datagram[i]))
			world->settled++;
	}
	world->count = 0;
	release(world);
}

/* The clock moves; a burst ends before that. */
static void pass_time(struct world *world, u32 ms)
{
	u32 now_ms = world->alone->env.now_ms + ms;
	struct held held;

	run_together(world);
	world->alone->env.now_ms = world->together->env.now_ms = now_ms;
	while (hold_expire(&world->hold, now_ms, &held)) {
		frame_require(now_ms - held.since_ms >= HOLD_MS);
		let_go(world, &held);
	}
	for (u32 i = 0; i < world->hold.count; i++)
		frame_require(now_ms - world->hold.list[i].since_ms < HOLD_MS);
}

static void world_begin(struct world *world)
{
	if (!world->alone) {
		world->alone = fixture_new(FLOW_BUCKETS);
		world->together = fixture_new(FLOW_BUCKETS);
	}
	check_forget(world->alone);
	check_forget(world->together);
	memset(world->known, 0, sizeof(world->known));
	memset(world->held_used, 0, sizeof(world->held_used));
	world->hold = (struct hold){0};
	world->count = world->came = world->settled = 0;
	/* It wraps around soon. */
	world->alone->env.now_ms = world->together->env.now_ms = 0xffffff00;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;

	world_begin(&world);
	for (; size >= 3; data += 3, size -= 3) {
		struct slot *slot;

		if (data[0] & 64)
			pass_time(&world, data[0] & 128 ? data[1] * 1000u : data[1]);
		slot = &world.slots[world.count++];
		world.came++;
		fragment_make(&slot->frame, data);
		run_alone(&world, slot, data);
		if (data[0] & 32 || world.count == BURST_MAX)
			run_together(&world);
	}
	pass_time(&world, HOLD_MS);
	frame_require(world.hold.count == 0 && world.settled == world.came);
	return 0;
}
