/* SPDX-License-Identifier: BSD-2-Clause */
/* Next hops as the kernel sees them: which interface, which gateway, which MAC.
 *
 * shunt routes nothing by itself: it asks the kernel where a packet to a backend would go and
 * keeps the neighbours on the way alive, since forwarded traffic passes the kernel by and so
 * never confirms them. The caller asks netlink_nexthop for everything it wants, and again for
 * everything after on_change. One thread: the loop's. */
#ifndef SHUNT_CONTROLPLANE_NETLINK_H
#define SHUNT_CONTROLPLANE_NETLINK_H

#include "controlplane/loop.h"
#include "dataplane/core/addr.h"

/* A neighbour that stopped answering keeps its last MAC for so long. */
#define NETLINK_HOLD_MS 5000

struct netlink;

/* Fields are filled as far as the way is known; the rest is zero. */
struct nexthop {
	bool reachable;
	int ifindex;
	char ifname[16];
	u8 mac[6];           /* where the frame goes: the gateway, or the destination itself */
	u8 link_mac[6];      /* the interface's own */
	u16 mtu;             /* bytes of the IP packet: the route's metric where it is lower */
	struct addr gateway; /* the destination itself where it is on the link */
	struct addr preferred_source; /* zero: none */
	const char *reason;           /* static text when not reachable, else NULL */
};

typedef void netlink_callback(void *context);

/* Reads the kernel's links and neighbours and follows their changes. on_change is called, at
 * most once a loop turn, when an answer may have changed: by a link, a neighbour that was asked
 * for, a route, rule or address; it must not call netlink_close. Needs no privilege.
 * Returns 0 or -errno. */
int netlink_open(struct loop *loop, netlink_callback *on_change, void *context,
		 struct netlink **netlink) __attribute__((warn_unused_result));

/* Also ends the keeping alive of the neighbours that netlink_nexthop began. */
void netlink_close(struct netlink *netlink);

/* The way to dest. Where the neighbour on it isn't known or not fresh, its resolution is begun,
 * and it is kept alive from now on: as a managed neighbour (Linux 5.16), by a prod whenever it
 * goes stale before that, by an empty datagram to its port 9 without CAP_NET_ADMIN.
 * Returns 0, which includes out->reachable being false, or -errno when the kernel could not be
 * asked. */
int netlink_nexthop(struct netlink *netlink, const struct addr *dest, struct nexthop *out)
	__attribute__((warn_unused_result));

/* To be called after all that is wanted was asked for: neighbours that were not asked for since
 * the last such call are no longer kept alive. */
void netlink_release_unasked(struct netlink *netlink);

/* An interface by name. Returns 0 or -ENODEV. */
int netlink_link(const struct netlink *netlink, const char *ifname, u8 mac[static 6], u16 *mtu,
		 int *ifindex) __attribute__((warn_unused_result));

/* How often the kernel had more to tell than the socket could hold, and all was read anew. */
u64 netlink_overruns(const struct netlink *netlink);

#endif
