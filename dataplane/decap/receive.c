/* SPDX-License-Identifier: BSD-2-Clause */
/* Why raw sockets: the kernel answers a protocol that nobody takes with ICMP "protocol
 * unreachable", and counts a raw socket as somebody. A packet socket would see the packets too,
 * but the kernel would go on refusing them towards the balancer. The kernel also reassembles
 * outer fragments and walks outer IPv6 extension headers before a raw socket sees the packet.
 *
 * A batch is one recvmmsg() and one write() a packet: a TUN device takes one packet a call. An
 * event handles one batch and returns to epoll (level-triggered), so that a flood on one source
 * can't starve the others or a signal.
 *
 * A packet that comes out of our own device and is encapsulated again would be unwrapped again,
 * as often as a sender cares to nest it, and past --from with a source of its choosing. The
 * arrival interface, which IP_PKTINFO tells, gives it away. */
#include "dataplane/decap/receive.h"

#include "dataplane/session/message.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* From <linux/udp.h>, which can't be included beside <netinet/udp.h>. */
#ifndef UDP_NO_CHECK6_RX
#define UDP_NO_CHECK6_RX 102
#endif

enum {
	BURST = 32,
	BUFFER_LEN_BYTES = 65536, /* any IP packet; what the kernel merges is no longer */
	CONTROL_LEN_BYTES = 128,  /* traffic class, packet info and overflow count, aligned */
	SOCKET_BUFFER_BYTES = 8 << 20,
};

struct source_spec {
	int family;
	int type;
	int protocol;
	enum decap_carrier carrier;
	const char *text;
};

static const struct source_spec specs[RECEIVE_SOURCES] = {
	{AF_INET, SOCK_RAW, IPPROTO_IPIP, CARRIER_PROTOCOL_4, "protocol 4 over IPv4"},
	{AF_INET, SOCK_RAW, IPPROTO_IPV6, CARRIER_PROTOCOL_41, "protocol 41 over IPv4"},
	{AF_INET, SOCK_DGRAM, IPPROTO_UDP, CARRIER_GUE, "GUE over IPv4"},
	{AF_INET6, SOCK_RAW, IPPROTO_IPIP, CARRIER_PROTOCOL_4, "protocol 4 over IPv6"},
	{AF_INET6, SOCK_RAW, IPPROTO_IPV6, CARRIER_PROTOCOL_41, "protocol 41 over IPv6"},
	{AF_INET6, SOCK_DGRAM, IPPROTO_UDP, CARRIER_GUE, "GUE over IPv6"},
};

/* What one packet brought beside its bytes. */
struct arrival {
	struct decap_outer outer;
	u32 overflow_total;
	bool has_overflow;
};

struct receiver {
	int fds[RECEIVE_SOURCES];
	u32 overflow_seen[RECEIVE_SOURCES];
	const struct decap_policy *policy;
	const struct tun *tun;
	struct counters *counters;
	struct mmsghdr messages[BURST];
	struct iovec vectors[BURST];
	struct sockaddr_storage senders[BURST];
	_Alignas(struct cmsghdr) u8 controls[BURST][CONTROL_LEN_BYTES];
	u8 buffers[BURST][BUFFER_LEN_BYTES];
};

static bool switch_on(int fd, int level, int option)
{
	return setsockopt(fd, level, option, &(int){1}, sizeof(int)) == 0;
}

static bool ancillary_enable(int fd, const struct source_spec *spec)
{
	if (!switch_on(fd, SOL_SOCKET, SO_RXQ_OVFL))
		return false;
	if (spec->family == AF_INET)
		return switch_on(fd, IPPROTO_IP, IP_PKTINFO) &&
		       switch_on(fd, IPPROTO_IP, IP_RECVTOS);
	return switch_on(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) &&
	       switch_on(fd, IPPROTO_IPV6, IPV6_RECVTCLASS);
}

/* The larger of what the privilege allows: SO_RCVBUFFORCE isn't held to net.core.rmem_max. */
static void buffer_enlarge(int fd)
{
	int len_bytes = SOCKET_BUFFER_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &len_bytes, sizeof(len_bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &len_bytes, sizeof(len_bytes));
}

