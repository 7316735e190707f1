/* SPDX-License-Identifier: BSD-2-Clause */
/* An arena laid out by hand from the fixture: header, root, buckets, services, backends, Maglev
 * tables, one after another. */
#ifndef SHUNT_TESTS_ARENA_HELP_H
#define SHUNT_TESTS_ARENA_HELP_H

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/state/env_user.h"
#include "tests/unit/fixture.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

enum {
	ARENA_SEALS_ALL = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE,
	ARENA_HELP_COUNTERS = 64,
};

struct arena_help {
	int fd;
	u8 *base;
	u64 size_bytes;
	u64 root_offset;
};

static inline struct arena_header *arena_help_header(const struct arena_help *help)
{
	return (struct arena_header *)help->base;
}

static inline struct arena_root *arena_help_root(const struct arena_help *help)
{
	return (struct arena_root *)(help->base + help->root_offset);
}

static inline u64 arena_help_copy(struct arena_help *help, u64 *used, const void *from, u64 bytes)
{
	u64 offset = *used;

	memcpy(help->base + offset, from, bytes);
	*used += (bytes + 63) / 64 * 64;
	return offset;
}

/* Checksums the root again after a change to it. */
static inline void arena_help_sign(struct arena_help *help)
{
	arena_help_root(help)->checksum = arena_root_checksum(arena_help_root(help));
}

static inline void arena_help_fill(struct arena_help *help, const struct fixture *fixture)
{
	u64 used = ARENA_HEADER_BYTES;
	struct service *services;
	struct arena_root root = {
		.generation = 1,
		.seed = fixture->env.tables.seed,
		.buckets_count = FIXTURE_BUCKETS,
		.backends_count = FIXTURE_BACKENDS,
		.highest_service_number = FIXTURE_HIGHEST_NUMBER,
	};
	u64 maglev_offset;

	memcpy(root.prefixes, fixture->env.tables.prefixes, sizeof(root.prefixes));
	root.buckets_offset =
		arena_help_copy(help, &used, fixture->buckets, sizeof(fixture->buckets));
	root.services_offset =
		arena_help_copy(help, &used, fixture->services, sizeof(fixture->services));
	root.backends_offset =
		arena_help_copy(help, &used, fixture->backends, sizeof(fixture->backends));
	maglev_offset = arena_help_copy(help, &used, fixture->maglev, sizeof(fixture->maglev));
	services = (struct service *)(help->base + root.services_offset);
	for (u32 i = 0; i < FIXTURE_SERVICES; i++)
		if (services[i].kind == SERVICE_ACTIVE) {
			services[i].maglev_offset += maglev_offset;
			services[i].previous_offset += maglev_offset;
		}
	help->root_offset = arena_help_copy(help, &used, &root, sizeof(root));
	frame_require(used <= help->size_bytes);
	arena_help_sign(help);
	*arena_help_header(help) = (struct arena_header){
		.magic = ARENA_MAGIC,
		.abi = ARENA_ABI,
		.min_reader = ARENA_MIN_READER,
		.size_bytes = help->size_bytes,
		.epoch = 3,
		.root_bytes = sizeof(struct arena_root),
		.service_bytes = sizeof(struct service),
		.backend_bytes = sizeof(struct backend),
		.counters_count = ARENA_HELP_COUNTERS,
		.root = help->root_offset,
	};
}

/* A complete arena in a memfd, mapped for writing, not sealed yet. */
static inline struct arena_help arena_help_make(const struct fixture *fixture)
{
	struct arena_help help = {.size_bytes = 64 << 10};

	help.fd = memfd_create("arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	frame_require(help.fd >= 0 && ftruncate(help.fd, (off_t)help.size_bytes) == 0);
	help.base = mmap(NULL, help.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, help.fd, 0);
	frame_require(help.base != MAP_FAILED);
	arena_help_fill(&help, fixture);
	return help;
}

static inline void arena_help_seal(const struct arena_help *help, int seals)
{
	frame_require(fcntl(help->fd, F_ADD_SEALS, seals) == 0);
}

static inline void arena_help_free(struct arena_help *help)
{
	munmap(help->base, help->size_bytes);
	close(help->fd);
}

/* Follows everything that a packet could make the core follow; the sanitizer watches. */
static inline u64 arena_help_follow(const struct tables *tables)
{
	struct env env = {.tables = *tables};
	u64 sum = 0;

	for (u32 i = 0; i < tables->buckets_count * SERVICE_BUCKET_KEYS; i++) {
		const struct service *service = &tables->services[i];
		static const u32 hashes[] = {0, 0x7fffffff, 0xffffffff};

		sum += tables->buckets[i / SERVICE_BUCKET_KEYS].keys[i % SERVICE_BUCKET_KEYS];
		for (u32 k = 0; k < ARRAY_LEN(hashes); k++) {
			u32 slot = maglev_slot(hashes[k], service->maglev_size);
			u16 number = env_maglev(&env, service->maglev_offset, slot);

			sum += number + env_maglev(&env, service->previous_offset, slot);
			sum += env_backend(&env, service, number) != NULL;
		}
		for (u32 number = 0; number <= 0xffff; number += 0x0fff)
			sum += env_backend(&env, service, (u16)number) != NULL;
		if (service->kind == SERVICE_ACTIVE) {
			frame_require(service->counter < ARENA_HELP_COUNTERS);
			frame_require(service->number <= tables->highest_service_number);
		}
	}
	for (u32 i = 0; i < tables->backends_count; i++)
		frame_require(tables->backends[i].counter < ARENA_HELP_COUNTERS);
	return sum;
}

#endif
