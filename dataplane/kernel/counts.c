/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters live as long as the maps, and reports as long as a process. What was added to a report
 * is noted beside each counter, in a second half of the map, so that the next process goes on
 * where this one ended. */
#include "dataplane/kernel/counts.h"

#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/kernel/kernel.h"

_Static_assert(sizeof(struct kernel_count) == sizeof(struct report_traffic), "the same");

static void count_up(u64 *to, u64 now, u64 *told)
{
	*to += now - *told;
	*told = now;
}

static void worker_count_up(struct kernel_count *now, struct kernel_count *told, u32 counters_count,
			    struct report_worker *report)
{
	for (u32 i = 0; i < VERDICT_COUNT; i++)
		count_up(&report->verdicts[i], now[i].packets, &told[i].packets);
	count_up(&report->flows_unplaced, now[KERNEL_COUNT_UNPLACED].packets,
		 &told[KERNEL_COUNT_UNPLACED].packets);
	for (u32 i = 0; i < counters_count; i++) {
		u32 at = KERNEL_COUNT_TRAFFIC + i;

		count_up(&report->traffic[i].packets, now[at].packets, &told[at].packets);
		count_up(&report->traffic[i].bytes, now[at].bytes, &told[at].bytes);
	}
}

void counts_up(struct kernel_count *counts, u32 workers_count, u32 counters_count,
	       const struct report *report)
{
	u32 stride = kernel_counts_stride(counters_count);
	u64 half = (u64)workers_count * stride;
	u32 shown =
		counters_count < report->counters_count ? counters_count : report->counters_count;

	for (u32 i = 0; i < workers_count; i++) {
		u32 to = i < report->workers_count ? i : report->workers_count - 1;
		struct kernel_count *now = counts + (u64)i * stride;

		worker_count_up(now, now + half, shown, report_worker(report, to));
	}
}

static void slot_count_up(int outer_fd, u32 at, const struct kernel_control *control,
			  const struct report *report)
{
	u32 counters_count = control->tables[at].counters_count;
	u64 wanted = 2ull * control->workers_count * kernel_counts_stride(counters_count);
	struct chunks chunks = {0};

	if (chunks_open(&chunks_of_counts, outer_fd, at, &chunks) == 0 &&
	    chunks_bytes(&chunks_of_counts, &chunks) >= wanted * sizeof(struct kernel_count))
		counts_up((struct kernel_count *)chunks.base, control->workers_count,
			  counters_count, report);
	chunks_close(&chunks_of_counts, &chunks);
}

/* Both slots mostly share their counters: the second time there is nothing to add. */
void counts_up_pinned(const char *pin_dir, const struct report *report)
{
	const struct kernel_control *control = kernel_pinned_control(pin_dir);
	int outer_fd = control ? kernel_pinned_map(pin_dir, "counts") : -1;

	for (u32 i = 0; outer_fd >= 0 && i < KERNEL_SLOTS; i++)
		slot_count_up(outer_fd, i, control, report);
	if (outer_fd >= 0)
		close(outer_fd);
	if (control)
		munmap((void *)(size_t)control, sizeof(*control));
}
