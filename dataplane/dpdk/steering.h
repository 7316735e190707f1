/* SPDX-License-Identifier: BSD-2-Clause */
/* shunt's own program under DPDK's AF_XDP sockets: it steers to them what is for a service, and forwards
 * by itself what they have no room or time for. The main thread's. */
#ifndef SHUNT_DPDK_STEERING_H
#define SHUNT_DPDK_STEERING_H

#include "config/config.h"
#include "dataplane/dpdk/workers.h"
#include "dataplane/session/session.h"

struct steering;

/* Decides whether there is anything to steer, which it says where one might have thought so; if there
 * is, loads the program over the pinned tables, and has DPDK make sockets without a program of their own.
 * Before DPDK starts. *steering is NULL where the program has no part. Returns an exit status. */
int steering_open(struct steering **steering, const struct config_dataplane *config,
		  struct ports *ports, const char *pin_dir) __attribute__((warn_unused_result));

/* Joins workers, which don't run yet, and their sockets to the program. Returns an exit status. */
int steering_join(struct steering *steering, struct workers *workers)
	__attribute__((warn_unused_result));

/* Fills in what a session needs of it in place of what DPDK's workers alone would have. */
void steering_session(struct steering *steering, struct session *session, bool no_flows);

/* Readable when steering_run() has something to do. That returns whether to go on, and has the session
 * tell shuntd of interfaces that have changed. */
int steering_epoll_fd(const struct steering *steering);
bool steering_run(struct steering *steering, struct session *session);

/* Has the program steer no more, and waits until the workers have taken what it did; they can be
 * stopped then. steering_end() after that counts the last packets. */
void steering_stop(struct steering *steering);
void steering_end(struct steering *steering);

/* DPDK's sockets are closed before. */
void steering_close(struct steering *steering);

#endif
