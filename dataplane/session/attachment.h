/* SPDX-License-Identifier: BSD-2-Clause */
/* An arena that shuntd handed over, with the report that answers it: what a worker works with,
 * replaced as a whole. Workers only read it, but for their own blocks of the report. */
#ifndef SHUNT_SESSION_ATTACHMENT_H
#define SHUNT_SESSION_ATTACHMENT_H

#include "dataplane/state/arena.h"
#include "dataplane/state/attach.h"
#include "dataplane/state/flow_table.h"
#include "dataplane/state/report.h"

struct attachment {
	struct attachment *older; /* not yet released; the main thread's */
	struct arena_view arena;
	struct report report;
	u64 incarnation;
	u32 flow_buckets; /* 0 while the flow table is another incarnation's; set once, atomically */
};

/* Maps the arena behind a descriptor (which stays the caller's) and makes its report for so many
 * workers. Returns 0, or -errno with a sentence in text. */
int attachment_create(int arena_fd, u32 workers_count, struct attachment **attachment, char *text,
		      size_t text_bytes) __attribute__((warn_unused_result));
void attachment_destroy(struct attachment *attachment);

/* Answers an ATTACH_ARENA with a REPORT that is prepared but for what follows from the attachment: a
 * read-only descriptor of the report and the deposit of the flow
 * tables (NULL: there are none). Returns 0 or -errno. */
int attachment_answer(int socket, struct attach_message *answer,
		      const struct attachment *attachment, const struct flow_tables *flows)
	__attribute__((warn_unused_result));

#endif
