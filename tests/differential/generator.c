/* SPDX-License-Identifier: BSD-2-Clause */
/* Hot on purpose: few clients and ports, so that packets of one flow meet, and more flows than the
 * tests' flow tables have room for. Frames come by a worker's queue for a while, as a device hands
 * them over; a client's mostly by the same one, as a device spreads them. */
#include "tests/differential/generator.h"

#include "tests/unit/questions.h"
#include "tests/unit/samples.h"

enum { CLIENTS = 120, PORTS = 4, RUN_MAX = 48, JUMBO_BYTES = 5000 };

struct target {
	const char *vip;
	uint8_t protocol;
	uint16_t port; /* 0: any */
};

/* The first two get half of all. */
static const struct target targets[] = {
	{"203.0.113.10", FRAME_TCP, 443},   {"2001:db8:1::10", FRAME_TCP, 443},
	{"203.0.113.10", FRAME_UDP, 53},    {"203.0.113.11", FRAME_TCP, 0},
	{"203.0.113.12", FRAME_TCP, 80},    {"203.0.113.12", FRAME_UDP, 0},
	{"203.0.113.13", FRAME_TCP, 80},    {"203.0.113.14", FRAME_TCP, 80},
	{"203.0.113.15", FRAME_TCP, 80},    {"203.0.113.16", FRAME_TCP, 80},
	{"203.0.113.17", FRAME_UDP, 4000},  {"2001:db8:1::10", FRAME_UDP, 53},
	{"2001:db8:1::11", FRAME_TCP, 0},   {"2001:db8:1::12", FRAME_UDP, 53},
	{"2001:db8:1::15", FRAME_TCP, 80},  {"203.0.114.10", FRAME_TCP, 443},
	{"203.0.114.10", FRAME_TCP, 80},    {"203.0.114.200", FRAME_TCP, 80},
	{"203.0.114.200", FRAME_TCP, 0},    {"203.0.114.201", FRAME_UDP, 53},
	{"2001:db8:5:1::7", FRAME_UDP, 53}, {"2001:db8:5:1::7", FRAME_UDP, 0},
	{"2001:db8:5:2::7", FRAME_UDP, 53}, {"2001:db8:1::10", FRAME_TCP, 444},
};

static const uint8_t extensions[] = {0, 60, 43, 135, 139, 140};

static bool is_v6(const char *address)
{
	return strchr(address, ':') != NULL;
}

static const struct target *target_any(struct random *random)
{
	return random_one_in(random, 2) ? &targets[random_below(random, 2)]
					: &targets[random_below(random, ARRAY_LEN(targets))];
}

/* One whose packets come by this worker's queue; one in eight goes astray. */
static void client_write(struct generator *generator, bool v6, char *out, size_t out_bytes)
{
	uint32_t client = random_below(&generator->random, CLIENTS);

	if (!random_one_in(&generator->random, 8))
		client = client / generator->workers_count * generator->workers_count +
			 generator->worker;
	snprintf(out, out_bytes, v6 ? "2001:db8:2::%x" : "192.0.2.%u", 1 + client);
}

static uint16_t target_port(struct random *random, const struct target *target)
{
	return target->port ? target->port : (uint16_t)(1000 + random_below(random, 3));
}

static uint16_t client_port(struct random *random)
{
	return (uint16_t)(40000 + random_below(random, PORTS));
}

static uint32_t payload_any(struct random *random)
{
	if (random_one_in(random, 12))
		return random_below(random, 1700);
	return random_below(random, random_one_in(random, 6) ? 700 : 40);
}

static uint8_t flags_any(struct random *random)
{
	static const uint8_t flags[] = {FRAME_SYN, FRAME_ACK, FRAME_ACK, FRAME_ACK,
					FRAME_ACK, FRAME_SYN, FRAME_RST, FRAME_FIN | FRAME_ACK};

	return flags[random_below(random, ARRAY_LEN(flags))];
}

