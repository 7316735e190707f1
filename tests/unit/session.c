/* SPDX-License-Identifier: BSD-2-Clause */
/* What shuntd does with flow tables: it keeps what a dataplane leaves behind and hands it to one
 * that wants it, and never what another one still has; and it knows whether it knows them all. */
#include "controlplane/session.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/cmocka_help.h"
#include "tests/unit/frames.h"

enum { TURN_MS = 10, NONE = 0 };

struct fixture {
	char folder[64], path[80];
	struct loop *loop;
	struct totals *totals;
	struct sessions *sessions;
	int arena_fd;
	u64 epoch;
};

static void greeted(void *context, bool newcomer)
{
}

static void stop(void *context)
{
	loop_stop(context);
}

/* Lets shuntd do what it has to do. */
static void turn(struct fixture *fixture)
{
	assert_true(loop_timer_add(fixture->loop, TURN_MS, 0, stop, fixture->loop) != 0);
	assert_int_equal(loop_run(fixture->loop), 0);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->folder, P_tmpdir "/session-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	snprintf(fixture->path, sizeof(fixture->path), "%s/socket", fixture->folder);
	assert_int_equal(loop_create(&fixture->loop), 0);
	assert_int_equal(totals_create(&fixture->totals), 0);
	assert_int_equal(sessions_open(fixture->loop, fixture->path, fixture->totals, greeted, NULL,
				       &fixture->sessions),
			 0);
	fixture->arena_fd = memfd_create("arena", MFD_CLOEXEC);
	fixture->epoch = 1;
	sessions_offer(fixture->sessions, fixture->arena_fd, fixture->epoch);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	sessions_close(fixture->sessions);
	totals_destroy(fixture->totals);
	loop_destroy(fixture->loop);
	close(fixture->arena_fd);
	rmdir(fixture->folder);
	free(fixture);
	return 0;
}

static ino_t file_of(int fd)
{
	struct stat stat;

	if (fd < 0)
		return NONE;
	assert_int_equal(fstat(fd, &stat), 0);
	return stat.st_ino;
}

