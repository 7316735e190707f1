/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop is shaped by one question: what may a callback do while a batch of fetched events
 * waits behind it? Anything. Watches live in an array by descriptor and each carries the
 * generation at which it was added; epoll hands that generation back, so an event for a watch
 * that has gone since, or for a newcomer under the same number, is recognised and left out.
 * Nothing is ever queued for later release, and no callback is called through a dead pointer.
 *
 * Timers sit in slots named by (generation, slot), for the same reason: cancelling what has
 * fired is harmless. A binary heap orders them by deadline, then by age; one timerfd stands for
 * the earliest and is set at most once a turn. A pass over due timers stops at the first one
 * that was added during the pass, so a callback that adds a timer of 0 ms cannot starve the
 * descriptors. */
#include "controlplane/loop.h"
#include "dataplane/state/clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BATCH_EVENTS 64
#define SIGNALS_MAX 65 /* signal numbers run from 1 to 64 */
#define NOT_IN_HEAP UINT32_MAX

struct watch {
	loop_callback *callback; /* NULL: not watched */
	void *context;
	u32 events;
	u32 generation;
};

struct timer {
	u64 deadline_ms, repeat_ms;
	u64 age; /* rises with every scheduling */
	loop_timer_callback *callback;
	void *context;
	u32 generation;
	u32 heap_at;
};

struct signal_watch {
	loop_signal_callback *callback; /* NULL: not watched */
	void *context;
	bool was_blocked; /* before us, so it stays so after us */
};

struct loop {
	int epoll_fd, timer_fd, signal_fd;
	bool running, stopping;
	u64 now_ms;

	struct watch *watches; /* by descriptor */
	size_t watches_count;
	u32 watch_generation;

	struct timer *timers; /* slots */
	u32 *heap;            /* slot numbers, earliest first; past heap_count: free slots */
	u32 timers_count, heap_count;
	u64 timer_age;
	u64 armed_ms; /* what timer_fd is set to; 0: disarmed */

	struct signal_watch signals[SIGNALS_MAX];
	sigset_t signal_mask;
};

/* Outside loop_run there are no turns: then the clock is read at every call. */
u64 loop_now_ms(struct loop *loop)
{
	if (!loop->running)
		loop->now_ms = clock_now_ms();
	return loop->now_ms;
}

/* ---- descriptors ---- */

static struct watch *watch_find(struct loop *loop, int fd)
{
	if (fd < 0 || (size_t)fd >= loop->watches_count || !loop->watches[fd].callback)
		return NULL;
	return &loop->watches[fd];
}

