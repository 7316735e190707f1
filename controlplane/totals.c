/* SPDX-License-Identifier: BSD-2-Clause */
/* A total is a base plus the sum over all reports that are mapped, in arithmetic modulo 2^64, so
 * a base may as well be negative: taking an old owner's counts off a counter is subtracting what
 * it shows now.
 *
 * The report of a dataplane that hung up stays mapped and counted. Where the same process calls
 * again it carries its counts over into a new report, and they would be counted twice if they had
 * been moved into the base already. A process that is gone for good costs some memory until
 * LEFT_MAX others have gone after it. */
#include "controlplane/totals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEFT_MAX 4

struct member {
	struct member *next; /* newest first */
	struct report report;
	u32 pid;
	bool left;
};

struct totals {
	struct member *members;
	u64 verdicts[VERDICT_COUNT];    /* base */
	struct report_traffic *traffic; /* base, by counter */
	u64 *owners;
	u32 counters_count;
};

int totals_create(struct totals **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

static void member_free(struct totals *totals, struct member *member)
{
	struct member **at = &totals->members;

	while (*at != member)
		at = &(*at)->next;
	*at = member->next;
	report_destroy(&member->report);
	free(member);
}

void totals_destroy(struct totals *totals)
{
	if (!totals)
		return;
	while (totals->members)
		member_free(totals, totals->members);
	free(totals->traffic);
	free(totals->owners);
	free(totals);
}

/* --- Reading a report ---------------------------------------------------------------- */

static u64 read_live(const u64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static u64 report_verdict(const struct report *report, u32 verdict)
{
	u64 sum = 0;

	for (u32 i = 0; i < report->workers_count; i++)
		sum += read_live(&report_worker(report, i)->verdicts[verdict]);
	return sum;
}

static struct report_traffic report_traffic(const struct report *report, u32 counter)
{
	struct report_traffic sum = {0};

	if (counter >= report->counters_count)
		return sum;
	for (u32 i = 0; i < report->workers_count; i++) {
		const struct report_traffic *traffic = &report_worker(report, i)->traffic[counter];

		sum.packets += read_live(&traffic->packets);
		sum.bytes += read_live(&traffic->bytes);
	}
	return sum;
}

/* --- Bases --------------------------------------------------------------------------- */

static int counters_grow(struct totals *totals, u32 needed)
{
	u32 count = totals->counters_count ? totals->counters_count : 256;
	struct report_traffic *traffic;
	u64 *owners;

	if (needed <= totals->counters_count)
		return 0;
	while (count < needed)
		count *= 2;
	traffic = reallocarray(totals->traffic, count, sizeof(*traffic));
	if (!traffic)
		return -ENOMEM;
	totals->traffic = traffic;
	owners = reallocarray(totals->owners, count, sizeof(*owners));
	if (!owners)
		return -ENOMEM;
	totals->owners = owners;
	for (u32 i = totals->counters_count; i < count; i++) {
		traffic[i] = (struct report_traffic){0};
		owners[i] = 0;
	}
	totals->counters_count = count;
	return 0;
}

static u64 lost(u64 before, u64 now)
{
	return before > now ? before - now : 0;
}

/* Keeps in the bases what `before` counted and `after` (NULL: nobody) does not show. */
static void keep_lost(struct totals *totals, const struct report *before,
		      const struct report *after)
{
	for (u32 i = 0; i < VERDICT_COUNT; i++)
		totals->verdicts[i] +=
			lost(report_verdict(before, i), after ? report_verdict(after, i) : 0);
	for (u32 i = 0; i < totals->counters_count; i++) {
		struct report_traffic old = report_traffic(before, i), now = {0};

		if (after)
			now = report_traffic(after, i);
		totals->traffic[i].packets += lost(old.packets, now.packets);
		totals->traffic[i].bytes += lost(old.bytes, now.bytes);
	}
}

/* --- Coming and going ---------------------------------------------------------------- */

static struct member *member_before(struct totals *totals, u32 pid, const struct report *before)
{
	for (struct member *member = totals->members; member; member = member->next)
		if (before ? &member->report == before : member->left && member->pid == pid)
			return member;
	return NULL;
}

const struct report *totals_join(struct totals *totals, u32 pid, const struct report *before,
				 const struct report *report)
{
	struct member *old = member_before(totals, pid, before);
	struct member *member = calloc(1, sizeof(*member));

	if (!member)
		return NULL;
	if (old) {
		keep_lost(totals, &old->report, report);
		member_free(totals, old);
	}
	member->report = *report;
	member->pid = pid;
	member->next = totals->members;
	totals->members = member;
	return &member->report;
}

void totals_leave(struct totals *totals, const struct report *report)
{
	struct member *oldest = NULL;
	size_t left = 0;

	for (struct member *member = totals->members; member; member = member->next) {
		if (&member->report == report)
			member->left = true;
		if (member->left) {
			oldest = member;
			left++;
		}
	}
	if (left > LEFT_MAX) {
		keep_lost(totals, &oldest->report, NULL);
		member_free(totals, oldest);
	}
}

int totals_own(struct totals *totals, u32 counter, u64 owner)
{
	struct report_traffic now;
	int err = counters_grow(totals, counter + 1);

	if (err)
		return err;
	if (totals->owners[counter] == owner)
		return 0;
	now = totals_traffic(totals, counter);
	totals->traffic[counter].packets -= now.packets;
	totals->traffic[counter].bytes -= now.bytes;
	totals->owners[counter] = owner;
	return 0;
}

/* --- Reading ------------------------------------------------------------------------- */

u64 totals_verdict(const struct totals *totals, enum verdict verdict)
{
	u64 sum = totals->verdicts[verdict];

	for (const struct member *member = totals->members; member; member = member->next)
		sum += report_verdict(&member->report, verdict);
	return sum;
}

struct report_traffic totals_traffic(const struct totals *totals, u32 counter)
{
	struct report_traffic sum = {0};

	if (counter < totals->counters_count)
		sum = totals->traffic[counter];
	for (const struct member *member = totals->members; member; member = member->next) {
		struct report_traffic one = report_traffic(&member->report, counter);

		sum.packets += one.packets;
		sum.bytes += one.bytes;
	}
	return sum;
}
