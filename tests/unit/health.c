/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of check results: rise and fall, a backend that flaps, jitter, and all_down. And
 * probes and checks over a real loop and real sockets on the loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/health/checks.h"
#include "controlplane/health/health.h"
#include "controlplane/health/probe.h"
#include "tests/unit/cmocka_help.h"

/* --- The state machine ---------------------------------------------------------------- */

/* One letter a result, `.` passed and `x` failed; one letter a state after it, U or D. */
struct row {
	unsigned rise, fall;
	const char *results, *states;
};

static const struct row rows[] = {
	/* The first result of all is enough to go down. */
	{2, 3, "x", "D"},
	{2, 3, "x..", "DDU"},
	{2, 3, "x.x..", "DDDDU"},
	/* After that it takes `fall` in a row. */
	{2, 3, ".xxx", "UUUD"},
	{2, 3, ".xx.xx.xxx", "UUUUUUUUUD"},
	{2, 3, ".xxxxxxx..", "UUUDDDDDDU"},
	/* One that flaps faster than `rise` stays down, faster than `fall` stays up. */
	{3, 2, ".xx..x..x..x...", "UUDDDDDDDDDDDDU"},
	{1, 1, ".x.x.x", "UDUDUD"},
	{1, 5, "xxxx.xxxx.xxxxx", "DDDDUUUUUUUUUUD"},
	{100, 1, ".x.", "UDD"},
};

static void test_rise_and_fall(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct health health;
		u64 changed_ms = 1000;

		health_start(&health, changed_ms);
		assert_true(health.up);
		for (size_t k = 0; row->results[k]; k++) {
			bool was_up = health.up, passed = row->results[k] == '.';
			bool changed = health_note(&health, row->rise, row->fall, passed, 2000 + k);

			if (health.up != (row->states[k] == 'U'))
				fail_msg("row %zu: '%s' result %zu", i, row->results, k);
			assert_int_equal(changed, was_up != health.up);
			changed_ms = changed ? 2000 + k : changed_ms;
			assert_int_equal(health.changed_ms, changed_ms);
			assert_true(passed ? health.failed == 0 && health.passed > 0
					   : health.passed == 0 && health.failed > 0);
		}
		assert_int_equal(strlen(row->results), strlen(row->states));
	}
}

static void test_jitter(void **state)
{
	static const u64 intervals_ms[] = {10, 11, 100, 1000, 3600000};

	for (size_t i = 0; i < sizeof(intervals_ms) / sizeof(intervals_ms[0]); i++) {
		u64 interval_ms = intervals_ms[i], random = 1, other = 2, same = 0;
		u64 lowest = UINT64_MAX, highest = 0, first_lowest = UINT64_MAX, first_highest = 0;

		for (int k = 0; k < 20000; k++) {
			u64 next = health_next_delay_ms(&random, interval_ms);
			u64 first = health_first_delay_ms(&random, interval_ms);

			assert_in_range(next, interval_ms - interval_ms / 10,
					interval_ms + interval_ms / 10);
			assert_true(first < interval_ms);
			lowest = next < lowest ? next : lowest;
			highest = next > highest ? next : highest;
			first_lowest = first < first_lowest ? first : first_lowest;
			first_highest = first > first_highest ? first : first_highest;
			same += health_next_delay_ms(&other, interval_ms) == next;
		}
		/* All of the range is used, and other seeds draw other delays. */
		assert_true(lowest <= interval_ms - interval_ms * 99 / 1000);
		assert_true(highest >= interval_ms + interval_ms * 99 / 1000);
		assert_true(first_lowest <= interval_ms / 100);
		assert_true(first_highest >= interval_ms * 9 / 10);
		assert_true(same < 15000);
	}
}

static void test_jitter_is_seeded(void **state)
{
	u64 a = 7, b = 7;

	for (int k = 0; k < 100; k++)
		assert_int_equal(health_next_delay_ms(&a, 100000),
				 health_next_delay_ms(&b, 100000));
}

/* --- Who gets new flows ---------------------------------------------------------------- */

#define HEAD "version: 1\nfleet_seed: \"000102030405060708090a0b0c0d0e0f\"\n"
#define SERVICE                                                                                    \
	"services:\n  - name: a\n    vip: 203.0.113.10\n    protocol: tcp\n    port: 443\n"        \
	"    table_size: 1009\n"

