/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/state/flow_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/state/memory.h"

#define FLOW_TABLE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define UNMAP_BYTES ((size_t)4 << 20)

static struct flow_tables tables_of(void *base, const struct flow_table_header *layout,
				    size_t size_bytes, int fd)
{
	struct flow_bucket *buckets = (struct flow_bucket *)((u8 *)base + FLOW_TABLE_HEADER_BYTES);

	return (struct flow_tables){
		.header = base,
		.buckets = buckets,
		.owners = (struct flow_owners *)(buckets + (size_t)layout->workers_count *
								   layout->buckets_count),
		.workers_count = layout->workers_count,
		.buckets_count = layout->buckets_count,
		.tick_ms = layout->tick_ms,
		.size_bytes = size_bytes,
		.fd = fd,
	};
}

u64 flow_tables_bytes(u32 workers_count, u32 buckets_count)
{
	return FLOW_TABLE_HEADER_BYTES +
	       (size_t)workers_count * buckets_count * FLOW_TABLE_BUCKET_BYTES;
}

u32 flow_tables_buckets(u64 flows, u32 workers_count)
{
	u64 buckets = flows / workers_count * 2 / FLOW_BUCKET_ENTRIES + 1;

	if (buckets < FLOW_TABLE_MIN_BUCKETS)
		return FLOW_TABLE_MIN_BUCKETS;
	return buckets <= FLOW_TABLE_MAX_BUCKETS ? (u32)buckets : 0;
}

static struct flow_table_header layout_of(u32 workers_count, u32 buckets_count, u64 timeout_ms)
{
	return (struct flow_table_header){
		.magic = FLOW_TABLE_MAGIC,
		.abi = FLOW_TABLE_ABI,
		.workers_count = workers_count,
		.buckets_count = buckets_count,
		.tick_ms = flow_tick_ms(timeout_ms),
	};
}

int flow_tables_create(u64 flows, u32 workers_count, u64 timeout_ms, struct flow_tables *tables)
{
	u32 buckets = flow_tables_buckets(flows, workers_count);
	struct memory memory;
	int err;

	if (buckets == 0)
		return -E2BIG;
	err = memory_create("shunt-flows", flow_tables_bytes(workers_count, buckets), &memory);
	if (err)
		return err;
	*(struct flow_table_header *)memory.base = layout_of(workers_count, buckets, timeout_ms);
	err = memory_seal(&memory, FLOW_TABLE_SEALS);
	if (err)
		return err;
	if (flock(memory.fd, LOCK_EX | LOCK_NB) < 0) {
		err = -errno;
		memory_release(&memory);
		return err;
	}
	*tables = tables_of(memory.base, memory.base, memory.size_bytes, memory.fd);
	tables->huge = memory.huge;
	return 0;
}

void flow_tables_destroy(struct flow_tables *tables)
{
	if (!tables->header)
		return;
	munmap(tables->header, tables->size_bytes);
	close(tables->fd);
	*tables = (struct flow_tables){.fd = -1};
}

/* --- From one process to the next ----------------------------------------------------- */

