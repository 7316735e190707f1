/* SPDX-License-Identifier: BSD-2-Clause */
/* There are as many threads as the interface with the fewest queues has: thread t serves every t-th
 * queue of each. So each thread has a queue of every interface to send by, whichever it came in at,
 * and no socket has two owners. Its sockets share one piece of memory: a frame goes from one
 * interface to another without being copied, where the drivers copy nothing. */
#include "dataplane/xdp/workers.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bpf/shunt.skel.h"
#include "dataplane/session/message.h"

#define STARVED_LOOKS 10 /* of workers_tell(), to one look at the sockets' statistics */

/* --- Opening -------------------------------------------------------------------------- */

static u32 fewest_queues(const struct hooks *hooks)
{
	u32 fewest = hooks->list[0].queues_count;

	for (u32 i = 1; i < hooks->count; i++)
		if (hooks->list[i].queues_count < fewest)
			fewest = hooks->list[i].queues_count;
	return fewest;
}

static void queues_deal(struct workers *workers, const struct hooks *hooks, u32 buffers_count)
{
	u32 n = 0;

	for (u32 port = 0; port < hooks->count; port++) {
		for (u32 i = 0; i < hooks->list[port].queues_count; i++, n++) {
			struct worker *worker = &workers->list[i % workers->count];
			struct queue *queue = &workers->queues[n];

			*queue = (struct queue){
				.hook = &hooks->list[port],
				.port = port,
				.ifindex = hooks->list[port].ifindex,
				.number = i,
				.worker = n,
				.ring_size = buffers_count / 2,
			};
			worker->queues[worker->queues_count++] = queue;
			if (!worker->out[port])
				worker->out[port] = queue;
		}
	}
	for (u32 i = 0; i < workers->count; i++)
		workers->list[i].ports_count = hooks->count;
}

static int memory_get(struct workers *workers, const struct hooks *hooks)
{
	for (u32 i = 0; i < hooks->count; i++)
		workers->queues_count += hooks->list[i].queues_count;
	workers->count = fewest_queues(hooks);
	workers->list = aligned_alloc(64, workers->count * sizeof(*workers->list));
	workers->queues = calloc(workers->queues_count, sizeof(*workers->queues));
	workers->starved = calloc(workers->queues_count, sizeof(*workers->starved));
	if (!workers->list || !workers->queues || !workers->starved)
		return -ENOMEM;
	memset(workers->list, 0, workers->count * sizeof(*workers->list));
	return 0;
}

/* One thread's sockets. Where the first driver copies nothing and another one can't, all copy. */
static int sockets_open(struct worker *worker, u32 buffers_count, bool copy, struct queue **failed,
			const char **hint)
{
	int err = buffers_map(&worker->buffers, worker->queues_count * buffers_count);

	*failed = worker->queues[0];
	*hint = "memory is short: give --buffers less, or use `engine: xdp`";
	for (u32 i = 0; i < worker->queues_count && !err; i++) {
		*failed = worker->queues[i];
		err = queue_open(worker->queues[i], &worker->buffers, copy, hint);
	}
	if (!err)
		return 0;
	for (u32 i = 0; i < worker->queues_count; i++)
		queue_close(worker->queues[i]);
	buffers_unmap(&worker->buffers);
	return err;
}

static int worker_open(struct worker *worker, u32 buffers_count, bool busily, char *text,
		       size_t text_bytes)
{
	struct queue *failed;
	const char *hint;
	int err = sockets_open(worker, buffers_count, false, &failed, &hint);

	if (err == -EOPNOTSUPP || err == -EINVAL)
		err = sockets_open(worker, buffers_count, true, &failed, &hint);
	for (u32 i = 0; busily && !err && i < worker->queues_count; i++) {
		failed = worker->queues[i];
		hint = "the kernel does not poll it for us: leave --busy-poll away";
		err = queue_poll_busily(worker->queues[i]);
	}
	worker->sleeps = !busily;
	if (err)
		snprintf(text, text_bytes, "queue %u of %s has no AF_XDP socket (%s): %s",
			 failed->number, failed->hook->kernel_name, strerror(-err), hint);
	return err;
}

int workers_open(struct workers *workers, const struct hooks *hooks, u32 buffers_count, bool busily,
		 char *text, size_t text_bytes)
{
	int err;

	*workers = (struct workers){0};
	snprintf(text, text_bytes, "no memory for the workers");
	err = memory_get(workers, hooks);
	if (!err)
		queues_deal(workers, hooks, buffers_count);
	for (u32 i = 0; i < workers->count && !err; i++)
		err = worker_open(&workers->list[i], buffers_count, busily, text, text_bytes);
	if (err)
		workers_close(workers);
	return err;
}

/* --- The program's side --------------------------------------------------------------- */

/* The last process's buffers are gone with it, and the frames that were in them. */
static void inherit(const struct queue *queue)
{
	struct kernel_worker *shared = queue->shared;
	u64 lost = shared->steered - shared->taken;

	if (lost > 0)
		message("the process before was killed with %llu packet%s of queue %u of %s in its "
			"socket",
			(unsigned long long)lost, lost == 1 ? "" : "s", queue->number,
			queue->hook->kernel_name);
	shared->lost += lost;
	shared->taken = shared->credit = shared->steered;
}

