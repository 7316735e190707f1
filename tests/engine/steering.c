/* SPDX-License-Identifier: BSD-2-Clause */
/* Which frames the kernel's program gives to a worker's socket: the program itself, run frame by frame
 * with a real socket in its map, while the test plays the worker. No frame arrives anywhere: what the
 * program answers is looked at.
 *
 * Exit status 77: cannot run here. */
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bpf/shunt.skel.h"
#include "dataplane/kernel/kernel.h"
#include "dataplane/xdp/queue.h"
#include "tests/bench/scene.h"
#include "tests/unit/cmocka_help.h"
#include "tests/unit/frames.h"

enum { FRAME_MAX = 4096, RESUME = 16, ATTEMPTS = 1000 };

static struct scene scene;
static struct kernel kernel;
static struct kernel_worker *worker;
static struct hook hook = {.kernel_name = "lo", .ifindex = 1, .queues_count = 1};
static struct buffers buffers;
static struct queue queue = {.steered = {.hook = &hook, .ring_size = 64}};
static u8 frame[FRAME_MAX];

/* --- The stage ------------------------------------------------------------------------ */

static u64 clock_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
}

static void beat(u64 ago_ms)
{
	worker->heartbeat_ms = clock_of(CLOCK_MONOTONIC_COARSE) / 1000000 - ago_ms;
}

static void room(u64 buffers_count)
{
	worker->credit = worker->steered + buffers_count;
}

static void fall_over(void)
{
	const struct timespec pause = {.tv_nsec = 2 * KERNEL_FALL_BACK_NS};

	nanosleep(&pause, NULL);
}

static u32 answer_to(u32 frame_bytes)
{
	static u8 out[FRAME_MAX + ENCAP_OVERHEAD_MAX];

	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = frame_bytes,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1);
	assert_int_equal(bpf_prog_test_run_opts(kernel_program_fd(&kernel), &run), 0);
	return run.retval;
}

static bool silent; /* else the worker gives a sign of life before each frame */

/* Whether a frame is steered. What isn't is forwarded by the program. */
static bool steered(void)
{
	u64 before = worker->steered;
	u32 answer;

	if (!silent)
		beat(0);
	answer = answer_to(SCENE_FRAME_BYTES);
	assert_int_equal(answer, worker->steered > before ? XDP_REDIRECT : XDP_TX);
	assert_true(worker->steered - before <= 1);
	return worker->steered > before;
}

/* A worker that is there and has room; the program steers. */
static int ready(void **state)
{
	memset(worker, 0, sizeof(*worker));
	worker->steers = 1;
	worker->resume = RESUME;
	worker->bytes_max = BUFFER_FRAME_BYTES_MAX;
	room(1000);
	beat(0);
	memcpy(frame, scene.trace, SCENE_FRAME_BYTES);
	return 0;
}

static void lo_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

static void socket_place(bool there)
{
	int map = bpf_map__fd(kernel.skeleton->maps.sockets);
	int fd = xsk_socket__fd(queue.socket);
	u32 key = 0;

	assert_int_equal(there ? bpf_map_update_elem(map, &key, &fd, BPF_ANY)
			       : bpf_map_delete_elem(map, &key),
			 0);
}

static int stage_open(void **state)
{
	const struct kernel_port port = {.ifindex = 1,
					 .queues_count = 1,
					 .station = {.mac = SCENE_MAC}};
	const struct kernel_layout layout = {
		.workers_count = 1,
		.ports_count = 1,
		.ports = &port,
		.flows = 1000,
		.flow_timeout_ms = 300000,
	};
	const char *hint;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	lo_up();
	scene_open(&scene, &(struct scene_shape){1, 4, 1, false});
	if (kernel_open(&kernel, &layout, NULL) < 0 || buffers_map(&buffers, 128) < 0 ||
	    queue_open(&queue, &buffers, true, &hint) < 0)
		return -1;
	worker = kernel.workers;
	socket_place(true);
	return kernel_publish(&kernel, &scene.view, &scene.env.tables, kernel.flows.buckets_count);
}

static int stage_close(void **state)
{
	queue_close(&queue);
	buffers_unmap(&buffers);
	kernel_close(&kernel);
	scene_close(&scene);
	return 0;
}

/* --- Room and time -------------------------------------------------------------------- */

static void no_frame_goes_where_there_is_no_room(void **state)
{
	room(3);
	for (u32 i = 0; i < 3; i++)
		assert_true(steered());
	for (u32 i = 0; i < 10; i++)
		assert_false(steered());
	assert_int_equal(worker->steered, 3);
	assert_int_equal(worker->fallen_back, 10);
	assert_int_equal(worker->falls, 1);
	assert_int_equal(worker->why, KERNEL_WHY_NO_ROOM);
}

static void what_is_reserved_is_left(void **state)
{
	worker->reserve = 8;
	room(9);
	assert_true(steered());
	assert_false(steered());
	assert_int_equal(worker->why, KERNEL_WHY_NO_ROOM);
}

