/* SPDX-License-Identifier: BSD-2-Clause */
/* A total is what all workers of all dataplanes counted, and it never falls: not when a report gives
 * way to another, nor when its dataplane goes. */
#include "controlplane/totals.h"

#include "tests/unit/cmocka_help.h"

enum { WORKERS = 3, COUNTERS = 10, COUNTER = 7, PID = 100 };

/* A report in which worker i has counted `each` + i of everything. */
static struct report counted(u64 each)
{
	struct report report;

	assert_int_equal(report_create(WORKERS, COUNTERS, 1, &report), 0);
	for (u32 i = 0; i < WORKERS; i++) {
		report_worker(&report, i)->verdicts[VERDICT_FLOW] = each + i;
		report_worker(&report, i)->traffic[COUNTER] =
			(struct report_traffic){each + i, 100 * (each + i)};
	}
	return report;
}

static void assert_totals(const struct totals *totals, u64 verdicts, u64 packets)
{
	struct report_traffic traffic = totals_traffic(totals, COUNTER);

	assert_true(totals_verdict(totals, VERDICT_FLOW) == verdicts);
	assert_true(traffic.packets == packets);
	assert_true(traffic.bytes == 100 * packets);
	assert_true(totals_verdict(totals, VERDICT_MAGLEV) == 0);
	assert_true(totals_traffic(totals, COUNTER - 1).packets == 0);
	assert_true(totals_traffic(totals, COUNTERS).packets == 0);
}

static struct totals *totals_new(void)
{
	struct totals *totals;

	assert_int_equal(totals_create(&totals), 0);
	assert_int_equal(totals_own(totals, COUNTER, 1), 0);
	return totals;
}

static const struct report *join(struct totals *totals, u32 pid, const struct report *before,
				 u64 each)
{
	struct report report = counted(each);
	const struct report *joined = totals_join(totals, pid, before, &report);

	assert_non_null(joined);
	return joined;
}

static void every_worker_of_every_dataplane_counts(void **state)
{
	struct totals *totals = totals_new();

	assert_totals(totals, 0, 0);
	(void)join(totals, PID, NULL, 10);
	assert_totals(totals, 33, 33);
	(void)join(totals, PID + 1, NULL, 1000);
	assert_totals(totals, 33 + 3003, 33 + 3003);
	totals_destroy(totals);
}

static void totals_never_fall(void **state)
{
	struct totals *totals = totals_new();
	const struct report *report = join(totals, PID, NULL, 10);

	report = join(totals, PID, report, 20); /* took the counts over, and went on */
	assert_totals(totals, 63, 63);
	report = join(totals, PID, report, 1); /* took none over */
	assert_totals(totals, 63, 63);
	report_worker(report, 0)->verdicts[VERDICT_FLOW] += 100;
	assert_totals(totals, 163, 63);
	totals_leave(totals, report);
	assert_totals(totals, 163, 63);
	(void)join(totals, PID, NULL, 200); /* calls again, with what it counted */
	assert_totals(totals, 57 + 603, 57 + 603);
	totals_destroy(totals);
}

static void those_that_left_are_remembered(void **state)
{
	struct totals *totals = totals_new();

	for (u32 i = 0; i < 20; i++)
		totals_leave(totals, join(totals, PID + i, NULL, 10));
	assert_totals(totals, 20 * 33, 20 * 33);
	totals_destroy(totals);
}

static void another_owner_starts_from_0(void **state)
{
	struct totals *totals = totals_new();
	const struct report *report = join(totals, PID, NULL, 10);

	assert_int_equal(totals_own(totals, COUNTER, 1), 0); /* the same still */
	assert_totals(totals, 33, 33);
	assert_int_equal(totals_own(totals, COUNTER, 2), 0);
	assert_totals(totals, 33, 0);
	report_worker(report, 1)->traffic[COUNTER].packets += 5;
	report_worker(report, 1)->traffic[COUNTER].bytes += 500;
	assert_totals(totals, 33, 5);
	totals_destroy(totals);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_worker_of_every_dataplane_counts),
		cmocka_unit_test(totals_never_fall),
		cmocka_unit_test(those_that_left_are_remembered),
		cmocka_unit_test(another_owner_starts_from_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
