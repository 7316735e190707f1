/* SPDX-License-Identifier: BSD-2-Clause */
/* Random traffic for the fixture, hot on purpose: few clients, many services, a small table, so
 * that hits, misses, evictions and deaths of one flow meet within one burst. */
#ifndef SHUNT_TESTS_TRAFFIC_H
#define SHUNT_TESTS_TRAFFIC_H

#include "tests/unit/fixture.h"
#include "tests/unit/questions.h"
#include "tests/unit/samples.h"

static inline void traffic_ordinary(struct random *random, struct frame *frame)
{
	static const struct {
		const char *vip;
		uint8_t protocol;
		uint16_t port;
	} services[] = {
		{"203.0.113.10", FRAME_TCP, 443},   {"203.0.113.10", FRAME_UDP, 53},
		{"203.0.113.11", FRAME_TCP, 0},     {"203.0.113.12", FRAME_TCP, 80},
		{"203.0.113.12", FRAME_UDP, 0},     {"203.0.113.13", FRAME_TCP, 80},
		{"203.0.113.14", FRAME_TCP, 80},    {"203.0.113.15", FRAME_TCP, 80},
		{"2001:db8:1::10", FRAME_TCP, 443}, {"2001:db8:1::10", FRAME_UDP, 53},
		{"2001:db8:1::11", FRAME_TCP, 0},   {"2001:db8:1::15", FRAME_TCP, 80},
		{"203.0.114.10", FRAME_TCP, 443},   {"203.0.114.10", FRAME_TCP, 80},
		{"203.0.114.200", FRAME_TCP, 80},   {"203.0.114.200", FRAME_TCP, 0},
		{"203.0.114.201", FRAME_UDP, 53},   {"2001:db8:5:1::7", FRAME_UDP, 53},
		{"2001:db8:5:1::7", FRAME_UDP, 0},  {"2001:db8:5:2::7", FRAME_UDP, 53},
	};
	uint32_t which = random_one_in(random, 2) ? random_below(random, 2)
						  : random_below(random, ARRAY_LEN(services));
	bool v6 = strchr(services[which].vip, ':') != NULL;
	struct frame_spec spec = {
		.destination = services[which].vip,
		.protocol = services[which].protocol,
		.source_port = (uint16_t)(40000 + random_below(random, 6)),
		.destination_port = services[which].port,
		.tcp_flags = random_one_in(random, 4) ? FRAME_SYN : FRAME_ACK,
		.tos = (uint8_t)random_next(random),
		.id = (uint16_t)random_next(random),
		.fragment = random_one_in(random, 2) ? FRAME_DF : 0,
		.option_words = random_one_in(random, 10) ? (uint8_t)random_below(random, 11) : 0,
		.payload_bytes = random_below(random, random_one_in(random, 8) ? 700 : 40),
		.padding_bytes = random_one_in(random, 4) ? random_below(random, 20) : 0,
	};
	char source[64];

	if (spec.destination_port == 0)
		spec.destination_port = (uint16_t)(1000 + random_below(random, 3));
	snprintf(source, sizeof(source), v6 ? "2001:db8:2::%x" : "192.0.2.%u",
		 1 + random_below(random, 10));
	spec.source = source;
	frame_build(frame, &spec);
}

/* One frame in sixteen asks for an address, one in six is a sample, one in twelve has a byte overwritten, some are cut. */
static inline void traffic_frame(struct random *random, struct frame *frame)
{
	if (random_one_in(random, 16))
		question_build(&questions[random_below(random, ARRAY_LEN(questions))], frame);
	else if (random_one_in(random, 6))
		sample_build(&samples[random_below(random, ARRAY_LEN(samples))], frame);
	else
		traffic_ordinary(random, frame);
	if (frame->len > 0 && random_one_in(random, 12))
		frame->bytes[random_below(random, frame->len < 80 ? frame->len : 80)] =
			(uint8_t)random_next(random);
	if (random_one_in(random, 40))
		frame->len = random_below(random, frame->len + 1);
}

/* Changes one backend or a part of the Maglev tables. */
static inline void traffic_disturb(struct random *random, struct fixture *fixture)
{
	static const u8 flags[] = {BACKEND_NO_NEW, BACKEND_PRESENT, BACKEND_REACHABLE};
	u32 number = FIXTURE_FIRST + random_below(random, FIXTURE_FORMS);
	u32 set = random_below(random, 2);

	if (random_one_in(random, 4)) {
		for (u32 i = 0; i < 100; i++)
			fixture->maglev[random_below(random, fixture->maglev_used)] =
				(u16)(random_one_in(random, 8)
					      ? random_below(random, FIXTURE_SET)
					      : FIXTURE_FIRST +
							random_below(random, FIXTURE_FORMS));
		return;
	}
	fixture->backends[set * FIXTURE_SET + number].flags ^=
		flags[random_below(random, ARRAY_LEN(flags))];
}

/* What a control plane and time do between two bursts. */
static inline void traffic_change(struct random *random, struct fixture *fixture)
{
	if (random_one_in(random, 3))
		fixture->env.tick = (u8)((fixture->env.tick + 1 + random_below(random, 10)) & 63);
	if (random_one_in(random, 2))
		traffic_disturb(random, fixture);
	if (random_one_in(random, 8))
		fixture->env.tables.unmatched_pass ^= true;
	if (random_one_in(random, 8))
		fixture->station.answers ^= true;
	if (random_one_in(random, 6))
		for (u32 i = FIXTURE_FIRST; i <= FIXTURE_LAST; i++) {
			fixture_backend(&fixture->backends[i], i, false);
			fixture_backend(&fixture->backends[FIXTURE_SET + i], i, true);
		}
	if (fixture->env.flow_buckets && random_one_in(random, 4))
		for (u32 i = 0; i < fixture->env.flow_buckets; i++)
			flow_bucket_sweep(&fixture->env.flows[i], fixture->env.tick);
}

#endif
