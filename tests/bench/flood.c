/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a flood of packets that belong to nothing takes established flows their entries.
 *
 * A million TCP flows are established, each seen in two ticks. Then a flood of packets, each from
 * another address and port, runs for two flow timeouts, while every flow speaks four times in each.
 * A flow that speaks and finds its entry gone has lost it, once and for all, even if it gets one
 * anew. Time is a count of ticks that this program moves on; the table is swept as a worker does it,
 * once around in the time that a worker may take at most. The table is sized as `flows:` of the
 * configuration sizes it: a load of one half.
 *
 * Every frame goes through burst_process() twice: the engine's, and careless.c's, which differs by
 * giving any entry away where the engine gives one on probation; each with a flow table of its own.
 *
 * A SYN is remembered only where its slot has moved in the last three seconds, so the SYN flood
 * meets the worst there can be: every slot has moved, and goes on having moved for the whole
 * flood. Without that, neither variant writes anything for it. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/burst/burst.h"
#include "dataplane/core/csum.h"
#include "dataplane/core/wire.h"
#include "tests/bench/careless.h"
#include "tests/bench/scene.h"

#define BURST 32
#define HEADROOM_BYTES 64
#define SLOT_BYTES (HEADROOM_BYTES + SCENE_FRAME_BYTES)
#define TICK_MS (300000 / FLOW_TIMEOUT_TICKS)
#define FLOOD_TICKS (2 * FLOW_TIMEOUT_TICKS)
#define SPEAK_TICKS (FLOW_TIMEOUT_TICKS / 4)
#define STRANGER 0xffffffffu /* in place of a flow's number: a packet of the flood */
/* 32.0.0.0/3: apart from the flows' 11.0.0.0/8. */
#define FLOOD_NETWORK 0x20000000u
#define FLOOD_ADDRESS_BITS 29
#define FLOOD_PORT_BITS 15

struct shape {
	const char *name;
	u8 protocol;
	u8 tcp_flags;
	bool slots_move;
};

static const struct shape shapes[] = {
	{"syn", PROTOCOL_TCP, TCP_SYN, true},
	{"ack", PROTOCOL_TCP, TCP_ACK, false},
	{"udp", PROTOCOL_UDP, 0, false},
};

/* One way of treating newcomers, and what came of it. */
struct side {
	const char *name;
	void (*process)(struct env *env, struct burst *burst);
	struct env env;
	struct flow_tables flows;
	struct burst_sweep sweep;
	u8 *lost; /* by flow: 1 if it has lost its entry, 2 if it was never established */
	u32 established, lost_count;
	u64 packets, took_ns;
	double kept[FLOOD_TICKS + 1]; /* percent, by ticks of the flood gone by */
};

struct flood {
	u32 flows_count;
	u64 packets; /* of a shape */
	u64 seed;
	struct scene scene;
	u8 *moving; /* the scene's arena and behind it a table for slots that have moved */
	struct service *moving_services;
	const struct shape *shape;
	u8 template[SCENE_FRAME_BYTES];
	u64 sent; /* packets of the flood so far */
	u64 tick;
	bool establishing;
	struct side sides[2];
	u32 who[BURST];
	u32 staged_count;
	u8 staged[BURST][SCENE_FRAME_BYTES] cache_aligned;
	u8 buffers[BURST][SLOT_BYTES] cache_aligned;
	struct burst burst;
};

static void give_up(const char *what)
{
	fprintf(stderr, "flood: %s\n", what);
	exit(1);
}

static u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000u + (u64)now.tv_nsec;
}

/* --- Frames of the flood -------------------------------------------------------------- */

/* To the first VIP, from nobody yet: the checksum is a sum to add the source to. */
static void template_make(u8 frame[static SCENE_FRAME_BYTES], const struct shape *shape)
{
	struct tcp_header tcp = {
		.destination_port = BE16(80),
		.data_offset = 5 << 4,
		.flags = shape->tcp_flags,
	};
	struct udp_header udp = {
		.destination_port = BE16(53),
		.len = BE16(SCENE_FRAME_BYTES - ETHERNET_HEADER_BYTES - IPV4_HEADER_BYTES),
	};
	u8 *transport = scene_headers(frame, shape->protocol, 0, BE32(SCENE_VIP_NETWORK + 1));

	if (shape->protocol == PROTOCOL_TCP)
		memcpy(transport, &tcp, sizeof(tcp));
	else
		memcpy(transport, &udp, sizeof(udp));
}