/* Reads the offer of an arena. Returns which flow tables came along. */
static ino_t offered(int dataplane)
{
	struct attach_message message;
	int fds[ATTACH_FDS_MAX];
	ino_t file;

	assert_int_equal(attach_receive(dataplane, &message, fds), 0);
	assert_int_equal(message.kind, ATTACH_ARENA);
	assert_true(fds[0] >= 0);
	file = file_of(fds[1]);
	for (size_t i = 0; i < ATTACH_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return file;
}

/* A dataplane calls. */
static int call(struct fixture *fixture, u32 flags, ino_t *flows)
{
	struct attach_message hello;
	int dataplane = attach_connect(fixture->path);

	assert_true(dataplane >= 0);
	attach_prepare(&hello, ATTACH_HELLO);
	hello.flags = flags;
	assert_int_equal(attach_send(dataplane, &hello, NULL, 0), 0);
	turn(fixture);
	*flows = offered(dataplane);
	return dataplane;
}

/* It answers, with flow tables of its own unless flows_fd is -1; its worker uses a generation. */
static void answer_using(struct fixture *fixture, int dataplane, int flows_fd, u64 generation)
{
	struct attach_message message;
	struct report report;

	assert_int_equal(report_create(1, 10, fixture->epoch, &report), 0);
	report_worker(&report, 0)->generation = generation;
	attach_prepare(&message, ATTACH_REPORT);
	message.epoch = fixture->epoch;
	int fds[2] = {report.fd, flows_fd};

	assert_int_equal(attach_send(dataplane, &message, fds, flows_fd < 0 ? 1 : 2), 0);
	turn(fixture);
	report_destroy(&report);
}

static void answer(struct fixture *fixture, int dataplane, int flows_fd)
{
	answer_using(fixture, dataplane, flows_fd, 1);
}

static void hang_up(struct fixture *fixture, int dataplane)
{
	close(dataplane);
	turn(fixture);
}

/* One comes, deposits and goes. Returns its flow tables. */
static ino_t leave_flows(struct fixture *fixture)
{
	int fd = memfd_create("flows", MFD_CLOEXEC);
	ino_t file = file_of(fd), none;
	int dataplane = call(fixture, 0, &none);

	answer(fixture, dataplane, fd);
	close(fd);
	hang_up(fixture, dataplane);
	return file;
}

static void flows_go_to_the_next(void **state)
{
	struct fixture *fixture = *state;
	ino_t left, got;
	int first, second;

	first = call(fixture, ATTACH_WANTS_FLOWS, &got);
	assert_int_equal(got, NONE); /* there are none yet */
	hang_up(fixture, first);
	left = leave_flows(fixture);
	first = call(fixture, ATTACH_WANTS_FLOWS, &got);
	assert_int_equal(got, left);
	second = call(fixture, ATTACH_WANTS_FLOWS, &got);
	assert_int_equal(got, NONE); /* not twice */
	hang_up(fixture, second);
	hang_up(fixture, first);
}

static void flows_in_use_stay(void **state)
{
	struct fixture *fixture = *state;
	int fd = memfd_create("flows", MFD_CLOEXEC);
	ino_t got;
	int first = call(fixture, ATTACH_WANTS_FLOWS, &got), second;

	answer(fixture, first, fd);
	second = call(fixture, ATTACH_WANTS_FLOWS, &got);
	assert_int_equal(got, NONE); /* the first one is still here */
	hang_up(fixture, second);
	hang_up(fixture, first);
	second = call(fixture, ATTACH_WANTS_FLOWS, &got);
	assert_int_equal(got, file_of(fd));
	hang_up(fixture, second);
	close(fd);
}

/* The engine that forwards statelessly, or whose worker runs already. */
static void who_wants_none_gets_none(void **state)
{
	struct fixture *fixture = *state;
	ino_t left = leave_flows(fixture), got;
	int dataplane = call(fixture, 0, &got);

	assert_int_equal(got, NONE);
	answer(fixture, dataplane, -1);
	hang_up(fixture, dataplane);
	dataplane = call(fixture, ATTACH_WANTS_FLOWS, &got);
	assert_int_equal(got, left);
	hang_up(fixture, dataplane);
}

static void an_heir_may_die_young(void **state)
{
	struct fixture *fixture = *state;
	ino_t left = leave_flows(fixture), got;

	for (int i = 0; i < 3; i++) {
		int dataplane = call(fixture, ATTACH_WANTS_FLOWS, &got);

		assert_int_equal(got, left);
		if (i == 1)
			answer(fixture, dataplane, -1);
		hang_up(fixture, dataplane);
	}
}

/* It could not use what it was handed. */
static void an_heir_may_bring_its_own(void **state)
{
	struct fixture *fixture = *state;
	int fd = memfd_create("flows", MFD_CLOEXEC);
	ino_t left = leave_flows(fixture), got;
	int dataplane = call(fixture, ATTACH_WANTS_FLOWS, &got);

	assert_int_equal(got, left);
	answer(fixture, dataplane, fd);
	hang_up(fixture, dataplane);
	dataplane = call(fixture, ATTACH_WANTS_FLOWS, &got);
	assert_int_equal(got, file_of(fd));
	hang_up(fixture, dataplane);
	close(fd);
}

static void flows_come_with_the_first_arena_only(void **state)
{
	struct fixture *fixture = *state;
	ino_t got;
	int dataplane = call(fixture, ATTACH_WANTS_FLOWS, &got);

	answer(fixture, dataplane, -1);
	(void)leave_flows(fixture);
	sessions_offer(fixture->sessions, fixture->arena_fd, ++fixture->epoch);
	turn(fixture);
	assert_int_equal(offered(dataplane), NONE); /* its worker runs by now */
	hang_up(fixture, dataplane);
}

/* Whose flow tables are to be counted, at a generation: "live" and "left" ones, in this order. */
static bool counted(const struct fixture *fixture, u64 generation, ino_t live, ino_t left)
{
	struct session_flows list[SESSION_FLOWS_MAX];
	size_t count, wanted = (live != NONE) + (left != NONE);

	if (!sessions_flows(fixture->sessions, generation, list, &count))
		return false;
	assert_int_equal(count, wanted);
	if (live != NONE)
		assert_true(list[0].live && file_of(list[0].fd) == live);
	if (left != NONE)
		assert_true(!list[wanted - 1].live && file_of(list[wanted - 1].fd) == left);
	return true;
}

/* A dataplane that is coming, or still uses older tables, may hold flows that nobody counts. */
static void flows_are_known_once_all_have_told(void **state)
{
	struct fixture *fixture = *state;
	int fd = memfd_create("flows", MFD_CLOEXEC), first, second;
	ino_t left, got, file = file_of(fd);

	assert_false(counted(fixture, 0, NONE, NONE)); /* nobody is here: nobody knows */
	first = call(fixture, 0, &got);
	assert_false(counted(fixture, 0, NONE, NONE));
	answer_using(fixture, first, fd, 5);
	assert_true(counted(fixture, 5, file, NONE));
	assert_false(counted(fixture, 6, file, NONE));
	second = call(fixture, 0, &got);
	assert_false(counted(fixture, 5, file, NONE));
	answer_using(fixture, second, -1, 7); /* forwards statelessly */
	assert_true(counted(fixture, 5, file, NONE));
	assert_false(counted(fixture, 6, file, NONE));
	hang_up(fixture, second);
	sessions_offer(fixture->sessions, fixture->arena_fd, ++fixture->epoch);
	assert_false(counted(fixture, 5, file, NONE)); /* has not gone over to it */
	hang_up(fixture, first);
	assert_true(counted(fixture, 99, NONE, file));
	left = leave_flows(fixture);
	assert_true(counted(fixture, 99, NONE, left));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_test_between(flows_go_to_the_next),
		unit_test_between(flows_in_use_stay),
		unit_test_between(who_wants_none_gets_none),
		unit_test_between(an_heir_may_die_young),
		unit_test_between(an_heir_may_bring_its_own),
		unit_test_between(flows_come_with_the_first_arena_only),
		unit_test_between(flows_are_known_once_all_have_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