static int queue_join(struct queue *queue, const struct kernel *kernel)
{
	const struct flow_tables *flows = &kernel->flows;
	int fd = xsk_socket__fd(queue->socket);

	queue->shared = &kernel->workers[queue->worker];
	queue->shared_port = &kernel->control->ports[queue->port];
	queue->env = (struct env){
		.flows = flow_tables_of(flows, queue->worker),
		.flow_owners = flow_tables_owners(flows, queue->worker),
		.recent = &kernel->recent[queue->worker].recent,
	};
	if (flows->workers_count > 1)
		queue->env.siblings = (struct flow_others){
			.buckets = flow_tables_of(flows, 0),
			.workers_count = flows->workers_count,
			.buckets_count = flows->buckets_count,
		};
	inherit(queue);
	queue->shared->reserve = queue->zero_copy ? queue->ring_size / 2 : 0;
	queue->shared->resume = queue->shared->reserve + queue->ring_size / 4;
	queue_fill(queue);
	if (bpf_map_update_elem(bpf_map__fd(kernel->skeleton->maps.sockets), &queue->worker, &fd,
				BPF_ANY) < 0)
		return -errno;
	return 0;
}

int workers_join_kernel(struct workers *workers, const struct kernel *kernel)
{
	int err = 0;

	for (u32 i = 0; i < workers->count; i++)
		workers->list[i].tick_ms = kernel->flows.tick_ms;
	for (u32 i = 0; i < workers->queues_count && !err; i++)
		err = queue_join(&workers->queues[i], kernel);
	return err;
}

bool workers_steered_to(const struct queue *queue)
{
	return !queue->hook->generic && queue->hook->on == queue->ifindex;
}

static void steer(const struct workers *workers, bool on)
{
	for (u32 i = 0; i < workers->queues_count; i++) {
		const struct queue *queue = &workers->queues[i];

		__atomic_store_n(&queue->shared->steers, on && workers_steered_to(queue),
				 __ATOMIC_RELEASE);
	}
}

/* --- Attachments ---------------------------------------------------------------------- */

static void view_destroy(struct view *view)
{
	report_destroy(&view->counts);
	report_destroy(&view->told);
	free(view);
}

static int view_create(const struct attachment *attachment, struct view **out)
{
	const struct report *report = &attachment->report;
	struct view *view = calloc(1, sizeof(*view));
	int err;

	if (!view)
		return -ENOMEM;
	view->attachment = attachment;
	view->counts.fd = view->told.fd = -1;
	err = report_create(report->workers_count, report->counters_count, report->epoch,
			    &view->counts);
	if (!err)
		err = report_create(report->workers_count, report->counters_count, report->epoch,
				    &view->told);
	if (err)
		view_destroy(view);
	else
		*out = view;
	return err;
}

int workers_hand(struct workers *workers, const struct attachment *attachment)
{
	struct view *view;
	int err = view_create(attachment, &view);

	if (err)
		return err;
	view->older = workers->views;
	workers->views = view;
	for (u32 i = 0; i < workers->count && !err; i++)
		err = worker_hand(&workers->list[i], view);
	if (!err)
		steer(workers, true);
	return err;
}

/* The oldest view that one of them may still look at, NULL while one has none yet: it may be about to
 * take up any. */
static struct view *oldest_view(const struct workers *workers)
{
	struct view *oldest = NULL;

	for (u32 i = 0; i < workers->count; i++)
		if (!worker_current(&workers->list[i]))
			return NULL;
	for (struct view *view = workers->views; view; view = view->older)
		for (u32 i = 0; i < workers->count; i++)
			if (worker_current(&workers->list[i]) == view)
				oldest = view;
	return oldest;
}

const struct attachment *workers_oldest(const struct workers *workers)
{
	const struct view *view = oldest_view(workers);

	return view ? view->attachment : NULL;
}

bool workers_all_at(const struct workers *workers, const struct attachment *attachment)
{
	for (u32 i = 0; i < workers->count; i++) {
		const struct view *view = worker_current(&workers->list[i]);

		if (!view || view->attachment != attachment)
			return false;
	}
	return true;
}

/* --- What they report ----------------------------------------------------------------- */

static void add(u64 *to, const u64 *now, u64 *told)
{
	u64 seen = __atomic_load_n(now, __ATOMIC_RELAXED);

	*to += seen - *told;
	*told = seen;
}

/* One queue's counts, of a view that may be older than the report. */
static void counts_add(const struct view *view, u32 worker, const struct report *report)
{
	const struct report_worker *now = report_worker(&view->counts, worker);
	struct report_worker *told = report_worker(&view->told, worker);
	struct report_worker *to = report_worker(report, worker);
	u32 counters = view->counts.counters_count < report->counters_count
			       ? view->counts.counters_count
			       : report->counters_count;

	for (u32 i = 0; i < VERDICT_COUNT; i++)
		add(&to->verdicts[i], &now->verdicts[i], &told->verdicts[i]);
	add(&to->flows_unplaced, &now->flows_unplaced, &told->flows_unplaced);
	add(&to->exceptions_lost, &now->exceptions_lost, &told->exceptions_lost);
	add(&to->roots_refused, &now->roots_refused, &told->roots_refused);
	for (u32 i = 0; i < counters; i++) {
		add(&to->traffic[i].packets, &now->traffic[i].packets, &told->traffic[i].packets);
		add(&to->traffic[i].bytes, &now->traffic[i].bytes, &told->traffic[i].bytes);
	}
}

