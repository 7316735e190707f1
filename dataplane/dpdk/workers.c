/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/workers.h"

_Static_assert(WORKERS_MAX < RTE_MAX_LCORE, "each is one of DPDK's threads");
_Static_assert(WORKERS_MAX <= REPORT_WORKERS_MAX, "each has its block");

void workers_prepare(struct workers *workers, u32 count, const int *cores,
		     const struct ports *ports, u32 tick_ms)
{
	workers->count = count;
	workers->cores = cores;
	for (u32 i = 0; i < count; i++)
		worker_prepare(&workers->list[i], i, ports, tick_ms);
}

void workers_use_flows(struct workers *workers, const struct flow_tables *flows,
		       const struct flow_elder *elder)
{
	for (u32 i = 0; i < workers->count; i++)
		worker_use_flows(&workers->list[i], flows, elder);
}

bool workers_use_elder(const struct workers *workers)
{
	for (u32 i = 0; i < workers->count; i++)
		if (worker_uses_elder(&workers->list[i]))
			return true;
	return false;
}

int workers_serve_kernel(struct workers *workers, struct lane *lanes)
{
	int err = 0;

	for (u32 i = 0; i < workers->count && !err; i++) {
		workers->list[i].relay.lane = &lanes[i];
		err = worker_start(&workers->list[i]);
	}
	return err;
}

int workers_hand(struct workers *workers, struct attachment *attachment)
{
	int err = 0;

	for (u32 i = 0; i < workers->count; i++) {
		int one;

		report_worker(&attachment->report, i)->core = (u64)workers->cores[i];
		one = worker_hand(&workers->list[i], attachment);
		err = err ? err : one;
	}
	return err;
}

static bool is_current(const struct workers *workers, const struct attachment *attachment)
{
	for (u32 i = 0; i < workers->count; i++)
		if (worker_current(&workers->list[i]) == attachment)
			return true;
	return false;
}

struct attachment *workers_oldest(const struct workers *workers, struct attachment *newest)
{
	struct attachment *oldest = NULL;

	if (is_current(workers, NULL))
		return NULL;
	for (struct attachment *each = newest; each; each = each->older)
		if (is_current(workers, each))
			oldest = each;
	return oldest;
}

bool workers_all_at(const struct workers *workers, const struct attachment *attachment)
{
	for (u32 i = 0; i < workers->count; i++)
		if (worker_current(&workers->list[i]) != attachment)
			return false;
	return true;
}

void workers_ask(struct workers *workers)
{
	for (u32 i = 0; i < workers->count; i++)
		worker_ask(&workers->list[i]);
}

bool workers_answered(const struct workers *workers)
{
	for (u32 i = 0; i < workers->count; i++)
		if (!worker_answered(&workers->list[i]))
			return false;
	return true;
}

void workers_stop(struct workers *workers)
{
	for (u32 i = 0; i < workers->count; i++)
		worker_stop(&workers->list[i]);
	for (u32 i = 0; i < workers->count; i++)
		worker_join(&workers->list[i]);
}