static int watches_grow(struct loop *loop, int fd)
{
	size_t count = loop->watches_count ? loop->watches_count : 64;

	while (count <= (size_t)fd)
		count *= 2;
	if (count == loop->watches_count)
		return 0;
	struct watch *watches = reallocarray(loop->watches, count, sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	memset(watches + loop->watches_count, 0, (count - loop->watches_count) * sizeof(*watches));
	loop->watches = watches;
	loop->watches_count = count;
	return 0;
}

static int watch_control(struct loop *loop, int operation, int fd, u32 events)
{
	struct epoll_event event = {
		.events = events,
		.data.u64 = (u64)loop->watches[fd].generation << 32 | (u32)fd,
	};

	return epoll_ctl(loop->epoll_fd, operation, fd, &event) == 0 ? 0 : -errno;
}

int loop_add(struct loop *loop, int fd, u32 events, loop_callback *callback, void *context)
{
	assert(callback);
	if (fd < 0)
		return -EBADF;
	if (watch_find(loop, fd))
		return -EEXIST;
	int status = watches_grow(loop, fd);
	if (status)
		return status;

	struct watch *watch = &loop->watches[fd];
	watch->generation = ++loop->watch_generation;
	status = watch_control(loop, EPOLL_CTL_ADD, fd, events);
	if (status)
		return status;
	watch->callback = callback;
	watch->context = context;
	watch->events = events;
	return 0;
}

int loop_modify(struct loop *loop, int fd, u32 events)
{
	struct watch *watch = watch_find(loop, fd);

	if (!watch)
		return -ENOENT;
	int status = watch_control(loop, EPOLL_CTL_MOD, fd, events);
	if (status == 0)
		watch->events = events;
	return status;
}

void loop_remove(struct loop *loop, int fd)
{
	struct watch *watch = watch_find(loop, fd);

	if (!watch)
		return;
	watch->callback = NULL;
	/* A descriptor closed too early has left epoll already: then this fails, rightly. */
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void event_deliver(struct loop *loop, const struct epoll_event *event)
{
	int fd = (int)(u32)event->data.u64;
	struct watch *watch = watch_find(loop, fd);

	if (!watch || watch->generation != event->data.u64 >> 32)
		return;
	u32 events = event->events & (watch->events | EPOLLERR | EPOLLHUP);
	if (events)
		watch->callback(watch->context, fd, events);
}

/* ---- timers ---- */

static bool timer_before(const struct loop *loop, u32 a, u32 b)
{
	const struct timer *x = &loop->timers[a], *y = &loop->timers[b];

	if (x->deadline_ms != y->deadline_ms)
		return x->deadline_ms < y->deadline_ms;
	return x->age < y->age;
}

static void heap_put(struct loop *loop, u32 at, u32 slot)
{
	loop->heap[at] = slot;
	loop->timers[slot].heap_at = at;
}

static void heap_rise(struct loop *loop, u32 at)
{
	u32 slot = loop->heap[at];

	for (u32 parent; at > 0; at = parent) {
		parent = (at - 1) / 2;
		if (!timer_before(loop, slot, loop->heap[parent]))
			break;
		heap_put(loop, at, loop->heap[parent]);
	}
	heap_put(loop, at, slot);
}

static void heap_sink(struct loop *loop, u32 at)
{
	u32 slot = loop->heap[at];

	for (u32 child; (child = 2 * at + 1) < loop->heap_count; at = child) {
		if (child + 1 < loop->heap_count &&
		    timer_before(loop, loop->heap[child + 1], loop->heap[child]))
			child++;
		if (!timer_before(loop, loop->heap[child], slot))
			break;
		heap_put(loop, at, loop->heap[child]);
	}
	heap_put(loop, at, slot);
}

/* The freed slot goes to the place behind the heap, which is where the next one is taken. */
static void timer_free(struct loop *loop, u32 slot)
{
	u32 at = loop->timers[slot].heap_at;
	u32 last = loop->heap[--loop->heap_count];

	if (at != loop->heap_count) {
		heap_put(loop, at, last);
		heap_sink(loop, at);
		heap_rise(loop, loop->timers[last].heap_at);
	}
	loop->heap[loop->heap_count] = slot;
	loop->timers[slot].heap_at = NOT_IN_HEAP;
}

static int timers_grow(struct loop *loop)
{
	u32 count = loop->timers_count ? loop->timers_count * 2 : 16;
	struct timer *timers = reallocarray(loop->timers, count, sizeof(*timers));

	if (!timers)
		return -ENOMEM;
	loop->timers = timers;
	u32 *heap = reallocarray(loop->heap, count, sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	loop->heap = heap;
	for (u32 slot = loop->timers_count; slot < count; slot++) {
		timers[slot] = (struct timer){.heap_at = NOT_IN_HEAP};
		heap[slot] = slot;
	}
	loop->timers_count = count;
	return 0;
}

u64 loop_timer_add(struct loop *loop, u64 delay_ms, u64 repeat_ms, loop_timer_callback *callback,
		   void *context)
{
	assert(callback);
	if (loop->heap_count == loop->timers_count && timers_grow(loop) != 0)
		return 0;

	u32 slot = loop->heap[loop->heap_count];
	struct timer *timer = &loop->timers[slot];
	*timer = (struct timer){
		.deadline_ms = loop_now_ms(loop) + delay_ms,
		.repeat_ms = repeat_ms,
		.age = loop->timer_age++,
		.callback = callback,
		.context = context,
		.generation = timer->generation + 1,
		.heap_at = loop->heap_count,
	};
	heap_rise(loop, loop->heap_count++);
	return (u64)timer->generation << 32 | ((u64)slot + 1);
}

void loop_timer_cancel(struct loop *loop, u64 handle)
{
	u32 slot = (u32)handle - 1; /* 0 becomes a slot beyond all */

	if (slot >= loop->timers_count)
		return;
	const struct timer *timer = &loop->timers[slot];
	if (timer->heap_at != NOT_IN_HEAP && timer->generation == handle >> 32)
		timer_free(loop, slot);
}

/* Settles the timer's future before its callback runs, which may then cancel or add at will. */
static void timer_fire(struct loop *loop, u32 slot)
{
	struct timer *timer = &loop->timers[slot];
	loop_timer_callback *callback = timer->callback;
	void *context = timer->context;

	if (timer->repeat_ms) {
		timer->deadline_ms += timer->repeat_ms;
		if (timer->deadline_ms <= loop->now_ms)
			timer->deadline_ms = loop->now_ms + timer->repeat_ms;
		timer->age = loop->timer_age++;
		heap_sink(loop, timer->heap_at);
	} else {
		timer_free(loop, slot);
	}
	callback(context);
}

static void timers_run(void *context, int fd, u32 events)
{
	struct loop *loop = context;
	u64 expirations, pass_age = loop->timer_age;

	if (read(fd, &expirations, sizeof(expirations)) == (ssize_t)sizeof(expirations))
		loop->armed_ms = 0;
	while (loop->heap_count > 0) {
		const struct timer *first = &loop->timers[loop->heap[0]];
		if (first->deadline_ms > loop->now_ms || first->age >= pass_age)
			break;
		timer_fire(loop, loop->heap[0]);
	}
}

static void timers_arm(struct loop *loop)
{
	u64 deadline_ms = loop->heap_count ? loop->timers[loop->heap[0]].deadline_ms : 0;
	struct itimerspec spec = {
		.it_value.tv_sec = (time_t)(deadline_ms / 1000),
		.it_value.tv_nsec = (long)(deadline_ms % 1000) * 1000000,
	};

	if (deadline_ms == loop->armed_ms)
		return;
	int status = timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
	assert(status == 0);
	(void)status;
	loop->armed_ms = deadline_ms;
}

/* ---- signals ---- */

static void signals_read(void *context, int fd, u32 events)
{
	struct loop *loop = context;
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		const struct signal_watch *watch = &loop->signals[info.ssi_signo % SIGNALS_MAX];
		if (watch->callback)
			watch->callback(watch->context, (int)info.ssi_signo);
	}
}

static int signal_descriptor_update(struct loop *loop, const sigset_t *mask)
{
	int fd = signalfd(loop->signal_fd, mask, SFD_NONBLOCK | SFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (loop->signal_fd >= 0)
		return 0;
	int status = loop_add(loop, fd, EPOLLIN, signals_read, loop);
	if (status) {
		close(fd);
		return status;
	}
	loop->signal_fd = fd;
	return 0;
}

int loop_signal(struct loop *loop, int signo, loop_signal_callback *callback, void *context)
{
	sigset_t mask = loop->signal_mask, one, before;

	assert(callback);
	if (signo < 1 || signo >= SIGNALS_MAX || sigaddset(&mask, signo) != 0)
		return -EINVAL;
	struct signal_watch *watch = &loop->signals[signo];
	if (!watch->callback) {
		sigemptyset(&one);
		sigaddset(&one, signo);
		int status = pthread_sigmask(SIG_BLOCK, &one, &before);
		if (status)
			return -status;
		status = signal_descriptor_update(loop, &mask);
		if (status) {
			(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
			return status;
		}
		watch->was_blocked = sigismember(&before, signo) == 1;
		loop->signal_mask = mask;
	}
	watch->callback = callback;
	watch->context = context;
	return 0;
}

static void signals_unblock(struct loop *loop)
{
	sigset_t ours;

	sigemptyset(&ours);
	for (int signo = 1; signo < SIGNALS_MAX; signo++)
		if (loop->signals[signo].callback && !loop->signals[signo].was_blocked)
			sigaddset(&ours, signo);
	(void)pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
}

/* ---- the loop ---- */

int loop_create(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int status = -ENOMEM;

	*out = NULL;
	if (!loop)
		return status;
	loop->signal_fd = -1;
	sigemptyset(&loop->signal_mask);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		status = -errno;
		goto free_loop;
	}
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (loop->timer_fd < 0) {
		status = -errno;
		goto close_epoll;
	}
	status = loop_add(loop, loop->timer_fd, EPOLLIN, timers_run, loop);
	if (status)
		goto close_timer;
	*out = loop;
	return 0;

close_timer:
	free(loop->watches);
	close(loop->timer_fd);
close_epoll:
	close(loop->epoll_fd);
free_loop:
	free(loop);
	return status;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	assert(!loop->running);
	signals_unblock(loop);
	if (loop->signal_fd >= 0)
		close(loop->signal_fd);
	close(loop->timer_fd);
	close(loop->epoll_fd);
	free(loop->watches);
	free(loop->timers);
	free(loop->heap);
	free(loop);
}

static int loop_turn(struct loop *loop)
{
	struct epoll_event batch[BATCH_EVENTS];

	timers_arm(loop);
	int count = epoll_wait(loop->epoll_fd, batch, BATCH_EVENTS, -1);
	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	loop->now_ms = clock_now_ms();
	for (int at = 0; at < count; at++)
		event_deliver(loop, &batch[at]);
	return 0;
}

int loop_run(struct loop *loop)
{
	int status = 0;

	assert(!loop->running);
	loop->now_ms = clock_now_ms();
	loop->running = true;
	while (!loop->stopping && status == 0)
		status = loop_turn(loop);
	loop->running = false;
	loop->stopping = false;
	return status;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}
