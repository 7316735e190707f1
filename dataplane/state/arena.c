/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/state/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define ARENA_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

u64 arena_root_checksum(const struct arena_root *root)
{
	u64 sum = ARENA_MAGIC;
	u64 words[sizeof(*root) / 8];

	memcpy(words, root, sizeof(words));
	for (size_t i = 1; i < sizeof(words) / sizeof(words[0]); i++)
		sum = hash_unkeyed(sum ^ words[i]) + i;
	return sum;
}

static int header_check(const struct arena_header *header, u64 size_bytes, char *message,
			size_t message_bytes)
{
	if (header->magic != ARENA_MAGIC) {
		snprintf(message, message_bytes, "this is not a shunt arena");
		return -EINVAL;
	}
	if (header->min_reader > ARENA_ABI || header->abi < ARENA_MIN_READER) {
		snprintf(message, message_bytes,
			 "shuntd writes arena ABI %u (readers from %u on), this program reads ABI "
			 "%u (writers from %u on); run the same version of both",
			 header->abi, header->min_reader, ARENA_ABI, ARENA_MIN_READER);
		return -EPROTO;
	}
	if (header->root_bytes != sizeof(struct arena_root) ||
	    header->service_bytes != sizeof(struct service) ||
	    header->backend_bytes != sizeof(struct backend)) {
		snprintf(message, message_bytes,
			 "the arena's structures differ in size from this program's, though both "
			 "say ABI %u; rebuild both from one source tree",
			 header->abi);
		return -EPROTO;
	}
	if (header->size_bytes != size_bytes) {
		snprintf(message, message_bytes, "the arena is %llu bytes long but says %llu",
			 (unsigned long long)size_bytes, (unsigned long long)header->size_bytes);
		return -EINVAL;
	}
	return 0;
}

int arena_attach(int fd, struct arena_view *view, char *message, size_t message_bytes)
{
	struct stat stat;
	int seals = fcntl(fd, F_GET_SEALS);
	void *base;
	int err;

	if (fstat(fd, &stat) < 0)
		return -errno;
	if (seals < 0 || (seals & ARENA_SEALS) != ARENA_SEALS) {
		snprintf(message, message_bytes,
			 "the arena is not sealed against shrinking, growing and writing");
		return -EINVAL;
	}
	if (stat.st_size < ARENA_HEADER_BYTES) {
		snprintf(message, message_bytes, "the arena is shorter than its header");
		return -EINVAL;
	}
	base = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	err = header_check(base, (u64)stat.st_size, message, message_bytes);
	if (err) {
		munmap(base, (size_t)stat.st_size);
		return err;
	}
	*view = (struct arena_view){
		.base = base,
		.size_bytes = (u64)stat.st_size,
		.epoch = ((const struct arena_header *)base)->epoch,
		.counters_count = ((const struct arena_header *)base)->counters_count,
	};
	return 0;
}

void arena_detach(struct arena_view *view)
{
	if (view->base)
		munmap((void *)(size_t)view->base, view->size_bytes);
	*view = (struct arena_view){0};
}

static bool inside(const struct arena_view *view, u64 offset, u64 count, u64 each_bytes,
		   u64 align_bytes)
{
	return offset >= ARENA_HEADER_BYTES && offset <= view->size_bytes &&
	       offset % align_bytes == 0 && count <= (view->size_bytes - offset) / each_bytes;
}

/* A record that is no active service may still stand behind any key: it must lead nowhere. */
static bool service_inert(const struct service *service)
{
	return service->maglev_offset == 0 && service->previous_offset == 0 &&
	       service->maglev_size == 0 && service->backends_first == 0 &&
	       service->backends_count == 0;
}

static bool service_inside(const struct arena_view *view, const struct arena_root *root,
			   const struct service *service)
{
	if (service->kind != SERVICE_ACTIVE)
		return service_inert(service);
	return service->maglev_size > 0 &&
	       inside(view, service->maglev_offset, service->maglev_size, sizeof(u16),
		      sizeof(u16)) &&
	       inside(view, service->previous_offset, service->maglev_size, sizeof(u16),
		      sizeof(u16)) &&
	       service->backends_first <= root->backends_count &&
	       service->backends_count <= root->backends_count - service->backends_first &&
	       service->counter < view->counters_count &&
	       service->number <= root->highest_service_number;
}

/* No longer than their family's addresses: an IPv4 length beyond them would be taken for another. */
static bool prefixes_sound(const struct arena_root *root)
{
	for (u32 i = 0; i < SERVICE_PREFIXES_MAX; i++)
		if (root->prefixes[0][i] > 31 || root->prefixes[1][i] > 127)
			return false;
	return true;
}

static bool root_inside(const struct arena_view *view, const struct arena_root *root)
{
	u64 services_count = (u64)root->buckets_count * SERVICE_BUCKET_KEYS;
	const struct service *services;
	const struct backend *backends;

	if (root->buckets_count == 0 || !prefixes_sound(root) ||
	    !inside(view, root->buckets_offset, root->buckets_count, sizeof(struct service_bucket),
		    64) ||
	    !inside(view, root->services_offset, services_count, sizeof(struct service), 64) ||
	    !inside(view, root->backends_offset, root->backends_count, sizeof(struct backend), 64))
		return false;
	services = (const struct service *)(view->base + root->services_offset);
	for (u64 i = 0; i < services_count; i++)
		if (!service_inside(view, root, &services[i]))
			return false;
	backends = (const struct backend *)(view->base + root->backends_offset);
	for (u32 i = 0; i < root->backends_count; i++)
		if (backends[i].counter >= view->counters_count)
			return false;
	return true;
}

int arena_tables(const struct arena_view *view, u64 root_offset, struct tables *tables)
{
	struct arena_root root;

	if (!inside(view, root_offset, 1, sizeof(root), 8))
		return -EINVAL;
	memcpy(&root, view->base + root_offset, sizeof(root));
	if (root.checksum != arena_root_checksum(&root) || !root_inside(view, &root))
		return -EINVAL;
	*tables = (struct tables){
		.generation = root.generation,
		.seed = root.seed,
		.arena = view->base,
		.buckets = (const struct service_bucket *)(view->base + root.buckets_offset),
		.services = (const struct service *)(view->base + root.services_offset),
		.backends = (const struct backend *)(view->base + root.backends_offset),
		.buckets_count = root.buckets_count,
		.backends_count = root.backends_count,
		.highest_service_number = root.highest_service_number,
		.unmatched_pass = root.unmatched_pass,
	};
	memcpy(tables->prefixes, root.prefixes, sizeof(tables->prefixes));
	return 0;
}
