/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel works on a netlink request within sendmsg, and on a dump's next part within
 * recvmsg, so an answer is there when it is read: asking synchronously is not waiting. A socket
 * of its own keeps the answers apart from the stream of changes, and its timeout is only there
 * for the day this stops being true. */
#include "controlplane/netlink_ask.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS 200
#define ANSWER_BYTES 32768 /* what the kernel fills at most for one part of a dump */
#define REQUEST_BYTES 256
#define DUMPS_MAX 5
#define DISCARD_PORT 9

struct asker {
	struct mnl_socket *socket;
	u32 sequence;
	int datagram_v4, datagram_v6; /* -1: not opened yet */
	_Alignas(struct nlmsghdr) char answer[ANSWER_BYTES];
};

bool addr_from_bytes(const void *bytes, size_t len_bytes, struct addr *addr)
{
	be32 v4;

	if (len_bytes == sizeof(v4)) {
		memcpy(&v4, bytes, sizeof(v4));
		*addr = addr_from_v4(v4);
	} else if (len_bytes == sizeof(*addr)) {
		memcpy(addr, bytes, sizeof(*addr));
	} else {
		return false;
	}
	return true;
}

static void attr_put_addr(struct nlmsghdr *message, u16 type, const struct addr *addr)
{
	if (addr_is_v4(addr))
		mnl_attr_put_u32(message, type, addr_v4(addr));
	else
		mnl_attr_put(message, type, sizeof(*addr), addr);
}

int asker_open(struct asker **out)
{
	struct asker *asker = calloc(1, sizeof(*asker));
	int status;

	*out = NULL;
	if (!asker)
		return -ENOMEM;
	asker->datagram_v4 = asker->datagram_v6 = -1;
	asker->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!asker->socket || mnl_socket_bind(asker->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		status = -errno;
		asker_close(asker);
		return status;
	}
	*out = asker;
	return 0;
}

void asker_close(struct asker *asker)
{
	if (!asker)
		return;
	if (asker->datagram_v4 >= 0)
		close(asker->datagram_v4);
	if (asker->datagram_v6 >= 0)
		close(asker->datagram_v6);
	if (asker->socket)
		mnl_socket_close(asker->socket);
	free(asker);
}

/* ---- one question, its answers ---- */

static ssize_t answer_receive(struct asker *asker)
{
	struct pollfd ready = {.fd = mnl_socket_get_fd(asker->socket), .events = POLLIN};

	for (;;) {
		ssize_t len = mnl_socket_recvfrom(asker->socket, asker->answer, ANSWER_BYTES);
		if (len >= 0 || (errno != EAGAIN && errno != EINTR))
			return len >= 0 ? len : -errno;
		int count = poll(&ready, 1, ANSWER_TIMEOUT_MS);
		if (count == 0)
			return -ETIMEDOUT;
		if (count < 0 && errno != EINTR)
			return -errno;
	}
}

struct answer {
	asker_callback *callback;
	void *context;
	bool done, interrupted;
	int status;
};

static void answer_message(struct answer *answer, const struct nlmsghdr *message)
{
	const int *code = mnl_nlmsg_get_payload(message); /* nlmsgerr begins with it as well */

	answer->interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
	if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
		answer->done = true;
		answer->status = mnl_nlmsg_get_payload_len(message) >= sizeof(*code) ? *code : 0;
	} else if (message->nlmsg_type >= NLMSG_MIN_TYPE) {
		answer->callback(answer->context, message);
		answer->done = !(message->nlmsg_flags & NLM_F_MULTI);
	}
}

/* Messages with another sequence number answer a question that was given up. */
static int ask(struct asker *asker, struct nlmsghdr *message, asker_callback *callback,
	       void *context)
{
	struct answer answer = {.callback = callback, .context = context};

	message->nlmsg_seq = ++asker->sequence;
	if (mnl_socket_sendto(asker->socket, message, message->nlmsg_len) < 0)
		return -errno;
	while (!answer.done) {
		ssize_t received = answer_receive(asker);
		if (received < 0)
			return (int)received;
		int len = (int)received;
		const struct nlmsghdr *next = (const void *)asker->answer;
		for (; mnl_nlmsg_ok(next, len) && !answer.done; next = mnl_nlmsg_next(next, &len))
			if (next->nlmsg_seq == asker->sequence)
				answer_message(&answer, next);
	}
	if (answer.status)
		return answer.status;
	return answer.interrupted ? -EINTR : 0;
}

int asker_dump(struct asker *asker, u16 type, asker_callback *callback, void *context)
{
	_Alignas(struct nlmsghdr) char bytes[REQUEST_BYTES];
	size_t header_len = type == RTM_GETLINK ? sizeof(struct ifinfomsg) : sizeof(struct ndmsg);
	int status = -EINTR;

	for (int at = 0; at < DUMPS_MAX && status == -EINTR; at++) {
		struct nlmsghdr *message = mnl_nlmsg_put_header(bytes);
		message->nlmsg_type = type;
		message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		mnl_nlmsg_put_extra_header(message, header_len); /* zeroed: every family */
		status = ask(asker, message, callback, context);
	}
	return status;
}

