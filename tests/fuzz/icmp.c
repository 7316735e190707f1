/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as an ICMP message to a VIP: errors about flows, echoes, neighbour discovery.
 *
 * Input: one byte of settings (bit 0: IPv6, bits 1 and 2: VLAN tags, bit 3: answers for addresses,
 * bit 4: four bytes of padding, the rest: headroom), then the message from its type on. The headers
 * before it are good ones, so that every input gets to where ICMP is read. */
#include "tests/fuzz/check.h"

enum { FLOW_BUCKETS = FIXTURE_HIGHEST_NUMBER + 1, MESSAGE_MAX = 1600 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	u8 frame[14 + 8 + 40 + MESSAGE_MAX + 4];
	u32 l3_offset, l4_offset, len, headroom; /* l4_offset: from the frame's start */
};

static void input_make(struct input *input, u8 settings, const u8 *message, u32 len)
{
	bool v6 = settings & 1;
	const struct frame_spec spec = {
		.source = v6 ? "2001:db8:2::7" : "192.0.2.7",
		.destination = v6 ? "2001:db8:1::10" : "203.0.113.10",
		.tags = (settings >> 1 & 3) % 3,
	};
	static struct frame frame; /* protocol 0: headers alone */
	u8 *ip;

	frame_build(&frame, &spec);
	input->l3_offset = check_l3_offset(frame.bytes, frame.len);
	input->l4_offset = input->l3_offset + (v6 ? 40 : 20);
	input->headroom = settings >> 5 << 3;
	memcpy(input->frame, frame.bytes, input->l4_offset);
	memcpy(input->frame + input->l4_offset, message, len);
	input->len = input->l4_offset + len + (settings & 16 ? 4 : 0);
	memset(input->frame + input->l4_offset + len, 0xee, 4);
	ip = input->frame + input->l3_offset;
	if (v6) {
		put16(ip + 4, len);
		ip[6] = FRAME_ICMPV6;
		ip[7] = 255;
	} else {
		put16(ip + 2, 20 + len);
		ip[9] = FRAME_ICMP;
		frame_seal_ipv4(ip);
	}
}

/* What icmp_adopt() makes of it agrees with the bytes, and touches nothing where it refuses. */
static bool check_adopted(const struct fixture *fixture, struct input *input)
{
	struct cursor cursor = {input->frame, input->frame + input->len};
	struct packet packet, before, embedded;
	const u8 *about = input->frame + input->l4_offset + 8;
	u32 index;
	enum verdict verdict;

	if (parse_frame(cursor, input->len, &fixture->station, &packet) != VERDICT_UNDECIDED ||
	    forward_service(&fixture->env, &packet, &index) != VERDICT_ICMP)
		return false;
	memcpy(&before, &packet, sizeof(packet));
	verdict = icmp_adopt(cursor, &packet, &embedded);
	if (verdict != VERDICT_UNDECIDED) {
		frame_require(verdict == VERDICT_ICMP || verdict == VERDICT_ICMP_UNRELATED);
		frame_require(memcmp(&before, &packet, sizeof(packet)) == 0);
		return false;
	}
	frame_require(packet.flags == (before.flags | PACKET_ERROR));
	frame_require(addr_equal(&packet.destination, &before.destination));
	frame_require(packet.l3_len == before.l3_len && packet.l4_offset == before.l4_offset);
	frame_require(packet.protocol == FRAME_TCP || packet.protocol == FRAME_UDP);
	if (before.flags & PACKET_V6) {
		frame_require(memcmp(about + 8, packet.destination.bytes, 16) == 0);
		frame_require(memcmp(about + 24, packet.source.bytes, 16) == 0);
	} else {
		const u8 *ports = about + (about[0] & 15) * 4;

		frame_require(memcmp(about + 12, packet.destination.bytes + 12, 4) == 0);
		frame_require(memcmp(about + 16, packet.source.bytes + 12, 4) == 0);
		frame_require(about[9] == packet.protocol && get16(about + 6) % 0x2000 == 0);
		frame_require(memcmp(ports, &packet.destination_port, 2) == 0);
		frame_require(memcmp(ports + 2, &packet.source_port, 2) == 0);
		frame_require(ports + 8 <= input->frame + input->l3_offset + packet.l3_len);
	}
	return true;
}

/* The whole way, in a block of exactly the frame's size and its headroom. */
static void check_run(struct fixture *fixture, const struct input *input, bool adopted)
{
	u8 *block = malloc(input->headroom + input->len);
	u8 *frame = block + input->headroom;
	struct outcome outcome;

	frame_require(block != NULL);
	memcpy(frame, input->frame, input->len);
	outcome = fixture_forward(fixture, frame, input->len, input->headroom);
	frame_require(adopted || outcome.verdict != VERDICT_ICMP_ERROR);
	if (verdict_sends(outcome.verdict)) {
		frame_require(outcome.frame >= block);
		frame_require(outcome.frame + outcome.frame_bytes <= frame + input->len);
	} else {
		frame_require(outcome.frame == frame);
		frame_require(memcmp(frame, input->frame, input->len) == 0);
	}
	if (verdict_action(outcome.verdict) == ACTION_FORWARD)
		check_wrapped(outcome.frame, outcome.frame_bytes, outcome.backend,
			      input->frame + input->l3_offset, outcome.l3_len);
	if (verdict_action(outcome.verdict) == ACTION_REPLY)
		check_reply(outcome.verdict, input->frame, input->len, outcome.frame,
			    outcome.frame_bytes);
	for (u32 i = 0; i < FLOW_BUCKETS; i++) /* it leaves no trace */
		for (u32 k = 0; k < FLOW_BUCKET_ENTRIES; k++)
			frame_require(fixture->env.flows[i].entries[k] == 0);
	free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture *fixture;
	static struct input input;

	if (!fixture)
		fixture = fixture_new(FLOW_BUCKETS);
	if (size == 0 || size > MESSAGE_MAX)
		return 0;
	check_forget(fixture);
	fixture->station.answers = data[0] >> 3 & 1;
	input_make(&input, data[0], data + 1, (u32)size - 1);
	check_run(fixture, &input, check_adopted(fixture, &input));
	return 0;
}
