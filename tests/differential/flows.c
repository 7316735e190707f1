/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows from their SYN to their end, while backends come and go: what the engines agree on frame by
 * frame is also what a flow table promises. A flow keeps its backend for as long as that is there,
 * whatever its slot has become; a handshake that a change falls into ends where it began; floods
 * move nobody. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/single.h"
#include "tests/differential/capture.h"
#include "tests/differential/world.h"

#define SEED 0xf10e5f10e5ull

enum {
	FLOWS = 6000,
	ROUNDS = 60,
	OPENED_A_ROUND = 800,
	DATA_A_ROUND = 2500,
	FLOOD = 300,
	CHANGES_A_ROUND = 12
};
enum { FLOW_BUCKETS = 8191, PROVED_MIN = 200 };
/* Of flow_timeout in config.yaml, and of a tick of it, and of MAGLEV_SETTLE_MS. */
enum { ALIVE_MS = 7400, TICK_MS = 250, HANDSHAKE_MS = 2400 };

enum stage { CLOSED, OPENING, OPEN };

struct flow {
	u32 client, target;
	u16 port;
	enum stage stage;
	u32 worker;
	u16 service_number, backend_number;
	bool known;            /* an engine has room for it, and it is past its probation */
	u64 first_ms, last_ms; /* of what the flow table knows */
	bool unplaced;
};

struct scene {
	struct world *world; /* NULL: a capture */
	struct capture *capture;
	struct random random;
	struct flow flows[FLOWS];
	u32 opened;
	u64 kept_moved, handshakes_moved; /* though their slots had another backend by then */
};

static const struct {
	const char *vip;
	uint8_t protocol;
	uint16_t port;
} targets[] = {
	{"203.0.113.10", FRAME_TCP, 443},    {"2001:db8:1::10", FRAME_TCP, 443},
	{"203.0.113.11", FRAME_TCP, 7000},   {"203.0.113.10", FRAME_UDP, 53},
	{"2001:db8:1::11", FRAME_TCP, 7000}, {"203.0.114.200", FRAME_TCP, 80},
	{"2001:db8:5:2::7", FRAME_UDP, 53},
};

static bool is_udp(const struct flow *flow)
{
	return targets[flow->target].protocol == FRAME_UDP;
}

static u64 now_ms(const struct scene *scene)
{
	return scene->world ? scene->world->time_ms : scene->capture->time_ms;
}

static void frame_make(const struct flow *flow, uint8_t tcp_flags, struct frame *frame)
{
	bool v6 = strchr(targets[flow->target].vip, ':') != NULL;
	char source[64];
	struct frame_spec spec = {
		.source = source,
		.destination = targets[flow->target].vip,
		.protocol = targets[flow->target].protocol,
		.source_port = flow->port,
		.destination_port = targets[flow->target].port,
		.tcp_flags = tcp_flags,
		.fragment = FRAME_DF,
		.payload_bytes = 10,
	};

	snprintf(source, sizeof(source), v6 ? "2001:db8:2:%x::%x" : "11.%u.%u.7",
		 flow->client >> 8 & 255, flow->client & 255);
	frame_build(frame, &spec);
}

/* Where the present Maglev table would have the frame go. */
static u16 slot_backend(const struct world *world, u32 worker, struct frame *frame)
{
	const struct env *env = &world->core.workers[worker].env;
	struct single single = {.frame = frame->bytes, .frame_bytes = frame->len};

	if (single_service(env, &world->ports[worker / WORLD_QUEUES].station, &single) !=
	    VERDICT_UNDECIDED)
		return 0;
	flow_key_of(single.service, &single.packet, env_seed(env), &single.key);
	return env_maglev(env, single.service->maglev_offset,
			  maglev_slot(single.key.hash, single.service->maglev_size));
}

static u64 unplaced(const struct world *world, u32 worker)
{
	return report_worker(&world->core.report, worker)->flows_unplaced;
}

/* One packet of a flow through all engines, or into the capture. */
static void flow_send(struct scene *scene, struct flow *flow, uint8_t tcp_flags)
{
	struct world *world = scene->world;
	struct world_result result;
	struct frame frame;
	bool due;
	u64 before;

	frame_make(flow, tcp_flags, &frame);
	if (!world) {
		capture_write(scene->capture, frame.bytes, frame.len);
		return;
	}
	before = unplaced(world, flow->worker);
	due = flow->backend_number != 0 &&
	      world_has(world, flow->service_number, flow->backend_number);
	result = world_frame(world, flow->worker, frame.bytes, frame.len);
	flow->unplaced |= unplaced(world, flow->worker) != before;
	if (due && !flow->unplaced && (flow->known || flow->stage == OPENING)) {
		bool moved = slot_backend(world, flow->worker, &frame) != flow->backend_number;

		if (result.backend_number != flow->backend_number)
			world_fail(world, "%s moves a %s from backend %u to %u",
				   verdict_reason(result.verdict),
				   flow->known ? "flow" : "handshake", flow->backend_number,
				   result.backend_number);
		scene->kept_moved += moved && flow->known;
		scene->handshakes_moved += moved && !flow->known;
	}
	if (result.backend_number != flow->backend_number)
		flow->known = false;
	flow->service_number = result.service_number;
	flow->backend_number = result.backend_number;
}