/* The flood's n-th packet. The multiplier is odd, so no two have the same address and port. */
static void stranger_make(u8 frame[static SCENE_FRAME_BYTES], const struct flood *flood, u64 n)
{
	u64 x = (n * 0x9e3779b97f4a7c15ull + flood->seed) &
		((1ull << (FLOOD_ADDRESS_BITS + FLOOD_PORT_BITS)) - 1);
	be32 source = BE32(FLOOD_NETWORK | (u32)(x >> FLOOD_PORT_BITS));
	be16 port = BE16(1024 + (x & ((1u << FLOOD_PORT_BITS) - 1)));
	struct ipv4_header *ip = (struct ipv4_header *)(frame + ETHERNET_HEADER_BYTES);

	memcpy(frame, flood->template, SCENE_FRAME_BYTES);
	ip->source = source;
	ip->csum = (be16)~csum_fold((u64)ip->csum + source);
	memcpy(frame + ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES, &port, sizeof(port));
}

/* --- One burst, on both sides --------------------------------------------------------- */

static void note(const struct flood *flood, struct side *side, u32 i)
{
	u8 verdict = flood->burst.verdict[i];
	u32 flow = flood->who[i];

	if (verdict != VERDICT_FLOW && verdict != VERDICT_MAGLEV)
		give_up("a packet was not forwarded");
	if (flow == STRANGER || verdict == VERDICT_FLOW || side->lost[flow])
		return;
	side->lost[flow] = flood->establishing ? 2 : 1;
	side->lost_count++;
}

static void side_take(struct flood *flood, struct side *side)
{
	struct burst *burst = &flood->burst;
	u64 begin;

	burst->count = flood->staged_count;
	for (u32 i = 0; i < burst->count; i++) {
		burst->frame[i] = flood->buffers[i] + HEADROOM_BYTES;
		burst->contiguous_bytes[i] = burst->frame_bytes[i] = SCENE_FRAME_BYTES;
		burst->headroom_bytes[i] = HEADROOM_BYTES;
		memcpy(burst->frame[i], flood->staged[i], SCENE_FRAME_BYTES);
	}
	begin = now_ns();
	side->process(&side->env, burst);
	side->took_ns += now_ns() - begin;
	side->packets += burst->count;
}

/* Sweeps so many buckets that a pass takes FLOW_SWEEP_TICKS. */
static void side_sweep(struct flood *flood, struct side *side, u64 buckets)
{
	struct report_worker *report = report_worker(&flood->scene.report, 0);

	for (u64 i = 0; i < buckets; i++)
		burst_sweep(&side->sweep, &side->env, flood->tick, report);
}

static void flush(struct flood *flood)
{
	for (u32 s = 0; s < 2; s++) {
		side_take(flood, &flood->sides[s]);
		/* In the first tick, flows are met for the first time. */
		for (u32 i = 0; flood->tick > 0 && i < flood->staged_count; i++)
			note(flood, &flood->sides[s], i);
	}
	flood->staged_count = 0;
}

static u8 *stage(struct flood *flood, u32 who)
{
	if (flood->staged_count == BURST)
		flush(flood);
	flood->who[flood->staged_count] = who;
	return flood->staged[flood->staged_count++];
}

static void stranger_comes(struct flood *flood)
{
	stranger_make(stage(flood, STRANGER), flood, flood->sent++);
}

static void flow_speaks(struct flood *flood, u32 flow)
{
	const u8 *frame = flood->scene.trace + (size_t)flow * SCENE_FRAME_BYTES;

	prefetch_read(frame + (size_t)SPEAK_TICKS * 4 * SCENE_FRAME_BYTES);
	memcpy(stage(flood, flow), frame, SCENE_FRAME_BYTES);
}

/* --- Time ----------------------------------------------------------------------------- */

static void time_set(struct flood *flood, u64 tick)
{
	flood->tick = tick;
	for (u32 s = 0; s < 2; s++) {
		flood->sides[s].env.tick = (u8)(tick & FLOW_AGE_MASK);
		flood->sides[s].env.now_ms = (u32)(tick * TICK_MS);
	}
}

