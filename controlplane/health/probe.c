/* SPDX-License-Identifier: BSD-2-Clause */
/* A probe leaves nothing behind: with quick acknowledgements off the kernel sends no bare ACK of
 * its own, and closing with a linger of 0 resets the connection. So the server's program is not
 * woken for it, and no TIME_WAIT stays here, however many backends there are. */
#include "controlplane/health/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static u64 now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000 + (u64)now.tv_nsec / 1000;
}

void probe_cancel(struct probe *probe)
{
	if (!probe->active)
		return;
	probe->active = false;
	loop_timer_cancel(probe->loop, probe->timer);
	if (probe->fd < 0)
		return;
	loop_remove(probe->loop, probe->fd);
	close(probe->fd);
	probe->fd = -1;
}

static void probe_end(struct probe *probe, enum probe_end end, int error)
{
	struct probe_result result = {end, error, now_us() - probe->started_us};

	probe_cancel(probe);
	probe->callback(probe->context, &result);
}

/* What an error of connect() says: of the backend, or of ourselves. */
static enum probe_end end_of(int error)
{
	switch (error) {
	case 0:
		return PROBE_CONNECTED;
	case ETIMEDOUT:
		return PROBE_TIMED_OUT;
	case EADDRNOTAVAIL: /* no local port, or no address of that family yet */
	case EAGAIN:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EAFNOSUPPORT:
		return PROBE_UNTRIED;
	default:
		return PROBE_FAILED;
	}
}

static void probe_ready(void *context, int fd, u32 events)
{
	struct probe *probe = context;
	socklen_t size = sizeof(int);
	int error = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	probe_end(probe, end_of(error), error);
}

static void probe_late(void *context)
{
	probe_end(context, PROBE_TIMED_OUT, ETIMEDOUT);
}

static void probe_over(void *context)
{
	struct probe *probe = context;

	probe_end(probe, probe->result.end, probe->result.error);
}

static socklen_t sockaddr_fill(struct sockaddr_storage *out, const struct addr *address, u16 port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (addr_is_v4(address)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		v4->sin_addr.s_addr = addr_v4(address);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	memcpy(&v6->sin6_addr, address->bytes, sizeof(v6->sin6_addr));
	return sizeof(*v6);
}

/* Opens a socket on its way to the backend. Returns it, or -errno. */
static int connect_begin(const struct addr *address, u16 port)
{
	const struct linger reset = {.l_onoff = 1};
	const int off = 0;
	struct sockaddr_storage to;
	socklen_t size = sockaddr_fill(&to, address, port);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int err;

	if (fd < 0)
		return -errno;
	/* Without these two the probe is less polite, but as good. */
	(void)!setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)!setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
	if (connect(fd, (struct sockaddr *)&to, size) == 0 || errno == EINPROGRESS)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int probe_start(struct probe *probe, struct loop *loop, const struct addr *address, u16 port,
		u64 timeout_ms, probe_callback *callback, void *context)
{
	int err = 0;

	*probe = (struct probe){
		.loop = loop,
		.callback = callback,
		.context = context,
		.started_us = now_us(),
	};
	probe->fd = connect_begin(address, port);
	if (probe->fd >= 0)
		err = loop_add(loop, probe->fd, EPOLLOUT, probe_ready, probe);
	else
		err = probe->fd;
	if (err) {
		if (probe->fd >= 0)
			close(probe->fd);
		probe->fd = -1;
		probe->result = (struct probe_result){.end = end_of(-err), .error = -err};
	}
	probe->timer =
		loop_timer_add(loop, err ? 0 : timeout_ms, 0, err ? probe_over : probe_late, probe);
	probe->active = true;
	if (probe->timer)
		return 0;
	probe_cancel(probe);
	return -ENOMEM;
}
