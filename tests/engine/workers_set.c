/* SPDX-License-Identifier: BSD-2-Clause */
/* Which attachments workers may still use: what is older than that, and nothing else, is freed. */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/workers.h"
#include "tests/unit/cmocka_help.h"

enum { WORKERS = 3, GENERATIONS = 4 };

static struct workers workers;
static struct attachment attachments[GENERATIONS]; /* each older than the one after it */
static struct attachment *const newest = &attachments[GENERATIONS - 1];

static int setup(void **state)
{
	const int cores[WORKERS] = {0};
	static const struct ports ports;

	workers_prepare(&workers, WORKERS, cores, &ports, 1000);
	for (u32 i = 1; i < GENERATIONS; i++)
		attachments[i].older = &attachments[i - 1];
	return 0;
}

static void at(int first, int second, int third)
{
	const int where[WORKERS] = {first, second, third};

	for (u32 i = 0; i < WORKERS; i++)
		workers.list[i].current = where[i] < 0 ? NULL : &attachments[where[i]];
}

/* A worker that uses none yet may be about to take up any. */
static void nothing_goes_before_all_have_begun(void **state)
{
	at(-1, -1, -1);
	assert_null(workers_oldest(&workers, newest));
	at(3, 3, -1);
	assert_null(workers_oldest(&workers, newest));
}

static void the_slowest_worker_decides(void **state)
{
	at(3, 1, 2);
	assert_ptr_equal(workers_oldest(&workers, newest), &attachments[1]);
	at(0, 3, 3);
	assert_ptr_equal(workers_oldest(&workers, newest), &attachments[0]);
	at(3, 3, 2);
	assert_ptr_equal(workers_oldest(&workers, newest), &attachments[2]);
	at(3, 3, 3);
	assert_ptr_equal(workers_oldest(&workers, newest), newest);
}

static void all_have_gone_over_when_the_last_has(void **state)
{
	at(3, 3, 2);
	assert_false(workers_all_at(&workers, newest));
	at(2, 3, 3);
	assert_false(workers_all_at(&workers, newest));
	at(3, 3, 3);
	assert_true(workers_all_at(&workers, newest));
}

/* One for all says that the flow tables are alive, and each has its own. */
static void each_has_its_own(void **state)
{
	struct flow_tables flows;

	assert_int_equal(flow_tables_create(1000, WORKERS, 60000, &flows), 0);
	workers_use_flows(&workers, &flows, NULL);
	for (u32 i = 0; i < WORKERS; i++) {
		const struct worker *worker = &workers.list[i];

		assert_int_equal(worker->number, i);
		assert_int_equal(worker->relay.queue, i);
		assert_ptr_equal(worker->relay.env.flows, flows.buckets + i * flows.buckets_count);
		assert_int_equal((u64)worker % 64, 0);
		assert_int_equal(worker->flows_tick != NULL, i == 0);
	}
	assert_false(workers_use_elder(&workers));
	flow_tables_destroy(&flows);
}

/* A device is closed when the last of those that run has let go of it; who does not run has none. */
static void the_last_answer_counts(void **state)
{
	assert_true(workers_answered(&workers));
	workers_ask(&workers);
	assert_true(workers_answered(&workers));
	for (u32 i = 0; i < WORKERS; i++)
		workers.list[i].running = true;
	for (u32 i = 0; i < WORKERS; i++) {
		assert_false(workers_answered(&workers));
		workers.list[i].answered = workers.list[i].asked;
	}
	assert_true(workers_answered(&workers));
	workers_ask(&workers);
	assert_false(workers_answered(&workers));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_goes_before_all_have_begun, setup),
		cmocka_unit_test_setup(the_slowest_worker_decides, setup),
		cmocka_unit_test_setup(all_have_gone_over_when_the_last_has, setup),
		cmocka_unit_test_setup(each_has_its_own, setup),
		cmocka_unit_test_setup(the_last_answer_counts, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