/* A tick with so many strangers, among whom every `every`-th flow speaks, evenly mixed. */
static void tick_pass(struct flood *flood, u64 strangers, u32 every)
{
	u32 flow = every == 1 ? 0 : (u32)(flood->tick % every);
	u64 speakers = (flood->flows_count - flow + every - 1) / every;
	u64 total = strangers + speakers, parts = total / BURST + 1, swept = 0, share = 0;
	u64 buckets = flood->sides[0].env.flow_buckets / FLOW_SWEEP_TICKS + 1;

	for (u64 n = 0; n < total; n++) {
		share += speakers;
		if (share >= total) {
			share -= total;
			flow_speaks(flood, flow);
			flow += every;
		} else {
			stranger_comes(flood);
		}
		if (n % BURST == BURST - 1) {
			u64 due = buckets * (n / BURST + 1) / parts - swept;

			for (u32 s = 0; s < 2; s++)
				side_sweep(flood, &flood->sides[s], due);
			swept += due;
		}
	}
	flush(flood);
	for (u32 s = 0; s < 2; s++)
		side_sweep(flood, &flood->sides[s], buckets - swept);
}

static double side_kept(const struct side *side)
{
	return side->established
		       ? 100.0 * (side->established - side->lost_count) / side->established
		       : 0;
}

/* --- A shape -------------------------------------------------------------------------- */

static void side_begin(struct flood *flood, struct side *side)
{
	side->env.tables = flood->scene.env.tables;
	if (flood->shape->slots_move) {
		side->env.tables.arena = flood->moving;
		side->env.tables.services = flood->moving_services;
	}
	memset(side->env.flows, 0, (size_t)side->env.flow_buckets * sizeof(struct flow_bucket));
	memset(side->lost, 0, flood->flows_count);
	side->sweep = (struct burst_sweep){0};
	side->lost_count = 0;
	side->packets = side->took_ns = 0;
}

static void flows_establish(struct flood *flood)
{
	flood->establishing = true;
	for (u64 tick = 0; tick < 2; tick++) {
		time_set(flood, tick);
		tick_pass(flood, 0, 1);
	}
	flood->establishing = false;
	for (u32 s = 0; s < 2; s++) {
		struct side *side = &flood->sides[s];

		side->established = flood->flows_count - side->lost_count;
		side->lost_count = 0;
		side->packets = side->took_ns = 0;
		side->kept[0] = 100;
	}
}

static void shape_run(struct flood *flood, const struct shape *shape)
{
	flood->shape = shape;
	flood->sent = 0;
	template_make(flood->template, shape);
	for (u32 s = 0; s < 2; s++)
		side_begin(flood, &flood->sides[s]);
	flows_establish(flood);
	for (u64 t = 0; t < FLOOD_TICKS; t++) {
		time_set(flood, 2 + t);
		tick_pass(flood, flood->packets * (t + 1) / FLOOD_TICKS - flood->sent, SPEAK_TICKS);
		for (u32 s = 0; s < 2; s++)
			flood->sides[s].kept[t + 1] = side_kept(&flood->sides[s]);
	}
	/* Every flow once more: what was lost since it spoke last counts too. */
	time_set(flood, 2 + FLOOD_TICKS);
	tick_pass(flood, 0, 1);
	for (u32 s = 0; s < 2; s++)
		flood->sides[s].kept[FLOOD_TICKS] = side_kept(&flood->sides[s]);
}

static void side_print(const struct side *side)
{
	printf("\"%s\": {\"kept_percent\": %.4f, \"established\": %u, \"lost\": %u, \"pps\": %.0f, "
	       "\"kept\": [",
	       side->name, side_kept(side), side->established, side->lost_count,
	       (double)side->packets * 1e9 / (double)(side->took_ns + 1));
	for (u32 t = 0; t <= FLOOD_TICKS; t++)
		printf("%s%.3f", t ? ", " : "", side->kept[t]);
	printf("]}");
}

/* --- What all shapes share ------------------------------------------------------------ */

/* The scene's tables with another backend in every slot of the previous table than in the slot's
 * own. (All services have the same number of backends, from 1 on.) */
