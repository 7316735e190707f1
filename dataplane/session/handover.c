/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/session/handover.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HANDOVER_TIMEOUT_MS 10000

/* The one message that answers our HELLO. */
static int arena_receive(int socket, int *arena_fd, char *text, size_t text_bytes)
{
	struct pollfd poll_fd = {.fd = socket, .events = POLLIN};
	struct attach_message offer;
	int fds[ATTACH_FDS_MAX];
	int err;

	if (poll(&poll_fd, 1, HANDOVER_TIMEOUT_MS) != 1)
		err = -ETIMEDOUT;
	else
		err = attach_receive(socket, &offer, fds);
	if (err) {
		snprintf(text, text_bytes, "no tables came by descriptor %d: %s", socket,
			 strerror(-err));
		return err;
	}
	if (fds[1] >= 0)
		close(fds[1]);
	*arena_fd = fds[0];
	if (offer.kind == ATTACH_ARENA && fds[0] >= 0)
		return 0;
	if (fds[0] >= 0)
		close(fds[0]);
	snprintf(text, text_bytes, "descriptor %d brings no tables: %s", socket,
		 offer.kind == ATTACH_REFUSED ? offer.text : "another message");
	return -EPROTO;
}

int handover_take(int socket, const struct attach_message *hello, struct attachment **attachment,
		  char *text, size_t text_bytes)
{
	int arena_fd;
	int err = attach_send(socket, hello, NULL, 0);

	if (err) {
		snprintf(text, text_bytes, "nobody listens at descriptor %d: %s", socket,
			 strerror(-err));
		return err;
	}
	err = arena_receive(socket, &arena_fd, text, text_bytes);
	if (err)
		return err;
	err = attachment_create(arena_fd, hello->workers_count, attachment, text, text_bytes);
	close(arena_fd);
	return err;
}
