/* SPDX-License-Identifier: BSD-2-Clause */
/* A report's writer is not trusted: whatever it says, before or after it is mapped, its reader
 * stays inside the mapping. */
#include "dataplane/state/report.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/cmocka_help.h"
#include "tests/unit/frames.h"

static void both_sides_see_the_same_counters(void **state)
{
	struct report mine, seen;
	char message[256] = "";

	assert_int_equal(report_create(3, 100, 9, &mine), 0);
	assert_int_equal(report_attach(mine.fd, &seen, message, sizeof(message)), 0);
	assert_true(seen.epoch == 9);
	assert_int_equal(seen.workers_count, 3);
	assert_int_equal(seen.counters_count, 100);
	for (u32 i = 0; i < 3; i++) {
		struct report_worker *worker = report_worker(&mine, i);

		assert_int_equal((uintptr_t)worker % 4096, 0);
		worker->heartbeat = 10 + i;
		worker->verdicts[VERDICT_COUNT - 1] = 20 + i;
		worker->traffic[99].bytes = 30 + i;
	}
	for (u32 i = 0; i < 3; i++) {
		const struct report_worker *worker = report_worker(&seen, i);

		assert_true(worker->heartbeat == 10 + i);
		assert_true(worker->verdicts[VERDICT_COUNT - 1] == 20 + i);
		assert_true(worker->traffic[99].bytes == 30 + i);
		assert_true(worker->traffic[98].bytes == 0);
	}
	report_destroy(&seen);
	report_destroy(&mine);
}

/* The last counter of the last worker lies inside the file, for any counts. */
static void workers_fit_their_file(void **state)
{
	struct random random = random_start("report");

	for (u32 i = 0; i < 200; i++) {
		u32 workers = 1 + random_below(&random, 8);
		u32 counters = random_below(&random, 3000);
		struct report report;
		u8 *end;

		assert_int_equal(report_create(workers, counters, 1, &report), 0);
		end = (u8 *)&report_worker(&report, workers - 1)->traffic[counters];
		assert_true(end <= (u8 *)report.header + report.size_bytes);
		if (counters > 0)
			end[-1] = 1;
		report_destroy(&report);
	}
}

static void the_writer_cannot_move_a_reader(void **state)
{
	struct report mine, seen;
	char message[256] = "";
	const struct report_worker *before;

	assert_int_equal(report_create(2, 10, 1, &mine), 0);
	assert_int_equal(report_attach(mine.fd, &seen, message, sizeof(message)), 0);
	before = report_worker(&seen, 1);
	memset(mine.header, 0xff, sizeof(*mine.header));
	assert_ptr_equal(report_worker(&seen, 1), before);
	assert_int_equal(seen.workers_count, 2);
	assert_int_equal(seen.counters_count, 10);
	assert_true(before->traffic[9].packets == 0);
	assert_true((const u8 *)&before->traffic[10] <= (const u8 *)seen.header + seen.size_bytes);
	/* Nor can it take the memory away. */
	assert_int_equal(ftruncate(mine.fd, 0), -1);
	assert_int_equal(errno, EPERM);
	report_destroy(&seen);
	report_destroy(&mine);
}

