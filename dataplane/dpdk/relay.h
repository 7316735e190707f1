/* SPDX-License-Identifier: BSD-2-Clause */
/* One burst of mbufs, from a port through the pipeline and out: what the worker and the replay
 * have in common. */
#ifndef SHUNT_DPDK_RELAY_H
#define SHUNT_DPDK_RELAY_H

#include "dataplane/burst/burst.h"
#include "dataplane/burst/hold.h"
#include "dataplane/dpdk/lane.h"
#include "dataplane/dpdk/port.h"

#define RELAY_BURST 32

/* Mbufs with a destiny, and their places in the burst. */
struct relay_queue {
	u32 count;
	struct rte_mbuf *mbufs[RELAY_BURST];
	u8 places[RELAY_BURST];
};

/* One thread. */
struct relay {
	const struct ports *ports;
	u16 queue; /* of every port, to send with */
	struct env env;
	struct burst burst; /* of the last call, verdicts settled */
	struct relay_queue out[PORTS_MAX];
	struct relay_queue dropped;
	struct hold hold;          /* mbufs; where env.recent is set */
	struct lane *lane;         /* NULL: the kernel gets nothing */
	struct relay_queue passed; /* to go up the lane */
	bool beside; /* the kernel's program forwards, too, and has passed what is the kernel's */
};

/* Forwards, drops and counts `count` mbufs (at most RELAY_BURST) that came in at port; they are
 * the relay's from here on. */
void relay_burst(struct relay *relay, const struct port *port, struct rte_mbuf *const *mbufs,
		 u32 count, struct report_worker *report);

/* After a burst: relays one mbuf that was held until its first fragment came, which it did in that
 * burst, alone. Returns it, by now somebody else's; NULL where there is none. */
const struct rte_mbuf *relay_release(struct relay *relay, struct report_worker *report);

/* Drops and counts what was held in vain; beside the program, to which its first fragment may have come,
 * it is tried once more. Call it now and then. Returns the mbuf, by now somebody else's, or NULL. */
const struct rte_mbuf *relay_expire(struct relay *relay, struct report_worker *report);

/* Gives the kernel all that came in at port, unseen: without tables nothing is ours. */
void relay_pass(struct relay *relay, const struct port *port, struct rte_mbuf *const *mbufs,
		u32 count);

/* Sends what the kernel sends. */
void relay_lane_take(struct relay *relay);

/* Brings the report's counts of the lane up to date. */
void relay_lane_report(const struct relay *relay, struct report_worker *report);

#endif
