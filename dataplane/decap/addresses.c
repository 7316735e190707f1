/* SPDX-License-Identifier: BSD-2-Clause */
/* An interface's addresses are one thing, what the host takes for its own is another: a whole prefix
 * is local by a route (`ip route add local`), without an address on any interface. So the question
 * about a VIP goes to the routing table. */
#include "dataplane/decap/addresses.h"

#include "dataplane/decap/message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES = 4096 };

int addresses_watch(void)
{
	struct sockaddr_nl groups = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&groups, sizeof(groups)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -errno;
}

void addresses_drain(int fd)
{
	char buffer[ANSWER_BYTES];

	/* ENOBUFS: some were lost, which changes nothing here. */
	while (recv(fd, buffer, sizeof(buffer), 0) >= 0 || errno == ENOBUFS || errno == EINTR)
		;
}

static bool socket_address(const struct sockaddr *from, struct addr *addr)
{
	if (!from)
		return false;
	if (from->sa_family == AF_INET)
		*addr = addr_from_v4(((const struct sockaddr_in *)from)->sin_addr.s_addr);
	else if (from->sa_family == AF_INET6)
		memcpy(addr, &((const struct sockaddr_in6 *)from)->sin6_addr, sizeof(*addr));
	else
		return false;
	return true;
}

int addresses_list(struct addr *list, u32 max)
{
	struct ifaddrs *all;
	u32 count = 0;

	if (getifaddrs(&all) < 0)
		return -errno;
	for (const struct ifaddrs *one = all; one && count < max; one = one->ifa_next)
		count += socket_address(one->ifa_addr, &list[count]);
	freeifaddrs(all);
	return (int)count;
}

/* The kernel's route to an address. Returns its type, RTN_LOCAL and so on, or -errno. */
static int route_type(const struct addr *addr)
{
	bool is_v4 = addr_is_v4(addr);
	struct {
		struct nlmsghdr header;
		struct rtmsg route;
		struct rtattr attribute;
		u8 bytes[16];
	} question = {
		.header.nlmsg_type = RTM_GETROUTE,
		.header.nlmsg_flags = NLM_F_REQUEST,
		.route.rtm_family = is_v4 ? AF_INET : AF_INET6,
		.route.rtm_dst_len = is_v4 ? 32 : 128,
		.attribute.rta_type = RTA_DST,
		.attribute.rta_len = RTA_LENGTH(is_v4 ? 4u : 16u),
	};
	union {
		struct nlmsghdr header;
		char bytes[ANSWER_BYTES];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t len = -1;

	question.header.nlmsg_len =
		NLMSG_LENGTH(sizeof(question.route)) + question.attribute.rta_len;
	memcpy(question.bytes, is_v4 ? addr->bytes + 12 : addr->bytes, is_v4 ? 4 : 16);
	if (fd >= 0 && send(fd, &question, question.header.nlmsg_len, 0) > 0)
		len = recv(fd, &answer, sizeof(answer), 0);
	if (fd >= 0)
		close(fd);
	if (len < (ssize_t)NLMSG_LENGTH(sizeof(struct rtmsg)))
		return -EIO;
	if (answer.header.nlmsg_type == NLMSG_ERROR)
		return ((const struct nlmsgerr *)NLMSG_DATA(&answer.header))->error;
	return ((const struct rtmsg *)NLMSG_DATA(&answer.header))->rtm_type;
}

void addresses_check(const struct prefix_list *vips)
{
	char text[INET6_ADDRSTRLEN];

	for (u32 i = 0; i < vips->count; i++) {
		const struct addr *addr = &vips->entries[i].addr;
		const char *length =
			vips->entries[i].len_bits == 128 ? "" : "the first address of ";
		bool is_v4 = addr_is_v4(addr);

		if (route_type(addr) == RTN_LOCAL)
			continue;
		inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? addr->bytes + 12 : addr->bytes, text,
			  sizeof(text));
		message("%s--vip %s is no address of this host, which will not take packets to it: "
			"ip address add %s dev lo, or for a prefix ip route add local PREFIX dev lo",
			length, text, text);
	}
}
