/* SPDX-License-Identifier: BSD-2-Clause */
/* The exception port: the kernel's share of a wire that shunt has taken as a whole. */
#ifndef SHUNT_DPDK_EXCEPTION_H
#define SHUNT_DPDK_EXCEPTION_H

#include "dataplane/session/announce.h"
#include "dataplane/dpdk/lane.h"
#include "dataplane/dpdk/port.h"

struct worker;

struct exception_tap {
	struct port *port;
	int fd;    /* -1: deleted by someone */
	bool more; /* frames may be waiting: the edge was seen, the queue not emptied */
	bool carrier;
	bool oversize_said;
};

/* The main thread's. */
struct exception {
	struct ports *ports;
	const struct worker *first; /* sends what the kernel sends; its tables are followed */
	struct lane *lanes;         /* a worker each */
	u32 lanes_count;
	struct exception_tap taps[PORTS_MAX]; /* by port; port NULL: none */
	u32 taps_count;
	struct announcer announcer;
	bool was_down[PORTS_MAX]; /* a port's link, when last looked at */
	struct rte_mbuf *spare;   /* taken from the pool and not used */
	u32 idle_looks;           /* in a row that found nothing */
	u64 slow_at_ms;           /* when to look at what changes seldom */
	int epoll_fd; /* readable when the kernel sends; -1: there is nothing to do, ever */
};

/* Gives the kernel an interface for each port that it has a share in, and says what it can't
 * give. Lanes are made and mbufs taken from ports->kernel_pool. Returns 0 or -errno. */
int exception_open(struct exception *exception, struct ports *ports, struct lane *lanes,
		   u32 lanes_count) __attribute__((warn_unused_result));

/* How long to sleep until the next look, or -1: for ever. */
int exception_wait_ms(const struct exception *exception);

/* Looks, and does what is due; never blocks. `readable`: epoll_fd is. */
void exception_run(struct exception *exception, bool readable);

/* The workers have stopped before. The interfaces stay, with their addresses and routes. */
void exception_close(struct exception *exception);

#endif