static bool port_bind(int fd, const struct source_spec *spec, u16 port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	if (spec->family == AF_INET)
		return bind(fd, (struct sockaddr *)&v4, sizeof(v4)) == 0;
	/* The balancer may send the legal zero checksum (RFC 6935). A raw socket of IPv6 takes
	 * IPv6 only by itself; a UDP socket must be told. */
	return switch_on(fd, IPPROTO_UDP, UDP_NO_CHECK6_RX) &&
	       switch_on(fd, IPPROTO_IPV6, IPV6_V6ONLY) &&
	       bind(fd, (struct sockaddr *)&v6, sizeof(v6)) == 0;
}

static void source_explain(const struct source_spec *spec, int error, u16 gue_port)
{
	if (error == EPERM || error == EACCES)
		message("no privilege to receive %s: run as root, or "
			"'setcap cap_net_admin,cap_net_raw+ep' on the program",
			spec->text);
	else if (error == EADDRINUSE)
		message("UDP port %u is taken: find its owner with 'ss -ulpn sport = :%u' (a kernel"
			" device shows in 'ip fou show'), or choose another with --gue-port",
			gue_port, gue_port);
	else
		message("cannot receive %s: %s", spec->text, strerror(error));
}

/* Returns a descriptor or -errno. */
static int source_open(const struct source_spec *spec, u16 gue_port)
{
	int fd = socket(spec->family, spec->type | SOCK_NONBLOCK | SOCK_CLOEXEC, spec->protocol);
	int status;

	if (fd < 0)
		return -errno;
	if (!ancillary_enable(fd, spec))
		goto fail;
	if (spec->carrier == CARRIER_GUE && !port_bind(fd, spec, gue_port))
		goto fail;
	buffer_enlarge(fd);
	return fd;
fail:
	status = -errno;
	close(fd);
	return status;
}

static void batch_prepare(struct receiver *receiver)
{
	for (u32 i = 0; i < BURST; i++) {
		receiver->vectors[i] = (struct iovec){
			.iov_base = receiver->buffers[i],
			.iov_len = BUFFER_LEN_BYTES,
		};
		receiver->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &receiver->senders[i],
			.msg_iov = &receiver->vectors[i],
			.msg_iovlen = 1,
			.msg_control = receiver->controls[i],
		};
	}
}

int receiver_open(struct receiver **result, u16 gue_port, const struct decap_policy *policy,
		  const struct tun *tun, struct counters *counters)
{
	struct receiver *receiver = calloc(1, sizeof(*receiver));

	if (!receiver) {
		message("not enough memory for the packet buffers");
		return -ENOMEM;
	}
	receiver->policy = policy;
	receiver->tun = tun;
	receiver->counters = counters;
	memset(receiver->fds, -1, sizeof(receiver->fds));
	for (u32 i = 0; i < RECEIVE_SOURCES; i++) {
		int fd = source_open(&specs[i], gue_port);

		if (fd == -EAFNOSUPPORT && specs[i].family == AF_INET6) {
			message("this host has no IPv6: %s is not received", specs[i].text);
			continue;
		}
		if (fd < 0) {
			source_explain(&specs[i], -fd, gue_port);
			receiver_close(receiver);
			return fd;
		}
		receiver->fds[i] = fd;
	}
	batch_prepare(receiver);
	*result = receiver;
	return 0;
}

void receiver_close(struct receiver *receiver)
{
	for (u32 i = 0; i < RECEIVE_SOURCES; i++) {
		if (receiver->fds[i] >= 0)
			close(receiver->fds[i]);
	}
	free(receiver);
}

int receiver_fd(const struct receiver *receiver, u32 source)
{
	return receiver->fds[source];
}

static struct addr sender_addr(const struct sockaddr_storage *sender)
{
	struct addr addr;

	if (sender->ss_family == AF_INET)
		return addr_from_v4(((const struct sockaddr_in *)sender)->sin_addr.s_addr);
	memcpy(addr.bytes, &((const struct sockaddr_in6 *)sender)->sin6_addr, sizeof(addr));
	return addr;
}

