/* SPDX-License-Identifier: BSD-2-Clause */
/* A receive queue of an interface, the AF_XDP socket on it, and what belongs to its frames: flow
 * table, fragments, those that wait. One thread, but where it says otherwise. */
#ifndef SHUNT_XDP_QUEUE_H
#define SHUNT_XDP_QUEUE_H

#include "dataplane/burst/hold.h"
#include "dataplane/kernel/steered.h"
#include "dataplane/xdp/buffers.h"

#define QUEUE_BUFFERS 4096 /* of each; half of them to receive, half to send */
#define QUEUE_BUFFERS_MIN 128
#define QUEUE_BUFFERS_MAX 16384

struct queue {
	struct steered steered;
	struct xsk_socket *socket;
	struct xsk_ring_cons rx, completed;
	struct xsk_ring_prod fill, tx;
	struct buffers *buffers;
	u32 waiting; /* buffers that the kernel has for frames to come, or with frames in them */

	const struct kernel_port *shared_port;
	struct env env;
	struct hold hold;
};

/* Opens its socket over the buffers: the first one of those makes them a UMEM. Returns 0; or
 * -errno, and hint says what to do. */
int queue_open(struct queue *queue, struct buffers *buffers, bool copy, const char **hint)
	__attribute__((warn_unused_result));
void queue_close(struct queue *queue);

/* Lets the kernel poll the device for us instead of by interrupts. */
int queue_poll_busily(const struct queue *queue) __attribute__((warn_unused_result));

/* Gives the kernel buffers to receive into, and the program credit for them. There are never more
 * on their way than the receive ring has places. */
void queue_fill(struct queue *queue);

/* Frames to be had, at most `most`; they begin at *at in the ring. queue_taken() afterwards. */
static inline u32 queue_look(struct queue *queue, u32 most, u32 *at)
{
	return xsk_ring_cons__peek(&queue->rx, most, at);
}

static inline void queue_taken(struct queue *queue, u32 count)
{
	xsk_ring_cons__release(&queue->rx, count);
	queue->waiting -= count;
	kernel_worker_take(queue->steered.shared, count);
}

/* Frames that queue_send() has room for. */
static inline u32 queue_room(struct queue *queue, u32 wanted)
{
	return xsk_prod_nb_free(&queue->tx, wanted);
}

/* Lays a frame into the ring to send; queue_flush() sends. There is room. */
void queue_send(struct queue *queue, const u8 *frame, u32 frame_bytes);

/* Has the kernel send what it has not sent yet. Returns whether something is left. */
bool queue_flush(struct queue *queue);

/* Takes back the buffers of frames that were sent. */
void queue_reap(struct queue *queue);

#endif
