/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/loop.h"
#include "tests/unit/cmocka_help.h"

/* Every test ends by itself: a loop that forgets an event is stopped here and seen as `late`. */
struct fixture {
	struct loop *loop;
	u64 deadline;
	bool late;
};

static void fixture_late(void *context)
{
	struct fixture *fixture = context;

	fixture->late = true;
	loop_stop(fixture->loop);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_int_equal(loop_create(&fixture->loop), 0);
	fixture->deadline = loop_timer_add(fixture->loop, 2000, 0, fixture_late, fixture);
	assert_true(fixture->deadline != 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	loop_destroy(fixture->loop);
	free(fixture);
	return 0;
}

static void run(struct fixture *fixture)
{
	assert_int_equal(loop_run(fixture->loop), 0);
	assert_false(fixture->late);
}

static int event_make(u64 value)
{
	int fd = eventfd((unsigned)value, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static u64 event_drain(int fd)
{
	u64 value = 0;

	return read(fd, &value, sizeof(value)) == (ssize_t)sizeof(value) ? value : 0;
}

static void event_raise(int fd)
{
	u64 one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

/* ---- descriptors ---- */

struct peer {
	struct loop *loop;
	int fd, other_fd;
	int calls;
	u32 events;
};

static void peer_drain_and_stop(void *context, int fd, u32 events)
{
	struct peer *peer = context;

	peer->calls++;
	peer->events = events;
	assert_int_equal(fd, peer->fd);
	assert_int_equal(event_drain(fd), 1);
	loop_stop(peer->loop);
}

static void test_event_reaches_its_callback(void **state)
{
	struct fixture *fixture = *state;
	struct peer peer = {.loop = fixture->loop, .fd = event_make(1)};

	assert_int_equal(loop_add(peer.loop, peer.fd, EPOLLIN, peer_drain_and_stop, &peer), 0);
	run(fixture);
	assert_int_equal(peer.calls, 1);
	assert_int_equal(peer.events, EPOLLIN);
	loop_remove(peer.loop, peer.fd);
	close(peer.fd);
}

static void test_wrong_use_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct peer peer = {.loop = fixture->loop, .fd = event_make(0)};

	assert_int_equal(loop_modify(peer.loop, peer.fd, EPOLLIN), -ENOENT);
	assert_int_equal(loop_add(peer.loop, -1, EPOLLIN, peer_drain_and_stop, &peer), -EBADF);
	assert_int_equal(loop_add(peer.loop, 900, EPOLLIN, peer_drain_and_stop, &peer), -EBADF);
	assert_int_equal(loop_add(peer.loop, peer.fd, EPOLLIN, peer_drain_and_stop, &peer), 0);
	assert_int_equal(loop_add(peer.loop, peer.fd, EPOLLIN, peer_drain_and_stop, &peer),
			 -EEXIST);
	loop_remove(peer.loop, peer.fd);
	loop_remove(peer.loop, peer.fd);
	loop_remove(peer.loop, -1);
	loop_remove(peer.loop, 100000);
	close(peer.fd);
}

static void peer_remove_both(void *context, int fd, u32 events)
{
	struct peer *peer = context;

	peer->calls++;
	loop_remove(peer->loop, peer->fd);
	loop_remove(peer->loop, peer->other_fd);
}

static void loop_stop_later(void *context)
{
	loop_stop(context);
}

static void test_removed_in_a_batch_is_not_called(void **state)
{
	struct fixture *fixture = *state;
	int a = event_make(1), b = event_make(1);
	struct peer peer = {.loop = fixture->loop, .fd = a, .other_fd = b};

	assert_int_equal(loop_add(peer.loop, a, EPOLLIN, peer_remove_both, &peer), 0);
	assert_int_equal(loop_add(peer.loop, b, EPOLLIN, peer_remove_both, &peer), 0);
	assert_true(loop_timer_add(peer.loop, 20, 0, loop_stop_later, peer.loop) != 0);
	run(fixture);
	assert_int_equal(peer.calls, 1);
	close(a);
	close(b);
}

static void peer_count(void *context, int fd, u32 events)
{
	struct peer *peer = context;

	peer->calls++;
}

/* Replaces the other descriptor of the batch by a quiet one under the same number. */
static void peer_replace_other(void *context, int fd, u32 events)
{
	struct peer *peers = context;
	struct peer *mine = fd == peers[0].fd ? &peers[0] : &peers[1];
	int other = mine->other_fd;

	if (peers[2].loop)
		return;
	peers[2].loop = mine->loop;
	loop_remove(mine->loop, fd);
	loop_remove(mine->loop, other);
	int quiet = event_make(0);
	assert_int_equal(dup3(quiet, other, O_CLOEXEC), other);
	close(quiet);
	assert_int_equal(loop_add(mine->loop, other, EPOLLIN, peer_count, &peers[2]), 0);
}

static void test_reused_number_gets_no_stale_event(void **state)
{
	struct fixture *fixture = *state;
	int a = event_make(1), b = event_make(1);
	struct peer peers[3] = {{.loop = fixture->loop, .fd = a, .other_fd = b},
				{.loop = fixture->loop, .fd = b, .other_fd = a}};

	assert_int_equal(loop_add(fixture->loop, a, EPOLLIN, peer_replace_other, peers), 0);
	assert_int_equal(loop_add(fixture->loop, b, EPOLLIN, peer_replace_other, peers), 0);
	assert_true(loop_timer_add(fixture->loop, 20, 0, loop_stop_later, fixture->loop) != 0);
	run(fixture);
	assert_non_null(peers[2].loop);
	assert_int_equal(peers[2].calls, 0);
	close(a);
	close(b);
}

static void peer_silence_other(void *context, int fd, u32 events)
{
	struct peer *peers = context;
	struct peer *mine = fd == peers[0].fd ? &peers[0] : &peers[1];

	mine->calls++;
	assert_int_equal(loop_modify(mine->loop, fd, 0), 0);
	assert_int_equal(loop_modify(mine->loop, mine->other_fd, 0), 0);
}

static void test_modified_in_a_batch_is_not_called(void **state)
{
	struct fixture *fixture = *state;
	int a = event_make(1), b = event_make(1);
	struct peer peers[2] = {{.loop = fixture->loop, .fd = a, .other_fd = b},
				{.loop = fixture->loop, .fd = b, .other_fd = a}};

	assert_int_equal(loop_add(fixture->loop, a, EPOLLIN, peer_silence_other, peers), 0);
	assert_int_equal(loop_add(fixture->loop, b, EPOLLIN, peer_silence_other, peers), 0);
	assert_true(loop_timer_add(fixture->loop, 20, 0, loop_stop_later, fixture->loop) != 0);
	run(fixture);
	assert_int_equal(peers[0].calls + peers[1].calls, 1);
	close(a);
	close(b);
}

static void test_edge_and_level(void **state)
{
	static const struct {
		u32 events;
		bool again; /* called again for what was not drained */
	} rows[] = {{EPOLLIN | EPOLLET, false}, {EPOLLIN, true}};
	struct fixture *fixture = *state;

	for (size_t row = 0; row < 2; row++) {
		struct peer peer = {.loop = fixture->loop, .fd = event_make(1)};
		assert_int_equal(loop_add(peer.loop, peer.fd, rows[row].events, peer_count, &peer),
				 0);
		assert_true(loop_timer_add(peer.loop, 10, 0, loop_stop_later, peer.loop) != 0);
		run(fixture);
		assert_int_equal(peer.calls > 1, rows[row].again);
		assert_true(peer.calls >= 1);
		loop_remove(peer.loop, peer.fd);
		close(peer.fd);
	}
}

static void nested_turn(void *context, int fd, u32 events)
{
	struct peer *peer = context;
	struct epoll_event event;

	assert_int_equal(epoll_wait(fd, &event, 1, 0), 1);
	assert_int_equal(event.data.fd, peer->other_fd);
	peer->calls++;
	assert_int_equal(event_drain(peer->other_fd), 1);
	loop_stop(peer->loop);
}

static void peer_raise_other(void *context)
{
	struct peer *peer = context;

	event_raise(peer->other_fd);
}

static void test_another_epoll_nests(void **state)
{
	struct fixture *fixture = *state;
	struct peer peer = {.loop = fixture->loop, .other_fd = event_make(0)};
	struct epoll_event event = {.events = EPOLLIN, .data.fd = peer.other_fd};

	peer.fd = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(peer.fd, EPOLL_CTL_ADD, peer.other_fd, &event), 0);
	assert_int_equal(loop_add(peer.loop, peer.fd, EPOLLIN, nested_turn, &peer), 0);
	assert_true(loop_timer_add(peer.loop, 5, 0, peer_raise_other, &peer) != 0);
	run(fixture);
	assert_int_equal(peer.calls, 1);
	loop_remove(peer.loop, peer.fd);
	close(peer.fd);
	close(peer.other_fd);
}

/* More descriptors than one batch holds, and more than the first allocation of watches. */
static void test_many_descriptors(void **state)
{
	enum { COUNT = 300 };
	struct fixture *fixture = *state;
	struct peer peers[COUNT];

	for (int at = 0; at < COUNT; at++) {
		peers[at] = (struct peer){.loop = fixture->loop, .fd = event_make(1)};
		assert_int_equal(loop_add(fixture->loop, peers[at].fd, EPOLLIN | EPOLLET,
					  peer_count, &peers[at]),
				 0);
	}
	assert_true(loop_timer_add(fixture->loop, 50, 0, loop_stop_later, fixture->loop) != 0);
	run(fixture);
	for (int at = 0; at < COUNT; at++) {
		assert_int_equal(peers[at].calls, 1);
		loop_remove(fixture->loop, peers[at].fd);
		close(peers[at].fd);
	}
}

/* ---- timers ---- */

struct tick_log {
	int names[1000];
	int count;
};

struct tick {
	struct loop *loop;
	int calls, stop_after;
	u64 timer, last_ms;
	int name;
	struct tick_log *log;
};

static void tick_count(void *context)
{
	struct tick *tick = context;

	tick->calls++;
	tick->last_ms = loop_now_ms(tick->loop);
	if (tick->log)
		tick->log->names[tick->log->count++] = tick->name;
	if (tick->calls == tick->stop_after)
		loop_stop(tick->loop);
}

static void test_timer_is_never_early(void **state)
{
	struct fixture *fixture = *state;
	struct tick tick = {.loop = fixture->loop, .stop_after = 1};
	u64 start_ms = loop_now_ms(fixture->loop);

	assert_true(loop_timer_add(fixture->loop, 30, 0, tick_count, &tick) != 0);
	run(fixture);
	assert_in_range(tick.last_ms - start_ms, 30, 1000);
}

static void tick_cancel_self(void *context)
{
	struct tick *tick = context;

	if (++tick->calls == 3) {
		loop_timer_cancel(tick->loop, tick->timer);
		assert_true(loop_timer_add(tick->loop, 30, 0, loop_stop_later, tick->loop) != 0);
	}
}

static void test_repeat_until_cancelled(void **state)
{
	struct fixture *fixture = *state;
	struct tick tick = {.loop = fixture->loop};

	tick.timer = loop_timer_add(fixture->loop, 1, 5, tick_cancel_self, &tick);
	run(fixture);
	assert_int_equal(tick.calls, 3);
}

static void sleep_once(void *context)
{
	struct timespec pause = {.tv_nsec = 60 * 1000 * 1000};

	nanosleep(&pause, NULL);
}

static void test_missed_periods_are_skipped(void **state)
{
	struct fixture *fixture = *state;
	struct tick tick = {.loop = fixture->loop};

	tick.timer = loop_timer_add(fixture->loop, 10, 10, tick_count, &tick);
	assert_true(loop_timer_add(fixture->loop, 5, 0, sleep_once, NULL) != 0);
	assert_true(loop_timer_add(fixture->loop, 66, 0, loop_stop_later, fixture->loop) != 0);
	run(fixture);
	assert_in_range(tick.calls, 1, 2);
	loop_timer_cancel(fixture->loop, tick.timer);
}

/* Timers added in a random order, half of them cancelled, fire by deadline, then by age. */
static void test_order_of_many(void **state)
{
	enum { COUNT = 1000 };
	static u64 timers[COUNT], deadlines_ms[COUNT];
	static struct tick ticks[COUNT];
	static struct tick_log log;
	struct fixture *fixture = *state;
	struct tick last = {.loop = fixture->loop, .stop_after = 1};
	unsigned seed = 7;

	for (int at = 0; at < COUNT; at++) {
		u64 delay_ms = (u64)rand_r(&seed) % 50, before_ms;
		ticks[at] = (struct tick){.loop = fixture->loop, .name = at, .log = &log};
		do { /* the clock is read at every call here: make both readings agree */
			before_ms = loop_now_ms(fixture->loop);
			loop_timer_cancel(fixture->loop, timers[at]);
			timers[at] =
				loop_timer_add(fixture->loop, delay_ms, 0, tick_count, &ticks[at]);
		} while (loop_now_ms(fixture->loop) != before_ms);
		deadlines_ms[at] = before_ms + delay_ms;
	}
	for (int at = 0; at < COUNT; at += 2)
		loop_timer_cancel(fixture->loop, timers[at]);
	assert_true(loop_timer_add(fixture->loop, 70, 0, tick_count, &last) != 0);
	run(fixture);

	assert_int_equal(log.count, COUNT / 2);
	for (int at = 0; at < COUNT; at++) {
		assert_int_equal(ticks[at].calls, at % 2);
		loop_timer_cancel(fixture->loop, timers[at]); /* fired or cancelled: harmless */
	}
	for (int at = 1; at < log.count; at++) {
		int a = log.names[at - 1], b = log.names[at];
		assert_true(deadlines_ms[a] < deadlines_ms[b] ||
			    (deadlines_ms[a] == deadlines_ms[b] && a < b));
	}
}

static void test_cancel_of_a_stale_handle_hits_nobody(void **state)
{
	struct fixture *fixture = *state;
	struct tick tick = {.loop = fixture->loop, .stop_after = 1};
	u64 old = loop_timer_add(fixture->loop, 1000, 0, fixture_late, fixture);

	loop_timer_cancel(fixture->loop, old);
	u64 young = loop_timer_add(fixture->loop, 5, 0, tick_count, &tick);
	assert_true(young != old);
	assert_int_equal((u32)young, (u32)old); /* the same slot, or this shows nothing */
	loop_timer_cancel(fixture->loop, old);
	loop_timer_cancel(fixture->loop, 0);
	run(fixture);
	assert_int_equal(tick.calls, 1);
}

struct spin {
	struct loop *loop;
	int turns;
};

static void spin_again(void *context)
{
	struct spin *spin = context;

	spin->turns++;
	assert_true(loop_timer_add(spin->loop, 0, 0, spin_again, spin) != 0);
}

static void test_zero_timers_starve_nobody(void **state)
{
	struct fixture *fixture = *state;
	struct peer peer = {.loop = fixture->loop, .fd = event_make(1)};
	struct spin spin = {.loop = fixture->loop};

	assert_true(loop_timer_add(fixture->loop, 0, 0, spin_again, &spin) != 0);
	assert_int_equal(loop_add(peer.loop, peer.fd, EPOLLIN, peer_drain_and_stop, &peer), 0);
	run(fixture);
	assert_int_equal(peer.calls, 1);
	assert_in_range(spin.turns, 0, 3);
	loop_remove(peer.loop, peer.fd);
	close(peer.fd);
}

static void time_stands(void *context)
{
	struct tick *tick = context;

	tick->last_ms = loop_now_ms(tick->loop);
	sleep_once(NULL);
	assert_int_equal(loop_now_ms(tick->loop), tick->last_ms);
	loop_stop(tick->loop);
}

static void test_time_is_read_once_a_turn(void **state)
{
	struct fixture *fixture = *state;
	struct tick tick = {.loop = fixture->loop};

	assert_true(loop_timer_add(fixture->loop, 1, 0, time_stands, &tick) != 0);
	run(fixture);
	assert_true(loop_now_ms(fixture->loop) >= tick.last_ms + 60);
}

/* ---- signals ---- */

static void signal_seen(void *context, int signo)
{
	struct tick *tick = context;

	tick->name = signo;
	tick_count(tick);
}

static void kill_self(void *context)
{
	assert_int_equal(kill(getpid(), SIGHUP), 0);
}

static void test_signal_comes_as_a_callback(void **state)
{
	struct fixture *fixture = *state;
	struct tick tick = {.loop = fixture->loop, .stop_after = 1};
	sigset_t before, after;

	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
	assert_int_equal(loop_signal(fixture->loop, SIGHUP, signal_seen, &tick), 0);
	assert_int_equal(loop_signal(fixture->loop, SIGUSR1, signal_seen, &tick), 0);
	assert_int_equal(loop_signal(fixture->loop, 0, signal_seen, &tick), -EINVAL);
	assert_int_equal(loop_signal(fixture->loop, 65, signal_seen, &tick), -EINVAL);
	assert_true(loop_timer_add(fixture->loop, 5, 0, kill_self, NULL) != 0);
	run(fixture);
	assert_int_equal(tick.calls, 1);
	assert_int_equal(tick.name, SIGHUP);

	loop_destroy(fixture->loop);
	fixture->loop = NULL;
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	assert_int_equal(sigismember(&before, SIGHUP), sigismember(&after, SIGHUP));
}

static void test_stop_before_run(void **state)
{
	struct fixture *fixture = *state;

	loop_stop(fixture->loop);
	run(fixture);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(event_reaches_its_callback),
		TEST(wrong_use_is_refused),
		TEST(removed_in_a_batch_is_not_called),
		TEST(reused_number_gets_no_stale_event),
		TEST(modified_in_a_batch_is_not_called),
		TEST(edge_and_level),
		TEST(another_epoll_nests),
		TEST(many_descriptors),
		TEST(timer_is_never_early),
		TEST(repeat_until_cancelled),
		TEST(missed_periods_are_skipped),
		TEST(order_of_many),
		TEST(cancel_of_a_stale_handle_hits_nobody),
		TEST(zero_timers_starve_nobody),
		TEST(time_is_read_once_a_turn),
		TEST(signal_comes_as_a_callback),
		TEST(stop_before_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