struct planned {
	struct config *config;
	struct plan *plan;
};

static struct planned planned_open(const char *text)
{
	static const u8 seed[16];
	struct config_errors errors;
	struct planned planned;
	int err = config_parse(text, strlen(text), &planned.config, &errors);

	for (size_t i = 0; i < errors.count; i++)
		print_error("%u:%u: %s\n", errors.list[i].line, errors.list[i].column,
			    errors.list[i].text);
	config_errors_free(&errors);
	assert_int_equal(err, 0);
	assert_int_equal(plan_create(planned.config, seed, &planned.plan), 0);
	assert_int_equal(plan_number_offline(planned.plan), 0);
	return planned;
}

static void planned_close(struct planned *planned)
{
	plan_destroy(planned->plan);
	config_free(planned->config);
}

/* One letter a backend: what its check says, and whether it is eligible then. The third has
 * weight 0, the fourth drains: neither ever is. */
static const struct {
	const char *all_down, *up, *eligible;
	bool fail_open, changed; /* changed: from the row before */
} judgements[] = {
	{"forward", "++++", "++--", false, false}, {"forward", "+-++", "+---", false, true},
	{"forward", "+---", "+---", false, false}, {"forward", "--++", "++--", true, true},
	{"forward", "----", "++--", true, false},  {"forward", "-+--", "-+--", false, true},
	{"forward", "++--", "++--", false, true},  {"drop", "++++", "++--", false, false},
	{"drop", "--++", "----", false, true},     {"drop", "-+++", "-+--", false, true},
};

static void test_all_down(void **state)
{
	struct planned planned =
		planned_open(HEAD SERVICE "    check: { type: tcp }\n    backends:\n"
					  "      - { address: 10.0.0.1 }\n"
					  "      - { address: 10.0.0.2 }\n"
					  "      - { address: 10.0.0.3, weight: 0 }\n"
					  "      - { address: 10.0.0.4, state: drain }\n");
	struct plan_service *service = &planned.plan->services[0];

	for (size_t i = 0; i < sizeof(judgements) / sizeof(judgements[0]); i++) {
		planned.config->services[0].all_down = strcmp(judgements[i].all_down, "drop") == 0
							       ? CONFIG_ALL_DOWN_DROP
							       : CONFIG_ALL_DOWN_FORWARD;
		for (size_t k = 0; k < 4; k++)
			service->backends[k].up = judgements[i].up[k] == '+';
		assert_int_equal(plan_service_judge(service), judgements[i].changed);
		assert_int_equal(service->fail_open, judgements[i].fail_open);
		for (size_t k = 0; k < 4; k++)
			assert_int_equal(plan_backend_eligible(&service->backends[k]),
					 judgements[i].eligible[k] == '+');
	}
	planned_close(&planned);
}

/* --- Probes over a loop ----------------------------------------------------------------- */

struct fixture {
	struct loop *loop;
	struct probe_result result;
	unsigned results, changes;
	bool late;
};

static void fixture_late(void *context)
{
	struct fixture *fixture = context;

	fixture->late = true;
	loop_stop(fixture->loop);
}

static void fixture_open(struct fixture *fixture, u64 most_ms)
{
	*fixture = (struct fixture){0};
	assert_int_equal(loop_create(&fixture->loop), 0);
	assert_int_not_equal(loop_timer_add(fixture->loop, most_ms, 0, fixture_late, fixture), 0);
}

static void result_came(void *context, const struct probe_result *result)
{
	struct fixture *fixture = context;

	fixture->result = *result;
	fixture->results++;
	loop_stop(fixture->loop);
}

/* A socket that listens on the loopback, or one that is bound and does not. */
static int port_take(const char *address, int backlog, u16 *port)
{
	bool v6 = strchr(address, ':');
	struct sockaddr_in6 at6 = {.sin6_family = AF_INET6};
	struct sockaddr_in at4 = {.sin_family = AF_INET};
	struct sockaddr *at = v6 ? (struct sockaddr *)&at6 : (struct sockaddr *)&at4;
	socklen_t size = v6 ? sizeof(at6) : sizeof(at4);
	int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(at->sa_family, address,
				   v6 ? (void *)&at6.sin6_addr : (void *)&at4.sin_addr),
			 1);
	if (bind(fd, at, size) < 0) {
		close(fd);
		return -1; /* no such family here */
	}
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, at, &size), 0);
	*port = ntohs(v6 ? at6.sin6_port : at4.sin_port);
	return fd;
}

