/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a burst of frames, through the parser, the flow table and the encapsulator.
 *
 * Input: one byte of settings (bit 0: `unmatched: pass`, bit 1: any MAC, the rest: the tick),
 * then frames: two bytes of length, most significant first, one byte of headroom, the frame. The
 * last frame may be shorter than it says. The burst comes twice: the second finds the flows that
 * the first left in a table where seven share a bucket. */
#include "dataplane/burst/burst.h"

#include "tests/fuzz/check.h"

enum { FLOW_BUCKETS = FIXTURE_HIGHEST_NUMBER + 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One frame in a block of exactly its size, and the same for the reference. */
struct input {
	const u8 *bytes;
	u32 len, headroom;
	u8 *together, *alone;
};

static u8 *block(const struct input *input)
{
	u8 *bytes = malloc(input->headroom + input->len);

	frame_require(bytes != NULL);
	if (input->len)
		memcpy(bytes + input->headroom, input->bytes, input->len);
	return bytes;
}

static u32 read_frames(const uint8_t *data, size_t size, struct input inputs[static BURST_MAX])
{
	u32 count = 0;

	while (size >= 3 && count < BURST_MAX) {
		struct input *input = &inputs[count++];
		u32 len = get16(data);

		input->headroom = data[2] % (ENCAP_OVERHEAD_MAX + 4);
		data += 3;
		size -= 3;
		input->len = len < size ? len : (u32)size;
		input->bytes = data;
		input->together = block(input);
		input->alone = block(input);
		data += input->len;
		size -= input->len;
	}
	return count;
}

static void check_inside(const struct burst *burst, u32 i, const struct input *input)
{
	frame_require(burst->frame[i] >= input->together);
	frame_require(burst->frame[i] + burst->frame_bytes[i] <=
		      input->together + input->headroom + input->len);
	frame_require(burst->contiguous_bytes[i] == burst->frame_bytes[i]);
}

/* What went out lies inside its block, holds the packet that came in, and says one length. */
static void check_forwarded(const struct burst *burst, u32 i, const struct input *input)
{
	check_inside(burst, i, input);
	check_wrapped(burst->frame[i], burst->frame_bytes[i], burst->backend[i],
		      input->bytes + check_l3_offset(input->bytes, input->len), burst->l3_len[i]);
}

static void check_kept(const struct burst *burst, u32 i, const struct input *input)
{
	frame_require(burst->frame[i] == input->together + input->headroom);
	frame_require(burst->frame_bytes[i] == input->len);
	if (input->len)
		frame_require(memcmp(burst->frame[i], input->bytes, input->len) == 0);
}

/* An answer lies inside its block, and is the same as alone. */
static void check_replied(const struct burst *burst, u32 i, const struct input *input,
			  const struct outcome *outcome)
{
	check_inside(burst, i, input);
	frame_require(burst->frame_bytes[i] == outcome->frame_bytes);
	frame_require(memcmp(burst->frame[i], outcome->frame, outcome->frame_bytes) == 0);
	check_reply(outcome->verdict, input->bytes, input->len, burst->frame[i],
		    burst->frame_bytes[i]);
}

/* Every packet is counted by exactly one verdict, and what is forwarded by its service and its
 * backend too. */
static void check_counted(struct burst *burst)
{
	enum { TRAFFICS = 64 };
	static struct report_worker *counted;
	size_t bytes = sizeof(*counted) + TRAFFICS * sizeof(struct report_traffic);
	u64 verdicts = 0, packets = 0, forwarded = 0;

	if (!counted)
		counted = aligned_alloc(64, bytes);
	frame_require(counted != NULL);
	memset(counted, 0, bytes);
	burst_count(burst, 0, burst->count, counted);
	frame_require(counted->verdicts[VERDICT_COUNT] == 0);
	for (u32 v = 0; v < VERDICT_COUNT; v++) {
		verdicts += counted->verdicts[v];
		if (verdict_action((enum verdict)v) == ACTION_FORWARD)
			forwarded += counted->verdicts[v];
	}
	for (u32 i = 0; i < TRAFFICS; i++)
		packets += counted->traffic[i].packets;
	frame_require(verdicts == burst->count && packets == 2 * forwarded);
	for (u32 i = 0; i < burst->count; i++)
		frame_require(counted->verdicts[burst->verdict[i]]-- > 0);
}

static void check_packet(struct fixture *reference, const struct burst *burst, u32 i,
			 const struct input *input)
{
	struct outcome outcome = fixture_forward(reference, input->alone + input->headroom,
						 input->len, input->headroom);

	frame_require(burst->verdict[i] < VERDICT_COUNT);
	frame_require(burst->verdict[i] == outcome.verdict);
	if (verdict_action(outcome.verdict) == ACTION_FORWARD) {
		check_forwarded(burst, i, input);
		frame_require(memcmp(burst->frame[i], outcome.frame, outcome.frame_bytes) == 0);
	} else if (verdict_action(outcome.verdict) == ACTION_REPLY) {
		check_replied(burst, i, input, &outcome);
	} else {
		check_kept(burst, i, input);
	}
}

static void apply_settings(struct fixture *fixture, u8 settings)
{
	fixture->env.tables.unmatched_pass = settings & 1;
	fixture->station.any_mac = fixture->station.answers = settings >> 1 & 1;
	fixture->env.tick = settings >> 2;
}

static void run_burst(struct fixture *together, struct fixture *alone, const uint8_t *data,
		      size_t size)
{
	static struct input inputs[BURST_MAX];
	static struct burst burst;

	burst.count = read_frames(data, size, inputs);
	burst.station = together->station;
	for (u32 i = 0; i < burst.count; i++) {
		burst.frame[i] = inputs[i].together + inputs[i].headroom;
		burst.frame_bytes[i] = burst.contiguous_bytes[i] = inputs[i].len;
		burst.headroom_bytes[i] = inputs[i].headroom;
	}
	burst_process(&together->env, &burst);
	for (u32 i = 0; i < burst.count; i++) {
		check_packet(alone, &burst, i, &inputs[i]);
		free(inputs[i].together);
		free(inputs[i].alone);
	}
	check_counted(&burst);
	frame_require(memcmp(&together->recent, &alone->recent, sizeof(together->recent)) == 0);
	frame_require(memcmp(together->env.flows, alone->env.flows,
			     FLOW_BUCKETS * sizeof(struct flow_bucket)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture *together, *alone;

	if (!together) {
		together = fixture_new(FLOW_BUCKETS);
		alone = fixture_new(FLOW_BUCKETS);
	}
	if (size == 0)
		return 0;
	check_forget(together);
	check_forget(alone);
	apply_settings(together, data[0]);
	apply_settings(alone, data[0]);
	for (u32 round = 0; round < 2; round++)
		run_burst(together, alone, data + 1, size - 1);
	return 0;
}
