/* SPDX-License-Identifier: BSD-2-Clause */
/* The main thread's conversation with shuntd, for as long as the process lives. */
#ifndef SHUNT_DPDK_SESSION_H
#define SHUNT_DPDK_SESSION_H

#include "dataplane/dpdk/workers.h"

struct session {
	/* Set before session_open(). */
	const char *run_dir;
	const struct ports *ports;
	struct workers *workers;
	struct flow_tables *flows; /* NULL: forward statelessly */

	/* Its own. */
	int epoll_fd; /* readable when session_run() has something to do */
	int socket;
	int timer_fd;
	u64 retry_at_ms;
	bool flows_settled;        /* ours, or a predecessor's: decided with the first arena */
	struct flow_elder elder;   /* a predecessor's tables, while they may hold a live flow */
	struct attachment *newest; /* handed to the workers; older ones hang on it */
	bool unanswered;           /* shuntd has no report of it yet */
	char said[512];            /* last complaint: the same one isn't repeated */
};

/* Says who we are: the HELLO of these ports and their workers. */
struct attach_message;
void session_hello(const struct ports *ports, u64 epoch_seen, struct attach_message *hello);

/* Begins to call shuntd. Returns 0 or -errno. */
int session_open(struct session *session) __attribute__((warn_unused_result));

/* Does what is due; never blocks. */
void session_run(struct session *session);

/* The workers have to be stopped before. */
void session_close(struct session *session);

#endif