static struct probe_result probe_once(const char *address, u16 port, u64 timeout_ms)
{
	struct fixture fixture;
	struct probe probe = {0};
	struct addr to;

	fixture_open(&fixture, 5000);
	assert_int_equal(addr_parse(address, &to), 0);
	assert_int_equal(probe_start(&probe, fixture.loop, &to, port, timeout_ms, result_came,
				     &fixture),
			 0);
	assert_int_equal(fixture.results, 0); /* never from within */
	assert_int_equal(loop_run(fixture.loop), 0);
	assert_false(fixture.late);
	assert_int_equal(fixture.results, 1);
	assert_false(probe.active);
	loop_destroy(fixture.loop);
	return fixture.result;
}

static void test_probe_connects_and_is_refused(void **state)
{
	static const char *const addresses[] = {"127.0.0.1", "::1"};

	for (size_t i = 0; i < 2; i++) {
		struct probe_result result;
		u16 port;
		int fd = port_take(addresses[i], 8, &port);

		if (fd < 0) {
			print_message("no %s here\n", addresses[i]);
			continue;
		}
		result = probe_once(addresses[i], port, 2000);
		assert_int_equal(result.end, PROBE_CONNECTED);
		assert_true(result.took_us < 2000000);
		close(fd);
		fd = port_take(addresses[i], -1, &port);
		result = probe_once(addresses[i], port, 2000);
		assert_int_equal(result.end, PROBE_FAILED);
		assert_int_equal(result.error, ECONNREFUSED);
		close(fd);
	}
}

/* A full backlog answers nothing: the kernel drops the SYN. */
static void test_probe_times_out(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fillers[4], fd;
	struct probe_result result;
	u16 port;

	fd = port_take("127.0.0.1", 0, &port);
	at.sin_port = htons(port);
	for (int i = 0; i < 4; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fillers[i], (struct sockaddr *)&at, sizeof(at));
	}
	result = probe_once("127.0.0.1", port, 60);
	assert_int_equal(result.end, PROBE_TIMED_OUT);
	assert_in_range(result.took_us, 59000, 2000000);
	for (int i = 0; i < 4; i++)
		close(fillers[i]);
	close(fd);
}

static void test_probe_that_is_cancelled_is_silent(void **state)
{
	struct fixture fixture;
	struct probe probe = {0};
	struct addr to;
	u16 port;
	int fd = port_take("127.0.0.1", 8, &port);

	fixture_open(&fixture, 100);
	assert_int_equal(addr_parse("127.0.0.1", &to), 0);
	assert_int_equal(probe_start(&probe, fixture.loop, &to, port, 20, result_came, &fixture),
			 0);
	probe_cancel(&probe);
	probe_cancel(&probe);
	assert_int_equal(loop_run(fixture.loop), 0);
	assert_true(fixture.late);
	assert_int_equal(fixture.results, 0);
	loop_destroy(fixture.loop);
	close(fd);
}

/* --- Checks over a loop ----------------------------------------------------------------- */

static void change_came(void *context)
{
	struct fixture *fixture = context;

	fixture->changes++;
}

static void run_for(struct fixture *fixture, u64 ms)
{
	fixture->late = false;
	assert_int_not_equal(loop_timer_add(fixture->loop, ms, 0, fixture_late, fixture), 0);
	assert_int_equal(loop_run(fixture->loop), 0);
}

static void plan_text(char out[static 1024], u16 port, const char *backends)
{
	snprintf(out, 1024,
		 HEAD SERVICE "    check: { type: tcp, port: %u, interval: 20ms, timeout: 20ms,"
			      " rise: 2, fall: 2 }\n    backends: [ %s ]\n",
		 port, backends);
}

/* A backend that is down stays so through a reload, its neighbour in the list is new, and a
 * reload that fails leaves everything as it was. */
