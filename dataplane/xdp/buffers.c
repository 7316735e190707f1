/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/xdp/buffers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

int buffers_map(struct buffers *buffers, u32 count)
{
	u64 size_bytes = (u64)count * BUFFER_BYTES;
	void *area =
		mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		return -errno;
	*buffers = (struct buffers){
		.area = area,
		.size_bytes = size_bytes,
		.count = count,
		.free = malloc(count * sizeof(u32)),
	};
	if (!buffers->free) {
		buffers_unmap(buffers);
		return -ENOMEM;
	}
	for (u32 i = 0; i < count; i++)
		buffer_give(buffers, (u64)i * BUFFER_BYTES);
	return 0;
}

void buffers_unmap(struct buffers *buffers)
{
	if (buffers->umem)
		xsk_umem__delete(buffers->umem);
	if (buffers->area)
		munmap(buffers->area, buffers->size_bytes);
	free(buffers->free);
	*buffers = (struct buffers){0};
}
