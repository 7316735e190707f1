/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions: the dataplanes that are attached, over RUN_DIR/dataplane.sock.
 *
 * A session says what its dataplane is (HELLO), gets the arena, and answers with a report. From
 * then on everything is read in the report's shared memory, and the connection only tells that
 * the dataplane is still there. What a dataplane sends or writes is never trusted. */
#ifndef SHUNT_CONTROLPLANE_SESSION_H
#define SHUNT_CONTROLPLANE_SESSION_H

#include "controlplane/loop.h"
#include "controlplane/totals.h"
#include "dataplane/state/attach.h"

#define SESSIONS_MAX 16
#define SESSION_FLOWS_MAX (SESSIONS_MAX + 1)

struct sessions;

/* A dataplane has told its interfaces and waits for the arena: to be called back before it gets
 * it, so that next hops may be found first. newcomer: a process that was not here before. */
typedef void sessions_greeted_callback(void *context, bool newcomer);

/* Listens at path. totals outlive the sessions. Returns 0 or -errno. */
int sessions_open(struct loop *loop, const char *path, struct totals *totals,
		  sessions_greeted_callback *greeted, void *context, struct sessions **sessions)
	__attribute__((warn_unused_result));

/* Hangs up on all dataplanes, which forward on, and removes the socket. */
void sessions_close(struct sessions *sessions);

/* Offers an arena to every dataplane that is here and to those to come. arena_fd stays the
 * caller's, until another one is offered. */
void sessions_offer(struct sessions *sessions, int arena_fd, u64 epoch);

/* The generation that every reader of the offered arena has reached: 0 while one has not
 * reported on it, UINT64_MAX without any. */
u64 sessions_seen(const struct sessions *sessions);

/* The generation up to which all flow tables are swept. Returns false while that is unknown:
 * without any dataplane, or with one that has not reported. */
bool sessions_swept(const struct sessions *sessions, u64 *generation);

/* One dataplane's flow tables; the descriptor stays the sessions' own. */
struct session_flows {
	int fd;
	bool live; /* their dataplane is here */
};

/* All flow tables that there are, once every dataplane uses this generation or a later one.
 * Returns false while it is unknown which ones there are, or what they are written by. */
bool sessions_flows(const struct sessions *sessions, u64 generation,
		    struct session_flows list[static SESSION_FLOWS_MAX], size_t *count);

/* The interfaces of the dataplane that came last, which may have gone since; 0 before any. */
size_t sessions_ports(const struct sessions *sessions, const struct attach_port **ports);

/* One dataplane, for the views; valid until the loop's next turn. */
struct session_view {
	const struct attach_message *hello; /* its text is printable ASCII */
	const struct report *report;        /* NULL: none yet */
	bool current;                       /* the report is on the offered arena */
};

size_t sessions_list(const struct sessions *sessions,
		     struct session_view list[static SESSIONS_MAX]);

/* The lowest generation in use among a report's workers. */
u64 session_generation(const struct report *report);

#endif
