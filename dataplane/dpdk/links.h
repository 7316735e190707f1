/* SPDX-License-Identifier: BSD-2-Clause */
/* Links that go down and devices that go away while shunt-dpdk runs, until they come back. */
#ifndef SHUNT_DPDK_LINKS_H
#define SHUNT_DPDK_LINKS_H

#include "dataplane/dpdk/machine.h"
#include "dataplane/dpdk/workers.h"

enum link_stage {
	LINK_WATCHED,
	LINK_LEAVING, /* workers may still be in a burst with the device */
	LINK_AWAITED, /* nobody uses the port, and there is no device */
};

struct link {
	struct port *port; /* NULL: nothing about it can change, or others look after it */
	enum link_stage stage;
	bool removed;    /* the kernel wants the device back: another thread of DPDK's says so */
	u64 retry_at_ms; /* when to look for it next */

	/* How it was found, by kind. */
	char driver[sizeof(((struct machine_nic *)0)->driver)];
	char iface
		[16]; /* the kernel's, which the device stands on or is: not that of the exception port */
	u32 ifindex;
	int tap_fd; /* DPDK's; -1: unknown */
};

/* The main thread's. */
struct links {
	struct ports *ports;
	struct workers *workers;
	struct link list[PORTS_MAX];
	int socket;   /* to ask the kernel of its interfaces */
	int timer_fd; /* readable when links_run() is due */
	bool restart; /* a device is back that only another process can take up */
};

/* Begins to watch ports that are open, and says what is amiss already. Returns 0 or -errno. */
int links_open(struct links *links, struct ports *ports, struct workers *workers)
	__attribute__((warn_unused_result));

/* Looks, never blocks. Returns whether shuntd should be told. */
bool links_run(struct links *links);

void links_close(struct links *links);

#endif
