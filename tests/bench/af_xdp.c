/* SPDX-License-Identifier: BSD-2-Clause */
/* What a worker of `engine: af_xdp` costs a packet, and what of it is load balancing.
 *
 * A pair of veths in a network namespace of its own; frames are laid into one end, and a program on the
 * other gives all of them to the worker's socket. Only the worker's round is timed: it receives,
 * processes, sends by a system call and takes buffers back. The floor does the same and swaps the MAC
 * addresses in between. In each of many short rounds every row runs once; what is added is the median
 * of the rounds' differences.
 *
 * Prints JSON: for each row the least and the median of its rounds, in nanoseconds. Needs root. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "dataplane/xdp/worker.h"
#include "tests/bench/scene.h"
#include "tests/bench/xdp_bench.skel.h"

#define SERVICES 100
#define BACKENDS 100
#define FLOWS (1u << 20)
#define FLOWS_WARM (1u << 10)
#define BATCH 128 /* a veth's ring takes 256 */
#define ROUND_BATCHES 80
#define ROUNDS 40

struct row {
	const char *name;
	u32 flows;
	u32 (*serve)(struct worker *worker);
	u32 position; /* in the trace */
	double ns[ROUNDS];
};

static void must(int err, const char *what)
{
	if (err == 0)
		return;
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-err));
	exit(err == -EPERM ? 77 : 1);
}

/* --- The wire ------------------------------------------------------------------------- */

static void wire_make(void)
{
	must(unshare(CLONE_NEWNET) < 0 ? -errno : 0, "a network namespace");
	must(system("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 && " /* frames of its own */
		    "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 && "
		    "ip link add up0 address 02:00:00:00:00:01 numrxqueues 1 numtxqueues 1 type veth "
		    "peer name wire0 numrxqueues 1 numtxqueues 1 && "
		    "ip link set up0 up && ip link set wire0 up")
		     ? -EIO
		     : 0,
	     "a pair of veths");
}

static int wire_open(void)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex("wire0"),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), on = 1;

	must(fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
			     setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) < 0
		     ? -errno
		     : 0,
	     "a packet socket");
	return fd;
}

/* The program sees them before this returns: a veth's softirq runs in the sender's call. */
static void wire_send(int fd, const u8 *frames)
{
	static struct mmsghdr messages[BATCH];
	struct iovec vectors[BATCH];

	for (u32 i = 0; i < BATCH; i++) {
		vectors[i].iov_base = (void *)(size_t)(frames + (size_t)i * SCENE_FRAME_BYTES);
		vectors[i].iov_len = SCENE_FRAME_BYTES;
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	must(sendmmsg(fd, messages, BATCH, 0) == BATCH ? 0 : -EIO, "sending");
}

/* --- The worker ----------------------------------------------------------------------- */

static struct xdp_bench_bpf *steer_all(const struct queue *queue)
{
	struct xdp_bench_bpf *skeleton = scene_must(xdp_bench_bpf__open());
	struct bpf_program *program;
	u32 zero = 0;
	int fd = xsk_socket__fd(queue->socket);

	bpf_object__for_each_program(program, skeleton->obj)
		bpf_program__set_autoload(program, program == skeleton->progs.bench_steer);
	must(xdp_bench_bpf__load(skeleton), "the program that steers");
	must(bpf_map_update_elem(bpf_map__fd(skeleton->maps.sockets), &zero, &fd, BPF_ANY) < 0
		     ? -errno
		     : 0,
	     "the socket");
	must(bpf_xdp_attach((int)queue->steered.ifindex,
			    bpf_program__fd(skeleton->progs.bench_steer), 0, NULL),
	     "attaching");
	return skeleton;
}

static void worker_open(struct worker *worker, struct queue *queue, struct view *view,
			const struct scene *scene)
{
	static struct hook hook = {.kernel_name = "up0"};
	static struct kernel_worker shared;
	static struct kernel_port port = {.station.mac = SCENE_MAC};
	static struct env_recent recent;
	const char *hint = "";
	int err = buffers_map(&worker->buffers, QUEUE_BUFFERS);

	hook.ifindex = if_nametoindex("up0");
	*queue = (struct queue){
		.steered = {.hook = &hook,
			    .ifindex = hook.ifindex,
			    .ring_size = QUEUE_BUFFERS / 2,
			    .shared = &shared},
		.shared_port = &port,
		.env = scene->env,
	};
	queue->env.recent = &recent;
	view->own.report = scene->report;
	worker->queues[0] = worker->out[0] = queue;
	worker->queues_count = worker->ports_count = 1;
	worker->current = view;
	if (!err)
		err = queue_open(queue, &worker->buffers, true, &hint);
	must(err, hint);
	queue_fill(queue);
}

static u32 serve_shunt(struct worker *worker)
{
	bool unsent;

	return worker_round(worker, &unsent);
}

static void macs_swap(u8 *frame)
{
	u8 mac[6];

	memcpy(mac, frame, 6);
	memmove(frame, frame + 6, 6);
	memcpy(frame + 6, mac, 6);
}

static u32 serve_floor(struct worker *worker)
{
	struct queue *queue = worker->queues[0];
	u32 room = queue_room(queue, WORKER_BURST);
	u32 at, count = queue_look(queue, room < WORKER_BURST ? room : WORKER_BURST, &at);

	for (u32 i = 0; i < count; i++) {
		const struct xdp_desc *descriptor = xsk_ring_cons__rx_desc(&queue->rx, at + i);
		u8 *frame = queue->buffers->area + descriptor->addr;

		macs_swap(frame);
		queue_send(queue, frame, descriptor->len);
	}
	if (count > 0)
		queue_taken(queue, count);
	queue_flush(queue);
	queue_reap(queue);
	queue_fill(queue);
	return count;
}

/* --- Rounds --------------------------------------------------------------------------- */

static u64 now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
}

