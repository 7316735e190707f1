/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared memory that crosses processes: a sealable memfd, populated, on huge pages where the
 * machine has enough of them free. */
#ifndef SHUNT_STATE_MEMORY_H
#define SHUNT_STATE_MEMORY_H

#include "dataplane/core/base.h"

struct memory {
	void *base; /* mapped read-write, zeroed */
	size_t size_bytes;
	int fd;
	bool huge;
};

/* Bytes of the 2 MiB pages that are tried first for memory of this size; 0: none are. */
static inline u64 memory_huge_bytes(u64 size_bytes)
{
	const u64 page_bytes = (u64)2 << 20;

	return size_bytes < page_bytes / 2 ? 0 : (size_bytes + page_bytes - 1) & -page_bytes;
}

/* Makes and maps a memfd of at least size_bytes, on 2 MiB pages where that many are free.
 * Returns 0 or -errno. */
int memory_create(const char *name, size_t size_bytes, struct memory *memory)
	__attribute__((warn_unused_result));

/* Adds F_SEAL_* flags, and F_SEAL_SEAL. On failure releases the memory. */
int memory_seal(struct memory *memory, int seals) __attribute__((warn_unused_result));

void memory_release(struct memory *memory);

/* A second descriptor of the same memory, an open file of its own; the read-only one keeps its
 * holder from writing by mistake, not by intent (a memfd may be opened anew by whoever has it).
 * Returns it or -errno. */
int memory_reopen(int fd) __attribute__((warn_unused_result));
int memory_reopen_read_only(int fd) __attribute__((warn_unused_result));

/* Whether the descriptor is a BPF map's, which is never sealed and never changes its size. */
bool memory_is_map(int fd);

#endif
