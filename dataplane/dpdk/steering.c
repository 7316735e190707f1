/* SPDX-License-Identifier: BSD-2-Clause */
/* shunt-dpdk over net_af_xdp is to the program what shunt-xdp's threads with sockets are: the engine of
 * dataplane/kernel/ looks after tables, counters and sweeps, and DPDK's workers take what is steered to
 * their sockets. Each has a queue of the one interface, hence one of the program's workers: that one's flow
 * table, its fragments, its block of the report (docs/adr/0018-dpdk-over-af-xdp.md). Queues that DPDK was
 * not told to take are the program's alone.
 *
 * Credit: DPDK fills FILLED buffers in before a socket is bound, and for each frame that is taken one
 * buffer more, before it is taken. So there are never fewer buffers than the receive ring has places, and
 * a frame needs no more than a place there. */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/steering.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/dpdk/xsk.h"
#include "dataplane/kernel/engine.h"
#include "dataplane/kernel/pins.h"
#include "dataplane/kernel/steered.h"
#include "dataplane/kernel/view.h"
#include "dataplane/session/message.h"

#define FILLED 2048      /* ETH_AF_XDP_DFLT_NUM_DESCS */
#define STARVED_LOOKS 10 /* of tell(), to one look at the sockets' statistics */
#define DRAIN_MS 1000    /* so long may the workers take for what is in their sockets */

struct steering {
	struct hooks hooks;
	struct kernel kernel;
	struct engine engine;
	struct workers *workers;
	struct steered sockets[WORKERS_MAX]; /* a worker each */
	u64 starved[WORKERS_MAX];            /* as last seen */
	u32 sockets_count;
	u32 first_queue;    /* that of the first */
	struct view *views; /* newest first */
	u32 looks;          /* at the sockets' statistics */
	bool stopped;
	int epoll_fd, timer_fd, links_fd;
};

/* --- Whether -------------------------------------------------------------------------- */

static u32 first_queue(const char *device)
{
	char value[16];

	config_device_option(device, "start_queue", value, sizeof(value));
	return (u32)strtoul(value, NULL, 10);
}

static bool option_given(const char *device, const char *option)
{
	char value[CONFIG_DEVICE_MAX];

	config_device_option(device, option, value, sizeof(value));
	return value[0] && strcmp(value, "0") != 0;
}

/* Why DPDK's own program has to do, or NULL. */
static const char *hindrance(const struct ports *ports, const struct port *port,
			     const char *pin_dir)
{
	static const char *const options[] = {"xdp_prog", "shared_umem"};
	static char text[256];

	if (ports->count > 1)
		return "shunt's own serves one interface alone, and several are configured";
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (!option_given(port->config->device, options[i]))
			continue;
		snprintf(text, sizeof(text), "remove `%s=` from its `device:` for shunt's own",
			 options[i]);
		return text;
	}
	if (pins_possible(pin_dir))
		return NULL;
	snprintf(text, sizeof(text),
		 "for shunt's own mount a BPF file system (mount -t bpf bpf /sys/fs/bpf), or name "
		 "a folder of one with --pin-dir: %s is in none",
		 pin_dir);
	return text;
}

static bool suits(const struct ports *ports, const char *pin_dir)
{
	bool any = false;

	for (u32 i = 0; i < ports->count; i++) {
		const struct port *port = &ports->list[i];
		const char *why;

		if (!port->kind->xdp_sockets)
			continue;
		any = true;
		why = hindrance(ports, port, pin_dir);
		if (!why)
			continue;
		message("interface %s: DPDK's own XDP program gives shunt-dpdk all that comes by "
			"%s, and nobody when it is killed; %s",
			port->config->name, port->kernel_name, why);
		return false;
	}
	return any;
}

/* --- Opening -------------------------------------------------------------------------- */

