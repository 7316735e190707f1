/* SPDX-License-Identifier: BSD-2-Clause */
/* Routes are asked for, links and neighbours are remembered. The kernel's routing decision has
 * rules, metrics, multipath and exceptions that nobody should rebuild, and asking for it costs a
 * few microseconds; but it doesn't name the MAC, and that is what changes. So links and
 * neighbours are dumped once and followed by multicast, and whatever touches routing only says
 * "ask again".
 *
 * The stream of changes may overrun its socket. Then the kernel drops messages until the socket
 * is empty, so it is drained first and everything is dumped after: nothing can fall between.
 *
 * One timer runs only while a wanted neighbour is unsettled: it prods the kernel again and ends
 * the time for which a lost MAC is held. */
#include "controlplane/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "controlplane/netlink_ask.h"
#include "controlplane/netlink_cache.h"

#define TICK_MS 100
#define PROD_INTERVAL_MS 1000
#define RECEIVE_BUFFER_BYTES (4 << 20)
#define CHANGES_BYTES 32768

struct netlink {
	struct loop *loop;
	netlink_callback *on_change;
	void *context;
	struct mnl_socket *changes;
	struct asker *asker;
	struct cache cache;
	u64 change_timer, tick_timer; /* 0: not running */
	bool unprivileged;            /* the kernel refused an order */
	bool stale;                   /* a dump failed and must be repeated */
	size_t unsettled;             /* counted by a tick */
	bool expired;                 /* found by a tick */
	u64 overruns;
	_Alignas(struct nlmsghdr) char buffer[CHANGES_BYTES];
};

static void tick(void *context);

/* ---- telling ---- */

static void change_tell(void *context)
{
	struct netlink *netlink = context;

	netlink->change_timer = 0;
	netlink->on_change(netlink->context);
}

/* Through a timer of no delay, so that many causes in one turn make one call. */
static void change_note(struct netlink *netlink)
{
	if (netlink->change_timer)
		return;
	netlink->change_timer = loop_timer_add(netlink->loop, 0, 0, change_tell, netlink);
	if (!netlink->change_timer)
		netlink->on_change(netlink->context);
}

static void tick_start(struct netlink *netlink)
{
	if (!netlink->tick_timer)
		netlink->tick_timer =
			loop_timer_add(netlink->loop, TICK_MS, TICK_MS, tick, netlink);
}

/* ---- following ---- */

static void dump_message(void *context, const struct nlmsghdr *message)
{
	struct netlink *netlink = context;

	if (message->nlmsg_type == RTM_NEWLINK)
		(void)cache_link_take(&netlink->cache, message);
	else if (message->nlmsg_type == RTM_NEWNEIGH)
		(void)cache_neighbour_take(&netlink->cache, message, loop_now_ms(netlink->loop));
}

/* Reads everything anew; a failure leaves what is known and is made up for by a tick. */
static int everything_read(struct netlink *netlink)
{
	cache_dump_begin(&netlink->cache);
	int status = asker_dump(netlink->asker, RTM_GETLINK, dump_message, netlink);
	if (status == 0)
		status = asker_dump(netlink->asker, RTM_GETNEIGH, dump_message, netlink);
	if (status == 0)
		cache_dump_end(&netlink->cache, loop_now_ms(netlink->loop));
	netlink->stale = status != 0;
	return status;
}

static bool change_take(struct netlink *netlink, const struct nlmsghdr *message)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return cache_link_take(&netlink->cache, message);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return cache_neighbour_take(&netlink->cache, message, loop_now_ms(netlink->loop));
	case RTM_NEWROUTE:
	case RTM_DELROUTE: /* a cached clone follows from a route, it makes none */
		return mnl_nlmsg_get_payload_len(message) >= sizeof(*route) &&
		       !(route->rtm_flags & RTM_F_CLONED);
	case RTM_NEWADDR:
	case RTM_DELADDR:
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		return true;
	}
	return false;
}

static void changes_drain(void *context, int fd, u32 events)
{
	struct netlink *netlink = context;
	bool changed = false, overrun = false;

	for (;;) {
		ssize_t received = mnl_socket_recvfrom(netlink->changes, netlink->buffer,
						       sizeof(netlink->buffer));
		if (received < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
			overrun = true;
			continue;
		}
		if (received < 0 && errno == EINTR)
			continue;
		if (received <= 0)
			break;
		int len = (int)received;
		const struct nlmsghdr *next = (const void *)netlink->buffer;
		for (; mnl_nlmsg_ok(next, len); next = mnl_nlmsg_next(next, &len))
			changed |= change_take(netlink, next);
	}
	if (overrun) {
		netlink->overruns++;
		(void)everything_read(netlink);
	}
	if (changed || overrun)
		change_note(netlink);
	tick_start(netlink);
}

