/* SPDX-License-Identifier: BSD-2-Clause */
/* What the program in the kernel costs a packet, by bpf_prog_test_run(): in each of many short
 * rounds every program runs once, so that whatever else the machine does meets them all alike.
 * Prints JSON: for each the least and the median of its rounds, in nanoseconds. Needs root. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bpf/shunt.skel.h"
#include "dataplane/core/csum.h"
#include "dataplane/kernel/kernel.h"
#include "tests/bench/scene.h"
#include "tests/bench/xdp_bench.skel.h"
#include "tests/bench/xdp_feed.h"

#define SERVICES 100
#define BACKENDS 100 /* of each service; they share one table */
#define FLOWS_BITS 20
#define FRESH_EVERY 10
#define ROUNDS 40
#define REPEAT 50000
#define WARM_UP 50        /* times REPEAT: every flow is in its table */
#define WARM_UP_FRESH 150 /* the same, and with new flows LRU_HASH is full and evicts */

static void must(int err, const char *what)
{
	if (err == 0)
		return;
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-err));
	exit(err == -EPERM ? 77 : 1);
}

/* --- Programs ------------------------------------------------------------------------- */

/* The engine with flow tables of one size, and the measured programs over its maps. */
struct machine {
	struct kernel kernel;
	struct xdp_bench_bpf *skeleton;
	struct feed *feed;
};

static const u8 station_mac[6] = SCENE_MAC;
static u8 frame[SCENE_FRAME_BYTES];

static void kernel_load(struct machine *machine, const struct scene *scene, u64 flows)
{
	struct kernel_port port = {.ifindex = if_nametoindex("lo"), .queues_count = 1};
	const struct kernel_layout layout = {
		.workers_count = 1,
		.ports_count = 1,
		.ports = &port,
		.flows = flows,
		.flow_timeout_ms = 300000,
	};

	memcpy(port.station.mac, station_mac, 6);
	must(kernel_open(&machine->kernel, &layout, NULL), "the engine's program");
	must(kernel_publish(&machine->kernel, &scene->view, &scene->env.tables,
			    machine->kernel.flows.buckets_count),
	     "tables");
}

/* The measured programs work on the engine's maps. */
static void machine_load(struct machine *machine, const struct scene *scene, u64 flows)
{
	struct bpf_map *map, *same;

	kernel_load(machine, scene, flows);
	machine->skeleton = scene_must(xdp_bench_bpf__open());
	bpf_object__for_each_map(map, machine->kernel.skeleton->obj)
	{
		if (bpf_map__is_internal(map))
			continue;
		same = bpf_object__find_map_by_name(machine->skeleton->obj, bpf_map__name(map));
		must(same ? bpf_map__reuse_fd(same, bpf_map__fd(map)) : -ENOENT, "maps");
	}
	must(xdp_bench_bpf__load(machine->skeleton), "the measured programs");
	machine->feed = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			     bpf_map__fd(machine->skeleton->maps.feeds), 0);
	must(machine->feed == MAP_FAILED ? -errno : 0, "the feed");
}

static void machine_close(struct machine *machine)
{
	xdp_bench_bpf__destroy(machine->skeleton);
	kernel_close(&machine->kernel);
}

/* A packet as feed_packet() expects it: what it changes has one sum for all flows. */
static void frame_make(struct ethernet_header *out)
{
	struct ethernet_header ethernet = {
		.source = {0x02, 0, 0, 0, 0, 0x02},
		.type = BE16(ETHERTYPE_IPV4),
	};
	struct ipv4_header ip = {
		.version_ihl = 0x45,
		.total_len = BE16(SCENE_FRAME_BYTES - ETHERNET_HEADER_BYTES),
		.id = BE16(0x8000 - 1),
		.fragment = IPV4_DF,
		.ttl = 64,
		.protocol = PROTOCOL_TCP,
		.source = BE32(0x1000efff),
		.destination = BE32(SCENE_VIP_NETWORK + 1),
	};
	struct tcp_header tcp = {
		.source_port = BE16(1024),
		.destination_port = BE16(80),
		.data_offset = 5 << 4,
		.flags = TCP_ACK,
	};

	memcpy(ethernet.destination, station_mac, 6);
	ip.csum = (be16)~csum_fold(csum_words(&ip, sizeof(ip) / 4));
	*out = ethernet;
	memcpy(frame, &ethernet, sizeof(ethernet));
	memcpy(frame + sizeof(ethernet), &ip, sizeof(ip));
	memcpy(frame + sizeof(ethernet) + sizeof(ip), &tcp, sizeof(tcp));
}

/* Nanoseconds a packet, a whole number of them. */
static u32 run(const struct bpf_program *program, u32 repeat)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = SCENE_FRAME_BYTES,
		    .repeat = (int)repeat);

	must(bpf_prog_test_run_opts(bpf_program__fd(program), &options) < 0 ? -errno : 0, "a run");
	must(options.retval == XDP_TX ? 0 : -EPROTO, "a packet is not forwarded");
	return options.duration;
}

