/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/kernel/view.h"

#include <errno.h>
#include <stdlib.h>

void view_destroy(struct view *view)
{
	report_destroy(&view->own.report);
	report_destroy(&view->told);
	free(view);
}

int view_create(const struct attachment *attachment, struct view **out)
{
	const struct report *report = &attachment->report;
	struct view *view = calloc(1, sizeof(*view));
	int err;

	if (!view)
		return -ENOMEM;
	view->attachment = attachment;
	view->own = (struct attachment){
		.arena = attachment->arena,
		.incarnation = attachment->incarnation,
		.flow_buckets = __atomic_load_n(&attachment->flow_buckets, __ATOMIC_ACQUIRE),
	};
	view->own.report.fd = view->told.fd = -1;
	err = report_create(report->workers_count, report->counters_count, report->epoch,
			    &view->own.report);
	if (!err)
		err = report_create(report->workers_count, report->counters_count, report->epoch,
				    &view->told);
	if (err)
		view_destroy(view);
	else
		*out = view;
	return err;
}

void view_follow(struct view *view)
{
	u32 buckets = __atomic_load_n(&view->attachment->flow_buckets, __ATOMIC_ACQUIRE);

	__atomic_store_n(&view->own.flow_buckets, buckets, __ATOMIC_RELEASE);
}

static void add(u64 *to, const u64 *now, u64 *told)
{
	u64 seen = __atomic_load_n(now, __ATOMIC_RELAXED);

	*to += seen - *told;
	*told = seen;
}

void view_add(const struct view *view, u32 thread, const struct report *report, u32 worker)
{
	const struct report_worker *now = report_worker(&view->own.report, thread);
	struct report_worker *told = report_worker(&view->told, thread);
	struct report_worker *to = report_worker(report, worker);
	u32 counters = view->own.report.counters_count < report->counters_count
			       ? view->own.report.counters_count
			       : report->counters_count;

	for (u32 i = 0; i < VERDICT_COUNT; i++)
		add(&to->verdicts[i], &now->verdicts[i], &told->verdicts[i]);
	add(&to->flows_unplaced, &now->flows_unplaced, &told->flows_unplaced);
	add(&to->exceptions_lost, &now->exceptions_lost, &told->exceptions_lost);
	add(&to->roots_refused, &now->roots_refused, &told->roots_refused);
	for (u32 i = 0; i < counters; i++) {
		add(&to->traffic[i].packets, &now->traffic[i].packets, &told->traffic[i].packets);
		add(&to->traffic[i].bytes, &now->traffic[i].bytes, &told->traffic[i].bytes);
	}
}

void views_release(struct view *oldest)
{
	struct view *view = oldest->older;

	oldest->older = NULL;
	oldest->own.older = NULL;
	while (view) {
		struct view *older = view->older;

		view_destroy(view);
		view = older;
	}
}