static int watch(struct steering *steering, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return fd < 0 ? -1 : epoll_ctl(steering->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int events_open(struct steering *steering)
{
	const struct itimerspec every = {
		.it_interval.tv_nsec = ENGINE_LOOK_MS * 1000000,
		.it_value.tv_nsec = ENGINE_LOOK_MS * 1000000,
	};

	steering->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	steering->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	steering->links_fd = hooks_watch();
	if (steering->epoll_fd >= 0 && watch(steering, steering->timer_fd) == 0 &&
	    watch(steering, steering->links_fd) == 0 &&
	    timerfd_settime(steering->timer_fd, 0, &every, NULL) == 0)
		return EX_OK;
	message("cannot wait for events: %s", strerror(errno));
	return EX_OSERR;
}

int steering_open(struct steering **out, const struct config_dataplane *config, struct ports *ports,
		  const char *pin_dir)
{
	struct steering *steering;
	int status;

	*out = NULL;
	if (!suits(ports, pin_dir))
		return EX_OK;
	steering = calloc(1, sizeof(*steering));
	if (!steering)
		return EX_OSERR;
	*out = steering;
	steering->kernel.flows.fd = -1;
	kernel_print(false);
	status = events_open(steering);
	if (status != EX_OK)
		return status;
	if (hooks_find(&steering->hooks, config, pin_dir) < 0 || pins_lock(pin_dir) < 0 ||
	    engine_prepare(&steering->kernel, &steering->hooks, config, pin_dir) < 0)
		return EX_UNAVAILABLE;
	steering->engine = (struct engine){
		.kernel = &steering->kernel,
		.hooks = &steering->hooks,
		.packet_socket = engine_packet_socket(config),
	};
	steering->first_queue = first_queue(config->interfaces[0].device);
	xsk_guard(steering->hooks.list[0].kernel_name, steering->hooks.list[0].ifindex);
	ports->list[0].steered = true;
	return EX_OK;
}

/* A frame of a socket's lies in a packet buffer, behind what DPDK and the kernel keep free. */
static u32 frame_bytes_max(const struct ports *ports)
{
	return rte_pktmbuf_data_room_size(ports->pool) - RTE_PKTMBUF_HEADROOM -
	       ports->list[0].kind->front_bytes;
}

static int socket_join(struct steering *steering, struct worker *worker)
{
	const struct port *port = &worker->relay.ports->list[0];
	struct steered *steered = &steering->sockets[worker->number];
	u32 number = steering->first_queue + worker->number;
	int err;

	*steered = (struct steered){
		.hook = &steering->hooks.list[0],
		.ifindex = steering->hooks.list[0].ifindex,
		.number = number,
		.worker = number,
		.fd = xsk_guarded(number),
		.ring_size = port->rx_descriptors < FILLED ? port->rx_descriptors : FILLED,
		.bytes_max = frame_bytes_max(worker->relay.ports),
	};
	if (steered->fd < 0 || number >= steered->hook->queues_count)
		return -ENXIO;
	steered->zero_copy = !steered_copies(steered->fd);
	err = steered_join(steered, &steering->kernel, 0);
	if (err)
		return err;
	kernel_worker_credit(steered->shared, steered->ring_size);
	worker_steer(worker, steered->shared, steered_env(&steering->kernel, number));
	return 0;
}

int steering_join(struct steering *steering, struct workers *workers)
{
	int err = 0;

	steering->workers = workers;
	for (u32 i = 0; i < workers->count && !err; i++)
		err = socket_join(steering, &workers->list[i]);
	if (!err) {
		steering->sockets_count = workers->count;
		return EX_OK;
	}
	message("interface %s: the AF_XDP sockets of this DPDK (%s) cannot be joined to shunt's "
		"program (%s): use `engine: af_xdp` and shunt-xdp",
		steering->hooks.list[0].config->name, rte_version(), strerror(-err));
	return EX_UNAVAILABLE;
}

static void steer(const struct steering *steering, bool on)
{
	for (u32 i = 0; i < steering->sockets_count; i++)
		steered_steer(&steering->sockets[i], on);
}

/* --- What the engine asks of the workers ---------------------------------------------- */

/* The view whose attachment a worker was handed. */
static struct view *view_of(struct attachment *own)
{
	return own ? (struct view *)((u8 *)own - offsetof(struct view, own)) : NULL;
}

static int hand(void *context, const struct attachment *attachment)
{
	struct steering *steering = context;
	struct view *view;
	int err = view_create(attachment, &view);

	if (err)
		return err;
	view->older = steering->views;
	view->own.older = steering->views ? &steering->views->own : NULL;
	steering->views = view;
	err = workers_hand(steering->workers, &view->own);
	if (!err)
		steer(steering, true);
	return err;
}

static struct view *oldest_view(const struct steering *steering)
{
	return steering->views ? view_of(workers_oldest(steering->workers, &steering->views->own))
			       : NULL;
}

static const struct attachment *oldest(const void *context)
{
	const struct view *view = oldest_view(context);

	return view ? view->attachment : NULL;
}

static bool all_at(const void *context, const struct attachment *attachment)
{
	const struct steering *steering = context;
	const struct view *newest = steering->views;

	return newest && newest->attachment == attachment &&
	       workers_all_at(steering->workers, &newest->own);
}

/* The generation that both the program and the thread use. */
static u64 generation_of(const struct steering *steering, u32 thread, u64 kernels)
{
	const struct view *newest = steering->views;
	const struct report_worker *own = report_worker(&newest->own.report, thread);
	u64 used = 0;

	if (worker_current(&steering->workers->list[thread]) == &newest->own)
		used = __atomic_load_n(&own->generation, __ATOMIC_ACQUIRE);
	return used < kernels ? used : kernels;
}

static void thread_tell(struct steering *steering, u32 thread, const struct report *report,
			u64 generation)
{
	const struct steered *steered = &steering->sockets[thread];
	struct report_worker *to = report_worker(report, steered->worker);

	for (const struct view *view = steering->views; view; view = view->older)
		view_add(view, thread, report, steered->worker);
	to->core = (u64)steering->workers->cores[thread];
	steered_tell(steered, steering->starved[thread], to);
	__atomic_store_n(&to->generation, generation_of(steering, thread, generation),
			 __ATOMIC_RELEASE);
}

/* A queue that DPDK has no socket on. */
static void programs_tell(struct report_worker *to, u64 generation)
{
	to->carrier = REPORT_CARRIER_KERNEL;
	__atomic_store_n(&to->generation, generation, __ATOMIC_RELEASE);
}

static void tell(void *context, const struct report *report, u64 generation)
{
	struct steering *steering = context;
	bool look = steering->looks++ % STARVED_LOOKS == 0;
	struct view *oldest;

	if (!steering->views)
		return;
	view_follow(steering->views);
	steer(steering, !steering->stopped);
	for (u32 i = 0; look && i < steering->sockets_count; i++)
		steering->starved[i] = steered_starved(&steering->sockets[i]);
	for (u32 i = 0; i < report->workers_count; i++)
		if (i - steering->first_queue >= steering->sockets_count)
			programs_tell(report_worker(report, i), generation);
	for (u32 i = 0; i < steering->sockets_count; i++)
		thread_tell(steering, i, report, generation);
	oldest = oldest_view(steering);
	if (oldest)
		views_release(oldest);
}

static const struct engine_workers steered_workers = {
	.hand = hand,
	.oldest = oldest,
	.all_at = all_at,
	.tell = tell,
};

/* --- The session ---------------------------------------------------------------------- */

static void describe(void *context, struct attach_message *hello)
{
	const struct engine *engine = context;
	const struct steering *steering = engine->workers_context;

	engine_describe(context, hello);
	steered_describe(&steering->sockets[0], &hello->ports[0]);
}

static const struct session_engine steered_engine = {
	.name = "dpdk",
	.describe = describe,
	.hand = engine_hand,
	.oldest = engine_oldest,
	.all_at = engine_all_at,
};

void steering_session(struct steering *steering, struct session *session, bool no_flows)
{
	steering->engine.session = &steered_engine;
	steering->engine.workers = &steered_workers;
	steering->engine.workers_context = steering;
	session->engine = &steered_engine;
	session->context = &steering->engine;
	session->workers_count = steering->kernel.control->workers_count;
	session->flows = no_flows ? NULL : &steering->kernel.flows;
	session->flows_in_use = steering->kernel.resumed;
	session->flows_settled = true; /* they are pinned, not deposited */
}

int steering_epoll_fd(const struct steering *steering)
{
	return steering->epoll_fd;
}

bool steering_run(struct steering *steering, struct session *session)
{
	struct epoll_event events[2];
	int count = epoll_wait(steering->epoll_fd, events, 2, 0);
	u64 expirations;

	for (int i = 0; i < count; i++) {
		if (events[i].data.fd == steering->timer_fd) {
			if (read(steering->timer_fd, &expirations, sizeof(expirations)) > 0)
				engine_run(&steering->engine);
			continue;
		}
		hooks_watch_drain(steering->links_fd);
		if (engine_follow_links(&steering->engine))
			session_recall(session);
	}
	return !steering->engine.failed;
}

/* --- The end -------------------------------------------------------------------------- */

static bool drained(const struct steering *steering)
{
	for (u32 i = 0; i < steering->sockets_count; i++) {
		const volatile struct kernel_worker *shared = steering->sockets[i].shared;

		if (shared->taken != shared->steered)
			return false;
	}
	return true;
}

void steering_stop(struct steering *steering)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	if (!steering->views)
		return;
	steering->stopped = true;
	steer(steering, false);
	kernel_settle(&steering->kernel);
	for (u32 i = 0; i < DRAIN_MS && !drained(steering); i++)
		nanosleep(&pause, NULL);
}

void steering_end(struct steering *steering)
{
	engine_run(&steering->engine);
	engine_tell_end(&steering->engine);
}

static void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

void steering_close(struct steering *steering)
{
	while (steering->views) {
		struct view *view = steering->views;

		steering->views = view->older;
		view_destroy(view);
	}
	announcer_free(&steering->engine.announcer);
	if (steering->kernel.skeleton)
		kernel_close(&steering->kernel);
	fd_close(steering->links_fd);
	fd_close(steering->timer_fd);
	fd_close(steering->epoll_fd);
	free(steering);
}
