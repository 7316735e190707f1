/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/state/flow_table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/state/memory.h"

int flow_tables_create(u64 flows, u32 workers_count, u64 timeout_ms, struct flow_tables *tables)
{
	u64 buckets = flows / workers_count * 2 / FLOW_BUCKET_ENTRIES + 1;
	struct memory memory;
	int err;

	if (buckets < FLOW_TABLE_MIN_BUCKETS)
		buckets = FLOW_TABLE_MIN_BUCKETS;
	if (buckets > 1u << 31)
		return -E2BIG;
	err = memory_create("shunt-flows",
			    FLOW_TABLE_HEADER_BYTES +
				    buckets * workers_count * sizeof(struct flow_bucket),
			    &memory);
	if (err)
		return err;
	*tables = (struct flow_tables){
		.header = memory.base,
		.buckets = (struct flow_bucket *)((u8 *)memory.base + FLOW_TABLE_HEADER_BYTES),
		.size_bytes = memory.size_bytes,
		.fd = memory.fd,
		.huge = memory.huge,
	};
	*tables->header = (struct flow_table_header){
		.magic = FLOW_TABLE_MAGIC,
		.abi = FLOW_TABLE_ABI,
		.workers_count = workers_count,
		.buckets_count = (u32)buckets,
		.tick_ms = flow_tick_ms(timeout_ms),
	};
	return memory_seal(&memory, F_SEAL_SHRINK | F_SEAL_GROW);
}

void flow_tables_destroy(struct flow_tables *tables)
{
	if (!tables->header)
		return;
	munmap(tables->header, tables->size_bytes);
	close(tables->fd);
	*tables = (struct flow_tables){.fd = -1};
}

void flow_tables_adopt(struct flow_tables *tables, u64 incarnation)
{
	size_t buckets = (size_t)tables->header->workers_count * tables->header->buckets_count;

	if (tables->header->incarnation == incarnation)
		return;
	memset(tables->buckets, 0, buckets * sizeof(struct flow_bucket));
	tables->header->incarnation = incarnation;
}
