/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/state/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/state/arena.h"

void attach_prepare(struct attach_message *message, enum attach_kind kind)
{
	memset(message, 0, sizeof(*message));
	message->magic = ATTACH_MAGIC;
	message->kind = kind;
	message->arena_abi = ARENA_ABI;
	message->pid = (u32)getpid();
	snprintf(message->version, sizeof(message->version), "%s", SHUNT_VERSION);
}

int attach_send(int socket, const struct attach_message *message, const int *fds, size_t fds_count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(ATTACH_FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(size_t)message, .iov_len = sizeof(*message)};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;

	if (fds_count > 0) {
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(fds_count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(fds_count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, fds_count * sizeof(int));
	}
	if (sendmsg(socket, &header, MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

/* Takes every descriptor that came, so that none leaks; too many are closed. */
static void take_fds(struct msghdr *header, int fds[static ATTACH_FDS_MAX])
{
	size_t taken = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (taken < ATTACH_FDS_MAX)
				fds[taken++] = fd;
			else
				close(fd);
		}
	}
}

static void close_fds(int fds[static ATTACH_FDS_MAX])
{
	for (size_t i = 0; i < ATTACH_FDS_MAX; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* Strings from the other side may lack their end. */
static void terminate(struct attach_message *message)
{
	message->engine[sizeof(message->engine) - 1] = '\0';
	message->version[sizeof(message->version) - 1] = '\0';
	message->text[sizeof(message->text) - 1] = '\0';
	for (size_t i = 0; i < ATTACH_PORTS_MAX; i++) {
		struct attach_port *port = &message->ports[i];

		port->name[sizeof(port->name) - 1] = '\0';
		port->kernel_name[sizeof(port->kernel_name) - 1] = '\0';
		port->state[sizeof(port->state) - 1] = '\0';
	}
}

int attach_receive(int socket, struct attach_message *message, int fds[static ATTACH_FDS_MAX])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(ATTACH_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = message, .iov_len = sizeof(*message)};
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	for (size_t i = 0; i < ATTACH_FDS_MAX; i++)
		fds[i] = -1;
	n = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	take_fds(&header, fds); /* an empty message may carry some too */
	if (n == 0) {
		close_fds(fds);
		return -ECONNRESET;
	}
	if (n != sizeof(*message) || message->magic != ATTACH_MAGIC ||
	    header.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ||
	    message->ports_count > ATTACH_PORTS_MAX) {
		close_fds(fds);
		return -EPROTO;
	}
	terminate(message);
	return 0;
}

static int socket_address(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int attach_connect(const char *path)
{
	struct sockaddr_un address;
	int err;
	int fd = socket_address(path, &address);

	if (fd < 0)
		return fd == -1 ? -errno : fd;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int attach_listen(const char *path)
{
	struct sockaddr_un address;
	mode_t mask;
	int bound, err;
	int fd = socket_address(path, &address);

	if (fd < 0)
		return fd == -1 ? -errno : fd;
	unlink(path);
	mask = umask(0077); /* only our own user may attach */
	bound = bind(fd, (struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (bound == 0 && listen(fd, 16) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}