static void extensions_any(struct random *random, struct frame_spec *spec)
{
	spec->extensions_count = (uint8_t)(1 + random_below(random, 3));
	for (uint32_t i = 0; i < spec->extensions_count; i++)
		spec->extensions[i] = extensions[random_below(random, ARRAY_LEN(extensions))];
}

static void make_ordinary(struct generator *generator, struct frame *frame)
{
	struct random *random = &generator->random;
	const struct target *target = target_any(random);
	bool v6 = is_v6(target->vip);
	char source[64];
	struct frame_spec spec = {
		.source = source,
		.destination = target->vip,
		.protocol = target->protocol,
		.source_port = client_port(random),
		.destination_port = target_port(random, target),
		.tcp_flags = flags_any(random),
		.tos = (uint8_t)random_next(random),
		.id = (uint16_t)random_next(random),
		.fragment = random_one_in(random, 2) ? FRAME_DF : 0,
		.option_words = random_one_in(random, 16) ? (uint8_t)random_below(random, 11) : 0,
		.tags = random_one_in(random, 8) ? (uint8_t)random_below(random, 3) : 0,
		.payload_bytes = payload_any(random),
		.padding_bytes = random_one_in(random, 4) ? random_below(random, 20) : 0,
	};

	client_write(generator, v6, source, sizeof(source));
	if (v6 && random_one_in(random, 12))
		extensions_any(random, &spec);
	frame_build(frame, &spec);
}

/* A piece of one of a few datagrams, so that firsts and the rest meet in any order. */
static void make_fragment(struct generator *generator, struct frame *frame)
{
	struct random *random = &generator->random;
	const struct target *target = target_any(random);
	uint32_t id = random_below(random, 8), place = random_below(random, 3);
	uint32_t units = place == 0 ? 0 : 3 + random_below(random, 9), more = place < 2;
	char source[64];
	struct frame_spec spec = {
		.source = source,
		.destination = target->vip,
		.protocol = target->protocol,
		.source_port = client_port(random),
		.tcp_flags = flags_any(random),
		.payload_bytes = 8 * (1 + random_below(random, 6)),
	};

	while (generator->capture && spec.protocol == FRAME_TCP) {
		target = &targets[random_below(random, ARRAY_LEN(targets))];
		spec.destination = target->vip;
		spec.protocol = target->protocol;
	}
	spec.destination_port = target_port(random, target);
	spec.payload_bytes += spec.protocol == FRAME_TCP ? 4 : 0;
	snprintf(source, sizeof(source), is_v6(target->vip) ? "2001:db8:2::%x" : "192.0.2.%u",
		 1 + generator->worker + generator->workers_count * random_below(random, 4));
	if (is_v6(target->vip)) {
		spec.extensions[0] = FRAME_FRAGMENT;
		spec.extensions_count = 1;
		frame_build(frame, &spec);
		put16(frame->bytes + AT_L4_V6 + 2, units * 8 | more);
		put32(frame->bytes + AT_L4_V6 + 4, id);
		return;
	}
	spec.id = (uint16_t)id;
	spec.fragment = (uint16_t)(units | (more ? FRAME_MF : 0));
	frame_build(frame, &spec);
}

/* An error about what a backend answered. */
static void make_error(struct generator *generator, struct frame *frame)
{
	struct random *random = &generator->random;
	const struct target *target = target_any(random);
	bool v6 = is_v6(target->vip);
	char client[64];
	struct frame_spec about = {
		.source = target->vip,
		.destination = client,
		.protocol = target->protocol,
		.source_port = target_port(random, target),
		.destination_port = client_port(random),
		.tcp_flags = FRAME_ACK,
		.payload_bytes = random_below(random, 100),
	};
	struct frame_spec spec = {
		.source = v6 ? "2001:db8:9::1" : "198.51.100.1",
		.destination = target->vip,
		.protocol = v6 ? FRAME_ICMPV6 : FRAME_ICMP,
		.about = &about,
		.about_bytes = (v6 ? 40 : 20) + 8 + random_below(random, 60),
		.tags = random_one_in(random, 8),
	};

	client_write(generator, v6, client, sizeof(client));
	frame_build(frame, &spec);
}

