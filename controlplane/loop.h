/* SPDX-License-Identifier: BSD-2-Clause */
/* The control plane's one event loop: descriptors, timers and signals in one thread.
 *
 * Everything that shuntd waits for is a descriptor here; another library's epoll descriptor
 * (libmicrohttpd's) nests by loop_add like any other. Callbacks must not block: a descriptor
 * is non-blocking and, where registered with EPOLLET, drained to EAGAIN by its callback.
 * Any call below is allowed from within any callback, except loop_destroy and loop_run. */
#ifndef SHUNT_CONTROLPLANE_LOOP_H
#define SHUNT_CONTROLPLANE_LOOP_H

#include <sys/epoll.h>

#include "dataplane/core/base.h"

struct loop;

/* events: what happened, as EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP. */
typedef void loop_callback(void *context, int fd, u32 events);
typedef void loop_timer_callback(void *context);
typedef void loop_signal_callback(void *context, int signo);

int loop_create(struct loop **loop) __attribute__((warn_unused_result));

/* Closes what the loop owns and unblocks its signals; watched descriptors stay the callers'. */
void loop_destroy(struct loop *loop);

/* Watches a descriptor, one callback a descriptor. events: EPOLLIN, EPOLLOUT, EPOLLRDHUP, and
 * EPOLLET where the callback drains to EAGAIN; EPOLLERR and EPOLLHUP always come along.
 * Returns 0, -EEXIST, or -errno of epoll_ctl. */
int loop_add(struct loop *loop, int fd, u32 events, loop_callback *callback, void *context)
	__attribute__((warn_unused_result));

/* Changes the events asked for; ones already fetched but no longer asked for are not delivered.
 * Returns 0 or -ENOENT, or -errno of epoll_ctl. */
int loop_modify(struct loop *loop, int fd, u32 events) __attribute__((warn_unused_result));

/* Stops watching; call it before close(). Nothing already fetched for fd is delivered any more,
 * not even to a new descriptor that got the same number. Unknown descriptors are ignored. */
void loop_remove(struct loop *loop, int fd);

/* Calls back after delay_ms (0: in the next turn), then every repeat_ms (0: never again; missed
 * periods are skipped, not made up for). Returns a handle, or 0 when out of memory. */
u64 loop_timer_add(struct loop *loop, u64 delay_ms, u64 repeat_ms, loop_timer_callback *callback,
		   void *context) __attribute__((warn_unused_result));

/* Cancels a timer. A handle is never used twice, so 0 and one that has fired are ignored. */
void loop_timer_cancel(struct loop *loop, u64 timer);

/* Blocks a signal and calls back for it instead. A child made by fork inherits the block.
 * Returns 0, -EINVAL for no such signal, or -errno. A second call replaces the callback. */
int loop_signal(struct loop *loop, int signo, loop_signal_callback *callback, void *context)
	__attribute__((warn_unused_result));

/* Turns until loop_stop: waits, then calls back for everything that is ready. 0 or -errno. */
int loop_run(struct loop *loop) __attribute__((warn_unused_result));

/* Makes loop_run return once the current turn is over. */
void loop_stop(struct loop *loop);

/* CLOCK_MONOTONIC, read once a turn: all callbacks of a turn see the same time. */
u64 loop_now_ms(struct loop *loop);

#endif