int flow_tables_deposit(const struct flow_tables *tables)
{
	int copy;

	if (!tables->kernel)
		return memory_reopen(tables->fd); /* ours carries the lock */
	copy = fcntl(tables->fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : copy;
}

/* A BPF map never changes its size; the kernel refuses to map more than it has. Its header says how
 * much that must be. */
static const char *map_fault(int fd, size_t *size_bytes)
{
	const struct flow_table_header *header =
		mmap(NULL, FLOW_TABLE_HEADER_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	u32 workers_count, buckets_count;

	if (header == MAP_FAILED)
		return "they cannot be mapped";
	workers_count = header->workers_count;
	buckets_count = header->buckets_count;
	munmap((void *)(size_t)header, FLOW_TABLE_HEADER_BYTES);
	if (workers_count > FLOW_TABLE_MAX_WORKERS || buckets_count > FLOW_TABLE_MAX_BUCKETS)
		return "their header is wrong";
	*size_bytes = (flow_tables_bytes(workers_count, buckets_count) + 4095) / 4096 * 4096;
	return NULL;
}

static const char *file_fault(int fd, size_t *size_bytes)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat stat;

	if (memory_is_map(fd))
		return map_fault(fd, size_bytes);
	if (seals < 0 || (seals & FLOW_TABLE_SEALS) != FLOW_TABLE_SEALS || fstat(fd, &stat) < 0)
		return "they are not in a sealed file";
	*size_bytes = (size_t)stat.st_size;
	if (*size_bytes < FLOW_TABLE_HEADER_BYTES)
		return "they are smaller than their header";
	return NULL;
}

static const char *version_fault(const struct flow_table_header *layout)
{
	if (layout->magic != FLOW_TABLE_MAGIC || layout->abi != FLOW_TABLE_ABI)
		return "they are of another version";
	return NULL;
}

/* Whether the layout that a header claims lies inside a file of this size. */
static const char *bounds_fault(const struct flow_table_header *layout, size_t size_bytes)
{
	const char *fault = version_fault(layout);

	if (fault)
		return fault;
	if (layout->workers_count == 0 || layout->workers_count > FLOW_TABLE_MAX_WORKERS ||
	    layout->buckets_count < FLOW_TABLE_MIN_BUCKETS ||
	    layout->buckets_count > FLOW_TABLE_MAX_BUCKETS || layout->tick_ms == 0)
		return "their header is wrong";
	if (size_bytes < flow_tables_bytes(layout->workers_count, layout->buckets_count))
		return "they are smaller than their header says";
	return NULL;
}

/* What makes them of no use, however they are laid out. */
static const char *layout_fault(const struct flow_table_header *layout, size_t size_bytes,
				u32 tick_ms, u64 tick)
{
	const char *fault = bounds_fault(layout, size_bytes);

	if (fault)
		return fault;
	if (layout->tick_ms != tick_ms)
		return "their ages count otherwise: `flow_timeout:` has changed";
	/* Six bits of age would take some dead entries for live ones. */
	if (tick < layout->last_tick || tick - layout->last_tick > FLOW_TIMEOUT_TICKS)
		return "they have been idle for longer than `flow_timeout:`";
	return NULL;
}

/* Opens, locks and maps. Returns the sentence that says what is wrong, or NULL. */
static const char *inherit(int deposit, u32 tick_ms, u64 tick, struct flow_table_header *layout,
			   struct flow_tables *heir)
{
	size_t size_bytes;
	const char *fault = file_fault(deposit, &size_bytes);
	void *base;
	int fd;

	if (fault)
		return fault;
	if (memory_is_map(deposit))
		return "they are the kernel's, whose program may still write them";
	fd = memory_reopen(deposit);
	if (fd < 0)
		return "they cannot be opened";
	fault = "another process still writes them";
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		goto close_file;
	fault = "they cannot be mapped";
	base = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (base == MAP_FAILED)
		goto close_file;
	memcpy(layout, base, sizeof(*layout));
	fault = layout_fault(layout, size_bytes, tick_ms, tick);
	if (!fault) {
		*heir = tables_of(base, layout, size_bytes, fd);
		return NULL;
	}
	munmap(base, size_bytes);
close_file:
	close(fd);
	return fault;
}

static struct flow_elder elder_of(const struct flow_tables *heir,
				  const struct flow_table_header *layout)
{
	(void)!mprotect(heir->header, heir->size_bytes, PROT_READ); /* against our own mistakes */
	return (struct flow_elder){
		.buckets = heir->buckets,
		.workers_count = heir->workers_count,
		.buckets_count = heir->buckets_count,
		.incarnation = layout->incarnation,
		.last_tick = layout->last_tick,
		.base = heir->header,
		.size_bytes = heir->size_bytes,
		.fd = heir->fd,
	};
}

int flow_tables_inherit(struct flow_tables *tables, int fd, u64 tick, struct flow_elder *elder,
			char *text, size_t text_bytes)
{
	struct flow_table_header layout;
	struct flow_tables heir;
	const char *fault = inherit(fd, tables->tick_ms, tick, &layout, &heir);

	if (fault) {
		snprintf(text, text_bytes, "%s", fault);
		return -EINVAL;
	}
	if (heir.workers_count != tables->workers_count ||
	    heir.buckets_count != tables->buckets_count) {
		*elder = elder_of(&heir, &layout);
		return 0;
	}
	flow_tables_destroy(tables);
	*tables = heir;
	return 0;
}

void flow_elder_release(struct flow_elder *elder)
{
	if (!elder->buckets)
		return;
	munmap(elder->base, elder->size_bytes);
	close(elder->fd);
	*elder = (struct flow_elder){.fd = -1};
}

void flow_tables_adopt(struct flow_tables *tables, u64 incarnation)
{
	if (tables->header->incarnation == incarnation)
		return;
	memset(tables->buckets, 0,
	       (size_t)tables->workers_count * tables->buckets_count * sizeof(struct flow_bucket));
	tables->header->incarnation = incarnation;
}

/* --- In the kernel -------------------------------------------------------------------- */

static bool layout_usable(const struct flow_table_header *is,
			  const struct flow_table_header *wanted, u64 tick)
{
	return is->magic == wanted->magic && is->abi == wanted->abi &&
	       is->workers_count == wanted->workers_count &&
	       is->buckets_count == wanted->buckets_count && is->tick_ms == wanted->tick_ms &&
	       tick >= is->last_tick;
}

int flow_tables_open_kernel(int map_fd, u32 workers_count, u32 buckets_count, u64 timeout_ms,
			    u64 tick, struct flow_tables *tables)
{
	const struct flow_table_header wanted = layout_of(workers_count, buckets_count, timeout_ms);
	size_t size_bytes = flow_tables_bytes(workers_count, buckets_count);
	void *base = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	*tables = tables_of(base, &wanted, size_bytes, map_fd);
	tables->kernel = true;
	if (layout_usable(tables->header, &wanted, tick))
		return 0;
	memset(tables->buckets, 0,
	       (size_t)workers_count * buckets_count * sizeof(struct flow_bucket));
	*tables->header = wanted;
	return 0;
}

/* --- For who only reads ---------------------------------------------------------------- */

static const char *map(int fd, struct flow_tables *tables)
{
	struct flow_table_header layout;
	size_t size_bytes;
	const char *fault = file_fault(fd, &size_bytes);
	void *base;

	if (fault)
		return fault;
	base = mmap(NULL, size_bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return "they cannot be mapped";
	memcpy(&layout, base, sizeof(layout));
	fault = bounds_fault(&layout, size_bytes);
	if (fault)
		munmap(base, size_bytes);
	else
		*tables = tables_of(base, &layout, size_bytes, -1);
	return fault;
}

int flow_tables_map(int fd, struct flow_tables *tables, char *text, size_t text_bytes)
{
	const char *fault = map(fd, tables);

	if (!fault)
		return 0;
	snprintf(text, text_bytes, "%s", fault);
	return -EINVAL;
}

/* From the end, in parts that hold whole huge pages. */
bool flow_tables_unmap(struct flow_tables *tables)
{
	size_t rest_bytes = tables->size_bytes % UNMAP_BYTES;
	size_t part_bytes = rest_bytes ? rest_bytes : UNMAP_BYTES;

	tables->size_bytes -= part_bytes;
	munmap((u8 *)tables->header + tables->size_bytes, part_bytes);
	return tables->size_bytes == 0;
}
