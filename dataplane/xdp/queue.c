/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/xdp/queue.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_BUSY_POLL_BUDGET
#define SO_BUSY_POLL_BUDGET 70
#endif

#define KICKS_MAX 8 /* the kernel sends so many frames in one call as it likes */

static int umem_create(struct queue *queue, struct buffers *buffers)
{
	const struct xsk_umem_config config = {
		.fill_size = queue->steered.ring_size,
		.comp_size = queue->steered.ring_size,
		.frame_size = BUFFER_BYTES,
	};

	return xsk_umem__create(&buffers->umem, buffers->area, buffers->size_bytes, &queue->fill,
				&queue->completed, &config);
}

static int socket_create(struct queue *queue, struct buffers *buffers, bool first, bool copy)
{
	const struct xsk_socket_config config = {
		.rx_size = queue->steered.ring_size,
		.tx_size = queue->steered.ring_size,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = (u16)(XDP_USE_NEED_WAKEUP | (copy ? XDP_COPY : 0)),
	};

	if (first)
		return xsk_socket__create(&queue->socket, queue->steered.hook->kernel_name,
					  queue->steered.number, buffers->umem, &queue->rx,
					  &queue->tx, &config);
	return xsk_socket__create_shared(&queue->socket, queue->steered.hook->kernel_name,
					 queue->steered.number, buffers->umem, &queue->rx,
					 &queue->tx, &queue->fill, &queue->completed, &config);
}

static int socket_await(struct queue *queue, struct buffers *buffers, bool first, bool copy)
{
	u32 waited_ms = 0;
	int err;

	do
		err = socket_create(queue, buffers, first, copy);
	while (steered_retry(err, &waited_ms));
	return err;
}

int queue_open(struct queue *queue, struct buffers *buffers, bool copy, const char **hint)
{
	bool first = !buffers->umem;
	int err = first ? umem_create(queue, buffers) : 0;

	queue->buffers = buffers;
	if (!err)
		err = socket_await(queue, buffers, first, copy);
	if (err) {
		queue->socket = NULL;
		*hint = steered_hint(err);
		return err;
	}
	queue->steered.fd = xsk_socket__fd(queue->socket);
	queue->steered.bytes_max = BUFFER_FRAME_BYTES_MAX;
	queue->steered.zero_copy = !steered_copies(queue->steered.fd);
	return 0;
}

void queue_close(struct queue *queue)
{
	if (queue->socket)
		xsk_socket__delete(queue->socket);
	queue->socket = NULL;
}

int queue_poll_busily(const struct queue *queue)
{
	int fd = queue->steered.fd;
	int prefer = 1, usec = 20, budget = 64;

	if (setsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &prefer, sizeof(prefer)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &usec, sizeof(usec)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget, sizeof(budget)) < 0)
		return -errno;
	return 0;
}

/* The program must not see the credit before the kernel can see the buffers. */
void queue_fill(struct queue *queue)
{
	u32 count = queue->steered.ring_size - queue->waiting, at;

	if (count > queue->buffers->free_count)
		count = queue->buffers->free_count;
	if (count == 0 || xsk_ring_prod__reserve(&queue->fill, count, &at) < count)
		return;
	for (u32 i = 0; i < count; i++)
		*xsk_ring_prod__fill_addr(&queue->fill, at + i) = buffer_take(queue->buffers);
	xsk_ring_prod__submit(&queue->fill, count);
	queue->waiting += count;
	kernel_worker_credit(queue->steered.shared, count);
	if (xsk_ring_prod__needs_wakeup(&queue->fill))
		recvfrom(queue->steered.fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

void queue_send(struct queue *queue, const u8 *frame, u32 frame_bytes)
{
	struct xdp_desc *descriptor;
	u32 at = 0;

	xsk_ring_prod__reserve(&queue->tx, 1, &at); /* queue_room() has said so */
	descriptor = xsk_ring_prod__tx_desc(&queue->tx, at);
	*descriptor = (struct xdp_desc){
		.addr = buffer_offset(queue->buffers, frame),
		.len = frame_bytes,
	};
	xsk_ring_prod__submit(&queue->tx, 1);
}

static u32 unsent(const struct queue *queue)
{
	return *queue->tx.producer - __atomic_load_n(queue->tx.consumer, __ATOMIC_ACQUIRE);
}

/* A driver that sends by itself says so; else each call sends some. */
bool queue_flush(struct queue *queue)
{
	u32 before, left = unsent(queue);

	for (u32 i = 0; i < KICKS_MAX && left > 0; i++) {
		if (!xsk_ring_prod__needs_wakeup(&queue->tx))
			return false;
		before = left;
		sendto(queue->steered.fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
		left = unsent(queue);
		if (left == before)
			break;
	}
	return left > 0;
}

void queue_reap(struct queue *queue)
{
	u32 at, count = xsk_ring_cons__peek(&queue->completed, queue->steered.ring_size, &at);

	for (u32 i = 0; i < count; i++)
		buffer_give(queue->buffers, *xsk_ring_cons__comp_addr(&queue->completed, at + i));
	if (count > 0)
		xsk_ring_cons__release(&queue->completed, count);
}