static void make_echo(struct generator *generator, struct frame *frame)
{
	struct random *random = &generator->random;
	const struct target *target = &targets[random_below(random, ARRAY_LEN(targets))];
	bool v6 = is_v6(target->vip);
	char source[64];
	struct frame_spec spec = {
		.source = source,
		.destination = target->vip,
		.protocol = v6 ? FRAME_ICMPV6 : FRAME_ICMP,
		.ttl = (uint8_t)(1 + random_below(random, 255)),
		.tags = (uint8_t)random_below(random, 3),
		.payload_bytes = random_below(random, 1400),
		.padding_bytes = random_below(random, 20),
	};

	client_write(generator, v6, source, sizeof(source));
	frame_build(frame, &spec);
}

/* More than one of the kernel's buffers holds; sometimes it is only the frame that is so long. */
static void make_jumbo(struct generator *generator, struct generator_frame *out)
{
	struct random *random = &generator->random;
	uint32_t payload = 3000 + random_below(random, JUMBO_BYTES - 3000);
	char source[64];
	struct frame frame;
	struct frame_spec spec = {
		.source = source,
		.destination = "203.0.113.17",
		.protocol = FRAME_UDP,
		.source_port = client_port(random),
		.destination_port = 4000,
		.payload_bytes = 8,
	};

	client_write(generator, false, source, sizeof(source));
	frame_build(&frame, &spec);
	memset(out->bytes, 0x5a, sizeof(out->bytes));
	memcpy(out->bytes, frame.bytes, frame.len);
	out->len = frame.len - 8 + payload;
	if (random_one_in(random, 4))
		return;
	put16(out->bytes + AT_IP + 2, 28 + payload);
	put16(out->bytes + AT_L4_V4 + 4, 8 + payload);
	frame_seal_ipv4(out->bytes + AT_IP);
	out->len += random_below(random, 200);
}

static void make_any(struct generator *generator, struct frame *frame)
{
	struct random *random = &generator->random;

	switch (random_below(random, 64)) {
	case 0 ... 3:
		question_build(&questions[random_below(random, ARRAY_LEN(questions))], frame);
		break;
	case 4 ... 13:
		sample_build(&samples[random_below(random, ARRAY_LEN(samples))], frame);
		break;
	case 14 ... 16:
		make_fragment(generator, frame);
		break;
	case 17 ... 18:
		make_error(generator, frame);
		break;
	case 19:
		make_echo(generator, frame);
		break;
	case 20:
		make_ordinary(generator, frame);
		frame->bytes[11] = (uint8_t)random_below(random, 4); /* a port's, or nobody's */
		break;
	default:
		make_ordinary(generator, frame);
	}
}

static void spoil(struct random *random, struct generator_frame *out)
{
	if (out->len > 0 && random_one_in(random, 14))
		out->bytes[random_below(random, out->len < 80 ? out->len : 80)] =
			(uint8_t)random_next(random);
	if (random_one_in(random, 40))
		out->len = random_below(random, out->len + 1);
}

void generator_next(struct generator *generator, struct generator_frame *out)
{
	struct random *random = &generator->random;
	struct frame frame;

	if (generator->run == 0) {
		generator->worker = random_below(random, generator->workers_count);
		generator->run = 1 + random_below(random, RUN_MAX);
	}
	generator->run--;
	out->worker = generator->worker;
	if (random_one_in(random, 200)) {
		make_jumbo(generator, out);
	} else {
		make_any(generator, &frame);
		memcpy(out->bytes, frame.bytes, frame.len);
		out->len = frame.len;
	}
	spoil(random, out);
}