static void moving_make(struct flood *flood)
{
	const struct scene *scene = &flood->scene;
	const struct tables *tables = &scene->env.tables;
	size_t services_count = (size_t)tables->buckets_count * SERVICE_BUCKET_KEYS;
	size_t services_bytes = services_count * sizeof(struct service);
	u64 previous_offset = scene->view.size_bytes;
	u16 backends = (u16)scene->shape.backends_count;

	flood->moving_services = scene_must(aligned_alloc(64, services_bytes));
	memcpy(flood->moving_services, tables->services, services_bytes);
	flood->moving = scene_must(malloc(previous_offset + 65537 * sizeof(u16)));
	memcpy(flood->moving, scene->view.base, previous_offset);
	for (size_t i = 0; i < services_count; i++) {
		struct service *service = &flood->moving_services[i];
		const u16 *slots = (const u16 *)(flood->moving + service->maglev_offset);
		u16 *previous = (u16 *)(flood->moving + previous_offset);

		if (service->kind != SERVICE_ACTIVE)
			continue;
		if (service->maglev_size > 65537)
			give_up("a table is larger than the scene's");
		for (u32 slot = 0; slot < service->maglev_size; slot++)
			previous[slot] = (u16)(1 + slots[slot] % backends);
		service->previous_offset = previous_offset;
	}
}

static void side_open(struct flood *flood, struct side *side, const char *name,
		      void (*process)(struct env *, struct burst *))
{
	/* As flow_tables_create() does it, but for its least size. */
	u32 buckets = (u32)((u64)flood->flows_count * 2 / FLOW_BUCKET_ENTRIES + 1);

	*side = (struct side){.name = name, .process = process, .env = flood->scene.env};
	if (flow_tables_create(flood->flows_count, 1, 300000, &side->flows) != 0)
		give_up("no memory for a flow table");
	if (buckets > side->flows.buckets_count ||
	    buckets <= flood->scene.env.tables.highest_service_number)
		give_up("so many flows have no table of one half's load");
	side->env.flows = flow_tables_of(&side->flows, 0);
	side->env.flow_owners = flow_tables_owners(&side->flows, 0);
	side->env.flow_buckets = buckets;
	side->lost = scene_must(calloc(flood->flows_count, 1));
}

static void flood_open(struct flood *flood)
{
	const struct scene_shape shape = {1, 10, flood->flows_count, .with_udp = true};

	scene_open(&flood->scene, &shape);
	flood->burst.station = (struct station){.mac = SCENE_MAC};
	moving_make(flood);
	side_open(flood, &flood->sides[0], "probation", burst_process);
	side_open(flood, &flood->sides[1], "careless", careless_burst_process);
}

static void flood_close(struct flood *flood)
{
	for (u32 s = 0; s < 2; s++) {
		flow_tables_destroy(&flood->sides[s].flows);
		free(flood->sides[s].lost);
	}
	free(flood->moving);
	free(flood->moving_services);
	scene_close(&flood->scene);
}

static u64 number_of(const char *text, u64 max)
{
	char *end;
	u64 number = strtoull(text, &end, 10);

	if (*text == '\0' || *end != '\0' || number == 0 || number > max)
		give_up("usage: flood [--flows N] [--packets N] [--seed N]");
	return number;
}

static void options_read(struct flood *flood, int argc, char **argv)
{
	static const struct option options[] = {
		{"flows", required_argument, NULL, 'f'},
		{"packets", required_argument, NULL, 'p'},
		{"seed", required_argument, NULL, 's'},
		{0},
	};
	int c;

	flood->flows_count = 1000000;
	flood->packets = 100000000;
	flood->seed = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'f')
			flood->flows_count = (u32)number_of(optarg, 1u << 24);
		else if (c == 'p')
			flood->packets = number_of(optarg, 1ull << 40);
		else
			flood->seed = number_of(c == 's' ? optarg : "", ~0ull);
	}
}

int main(int argc, char **argv)
{
	static struct flood flood;

	options_read(&flood, argc, argv);
	flood_open(&flood);
	printf("{\"flows\": %u, \"packets\": %" PRIu64 ", \"seed\": %" PRIu64 ", \"shapes\": {",
	       flood.flows_count, flood.packets, flood.seed);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		shape_run(&flood, &shapes[i]);
		printf("%s\n\"%s\": {", i ? "," : "", shapes[i].name);
		side_print(&flood.sides[0]);
		printf(",\n");
		side_print(&flood.sides[1]);
		printf("}");
	}
	printf("}}\n");
	flood_close(&flood);
	return 0;
}