/* Nanoseconds a packet. */
static double row_run(struct row *row, struct worker *worker, const struct scene *scene, int wire)
{
	u64 ns = 0;

	for (u32 i = 0; i < ROUND_BATCHES; i++) {
		u32 count = 0, idle = 0;
		u64 since;

		wire_send(wire, scene->trace + (size_t)row->position * SCENE_FRAME_BYTES);
		row->position = (row->position + BATCH) % row->flows;
		since = now_ns();
		while (count < BATCH && idle < 1000000) {
			u32 some = row->serve(worker);

			idle = some ? 0 : idle + 1;
			count += some;
		}
		ns += now_ns() - since;
		must(count == BATCH ? 0 : -EIO, "a frame does not come");
	}
	return (double)ns / (ROUND_BATCHES * BATCH);
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

static void row_print(const struct row *row, const struct row *floor)
{
	double ns[ROUNDS], added[ROUNDS];

	memcpy(ns, row->ns, sizeof(ns));
	for (u32 i = 0; i < ROUNDS; i++)
		added[i] = row->ns[i] - floor->ns[i];
	printf("%s\"%s\": {\"ns_median\": %.1f, ", row == floor ? "" : ", ", row->name, median(ns));
	printf("\"ns_min\": %.1f, \"added_ns\": %.1f}", ns[0], median(added));
}

int main(void)
{
	const struct scene_shape shape = {
		.services_count = SERVICES,
		.backends_count = BACKENDS,
		.flows_count = FLOWS,
	};
	static struct row rows[] = {
		{.name = "floor", .flows = FLOWS, .serve = serve_floor},
		{.name = "warm", .flows = FLOWS_WARM, .serve = serve_shunt},
		{.name = "1m", .flows = FLOWS, .serve = serve_shunt},
	};
	static struct worker worker;
	static struct queue queue;
	static struct view view;
	struct xdp_bench_bpf *skeleton;
	struct scene scene;
	int wire;

	scene_open(&scene, &shape);
	wire_make();
	wire = wire_open();
	worker_open(&worker, &queue, &view, &scene);
	skeleton = steer_all(&queue);
	for (u32 k = 0; k < FLOWS / (ROUND_BATCHES * BATCH); k++) /* every flow is in its table */
		row_run(&rows[2], &worker, &scene, wire);
	for (u32 k = 0; k < ROUNDS; k++)
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			rows[i].ns[k] = row_run(&rows[i], &worker, &scene, wire);
	printf("{\"rounds\": %d, \"rows\": {", ROUNDS);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		row_print(&rows[i], &rows[0]);
	printf("}}\n");
	xdp_bench_bpf__destroy(skeleton);
	queue_close(&queue);
	scene_close(&scene);
	return 0;
}