/* ---- routes ---- */

static void route_metrics_read(struct route *route, const struct nlattr *nested)
{
	const struct nlattr *metric;

	mnl_attr_for_each_nested(metric, nested)
	{
		if (mnl_attr_get_type(metric) == RTAX_MTU &&
		    mnl_attr_validate(metric, MNL_TYPE_U32) == 0)
			route->mtu = mnl_attr_get_u32(metric);
	}
}

static void route_attr_read(struct route *route, const struct nlattr *attr)
{
	const u8 *bytes = mnl_attr_get_payload(attr);
	size_t len = mnl_attr_get_payload_len(attr);

	switch (mnl_attr_get_type(attr)) {
	case RTA_OIF:
		if (mnl_attr_validate(attr, MNL_TYPE_U32) == 0)
			route->ifindex = (int)mnl_attr_get_u32(attr);
		break;
	case RTA_GATEWAY:
		(void)addr_from_bytes(bytes, len, &route->gateway);
		break;
	case RTA_VIA: /* an IPv4 route over an IPv6 gateway */
		if (len > offsetof(struct rtvia, rtvia_addr))
			(void)addr_from_bytes(bytes + offsetof(struct rtvia, rtvia_addr),
					      len - offsetof(struct rtvia, rtvia_addr),
					      &route->gateway);
		break;
	case RTA_PREFSRC:
		(void)addr_from_bytes(bytes, len, &route->preferred_source);
		break;
	case RTA_METRICS:
		route_metrics_read(route, attr);
		break;
	case RTA_ENCAP_TYPE:
		route->encapsulated = true;
		break;
	}
}

static void route_read(void *context, const struct nlmsghdr *message)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(message);
	struct route *route = context;
	const struct nlattr *attr;

	if (message->nlmsg_type != RTM_NEWROUTE ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*header))
		return;
	route->type = header->rtm_type;
	mnl_attr_for_each(attr, message, sizeof(*header)) route_attr_read(route, attr);
}

int asker_route(struct asker *asker, const struct addr *dest, struct route *route)
{
	_Alignas(struct nlmsghdr) char bytes[REQUEST_BYTES];
	struct nlmsghdr *message = mnl_nlmsg_put_header(bytes);
	bool v4 = addr_is_v4(dest);

	memset(route, 0, sizeof(*route));
	message->nlmsg_type = RTM_GETROUTE;
	message->nlmsg_flags = NLM_F_REQUEST;
	struct rtmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->rtm_family = v4 ? AF_INET : AF_INET6;
	header->rtm_dst_len = v4 ? 32 : 128;
	attr_put_addr(message, RTA_DST, dest);
	return ask(asker, message, route_read, route);
}

/* ---- neighbours ---- */

static void answer_ignore(void *context, const struct nlmsghdr *message)
{
}

/* NTF_USE stands beside the managed flag for kernels that do not know the latter. */
int asker_neighbour_prod(struct asker *asker, int ifindex, const struct addr *addr, bool managed)
{
	_Alignas(struct nlmsghdr) char bytes[REQUEST_BYTES];
	struct nlmsghdr *message = mnl_nlmsg_put_header(bytes);

	message->nlmsg_type = RTM_NEWNEIGH;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (managed ? NLM_F_CREATE : 0);
	struct ndmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
	header->ndm_family = addr_is_v4(addr) ? AF_INET : AF_INET6;
	header->ndm_ifindex = ifindex;
	header->ndm_flags = NTF_USE;
	attr_put_addr(message, NDA_DST, addr);
	if (managed)
		mnl_attr_put_u32(message, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	return ask(asker, message, answer_ignore, NULL);
}

static int datagram_socket(int *fd, int family)
{
	if (*fd < 0)
		*fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return *fd;
}

/* MSG_DONTROUTE: to the neighbour itself or to nobody. What comes of it is told by the kernel's
 * neighbour messages, so an error here has no other consequence than the missing answer. */
void asker_neighbour_datagram(struct asker *asker, int ifindex, const struct addr *addr)
{
	struct sockaddr_in v4 = {
		.sin_family = AF_INET,
		.sin_port = BE16(DISCARD_PORT),
		.sin_addr.s_addr = addr_v4(addr),
	};
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6,
		.sin6_port = BE16(DISCARD_PORT),
	};
	bool is_v4 = addr_is_v4(addr);
	const void *to = is_v4 ? (const void *)&v4 : (const void *)&v6;
	socklen_t to_len = is_v4 ? sizeof(v4) : sizeof(v6);
	int fd = is_v4 ? datagram_socket(&asker->datagram_v4, AF_INET)
		       : datagram_socket(&asker->datagram_v6, AF_INET6);

	memcpy(&v6.sin6_addr, addr, sizeof(*addr));
	if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr))
		v6.sin6_scope_id = (u32)ifindex;
	if (fd >= 0)
		(void)sendto(fd, "", 0, MSG_DONTROUTE | MSG_NOSIGNAL, to, to_len);
}