/* ---- keeping neighbours alive ---- */

static const char *link_reason(const struct link *link)
{
	if (!link)
		return "link unknown";
	if (!(link->flags & IFF_UP) || !(link->flags & IFF_RUNNING))
		return "link down";
	if (link->type != ARPHRD_ETHER)
		return "link is not Ethernet";
	return NULL;
}

static void neighbour_prod(struct netlink *netlink, struct neighbour *neighbour)
{
	u64 now_ms = loop_now_ms(netlink->loop);

	if (neighbour->foreign || (neighbour->prodded && neighbour_settled(neighbour)) ||
	    (neighbour->prodded && now_ms - neighbour->prodded_at_ms < PROD_INTERVAL_MS) ||
	    link_reason(cache_link_by_index(&netlink->cache, neighbour->ifindex)))
		return;
	neighbour->prodded = true;
	neighbour->prodded_at_ms = now_ms;
	if (!netlink->unprivileged) {
		int status = asker_neighbour_prod(netlink->asker, neighbour->ifindex,
						  &neighbour->addr, true);
		if (status == 0 && !neighbour->managed)
			neighbour->managed_by_us = true;
		netlink->unprivileged = status == -EPERM;
	}
	if (netlink->unprivileged && !neighbour_settled(neighbour))
		asker_neighbour_datagram(netlink->asker, neighbour->ifindex, &neighbour->addr);
}

static void neighbour_tick(void *context, struct neighbour *neighbour)
{
	struct netlink *netlink = context;

	if (neighbour_expire(neighbour, loop_now_ms(netlink->loop), NETLINK_HOLD_MS))
		netlink->expired = true;
	if (neighbour_settled(neighbour))
		return;
	netlink->unsettled++;
	neighbour_prod(netlink, neighbour);
}

static void tick(void *context)
{
	struct netlink *netlink = context;

	netlink->unsettled = 0;
	netlink->expired = false;
	if (netlink->stale)
		netlink->expired = everything_read(netlink) == 0;
	cache_each_wanted(&netlink->cache, neighbour_tick, netlink);
	if (netlink->expired)
		change_note(netlink);
	if (netlink->unsettled == 0 && !netlink->stale) {
		loop_timer_cancel(netlink->loop, netlink->tick_timer);
		netlink->tick_timer = 0;
	}
}

static void neighbour_release(struct netlink *netlink, struct neighbour *neighbour)
{
	if (neighbour->managed_by_us && !neighbour->foreign)
		(void)!asker_neighbour_prod(netlink->asker, neighbour->ifindex, &neighbour->addr,
					    false);
	cache_neighbour_unwant(&netlink->cache, neighbour);
}

/* One whose MAC is held stays to the end of that time: its route may have gone for a moment. */
static void neighbour_release_unasked(void *context, struct neighbour *neighbour)
{
	bool held = neighbour->has_mac && !neighbour->valid;

	if (!neighbour->asked && !held)
		neighbour_release(context, neighbour);
	else
		neighbour->asked = false;
}

static void neighbour_release_any(void *context, struct neighbour *neighbour)
{
	neighbour_release(context, neighbour);
}

void netlink_release_unasked(struct netlink *netlink)
{
	cache_each_wanted(&netlink->cache, neighbour_release_unasked, netlink);
}

/* ---- answering ---- */

/* NULL where the status means that the kernel could not be asked. */
static const char *refusal_reason(int status)
{
	switch (status) {
	case -ENETUNREACH:
	case -EHOSTUNREACH:
	case -EAFNOSUPPORT:
	case -EOPNOTSUPP:
		return "no route";
	case -EACCES:
		return "route prohibits";
	case -EINVAL:
		return "route is a blackhole";
	}
	return NULL;
}

static const char *route_reason(const struct route *route)
{
	if (route->type == RTN_LOCAL)
		return "address is this machine's own";
	if (route->type != RTN_UNICAST)
		return "route is not unicast";
	if (route->encapsulated)
		return "route encapsulates";
	return NULL;
}

static u16 mtu_narrow(u32 mtu)
{
	return mtu > UINT16_MAX ? UINT16_MAX : (u16)mtu;
}

