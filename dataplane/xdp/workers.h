/* SPDX-License-Identifier: BSD-2-Clause */
/* All workers with sockets, as the main thread sees them. */
#ifndef SHUNT_XDP_WORKERS_H
#define SHUNT_XDP_WORKERS_H

#include "dataplane/kernel/kernel.h"
#include "dataplane/xdp/worker.h"

struct workers {
	struct worker *list;
	u32 count;
	struct queue *queues; /* of all, as the program numbers its workers */
	u32 queues_count;
	struct view *views; /* newest first */
	u64 *starved;       /* of each queue, as last seen */
	u64 generation;     /* of the program's tables */
	u32 looks;          /* at the sockets' statistics */
	bool stopped;
};

/* Opens a socket on every receive queue of every interface; nothing comes in yet. `buffers_count` is
 * for each queue, a power of two. Returns 0; or -errno with a sentence in text, and nothing is
 * left. */
int workers_open(struct workers *workers, const struct hooks *hooks, u32 buffers_count, bool busily,
		 char *text, size_t text_bytes) __attribute__((warn_unused_result));

/* Joins them to the program's memory. Returns 0 or -errno. */
int workers_join_kernel(struct workers *workers, const struct kernel *kernel)
	__attribute__((warn_unused_result));

/* Hands all of them an attachment, and has the program steer to those whose device lets it. Returns
 * 0, or -errno of one that does not start. */
int workers_hand(struct workers *workers, const struct attachment *attachment)
	__attribute__((warn_unused_result));

/* The oldest attachment that one of them may still use, NULL while one uses none yet; whether all use
 * this one. */
const struct attachment *workers_oldest(const struct workers *workers);
bool workers_all_at(const struct workers *workers, const struct attachment *attachment);

/* Adds to the report what they have counted since the last time, and says what carries traffic.
 * `generation` is the program's. */
void workers_tell(struct workers *workers, const struct report *report, u64 generation);

/* Has the program steer no more, and ends them when they have sent what came. */
void workers_stop(struct workers *workers, struct kernel *kernel);

/* Closes the sockets. */
void workers_close(struct workers *workers);

#endif