static void test_checks_follow_a_reload(void **state)
{
	struct planned first, second, third;
	struct fixture fixture;
	struct checks *checks;
	char text[1024];
	u16 port;
	int fd = port_take("127.0.0.1", 8, &port);

	fixture_open(&fixture, 20000);
	assert_int_equal(checks_create(fixture.loop, 1, change_came, &fixture, &checks), 0);
	plan_text(text, port, "{ address: 127.0.0.1 }, { address: 127.0.0.2 }");
	first = planned_open(text);
	assert_int_equal(checks_prepare(checks, first.plan), 0);
	assert_true(plan_backend_eligible(&first.plan->services[0].backends[1]));
	checks_commit(checks);
	run_for(&fixture, 200);
	assert_int_equal(fixture.changes, 1); /* 127.0.0.2: the port is bound on .1 alone */
	assert_true(checks_judge(first.plan));
	assert_false(checks_judge(first.plan));
	assert_true(plan_backend_eligible(&first.plan->services[0].backends[0]));
	assert_false(plan_backend_eligible(&first.plan->services[0].backends[1]));
	assert_string_equal(check_view(first.plan->services[0].backends[1].check).last_result,
			    "connect: Connection refused");

	plan_text(text, port, "{ address: 127.0.0.3 }, { address: 127.0.0.2 }");
	third = planned_open(text);
	assert_int_equal(checks_prepare(checks, third.plan), 0);
	checks_abandon(checks);
	planned_close(&third);

	second = planned_open(text);
	assert_int_equal(checks_prepare(checks, second.plan), 0);
	assert_true(plan_backend_eligible(&second.plan->services[0].backends[0]));
	assert_false(plan_backend_eligible(&second.plan->services[0].backends[1]));
	checks_commit(checks);
	planned_close(&first);
	run_for(&fixture, 200);
	assert_int_equal(fixture.changes, 2); /* 127.0.0.3 */
	assert_true(checks_judge(second.plan));
	assert_true(second.plan->services[0].fail_open);
	checks_destroy(checks);
	planned_close(&second);
	loop_destroy(fixture.loop);
	close(fd);
}

#define MANY 600 /* more than may be under way at a time */

static unsigned open_files(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 4096; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void files_count(void *context)
{
	unsigned *most = context, now = open_files();

	*most = now > *most ? now : *most;
}

/* Backends that don't answer keep a probe each for its timeout: no more than the bound are under
 * way, and every backend has its turn. */
static void test_probes_are_bounded(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	size_t size = 64 * 1024, length;
	char *text = malloc(size);
	unsigned before, most = 0, tried = 0;
	struct planned planned;
	struct fixture fixture;
	struct checks *checks;
	int fillers[4], fd;
	u16 port;

	fd = port_take("0.0.0.0", 0, &port);
	at.sin_port = htons(port);
	for (int i = 0; i < 4; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fillers[i], (struct sockaddr *)&at, sizeof(at));
	}
	fixture_open(&fixture, 20000);
	before = open_files();
	assert_int_equal(checks_create(fixture.loop, 1, change_came, &fixture, &checks), 0);
	length = (size_t)snprintf(text, size,
				  HEAD SERVICE "    check: { type: tcp, port: %u, interval: 200ms,"
					       " timeout: 200ms }\n    backends:\n",
				  port);
	for (unsigned i = 0; i < MANY; i++)
		length += (size_t)snprintf(text + length, size - length,
					   "      - { address: 127.0.%u.%u }\n", 1 + i / 200,
					   1 + i % 200);
	planned = planned_open(text);
	free(text);
	assert_int_equal(checks_prepare(checks, planned.plan), 0);
	checks_commit(checks);
	assert_int_not_equal(loop_timer_add(fixture.loop, 5, 5, files_count, &most), 0);
	run_for(&fixture, 1500);
	for (unsigned i = 0; i < MANY; i++)
		tried +=
			check_view(planned.plan->services[0].backends[i].check).last_result != NULL;
	assert_int_equal(tried, MANY);
	assert_in_range(most - before, CHECKS_IN_FLIGHT_MAX - 32, CHECKS_IN_FLIGHT_MAX);
	checks_destroy(checks);
	assert_int_equal(open_files(), before);
	planned_close(&planned);
	loop_destroy(fixture.loop);
	for (int i = 0; i < 4; i++)
		close(fillers[i]);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rise_and_fall),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_jitter_is_seeded),
		cmocka_unit_test(test_all_down),
		cmocka_unit_test(test_probe_connects_and_is_refused),
		cmocka_unit_test(test_probe_times_out),
		cmocka_unit_test(test_probe_that_is_cancelled_is_silent),
		cmocka_unit_test(test_checks_follow_a_reload),
		cmocka_unit_test(test_probes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
