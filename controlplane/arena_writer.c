/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks are kept in one array in order of their offset: an arena holds a few hundred of them,
 * and changes come a few times a second at most, so first fit by a linear walk is enough. */
#include "controlplane/arena_writer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/state/memory.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define BLOCK_UNIT 64

struct block {
	u64 offset, bytes;
	bool building;       /* used by the generation being built */
	bool published;      /* used by the published generation */
	u64 last_generation; /* of a dying block: the last one that used it; 0 if never published */
};

struct arena_writer {
	struct memory memory;
	struct arena_header *header;
	int reader_fd;
	u64 generation;
	struct block *blocks;
	size_t blocks_count, blocks_room;
};

int arena_writer_create(u64 size_bytes, u64 epoch, u64 incarnation, u32 counters_count,
			struct arena_writer **out)
{
	struct arena_writer *writer = calloc(1, sizeof(*writer));
	int err;

	if (!writer)
		return -ENOMEM;
	err = memory_create("shunt-arena", size_bytes, &writer->memory);
	if (err)
		goto free_writer;
	writer->header = writer->memory.base;
	*writer->header = (struct arena_header){
		.magic = ARENA_MAGIC,
		.abi = ARENA_ABI,
		.min_reader = ARENA_MIN_READER,
		.size_bytes = writer->memory.size_bytes,
		.epoch = epoch,
		.incarnation = incarnation,
		.root_bytes = sizeof(struct arena_root),
		.service_bytes = sizeof(struct service),
		.backend_bytes = sizeof(struct backend),
		.counters_count = counters_count,
	};
	err = memory_seal(&writer->memory, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE);
	if (err)
		goto free_writer;
	writer->reader_fd = memory_reopen_read_only(writer->memory.fd);
	if (writer->reader_fd < 0) {
		err = writer->reader_fd;
		goto release;
	}
	*out = writer;
	return 0;
release:
	memory_release(&writer->memory);
free_writer:
	free(writer);
	return err;
}

void arena_writer_destroy(struct arena_writer *writer)
{
	if (!writer)
		return;
	close(writer->reader_fd);
	memory_release(&writer->memory);
	free(writer->blocks);
	free(writer);
}

int arena_writer_fd(const struct arena_writer *writer)
{
	return writer->reader_fd;
}

bool arena_writer_huge(const struct arena_writer *writer)
{
	return writer->memory.huge;
}

u64 arena_writer_epoch(const struct arena_writer *writer)
{
	return writer->header->epoch;
}

u32 arena_writer_counters_count(const struct arena_writer *writer)
{
	return writer->header->counters_count;
}

u64 arena_writer_generation(const struct arena_writer *writer)
{
	return writer->generation;
}

u64 arena_writer_free_bytes(const struct arena_writer *writer)
{
	u64 used = ARENA_HEADER_BYTES;

	for (size_t i = 0; i < writer->blocks_count; i++)
		used += writer->blocks[i].bytes;
	return writer->memory.size_bytes - used;
}

/* Finds the first gap of at least `bytes`; *at is where its block belongs in the array. */
static u64 find_gap(const struct arena_writer *writer, u64 bytes, size_t *at)
{
	u64 offset = ARENA_HEADER_BYTES;

	for (*at = 0; *at < writer->blocks_count; (*at)++) {
		const struct block *block = &writer->blocks[*at];

		if (block->offset - offset >= bytes)
			return offset;
		offset = block->offset + block->bytes;
	}
	return writer->memory.size_bytes - offset >= bytes ? offset : 0;
}

u64 arena_writer_alloc(struct arena_writer *writer, u64 bytes)
{
	u64 rounded = (bytes + BLOCK_UNIT - 1) / BLOCK_UNIT * BLOCK_UNIT;
	size_t at;
	u64 offset = find_gap(writer, rounded, &at);

	if (offset == 0)
		return 0;
	if (writer->blocks_count == writer->blocks_room) {
		size_t room = writer->blocks_room ? writer->blocks_room * 2 : 64;
		struct block *blocks = reallocarray(writer->blocks, room, sizeof(*blocks));

		if (!blocks)
			return 0;
		writer->blocks = blocks;
		writer->blocks_room = room;
	}
	memmove(&writer->blocks[at + 1], &writer->blocks[at],
		(writer->blocks_count - at) * sizeof(*writer->blocks));
	writer->blocks[at] = (struct block){
		.offset = offset,
		.bytes = rounded,
		.building = true,
	};
	writer->blocks_count++;
	memset(arena_writer_at(writer, offset), 0, rounded);
	return offset;
}

void *arena_writer_at(const struct arena_writer *writer, u64 offset)
{
	return (u8 *)writer->memory.base + offset;
}

void arena_writer_keep(struct arena_writer *writer, u64 offset)
{
	for (size_t i = 0; i < writer->blocks_count; i++) {
		if (writer->blocks[i].offset == offset) {
			writer->blocks[i].building = true;
			return;
		}
	}
	assert(!"a block that the arena does not hold");
}

void arena_writer_publish(struct arena_writer *writer, u64 root_offset, u64 generation)
{
	struct arena_root *root = arena_writer_at(writer, root_offset);

	assert(generation > writer->generation);
	root->generation = generation;
	root->checksum = arena_root_checksum(root);
	/* Pairs with the acquire in arena_root_offset(). */
	__atomic_store_n(&writer->header->root, root_offset, __ATOMIC_RELEASE);
	for (size_t i = 0; i < writer->blocks_count; i++) {
		struct block *block = &writer->blocks[i];

		if (block->published && !block->building)
			block->last_generation = writer->generation;
		block->published = block->building;
		block->building = false;
	}
	writer->generation = generation;
}

static size_t free_blocks(struct arena_writer *writer, u64 below)
{
	size_t kept = 0, freed;

	for (size_t i = 0; i < writer->blocks_count; i++) {
		struct block block = writer->blocks[i];

		if (block.published || block.building || block.last_generation >= below)
			writer->blocks[kept++] = block;
	}
	freed = writer->blocks_count - kept;
	writer->blocks_count = kept;
	return freed;
}

void arena_writer_abandon(struct arena_writer *writer)
{
	for (size_t i = 0; i < writer->blocks_count; i++)
		writer->blocks[i].building = false;
	free_blocks(writer, 1); /* only what was never published has no last generation */
}

size_t arena_writer_reclaim(struct arena_writer *writer, u64 seen)
{
	return free_blocks(writer, seen);
}
