/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/kernel/chunks.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/state/kernel.h"

const struct chunks_kind chunks_of_arena = {
	.name = "shunt_arena",
	.value_bytes = KERNEL_LINE_BYTES,
	.entries_bits = KERNEL_ARENA_CHUNK_BITS,
	.places_bits = KERNEL_ARENA_CHUNKS_BITS,
};

const struct chunks_kind chunks_of_counts = {
	.name = "shunt_counts",
	.value_bytes = sizeof(struct kernel_count),
	.entries_bits = KERNEL_COUNTS_CHUNK_BITS,
	.places_bits = KERNEL_COUNTS_CHUNKS_BITS,
};

static u64 chunk_bytes(const struct chunks_kind *kind)
{
	return (u64)kind->value_bytes << kind->entries_bits;
}

u64 chunks_bytes(const struct chunks_kind *kind, const struct chunks *chunks)
{
	return chunks->count * chunk_bytes(kind);
}

static u32 place_of(const struct chunks_kind *kind, u32 slot, u32 chunk)
{
	return (slot << kind->places_bits) + chunk;
}

/* The map at a place; -ENOENT where there is none. */
static int chunk_open(const struct chunks_kind *kind, int outer_fd, u32 slot, u32 chunk)
{
	u32 place = place_of(kind, slot, chunk);
	u32 id;
	int fd;

	if (bpf_map_lookup_elem(outer_fd, &place, &id) < 0)
		return -errno;
	fd = bpf_map_get_fd_by_id(id);
	return fd < 0 ? -errno : fd;
}

static int chunk_put(const struct chunks_kind *kind, int outer_fd, u32 slot, u32 chunk, int fd)
{
	u32 place = place_of(kind, slot, chunk);

	return bpf_map_update_elem(outer_fd, &place, &fd, BPF_ANY) < 0 ? -errno : 0;
}

static int chunk_make(const struct chunks_kind *kind, int outer_fd, u32 slot, u32 chunk)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, kind->name, sizeof(u32), kind->value_bytes,
				1u << kind->entries_bits, &options);
	int err;

	if (fd < 0)
		return -errno;
	err = chunk_put(kind, outer_fd, slot, chunk, fd);
	close(fd);
	return err;
}

/* Maps one where the chunks before it end. */
static int chunk_map(const struct chunks_kind *kind, int outer_fd, u32 slot, u32 chunk, u8 *base)
{
	u64 bytes = chunk_bytes(kind);
	int fd = chunk_open(kind, outer_fd, slot, chunk);
	void *at;

	if (fd < 0)
		return fd;
	at = mmap(base + chunk * bytes, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		  0);
	close(fd);
	return at == MAP_FAILED ? -errno : 0;
}

static u32 chunks_count(const struct chunks_kind *kind, int outer_fd, u32 slot)
{
	u32 count = 0;
	int fd;

	while (count >> kind->places_bits == 0 &&
	       (fd = chunk_open(kind, outer_fd, slot, count)) >= 0) {
		close(fd);
		count++;
	}
	return count;
}

int chunks_open(const struct chunks_kind *kind, int outer_fd, u32 slot, struct chunks *chunks)
{
	u32 count = chunks_count(kind, outer_fd, slot);
	int err = 0;

	chunks_close(kind, chunks);
	if (count == 0)
		return 0;
	chunks->base = mmap(NULL, count * chunk_bytes(kind), PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (chunks->base == MAP_FAILED) {
		chunks->base = NULL;
		return -errno;
	}
	chunks->count = count;
	for (u32 i = 0; i < count && !err; i++)
		err = chunk_map(kind, outer_fd, slot, i, chunks->base);
	if (err)
		chunks_close(kind, chunks);
	return err;
}

void chunks_close(const struct chunks_kind *kind, struct chunks *chunks)
{
	if (chunks->base)
		munmap(chunks->base, chunks_bytes(kind, chunks));
	*chunks = (struct chunks){0};
}

int chunks_grow(const struct chunks_kind *kind, int outer_fd, u32 slot, u64 bytes,
		struct chunks *chunks)
{
	u64 wanted = (bytes + chunk_bytes(kind) - 1) / chunk_bytes(kind);
	int err = wanted >> kind->places_bits ? -E2BIG : 0;

	if (err || wanted <= chunks->count)
		return err;
	for (u32 i = chunks->count; i < wanted && !err; i++)
		err = chunk_make(kind, outer_fd, slot, i);
	return err ? err : chunks_open(kind, outer_fd, slot, chunks);
}

int chunks_drop(const struct chunks_kind *kind, int outer_fd, u32 slot, struct chunks *chunks)
{
	u32 count = chunks_count(kind, outer_fd, slot);

	chunks_close(kind, chunks);
	while (count-- > 0) {
		u32 place = place_of(kind, slot, count);

		if (bpf_map_delete_elem(outer_fd, &place) < 0)
			return -errno;
	}
	return 0;
}

int chunks_share(const struct chunks_kind *kind, int outer_fd, u32 from, u32 slot,
		 struct chunks *chunks)
{
	u32 count = chunks_count(kind, outer_fd, from);
	int err = chunks_drop(kind, outer_fd, slot, chunks);

	for (u32 i = 0; i < count && !err; i++) {
		int fd = chunk_open(kind, outer_fd, from, i);

		err = fd < 0 ? fd : chunk_put(kind, outer_fd, slot, i, fd);
		if (fd >= 0)
			close(fd);
	}
	return err ? err : chunks_open(kind, outer_fd, slot, chunks);
}

int chunks_grace(const struct chunks_kind *kind, int outer_fd, u32 slot)
{
	int fd = chunk_open(kind, outer_fd, slot, 0);
	int err = fd < 0 ? fd : chunk_put(kind, outer_fd, slot, 0, fd);

	if (fd >= 0)
		close(fd);
	return err;
}
