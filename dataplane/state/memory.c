/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/state/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif

static size_t round_up(size_t n, size_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static int create(const char *name, size_t size_bytes, unsigned flags, struct memory *memory)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
	void *base;
	int err;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size_bytes) < 0)
		goto fail;
	base = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (base == MAP_FAILED)
		goto fail;
	*memory = (struct memory){
		.base = base,
		.size_bytes = size_bytes,
		.fd = fd,
		.huge = flags != 0,
	};
	return 0;
fail:
	err = -errno;
	close(fd);
	return err;
}

int memory_create(const char *name, size_t size_bytes, struct memory *memory)
{
	size_t huge_bytes = memory_huge_bytes(size_bytes);

	if (huge_bytes > 0 && create(name, huge_bytes, MFD_HUGETLB | MFD_HUGE_2MB, memory) == 0)
		return 0;
	return create(name, round_up(size_bytes, 4096), 0, memory);
}

int memory_seal(struct memory *memory, int seals)
{
	int err;

	if (fcntl(memory->fd, F_ADD_SEALS, seals | F_SEAL_SEAL) == 0)
		return 0;
	err = -errno;
	memory_release(memory);
	return err;
}

void memory_release(struct memory *memory)
{
	if (memory->base)
		munmap(memory->base, memory->size_bytes);
	if (memory->fd >= 0)
		close(memory->fd);
	*memory = (struct memory){.fd = -1};
}

static int reopen(int fd, int flags)
{
	char path[64];
	int copy;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy = open(path, flags | O_CLOEXEC);
	return copy < 0 ? -errno : copy;
}

int memory_reopen(int fd)
{
	return reopen(fd, O_RDWR);
}

int memory_reopen_read_only(int fd)
{
	return reopen(fd, O_RDONLY);
}

bool memory_is_map(int fd)
{
	static const char map[] = "anon_inode:bpf-map";
	char path[64], target[sizeof(map)];
	ssize_t bytes;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	bytes = readlink(path, target, sizeof(target));
	return bytes == sizeof(map) - 1 && memcmp(target, map, sizeof(map) - 1) == 0;
}