static void nexthop_fill(struct nexthop *out, const struct route *route, const struct link *link)
{
	out->ifindex = route->ifindex;
	out->preferred_source = route->preferred_source;
	if (!link)
		return;
	memcpy(out->ifname, link->name, sizeof(out->ifname));
	memcpy(out->link_mac, link->mac, sizeof(out->link_mac));
	out->mtu = mtu_narrow(route->mtu && route->mtu < link->mtu ? route->mtu : link->mtu);
}

int netlink_nexthop(struct netlink *netlink, const struct addr *dest, struct nexthop *out)
{
	struct route route;
	int status = asker_route(netlink->asker, dest, &route);

	memset(out, 0, sizeof(*out));
	if (status) {
		out->reason = refusal_reason(status);
		return out->reason ? 0 : status;
	}
	const struct link *link = cache_link_by_index(&netlink->cache, route.ifindex);
	nexthop_fill(out, &route, link);
	out->gateway = addr_is_zero(&route.gateway) ? *dest : route.gateway;
	out->reason = route_reason(&route);
	if (!out->reason)
		out->reason = link_reason(link);
	if (out->reason)
		return 0;

	struct neighbour *neighbour =
		cache_neighbour_want(&netlink->cache, route.ifindex, &out->gateway);
	if (!neighbour)
		return -ENOMEM;
	neighbour_prod(netlink, neighbour);
	if (!neighbour_settled(neighbour))
		tick_start(netlink);
	out->reachable = neighbour->has_mac;
	if (out->reachable)
		memcpy(out->mac, neighbour->mac, sizeof(out->mac));
	else
		out->reason = "neighbour unresolved";
	return 0;
}

int netlink_link(const struct netlink *netlink, const char *ifname, u8 mac[static 6], u16 *mtu,
		 int *ifindex)
{
	const struct link *link = cache_link_by_name(&netlink->cache, ifname);

	if (!link)
		return -ENODEV;
	memcpy(mac, link->mac, sizeof(link->mac));
	*mtu = mtu_narrow(link->mtu);
	*ifindex = link->ifindex;
	return 0;
}

u64 netlink_overruns(const struct netlink *netlink)
{
	return netlink->overruns;
}

/* ---- opening ---- */

/* A large buffer makes overruns rare; only a privileged process may exceed the system's limit. */
static void receive_buffer_grow(int fd)
{
	int bytes = RECEIVE_BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

static int changes_open(struct netlink *netlink)
{
	static const int groups[] = {
		RTNLGRP_LINK,        RTNLGRP_NEIGH,      RTNLGRP_IPV4_IFADDR,
		RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
		RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,  RTNLGRP_NEXTHOP,
	};

	netlink->changes = mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!netlink->changes || mnl_socket_bind(netlink->changes, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	receive_buffer_grow(mnl_socket_get_fd(netlink->changes));
	for (size_t at = 0; at < sizeof(groups) / sizeof(groups[0]); at++) {
		int group = groups[at];
		if (mnl_socket_setsockopt(netlink->changes, NETLINK_ADD_MEMBERSHIP, &group,
					  sizeof(group)) < 0 &&
		    group != RTNLGRP_NEXTHOP)
			return -errno; /* before Linux 5.3 there are no nexthop objects to miss */
	}
	return 0;
}

int netlink_open(struct loop *loop, netlink_callback *on_change, void *context,
		 struct netlink **out)
{
	struct netlink *netlink = calloc(1, sizeof(*netlink));
	int status;

	*out = NULL;
	if (!netlink)
		return -ENOMEM;
	netlink->loop = loop;
	netlink->on_change = on_change;
	netlink->context = context;
	status = asker_open(&netlink->asker);
	if (status == 0)
		status = changes_open(netlink);
	if (status == 0) /* after subscribing, so that nothing falls between */
		status = everything_read(netlink);
	if (status == 0)
		status = loop_add(loop, mnl_socket_get_fd(netlink->changes), EPOLLIN | EPOLLET,
				  changes_drain, netlink);
	if (status == 0)
		*out = netlink;
	else
		netlink_close(netlink);
	return status;
}

void netlink_close(struct netlink *netlink)
{
	if (!netlink)
		return;
	loop_timer_cancel(netlink->loop, netlink->change_timer);
	loop_timer_cancel(netlink->loop, netlink->tick_timer);
	cache_each_wanted(&netlink->cache, neighbour_release_any, netlink);
	cache_clear(&netlink->cache);
	if (netlink->changes) {
		loop_remove(netlink->loop, mnl_socket_get_fd(netlink->changes));
		mnl_socket_close(netlink->changes);
	}
	asker_close(netlink->asker);
	free(netlink);
}