static void views_release(struct workers *workers)
{
	struct view *oldest = oldest_view(workers);
	struct view *view = oldest ? oldest->older : NULL;

	if (oldest)
		oldest->older = NULL;
	while (view) {
		struct view *older = view->older;

		view_destroy(view);
		view = older;
	}
}

static u64 clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
}

/* Whether the program forwards this queue's packets by itself, and why. What it will find with the
 * next packet counts, not what it found with the last one. */
static enum kernel_why why_now(const struct queue *queue)
{
	const volatile struct kernel_worker *shared = queue->shared;
	u64 room = shared->credit - shared->steered;
	u64 beat_ms = shared->heartbeat_ms;

	if (clock_ns(CLOCK_MONOTONIC_COARSE) / 1000000 > beat_ms + KERNEL_HEARTBEAT_MS)
		return KERNEL_WHY_STALLED;
	if (shared->resume_at_ns == 0)
		return room > shared->reserve ? KERNEL_WHY_NOT : KERNEL_WHY_NO_ROOM;
	if (room < shared->resume || clock_ns(CLOCK_MONOTONIC) < shared->resume_at_ns)
		return (enum kernel_why)shared->why;
	return KERNEL_WHY_NOT;
}

static void carrier_tell(const struct queue *queue, u64 starved, struct report_worker *to)
{
	static const u64 reasons[] = {
		[KERNEL_WHY_NOT] = REPORT_WHY_SETTLED,
		[KERNEL_WHY_NO_ROOM] = REPORT_WHY_NO_ROOM,
		[KERNEL_WHY_STALLED] = REPORT_WHY_STALLED,
	};
	enum kernel_why why = why_now(queue);

	to->why = queue->hook->generic                ? REPORT_WHY_GENERIC
		  : queue->hook->on != queue->ifindex ? REPORT_WHY_GONE
						      : reasons[why];
	if (to->why != REPORT_WHY_SETTLED)
		to->carrier = REPORT_CARRIER_KERNEL;
	else
		to->carrier = queue->zero_copy ? REPORT_CARRIER_ZERO_COPY : REPORT_CARRIER_COPY;
	to->steered = queue->shared->steered;
	to->fallen_back = queue->shared->fallen_back;
	to->falls = queue->shared->falls;
	to->starved = starved;
	to->lost = queue->shared->lost;
}

/* The generation that every part of a worker uses: the program, and its thread. */
static u64 generation_of(const struct workers *workers, const struct worker *worker, u64 kernels)
{
	u64 own = 0;

	if (worker_current(worker) == workers->views)
		own = __atomic_load_n(&report_worker(&workers->views->counts,
						     worker->queues[0]->worker)
					       ->generation,
				      __ATOMIC_ACQUIRE);
	return own < kernels ? own : kernels;
}

void workers_tell(struct workers *workers, const struct report *report, u64 generation)
{
	bool look = workers->looks++ % STARVED_LOOKS == 0;

	if (!workers->views)
		return;
	steer(workers, !workers->stopped);
	for (u32 i = 0; i < workers->count; i++) {
		const struct worker *worker = &workers->list[i];
		u64 used = generation_of(workers, worker, generation);

		for (u32 k = 0; k < worker->queues_count; k++) {
			const struct queue *queue = worker->queues[k];
			struct report_worker *to = report_worker(report, queue->worker);

			for (const struct view *view = workers->views; view; view = view->older)
				counts_add(view, queue->worker, report);
			if (look)
				workers->starved[queue->worker] = queue_starved(queue);
			carrier_tell(queue, workers->starved[queue->worker], to);
			__atomic_store_n(&to->generation, used, __ATOMIC_RELEASE);
		}
	}
	views_release(workers);
}

/* --- The end -------------------------------------------------------------------------- */

void workers_stop(struct workers *workers, struct kernel *kernel)
{
	if (!workers->views)
		return;
	workers->stopped = true;
	steer(workers, false);
	kernel_settle(kernel);
	for (u32 i = 0; i < workers->count; i++)
		worker_stop(&workers->list[i]);
	for (u32 i = 0; i < workers->count; i++)
		worker_join(&workers->list[i]);
}

void workers_close(struct workers *workers)
{
	for (u32 i = 0; i < workers->queues_count && workers->queues; i++)
		queue_close(&workers->queues[i]);
	for (u32 i = 0; i < workers->count && workers->list; i++)
		buffers_unmap(&workers->list[i].buffers);
	while (workers->views) {
		struct view *view = workers->views;

		workers->views = view->older;
		view_destroy(view);
	}
	free(workers->list);
	free(workers->queues);
	free(workers->starved);
	*workers = (struct workers){0};
}