static void refuses_lying_headers(void **state)
{
	static const struct {
		size_t offset;
		u8 size;
		u64 value;
		const char *says;
	} cases[] = {
		{offsetof(struct report_header, magic), 8, 1, "not a report"},
		{offsetof(struct report_header, abi), 4, REPORT_ABI + 1, "another version"},
		{offsetof(struct report_header, verdicts_count), 4, VERDICT_COUNT + 1,
		 "another version"},
		{offsetof(struct report_header, workers_count), 4, 0, "contradict"},
		{offsetof(struct report_header, workers_count), 4, REPORT_WORKERS_MAX,
		 "contradict"},
		{offsetof(struct report_header, workers_count), 4, 0xffffffff, "contradict"},
		{offsetof(struct report_header, counters_count), 4, 100000, "contradict"},
		{offsetof(struct report_header, counters_count), 4, 0xffffffff, "contradict"},
		{offsetof(struct report_header, worker_bytes), 8, 64, "contradict"},
		{offsetof(struct report_header, worker_bytes), 8, ~0ull, "contradict"},
		{offsetof(struct report_header, worker_bytes), 8, 0, "contradict"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct report mine, seen;
		char message[256] = "";

		assert_int_equal(report_create(2, 10, 1, &mine), 0);
		memcpy((u8 *)mine.header + cases[i].offset, &cases[i].value, cases[i].size);
		assert_int_equal(report_attach(mine.fd, &seen, message, sizeof(message)), -EINVAL);
		if (!strstr(message, cases[i].says))
			fail_msg("\"%s\" does not say \"%s\"", message, cases[i].says);
		report_destroy(&mine);
	}
}

/* Any header at all: accepted only where every worker's block lies inside. */
static void no_header_leads_outside(void **state)
{
	struct random random = random_start("report");
	u32 accepted = 0;

	for (u32 i = 0; i < 3000; i++) {
		struct report mine, seen;
		char message[256] = "";
		u32 counters;

		assert_int_equal(report_create(2, 10, 1, &mine), 0);
		mine.header->workers_count = random_below(&random, 5);
		counters = random_one_in(&random, 2) ? random_below(&random, 600)
						     : (u32)random_next(&random);
		mine.header->counters_count = counters;
		if (random_one_in(&random, 4))
			mine.header->worker_bytes =
				random_next(&random) >> random_below(&random, 64);
		if (report_attach(mine.fd, &seen, message, sizeof(message)) == 0) {
			const u8 *end = (const u8 *)&report_worker(&seen, seen.workers_count - 1)
						->traffic[seen.counters_count];

			assert_true(end <= (const u8 *)seen.header + seen.size_bytes);
			report_destroy(&seen);
			accepted++;
		}
		report_destroy(&mine);
	}
	assert_true(accepted > 50);
}

static void refuses_unsealed_and_short_files(void **state)
{
	static const struct {
		off_t size;
		int seals;
	} cases[] = {
		{8192, 0},
		{8192, F_SEAL_SHRINK},
		{8192, F_SEAL_GROW},
		{0, F_SEAL_SHRINK | F_SEAL_GROW},
		{REPORT_HEADER_BYTES - 1, F_SEAL_SHRINK | F_SEAL_GROW},
	};
	struct report seen;
	char message[256];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int fd = memfd_create("report", MFD_CLOEXEC | MFD_ALLOW_SEALING);

		assert_int_equal(ftruncate(fd, cases[i].size), 0);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, cases[i].seals), 0);
		assert_int_equal(report_attach(fd, &seen, message, sizeof(message)), -EINVAL);
		close(fd);
	}
	assert_int_equal(report_attach(-1, &seen, message, sizeof(message)), -EBADF);
}

static void counters_live_on_in_the_next_report(void **state)
{
	struct report from, to;

	assert_int_equal(report_create(2, 10, 1, &from), 0);
	assert_int_equal(report_create(3, 8, 2, &to), 0);
	report_worker(&from, 0)->verdicts[VERDICT_FLOW] = 4;
	report_worker(&from, 1)->verdicts[VERDICT_FLOW] = 5;
	report_worker(&from, 1)->heartbeat = 9;
	report_worker(&from, 1)->flows_unplaced = 3;
	report_worker(&from, 1)->traffic[7].packets = 6;
	report_worker(&from, 1)->traffic[9].packets = 7;
	report_worker(&from, 1)->generation = 8;
	report_carry_over(&from, &to, 1);
	report_carry_over(&from, &to, 2); /* it had none */
	assert_true(report_worker(&to, 0)->verdicts[VERDICT_FLOW] == 0);
	assert_true(report_worker(&to, 1)->heartbeat == 9);
	assert_true(report_worker(&to, 1)->flows_unplaced == 3);
	assert_true(report_worker(&to, 1)->verdicts[VERDICT_FLOW] == 5);
	assert_true(report_worker(&to, 1)->traffic[7].packets == 6);
	assert_true(report_worker(&to, 1)->generation == 0);
	assert_true(report_worker(&to, 2)->heartbeat == 0);
	report_destroy(&from);
	report_destroy(&to);
	assert_int_equal(to.fd, -1);
	report_destroy(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_see_the_same_counters),
		cmocka_unit_test(workers_fit_their_file),
		cmocka_unit_test(the_writer_cannot_move_a_reader),
		cmocka_unit_test(refuses_lying_headers),
		cmocka_unit_test(no_header_leads_outside),
		cmocka_unit_test(refuses_unsealed_and_short_files),
		cmocka_unit_test(counters_live_on_in_the_next_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
