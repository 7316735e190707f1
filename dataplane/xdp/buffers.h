/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory that frames lie in between the kernel and a worker (a UMEM), and which of its buffers
 * neither of them has. One thread.
 *
 * A buffer is a page. A frame that came in begins behind XDP_PACKET_HEADROOM bytes, which is more
 * than any outer header takes; a frame that goes out may begin anywhere. */
#ifndef SHUNT_XDP_BUFFERS_H
#define SHUNT_XDP_BUFFERS_H

#include <xdp/xsk.h>

#include "dataplane/core/encap.h"

#define BUFFER_BYTES 4096
#define BUFFER_HEADROOM_BYTES 256 /* the kernel's XDP_PACKET_HEADROOM */

#define BUFFER_FRAME_BYTES_MAX (BUFFER_BYTES - BUFFER_HEADROOM_BYTES)

_Static_assert(ENCAP_OVERHEAD_MAX <= BUFFER_HEADROOM_BYTES, "an outer header fits");

struct buffers {
	u8 *area;
	u64 size_bytes;
	struct xsk_umem *umem;
	u32 *free; /* numbers of those that nobody has */
	u32 free_count;
	u32 count;
};

/* Maps memory for so many buffers, all of them free. Returns 0 or -errno. */
int buffers_map(struct buffers *buffers, u32 count) __attribute__((warn_unused_result));

/* The sockets that use it are closed before. */
void buffers_unmap(struct buffers *buffers);

static inline u64 buffer_take(struct buffers *buffers)
{
	return (u64)buffers->free[--buffers->free_count] * BUFFER_BYTES;
}

/* Gives back the buffer that an offset lies in. */
static inline void buffer_give(struct buffers *buffers, u64 offset)
{
	buffers->free[buffers->free_count++] = (u32)(offset / BUFFER_BYTES);
}

static inline u64 buffer_offset(const struct buffers *buffers, const u8 *at)
{
	return (u64)(at - buffers->area);
}

/* The first bytes of a frame's buffer, ours while the frame hasn't grown. */
static inline u32 *buffer_note(const struct buffers *buffers, const u8 *frame)
{
	u64 offset = buffer_offset(buffers, frame);

	return (u32 *)(void *)(buffers->area + offset / BUFFER_BYTES * BUFFER_BYTES);
}

#endif