static void flow_open(struct scene *scene, struct flow *flow)
{
	u32 n = scene->opened++;

	*flow = (struct flow){
		.client = n % 60000,
		.port = (u16)(1024 + n / 60000),
		.target = random_below(&scene->random, ARRAY_LEN(targets)),
		.worker = random_below(&scene->random, WORLD_WORKERS),
		.last_ms = now_ms(scene),
	};
	flow_send(scene, flow, FRAME_SYN);
	flow->stage = is_udp(flow) ? OPEN : OPENING;
	flow->first_ms = now_ms(scene);
}

/* Established with its second packet in another tick than the first. */
static void flow_data(struct scene *scene, struct flow *flow, uint8_t tcp_flags)
{
	u64 now = now_ms(scene);

	if (now - flow->last_ms > ALIVE_MS)
		flow->known = false;
	flow_send(scene, flow, tcp_flags);
	if (flow->stage == OPENING)
		flow->first_ms = now;
	flow->stage = OPEN;
	if (!flow->known && now - flow->last_ms > ALIVE_MS)
		flow->first_ms = now;
	flow->known = !flow->unplaced && now - flow->first_ms > TICK_MS && flow->last_ms != now;
	flow->last_ms = now;
}

/* Half of those that wait for the end of their handshake get it. */
static void handshakes_end(struct scene *scene, u32 one_in)
{
	for (u32 i = 0; i < FLOWS; i++) {
		struct flow *flow = &scene->flows[i];

		if (flow->stage == OPENING && random_one_in(&scene->random, one_in))
			flow_data(scene, flow, FRAME_ACK);
	}
}

static void flows_open(struct scene *scene)
{
	u32 left = OPENED_A_ROUND;

	for (u32 i = 0; i < FLOWS && left > 0; i++) {
		if (scene->flows[i].stage != CLOSED)
			continue;
		flow_open(scene, &scene->flows[i]);
		left--;
	}
}

static void flows_talk(struct scene *scene)
{
	for (u32 i = 0; i < DATA_A_ROUND; i++) {
		struct flow *flow = &scene->flows[random_below(&scene->random, FLOWS)];

		if (flow->stage != OPEN)
			continue;
		if (random_one_in(&scene->random, 20)) {
			flow_data(scene, flow, FRAME_FIN | FRAME_ACK);
			flow->stage = CLOSED;
		} else {
			flow_data(scene, flow, FRAME_ACK);
		}
	}
}

/* Strangers that come once: SYNs, and UDP, which takes places. */
static void flood(struct scene *scene)
{
	for (u32 i = 0; i < FLOOD; i++) {
		struct flow stranger = {
			.client = random_below(&scene->random, 65536),
			.port = (u16)(20000 + random_below(&scene->random, 40000)),
			.target = random_below(&scene->random, ARRAY_LEN(targets)),
			.worker = random_below(&scene->random, WORLD_WORKERS),
		};

		flow_send(scene, &stranger, FRAME_SYN);
	}
}

static void pass(struct scene *scene, u32 ms)
{
	if (scene->world)
		world_pass(scene->world, ms);
	else
		scene->capture->time_ms += ms;
}

static void round_run(struct scene *scene)
{
	pass(scene, 100 + random_below(&scene->random, 1500));
	flows_open(scene);
	handshakes_end(scene, 4);
	if (scene->world)
		world_disturb(scene->world, &scene->random, CHANGES_A_ROUND);
	pass(scene, random_below(&scene->random, HANDSHAKE_MS));
	handshakes_end(scene, 1);
	flows_talk(scene);
	flood(scene);
	if (random_one_in(&scene->random, 12))
		pass(scene, 9000);
	if (scene->world)
		world_compare(scene->world);
}

static int run_engines(struct scene *scene, const char *config_path)
{
	static struct world world;

	world_open(&world, config_path, FLOW_BUCKETS);
	scene->world = &world;
	for (u32 i = 0; i < ROUNDS; i++)
		round_run(scene);
	printf("%llu packets of %u flows, %llu generations: one backend by all engines\n"
	       "%llu packets went on, and %llu handshakes ended, where their slot had moved from\n",
	       (unsigned long long)world.frames, scene->opened,
	       (unsigned long long)world.publications, (unsigned long long)scene->kept_moved,
	       (unsigned long long)scene->handshakes_moved);
	if (scene->kept_moved < PROVED_MIN || scene->handshakes_moved < PROVED_MIN)
		world_fail(&world, "too few to prove anything");
	world_close(&world);
	return 0;
}

static int write_capture(struct scene *scene, const char *path)
{
	struct capture capture;

	capture_open(&capture, path);
	scene->capture = &capture;
	for (u32 i = 0; i < ROUNDS / 2; i++)
		round_run(scene);
	capture_close(&capture);
	return 0;
}

int main(int argc, char **argv)
{
	static struct scene scene = {.random = {SEED}};

	if (argc == 3 && strcmp(argv[1], "--capture") == 0)
		return write_capture(&scene, argv[2]);
	if (argc != 3 || strcmp(argv[1], "--engines") != 0) {
		fprintf(stderr, "usage: flows --engines CONFIG\n       flows --capture FILE\n");
		return 64;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %#llx\n", SEED);
	return run_engines(&scene, argv[2]);
}
