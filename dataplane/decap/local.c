/* SPDX-License-Identifier: BSD-2-Clause */
/* A VIP is local if the kernel would take its packets for its own. Who decides that is the routing
 * table `local`: the kernel keeps an entry there for each address, and `ip route add local` adds
 * whole prefixes, which are no addresses at all. So that table is what is read, and not the list of
 * addresses.
 *
 * The programs could ask the kernel for each packet (bpf_fib_lookup). But that helper answers
 * "forwarding is off" before it looks, and a backend seldom forwards; and where it does look, its
 * answer for a local address is the one for no route at all.
 *
 * A change only says "read anew". The kernel drops messages when a socket is full, and says so once
 * it is read; so it is drained first and the table is read after: nothing can fall between. */
#include "dataplane/decap/local.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/session/message.h"

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

enum { BUFFER_BYTES = 32768 };

struct local {
	struct mnl_socket *changes;
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
};

struct reading {
	local_callback *callback;
	void *context;
	int status;
};

/* --- One entry ------------------------------------------------------------------------ */

static int attribute_note(const struct nlattr *attribute, void *context)
{
	const struct nlattr **attributes = context;
	u32 type = mnl_attr_get_type(attribute);

	if (type <= RTA_MAX)
		attributes[type] = attribute;
	return MNL_CB_OK;
}

/* Returns whether a message is about a route by which packets are the host's own. */
static bool route_read(const struct nlmsghdr *message, struct addr *addr, bool *is_v4,
		       u32 *len_bits)
{
	const struct nlattr *attributes[RTA_MAX + 1] = {};
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	u32 table;

	if (message->nlmsg_type != RTM_NEWROUTE && message->nlmsg_type != RTM_DELROUTE)
		return false;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*route) || route->rtm_type != RTN_LOCAL ||
	    (route->rtm_family != AF_INET && route->rtm_family != AF_INET6))
		return false;
	mnl_attr_parse(message, sizeof(*route), attribute_note, attributes);
	table = attributes[RTA_TABLE] ? mnl_attr_get_u32(attributes[RTA_TABLE]) : route->rtm_table;
	if (table != RT_TABLE_LOCAL)
		return false;
	*is_v4 = route->rtm_family == AF_INET;
	*len_bits = route->rtm_dst_len + (*is_v4 ? 96 : 0);
	*addr = (struct addr){};
	if (attributes[RTA_DST])
		memcpy(*is_v4 ? addr->bytes + 12 : addr->bytes,
		       mnl_attr_get_payload(attributes[RTA_DST]), *is_v4 ? 4 : 16);
	if (*is_v4)
		addr->words[2] = ADDR_V4_MARK;
	return *len_bits <= 128;
}

/* --- The whole list ------------------------------------------------------------------- */

static int dump_message(const struct nlmsghdr *message, void *context)
{
	struct reading *reading = context;
	struct addr addr;
	u32 len_bits;
	bool is_v4;

	if (!route_read(message, &addr, &is_v4, &len_bits))
		return MNL_CB_OK;
	reading->status = reading->callback(reading->context, &addr, is_v4, len_bits);
	return reading->status == 0 ? MNL_CB_OK : MNL_CB_ERROR;
}

static int family_dump(struct mnl_socket *socket, u8 family, struct reading *reading)
{
	_Alignas(struct nlmsghdr) char buffer[BUFFER_BYTES];
	u32 sequence = (u32)time(NULL), port = mnl_socket_get_portid(socket);
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(request, sizeof(*route));
	int status = MNL_CB_OK;

	request->nlmsg_type = RTM_GETROUTE;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = sequence;
	/* A kernel that checks strictly filters by these: a host may know a million other routes. */
	*route = (struct rtmsg){.rtm_family = family,
				.rtm_table = RT_TABLE_LOCAL,
				.rtm_type = RTN_LOCAL};
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (status == MNL_CB_OK) {
		ssize_t n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (n < 0)
			return -errno;
		status = mnl_cb_run(buffer, (size_t)n, sequence, port, dump_message, reading);
	}
	if (reading->status != 0)
		return reading->status;
	return status < 0 ? -errno : 0;
}

int local_read(local_callback *callback, void *context)
{
	struct reading reading = {.callback = callback, .context = context};
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int status;

	if (!socket)
		return -errno;
	(void)mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &(int){1}, sizeof(int));
	status = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	if (status == 0)
		status = family_dump(socket, AF_INET, &reading);
	if (status == 0)
		status = family_dump(socket, AF_INET6, &reading);
	/* Without IPv6 there is nothing to dump. */
	if (status == -EAFNOSUPPORT || status == -EOPNOTSUPP)
		status = 0;
	mnl_socket_close(socket);
	return status;
}

/* --- Following ------------------------------------------------------------------------ */

int local_open(struct local **result)
{
	struct local *local = calloc(1, sizeof(*local));
	int status = 0;

	if (!local)
		return -ENOMEM;
	local->changes = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!local->changes ||
	    mnl_socket_bind(local->changes, RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_LINK,
			    MNL_SOCKET_AUTOPID) < 0)
		status = -errno;
	if (status != 0) {
		message("cannot follow the addresses of this host: %s", strerror(-status));
		local_close(local);
		return status;
	}
	*result = local;
	return 0;
}

void local_close(struct local *local)
{
	if (local->changes)
		mnl_socket_close(local->changes);
	free(local);
}

int local_fd(const struct local *local)
{
	return mnl_socket_get_fd(local->changes);
}

static int change_message(const struct nlmsghdr *message, void *context)
{
	bool *changed = context;
	struct addr addr;
	u32 len_bits;
	bool is_v4;

	*changed |=
		message->nlmsg_type == RTM_DELLINK || route_read(message, &addr, &is_v4, &len_bits);
	return MNL_CB_OK;
}

bool local_changed(struct local *local)
{
	bool changed = false;

	for (;;) {
		ssize_t n = mnl_socket_recvfrom(local->changes, local->buffer, BUFFER_BYTES);

		if (n >= 0)
			(void)mnl_cb_run(local->buffer, (size_t)n, 0, 0, change_message, &changed);
		else if (errno == ENOBUFS)
			changed = true;
		else if (errno != EINTR)
			return changed;
	}
}
