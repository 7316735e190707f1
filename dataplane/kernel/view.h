/* SPDX-License-Identifier: BSD-2-Clause */
/* An attachment as threads beside the program see it: they count in a report of their own, which the
 * main thread adds to the attachment's, for the program's counters go there, too. */
#ifndef SHUNT_KERNEL_VIEW_H
#define SHUNT_KERNEL_VIEW_H

#include "dataplane/session/attachment.h"

struct view {
	struct view *older;
	const struct attachment *attachment;
	struct attachment own; /* the same arena, and the threads' report */
	struct report told;    /* of that, what is in the attachment's already */
};

/* Returns 0 or -errno. */
int view_create(const struct attachment *attachment, struct view **out)
	__attribute__((warn_unused_result));
void view_destroy(struct view *view);

/* Destroys those that are older than this one. */
void views_release(struct view *oldest);

/* Takes over whether the flow tables may be used. */
void view_follow(struct view *view);

/* Adds to a worker's block of a report what one of the threads has counted since the last time; the view
 * may be older than the report. */
void view_add(const struct view *view, u32 thread, const struct report *report, u32 worker);

#endif