/* As far as the machine lets us look in time. */
static void a_fall_back_lasts_a_millisecond(void **state)
{
	u32 seen = 0;

	for (u32 i = 0; i < ATTEMPTS && seen < 10; i++) {
		u64 before_ns = clock_of(CLOCK_MONOTONIC);
		bool too_early;

		room(0);
		if (steered())
			fail_msg("steered without room");
		room(1000);
		too_early = steered();
		if (clock_of(CLOCK_MONOTONIC) - before_ns < KERNEL_FALL_BACK_NS) {
			assert_false(too_early);
			seen++;
		}
		fall_over();
		assert_true(steered());
	}
	assert_true(seen > 0);
}

static void steering_resumes_with_some_room_only(void **state)
{
	room(0);
	assert_false(steered());
	fall_over();
	room(RESUME - 1);
	assert_false(steered());
	room(RESUME);
	assert_true(steered());
	assert_int_equal(worker->falls, 1);
}

static void a_worker_that_is_silent_gets_nothing(void **state)
{
	silent = true;
	beat(KERNEL_HEARTBEAT_MS + 10);
	assert_false(steered());
	assert_int_equal(worker->why, KERNEL_WHY_STALLED);
	fall_over();
	assert_false(steered());
	silent = false;
	assert_true(steered());
}

/* Its clock may have been read a moment later than the program's. */
static void a_heartbeat_may_lie_ahead(void **state)
{
	silent = true;
	beat((u64)-8);
	assert_true(steered());
	silent = false;
}

static void nothing_is_steered_unasked(void **state)
{
	worker->steers = 0;
	assert_false(steered());
	assert_int_equal(worker->fallen_back, 0);
}

static void without_a_socket_the_program_forwards(void **state)
{
	socket_place(false);
	assert_false(steered());
	socket_place(true);
	assert_true(steered());
}

/* --- Frames --------------------------------------------------------------------------- */

static void the_kernels_own_stay_with_it(void **state)
{
	frame[30] ^= 1; /* another destination address */
	assert_int_equal(answer_to(SCENE_FRAME_BYTES), XDP_PASS);
	memcpy(frame, scene.trace, SCENE_FRAME_BYTES);
	frame[5] ^= 0x10; /* another station */
	assert_int_equal(answer_to(SCENE_FRAME_BYTES), XDP_PASS);
	assert_int_equal(worker->steered, 0);
}

/* A worker keeps it until the first fragment has come; the program can't. */
static void an_early_fragment_is_steered(void **state)
{
	put16(frame + 20, 100); /* offset in units of 8 bytes */
	frame_seal_ipv4(frame + ETHERNET_HEADER_BYTES);
	assert_int_equal(answer_to(SCENE_FRAME_BYTES), XDP_REDIRECT);
	room(0);
	assert_int_equal(answer_to(SCENE_FRAME_BYTES), XDP_DROP);
}

/* What no worker would send on costs no worker anything. */
static void what_is_dropped_is_dropped_at_once(void **state)
{
	frame[22] = 0; /* TTL */
	frame_seal_ipv4(frame + ETHERNET_HEADER_BYTES);
	assert_int_equal(answer_to(SCENE_FRAME_BYTES), XDP_DROP);
	memcpy(frame, scene.trace, SCENE_FRAME_BYTES);
	frame[36] ^= 1; /* a port that has no service */
	assert_int_equal(answer_to(SCENE_FRAME_BYTES), XDP_DROP);
	assert_int_equal(worker->steered, 0);
}

static void frames_longer_than_a_buffer_stay(void **state)
{
	assert_int_equal(answer_to(BUFFER_FRAME_BYTES_MAX + 1), XDP_TX);
	assert_int_equal(worker->fallen_back, 0);
	worker->bytes_max = SCENE_FRAME_BYTES - 1;
	assert_false(steered());
	worker->bytes_max = SCENE_FRAME_BYTES;
	assert_true(steered());
}

static void a_queue_of_nobodys_is_the_programs(void **state)
{
	kernel.control->ports[0].queues_count = 0;
	assert_false(steered());
	kernel.control->ports[0].queues_count = 1;
	assert_true(steered());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(no_frame_goes_where_there_is_no_room, ready),
		cmocka_unit_test_setup(what_is_reserved_is_left, ready),
		cmocka_unit_test_setup(a_fall_back_lasts_a_millisecond, ready),
		cmocka_unit_test_setup(steering_resumes_with_some_room_only, ready),
		cmocka_unit_test_setup(a_worker_that_is_silent_gets_nothing, ready),
		cmocka_unit_test_setup(a_heartbeat_may_lie_ahead, ready),
		cmocka_unit_test_setup(nothing_is_steered_unasked, ready),
		cmocka_unit_test_setup(without_a_socket_the_program_forwards, ready),
		cmocka_unit_test_setup(the_kernels_own_stay_with_it, ready),
		cmocka_unit_test_setup(an_early_fragment_is_steered, ready),
		cmocka_unit_test_setup(what_is_dropped_is_dropped_at_once, ready),
		cmocka_unit_test_setup(frames_longer_than_a_buffer_stay, ready),
		cmocka_unit_test_setup(a_queue_of_nobodys_is_the_programs, ready),
	};

	if (geteuid() != 0) {
		printf("skipped: XDP programs are loaded by root only\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, stage_open, stage_close);
}