static void control_read(struct cmsghdr *control, u32 tun_index, struct arrival *arrival)
{
	const void *data = CMSG_DATA(control);
	struct in6_pktinfo v6_info;
	struct in_pktinfo v4_info;
	int traffic_class;

	if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SO_RXQ_OVFL) {
		memcpy(&arrival->overflow_total, data, sizeof(arrival->overflow_total));
		arrival->has_overflow = true;
	} else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_TOS) {
		arrival->outer.ecn = *(const u8 *)data & 3;
	} else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
		memcpy(&v4_info, data, sizeof(v4_info));
		arrival->outer.from_own_device = (u32)v4_info.ipi_ifindex == tun_index;
	} else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_TCLASS) {
		memcpy(&traffic_class, data, sizeof(traffic_class));
		arrival->outer.ecn = traffic_class & 3;
	} else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
		memcpy(&v6_info, data, sizeof(v6_info));
		arrival->outer.from_own_device = (u32)v6_info.ipi6_ifindex == tun_index;
	}
}

static void overflow_count(struct receiver *receiver, u32 source, const struct arrival *arrival)
{
	if (!arrival->has_overflow)
		return;
	/* The kernel's count is 32 bits wide and wraps; so does the difference. */
	receiver->counters->notes[NOTE_SOCKET_OVERFLOW] +=
		arrival->overflow_total - receiver->overflow_seen[source];
	receiver->overflow_seen[source] = arrival->overflow_total;
}

static enum decap_verdict deliver(struct receiver *receiver, const u8 *payload,
				  const struct decap_result *result)
{
	const struct inner *inner = &result->inner;
	u64 *notes = receiver->counters->notes;

	if (write(receiver->tun->fd, payload + result->carrier_bytes, inner->len_bytes) !=
	    (ssize_t)inner->len_bytes)
		return DECAP_DEVICE;
	notes[NOTE_DELIVERED_BYTES] += inner->len_bytes;
	notes[NOTE_ECN_CHANGED] += result->ecn_changed;
	notes[NOTE_CHECKSUM_COMPLETED] += result->checksum_completed;
	return DECAP_DELIVERED;
}

static enum decap_verdict handle(struct receiver *receiver, u32 source, u32 slot)
{
	static const enum decap_note received[] = {
		[CARRIER_PROTOCOL_4] = NOTE_RECEIVED_PROTOCOL_4,
		[CARRIER_PROTOCOL_41] = NOTE_RECEIVED_PROTOCOL_41,
		[CARRIER_GUE] = NOTE_RECEIVED_GUE,
	};
	const struct source_spec *spec = &specs[source];
	struct msghdr *header = &receiver->messages[slot].msg_hdr;
	struct arrival arrival = {.outer = {.carrier = spec->carrier}};
	struct decap_result result;
	enum decap_verdict verdict;
	u32 len_bytes = receiver->messages[slot].msg_len, offset = 0;
	u8 *payload;

	receiver->counters->notes[received[spec->carrier]]++;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
		control_read(c, receiver->tun->index, &arrival);
	overflow_count(receiver, source, &arrival);
	arrival.outer.source = sender_addr(&receiver->senders[slot]);
	if (spec->family == AF_INET && spec->type == SOCK_RAW) {
		verdict = decap_outer_v4(receiver->buffers[slot], len_bytes, &offset,
					 &arrival.outer.ecn);
		if (verdict != DECAP_DELIVERED)
			return verdict;
	}
	payload = receiver->buffers[slot] + offset;
	verdict = decap_packet(receiver->policy, &arrival.outer, payload, len_bytes - offset,
			       &result);
	receiver->counters->notes[NOTE_ECN_UNEXPECTED] += result.ecn_unexpected;
	return verdict == DECAP_DELIVERED ? deliver(receiver, payload, &result) : verdict;
}

void receiver_run(struct receiver *receiver, u32 source)
{
	int count;

	for (u32 i = 0; i < BURST; i++) {
		receiver->messages[i].msg_hdr.msg_namelen = sizeof(receiver->senders[i]);
		receiver->messages[i].msg_hdr.msg_controllen = CONTROL_LEN_BYTES;
	}
	/* An error here is one the socket had pending: reading it has cleared it. */
	count = recvmmsg(receiver->fds[source], receiver->messages, BURST, MSG_DONTWAIT, NULL);
	for (int i = 0; i < count; i++)
		receiver->counters->verdicts[handle(receiver, source, (u32)i)]++;
}
