/* SPDX-License-Identifier: BSD-2-Clause */
/* The main thread's conversation with shuntd, for as long as the process lives. */
#ifndef SHUNT_SESSION_SESSION_H
#define SHUNT_SESSION_SESSION_H

#include "dataplane/session/attachment.h"

/* What differs by engine. A worker is whatever forwards packets and counts in a block of the report:
 * a thread, or the kernel's program on one receive queue. */
struct session_engine {
	const char *name; /* as the configuration has it */

	/* Fills in the HELLO's ports and their count. */
	void (*describe)(void *context, struct attach_message *hello);

	/* Hands all workers an attachment, to be taken up between two packets. 0 or -errno. */
	int (*hand)(void *context, struct attachment *attachment);

	/* The oldest attachment that a worker still uses, NULL while one has none; whether all use
	 * this one. */
	struct attachment *(*oldest)(void *context, struct attachment *newest);
	bool (*all_at)(void *context, const struct attachment *attachment);

	/* Tells them, before the first attachment, where the flow tables are, and a predecessor's
	 * (NULL: none); whether one still looks into those. Not asked of an engine whose flow tables
	 * are settled before (flows_settled). */
	void (*use_flows)(void *context, const struct flow_tables *flows,
			  const struct flow_elder *elder);
	bool (*uses_elder)(void *context);
};

struct session {
	/* Set before session_open(). */
	const char *run_dir;
	const struct session_engine *engine;
	void *context;   /* the engine's */
	const char *why; /* it was chosen */
	u32 workers_count;
	struct flow_tables *flows; /* NULL: forward statelessly */
	bool flows_in_use;         /* before the first arena already: they are cleared only later */

	/* Its own. */
	int epoll_fd; /* readable when session_run() has something to do */
	int socket;
	int timer_fd;
	u64 retry_at_ms;
	bool flows_settled; /* ours, or a predecessor's: decided with the first arena; may be set
			     * before session_open() */
	struct flow_elder elder;   /* a predecessor's tables, while they may hold a live flow */
	struct attachment *newest; /* handed to the workers; older ones hang on it */
	bool unanswered;           /* shuntd has no report of it yet */
	bool answered;             /* shuntd has one by this connection */
	char said[512];            /* last complaint: the same one isn't repeated */
};

/* Begins to call shuntd. Returns 0 or -errno. */
int session_open(struct session *session) __attribute__((warn_unused_result));

/* Does what is due; never blocks. */
void session_run(struct session *session);

/* Calls shuntd anew, which so learns of ports that have changed. */
void session_recall(struct session *session);

/* Tells shuntd anew how ports carry traffic, if it knows already; neither their MAC nor MTU. */
void session_retell(struct session *session);

/* The workers have to be stopped before. */
void session_close(struct session *session);

#endif