/* --- Rows ----------------------------------------------------------------------------- */

static struct row {
	const char *name;
	u32 flows_bits, services, fresh_every;
	bool small; /* flow tables of the smallest size, else for all the flows */
	struct machine *machine;
	const struct bpf_program *program;
	u64 packets, fresh; /* each goes on where it left */
	double ns[ROUNDS];
} rows[] = {
	{.name = "floor"},
	{.name = "feed", .flows_bits = FLOWS_BITS, .services = SERVICES},
	{.name = "warm", .flows_bits = 10, .services = 1, .small = true},
	{.name = "1m", .flows_bits = FLOWS_BITS, .services = SERVICES},
	{.name = "1m.lru", .flows_bits = FLOWS_BITS, .services = SERVICES},
	{.name = "new10",
	 .flows_bits = FLOWS_BITS,
	 .services = SERVICES,
	 .fresh_every = FRESH_EVERY},
	{.name = "new10.lru",
	 .flows_bits = FLOWS_BITS,
	 .services = SERVICES,
	 .fresh_every = FRESH_EVERY},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void rows_prepare(struct machine *small, struct machine *large)
{
	for (size_t i = 0; i < ROWS; i++) {
		struct machine *machine = rows[i].small ? small : large;
		const struct bpf_program *programs[ROWS] = {machine->skeleton->progs.bench_floor,
							    machine->skeleton->progs.bench_feed,
							    machine->skeleton->progs.bench_shunt,
							    machine->skeleton->progs.bench_shunt,
							    machine->skeleton->progs.bench_lru,
							    machine->skeleton->progs.bench_shunt,
							    machine->skeleton->progs.bench_lru};

		rows[i].machine = machine;
		rows[i].program = programs[i];
		rows[i].fresh = (u64)i << 21; /* flows that no other row has had */
	}
}

static u32 row_run(struct row *row, u32 repeat)
{
	struct feed *feed = row->machine->feed;
	u32 ns;

	feed->flows_bits = row->flows_bits ? row->flows_bits : 1;
	feed->services_count = row->services ? row->services : 1;
	feed->fresh_every = row->fresh_every;
	feed->until_fresh = row->fresh_every;
	feed->packets = row->packets;
	feed->fresh = row->fresh;
	ns = run(row->program, repeat);
	row->packets = feed->packets;
	row->fresh = feed->fresh;
	return ns;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *list)
{
	qsort(list, ROUNDS, sizeof(*list), compare);
	return (list[ROUNDS / 2 - 1] + list[ROUNDS / 2]) / 2;
}

/* The median of the rounds' ratios between two rows. */
static double paired(const struct row *row, const struct row *floor)
{
	double ratios[ROUNDS];

	for (u32 i = 0; i < ROUNDS; i++)
		ratios[i] = row->ns[i] / floor->ns[i];
	return median(ratios);
}

static void print(void)
{
	double sorted[ROWS][ROUNDS];

	printf("{\"rounds\": %d, \"rows\": {", ROUNDS);
	for (size_t i = 0; i < ROWS; i++) {
		memcpy(sorted[i], rows[i].ns, sizeof(sorted[i]));
		printf("%s\"%s\": {\"ns_median\": %.1f, ", i ? ", " : "", rows[i].name,
		       median(sorted[i]));
		printf("\"ns_min\": %.1f, \"of_floor\": %.3f}", sorted[i][0],
		       paired(&rows[i], &rows[0]));
	}
	printf("}, \"1m.lru\": %.3f, \"new10.lru\": %.3f}\n", paired(&rows[3], &rows[4]),
	       paired(&rows[5], &rows[6]));
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

int main(int argc, char **argv)
{
	const struct scene_shape shape = {
		.services_count = SERVICES,
		.backends_count = BACKENDS,
		.flows_count = 1,
	};
	struct machine small, large;
	struct scene scene;
	cpu_set_t cpus;

	libbpf_set_print(quiet);
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	(void)!sched_setaffinity(0, sizeof(cpus), &cpus);
	scene_open(&scene, &shape);
	machine_load(&small, &scene, 1);
	machine_load(&large, &scene, 1u << FLOWS_BITS);
	frame_make(&small.feed->ethernet);
	frame_make(&large.feed->ethernet);
	rows_prepare(&small, &large);
	for (size_t i = 0; i < ROWS; i++)
		for (u32 k = 0; k < (rows[i].fresh_every ? WARM_UP_FRESH : WARM_UP); k++)
			row_run(&rows[i], REPEAT);
	for (u32 k = 0; k < ROUNDS; k++)
		for (size_t i = 0; i < ROWS; i++)
			rows[i].ns[k] = row_run(&rows[i], REPEAT);
	print();
	machine_close(&small);
	machine_close(&large);
	scene_close(&scene);
	return 0;
}
