/* SPDX-License-Identifier: BSD-2-Clause */
/* There are as many threads as the interface with the fewest queues has: thread t serves every t-th
 * queue of each. So each thread has a queue of every interface to send by, whichever it came in at,
 * and no socket has two owners. Its sockets share one piece of memory: a frame goes from one
 * interface to another without being copied, where the drivers copy nothing. */
#include "dataplane/xdp/workers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

			queue->steered = (struct steered){
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
			 failed->steered.number, failed->steered.hook->kernel_name, strerror(-err),
			 hint);
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

static int queue_join(struct queue *queue, const struct kernel *kernel)
{
	struct steered *steered = &queue->steered;
	int err = steered_join(steered, kernel, steered->zero_copy ? steered->ring_size / 2 : 0);

	queue->shared_port = &kernel->control->ports[steered->port];
	queue->env = steered_env(kernel, steered->worker);
	if (!err)
		queue_fill(queue);
	return err;
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

static void steer(const struct workers *workers, bool on)
{
	for (u32 i = 0; i < workers->queues_count; i++)
		steered_steer(&workers->queues[i].steered, on);
}

/* --- Attachments ---------------------------------------------------------------------- */

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

/* The generation that every part of a worker uses: the program, and its thread. */
static u64 generation_of(const struct workers *workers, const struct worker *worker, u64 kernels)
{
	u64 own = 0;

	if (worker_current(worker) == workers->views)
		own = __atomic_load_n(&report_worker(&workers->views->own.report,
						     worker->queues[0]->steered.worker)
					       ->generation,
				      __ATOMIC_ACQUIRE);
	return own < kernels ? own : kernels;
}

void workers_tell(struct workers *workers, const struct report *report, u64 generation)
{
	bool look = workers->looks++ % STARVED_LOOKS == 0;
	struct view *oldest;

	if (!workers->views)
		return;
	steer(workers, !workers->stopped);
	for (u32 i = 0; i < workers->count; i++) {
		const struct worker *worker = &workers->list[i];
		u64 used = generation_of(workers, worker, generation);

		for (u32 k = 0; k < worker->queues_count; k++) {
			const struct queue *queue = worker->queues[k];
			u32 number = queue->steered.worker;
			struct report_worker *to = report_worker(report, number);

			for (const struct view *view = workers->views; view; view = view->older)
				view_add(view, number, report, number);
			if (look)
				workers->starved[number] = steered_starved(&queue->steered);
			steered_tell(&queue->steered, workers->starved[number], to);
			__atomic_store_n(&to->generation, used, __ATOMIC_RELEASE);
		}
	}
	oldest = oldest_view(workers);
	if (oldest)
		views_release(oldest);
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
