/* SPDX-License-Identifier: BSD-2-Clause */
/* Receives, processes, sends, counts, and sleeps where nothing comes.
 *
 * It takes no more frames than every ring to send has room for: then none is lost for want of it.
 * Frames that it doesn't take use up the credit that the program has, and the program forwards what
 * comes after them.
 *
 * Its clock is the program's, so that ages, fragments and rate limits mean the same to both. */
#include "dataplane/xdp/worker.h"

#include <errno.h>
#include <poll.h>
#include <time.h>

#define SLEEP_MS 10 /* less than half of KERNEL_HEARTBEAT_MS */
#define SLEEP_UNSENT_MS 1
#define STOP_ROUNDS_MAX 1000 /* for a device that sends nothing any more */

_Static_assert(2 * SLEEP_MS < KERNEL_HEARTBEAT_MS, "asleep is not stalled");
_Static_assert(WORKER_BURST <= BURST_MAX, "one burst");

static struct report_worker *block(const struct view *view, const struct queue *queue)
{
	return report_worker(&view->own.report, queue->steered.worker);
}

/* --- Time ----------------------------------------------------------------------------- */

static void clock_step(struct worker *worker)
{
	struct timespec now;
	u64 now_ms;
	u8 tick;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	now_ms = (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
	if (likely(now_ms == worker->now_ms))
		return;
	worker->now_ms = now_ms;
	tick = (u8)(flow_tick_of(now_ms, worker->tick_ms) & FLOW_AGE_MASK);
	for (u32 i = 0; i < worker->queues_count; i++) {
		worker->queues[i]->env.now_ms = (u32)now_ms;
		worker->queues[i]->env.tick = tick;
	}
}

/* Tells the program that frames are looked at. It reads that line with every frame, so that nothing is
 * written there without need. */
static void beat(struct worker *worker)
{
	for (u32 i = 0; i < worker->queues_count; i++) {
		u64 *told_ms = &worker->queues[i]->steered.shared->heartbeat_ms;

		if (*told_ms != worker->now_ms)
			__atomic_store_n(told_ms, worker->now_ms, __ATOMIC_RELAXED);
	}
}

/* --- Tables --------------------------------------------------------------------------- */

/* The block of its first queue says for all of them which generation is in use. */
static bool root_follow(struct worker *worker, const struct view *view, u64 *root_offset)
{
	struct env env;

	if (!burst_follow(&view->attachment->arena, root_offset, &env,
			  block(view, worker->queues[0])))
		return false;
	for (u32 i = 0; i < worker->queues_count; i++)
		worker->queues[i]->env.tables = env.tables;
	return true;
}

static void take_up(struct worker *worker, struct view *newest)
{
	u64 root_offset = 0;

	if (!root_follow(worker, newest, &root_offset))
		return;
	worker->root_offset = root_offset;
	__atomic_store_n(&worker->current, newest, __ATOMIC_RELEASE); /* worker_current() */
}

/* Returns whether there are tables. */
static bool follow(struct worker *worker)
{
	struct view *newest = __atomic_load_n(&worker->newest, __ATOMIC_ACQUIRE);
	u32 flow_buckets;

	if (unlikely(newest != worker->current))
		take_up(worker, newest);
	if (unlikely(!worker->current))
		return false;
	root_follow(worker, worker->current, &worker->root_offset);
	flow_buckets =
		__atomic_load_n(&worker->current->attachment->flow_buckets, __ATOMIC_ACQUIRE);
	for (u32 i = 0; i < worker->queues_count; i++)
		worker->queues[i]->env.flow_buckets = flow_buckets;
	return true;
}

/* --- A burst -------------------------------------------------------------------------- */

static void frame_describe(struct burst *burst, u32 i, u8 *frame, u32 frame_bytes)
{
	prefetch_write(frame - ENCAP_OVERHEAD_MAX);
	burst->frame[i] = frame;
	burst->contiguous_bytes[i] = burst->frame_bytes[i] = frame_bytes;
	burst->headroom_bytes[i] = BUFFER_HEADROOM_BYTES;
}

/* Keeps a fragment that is early, if there is a place. */
static bool held(struct worker *worker, struct queue *queue, u32 i)
{
	struct burst *burst = &worker->burst;
	const struct held held = {
		.frame = burst->frame[i],
		.port = queue,
		.datagram = burst->datagram[i],
		.since_ms = queue->env.now_ms,
	};

	if (burst->verdict[i] != VERDICT_FRAGMENT || !hold_put(&queue->hold, &held))
		return false;
	*buffer_note(queue->buffers, burst->frame[i]) = burst->frame_bytes[i];
	burst->verdict[i] = VERDICT_UNDECIDED;
	return true;
}

/* Sends a frame, or is done with it. Only a change of the tables while it was on its way makes it the
 * kernel's: then it is lost, and counted. */
static void frame_finish(struct worker *worker, struct queue *queue, u32 i,
			 struct report_worker *report)
{
	struct burst *burst = &worker->burst;
	enum action action = verdict_action(burst->verdict[i]);
	struct queue *out = queue;

	if (likely(action == ACTION_FORWARD)) {
		out = burst->port[i] < worker->ports_count ? worker->out[burst->port[i]] : NULL;
		if (unlikely(!out)) /* shuntd knows interfaces that we were started without */
			burst->verdict[i] = VERDICT_NO_NEXT_HOP;
	} else if (action == ACTION_REPLY) {
		out = worker->out[queue->steered.port];
	} else if (held(worker, queue, i)) {
		return;
	} else {
		out = NULL;
	}
	report->exceptions_lost += action == ACTION_PASS;
	if (likely(out != NULL))
		queue_send(out, burst->frame[i], burst->frame_bytes[i]);
	else
		buffer_give(queue->buffers, buffer_offset(queue->buffers, burst->frame[i]));
}

static void burst_run(struct worker *worker, struct queue *queue, u32 count)
{
	struct burst *burst = &worker->burst;
	struct report_worker *report = block(worker->current, queue);

	burst->count = count;
	burst->station = queue->shared_port->station;
	burst_process(&queue->env, burst);
	for (u32 i = 0; i < count; i++)
		frame_finish(worker, queue, i, report);
	burst_count(burst, 0, count, report);
}

/* One frame that was held, once more. */
static void held_run(struct worker *worker, struct queue *queue, const struct held *held)
{
	frame_describe(&worker->burst, 0, held->frame, *buffer_note(queue->buffers, held->frame));
	burst_run(worker, queue, 1);
}

/* How many frames may come, so that all of them can be sent, wherever to. */
static u32 room(struct worker *worker)
{
	u32 least = WORKER_BURST;

	for (u32 i = 0; i < worker->ports_count; i++) {
		u32 free = queue_room(worker->out[i], WORKER_BURST);

		least = free < least ? free : least;
	}
	return least;
}

/* Frames whose first fragment has come; and those that waited in vain: it may have come to the
 * program meanwhile, so that they are tried once more. */
static void serve_held(struct worker *worker, struct queue *queue)
{
	struct held held;

	while (unlikely(hold_pending(&queue->hold, queue->env.recent)) && room(worker) > 0 &&
	       hold_release(&queue->hold, queue->env.recent, &held))
		held_run(worker, queue, &held);
	if (likely(queue->hold.count == 0) || room(worker) == 0 ||
	    !hold_expire(&queue->hold, queue->env.now_ms, &held))
		return;
	queue->hold.releasing = true; /* not to be held again */
	held_run(worker, queue, &held);
	queue->hold.releasing = false;
}

static u32 serve(struct worker *worker, struct queue *queue)
{
	u8 *area = queue->buffers->area;
	u32 at, count = queue_look(queue, room(worker), &at);

	for (u32 i = 0; i < count; i++) {
		const struct xdp_desc *descriptor = xsk_ring_cons__rx_desc(&queue->rx, at + i);

		frame_describe(&worker->burst, i, area + descriptor->addr, descriptor->len);
	}
	if (count > 0) {
		queue_taken(queue, count);
		burst_run(worker, queue, count);
	}
	serve_held(worker, queue);
	return count;
}

/* --- The loop ------------------------------------------------------------------------- */

u32 worker_round(struct worker *worker, bool *unsent)
{
	u32 count = 0;

	*unsent = false;
	for (u32 i = 0; i < worker->queues_count; i++)
		count += serve(worker, worker->queues[i]);
	for (u32 i = 0; i < worker->queues_count; i++)
		*unsent |= queue_flush(worker->queues[i]);
	for (u32 i = 0; i < worker->queues_count; i++)
		queue_reap(worker->queues[i]);
	for (u32 i = 0; i < worker->queues_count; i++)
		queue_fill(worker->queues[i]);
	return count;
}

static void rest(struct worker *worker, int timeout_ms)
{
	struct pollfd fds[KERNEL_WORKERS_MAX];

	for (u32 i = 0; i < worker->queues_count; i++)
		fds[i] = (struct pollfd){
			.fd = worker->queues[i]->steered.fd,
			.events = POLLIN,
		};
	poll(fds, worker->queues_count, timeout_ms);
}

static void *run(void *argument)
{
	struct worker *worker = argument;
	bool unsent = false;
	u32 stopping = 0;

	while (stopping < STOP_ROUNDS_MAX) {
		bool stop = __atomic_load_n(&worker->stop, __ATOMIC_ACQUIRE);
		u32 count = 0;

		clock_step(worker);
		if (likely(follow(worker))) {
			beat(worker);
			count = worker_round(worker, &unsent);
		}
		if (unlikely(stop) && count == 0 && !unsent)
			break;
		stopping += stop;
		if (count == 0)
			rest(worker, unsent ? SLEEP_UNSENT_MS : worker->sleeps ? SLEEP_MS : 0);
	}
	return NULL;
}

/* --- The main thread's side ----------------------------------------------------------- */

int worker_hand(struct worker *worker, struct view *view)
{
	int err = 0;

	__atomic_store_n(&worker->newest, view, __ATOMIC_RELEASE); /* follow() */
	if (!worker->running)
		err = -pthread_create(&worker->thread, NULL, run, worker);
	worker->running |= err == 0;
	return err;
}

void worker_stop(struct worker *worker)
{
	__atomic_store_n(&worker->stop, true, __ATOMIC_RELEASE);
}

void worker_join(struct worker *worker)
{
	if (worker->running)
		pthread_join(worker->thread, NULL);
	worker->running = false;
}
