/* SPDX-License-Identifier: BSD-2-Clause */
/* A flow table per worker, all in one shared-memory file of their own: what they remember
 * outlives a process. Their only writer is the worker; anybody may read.
 *
 * A dataplane deposits the file with shuntd, which hands it to the next one. Who writes it holds
 * a lock on it (flock) that the kernel takes away with the process's last thread, so that two
 * never write: docs/adr/0005-flow-deposit.md. */
#ifndef SHUNT_STATE_FLOW_TABLE_H
#define SHUNT_STATE_FLOW_TABLE_H

#include "dataplane/state/flow_elder.h"

#define FLOW_TABLE_MAGIC 0x0a776f6c6662740aull
#define FLOW_TABLE_ABI 3
#define FLOW_TABLE_HEADER_BYTES 4096
#define FLOW_TABLE_MIN_BUCKETS 65536 /* more than the highest service number */
#define FLOW_TABLE_MAX_BUCKETS (1u << 31)
#define FLOW_TABLE_MAX_WORKERS 128
#define FLOW_TABLE_BUCKET_BYTES (sizeof(struct flow_bucket) + sizeof(struct flow_owners))

struct flow_table_header {
	u64 magic;
	u32 abi;
	u32 workers_count;
	u32 buckets_count; /* of each worker */
	u32 tick_ms;
	u64 incarnation;             /* of the numbers that the entries hold */
	u64 last_tick cache_aligned; /* in which a worker was at work; written once a tick */
};

/* All workers' tables, mapped; locked, too, by who writes them. The layout is our own copy: other
 * processes hold the file too. */
struct flow_tables {
	struct flow_table_header *header;
	struct flow_bucket *buckets; /* workers_count * buckets_count */
	struct flow_owners *owners;  /* behind all buckets, as many */
	u32 workers_count, buckets_count, tick_ms;
	size_t size_bytes;
	int fd;
	bool huge;
	bool kernel; /* in a BPF map, which the kernel's program works on too */
};

/* Milliseconds of one tick of a flow timeout. */
static inline u32 flow_tick_ms(u64 timeout_ms)
{
	return timeout_ms < FLOW_TIMEOUT_TICKS ? 1 : (u32)(timeout_ms / FLOW_TIMEOUT_TICKS);
}

/* Makes tables for `flows` entries over all workers, at a load factor of one half, on huge
 * pages where there are enough. Returns 0 or -errno. */
int flow_tables_create(u64 flows, u32 workers_count, u64 timeout_ms, struct flow_tables *tables)
	__attribute__((warn_unused_result));
void flow_tables_destroy(struct flow_tables *tables);

/* How many buckets each worker gets for so many entries over all, 0: too many; and the bytes of the
 * whole. */
u32 flow_tables_buckets(u64 flows, u32 workers_count);
u64 flow_tables_bytes(u32 workers_count, u32 buckets_count);

/* Maps tables in a BPF map of that many bytes, for writing: what they hold already where they are
 * laid out like this and can be alive at `tick`, else they begin empty. The descriptor becomes the
 * tables'. Returns 0 or -errno. */
int flow_tables_open_kernel(int map_fd, u32 workers_count, u32 buckets_count, u64 timeout_ms,
			    u64 tick, struct flow_tables *tables)
	__attribute__((warn_unused_result));

/* A descriptor for whoever keeps the tables beyond this process: it carries no lock. Returns it
 * or -errno. */
int flow_tables_deposit(const struct flow_tables *tables) __attribute__((warn_unused_result));

/* Takes over the tables that an ended process deposited, where nobody writes them, their ages mean
 * what ours do and a flow of theirs can still be alive at `tick`. Those that are laid out like ours
 * replace ours, which are still empty; others become *elder, and ours stay as they are. fd stays
 * the caller's. Returns 0; or -errno with a sentence in text, and nothing has changed. */
int flow_tables_inherit(struct flow_tables *tables, int fd, u64 tick, struct flow_elder *elder,
			char *text, size_t text_bytes) __attribute__((warn_unused_result));

/* Lets the tables of a predecessor go, if there are any. */
void flow_elder_release(struct flow_elder *elder);

static inline struct flow_bucket *flow_tables_of(const struct flow_tables *tables, u32 worker)
{
	return tables->buckets + (size_t)worker * tables->buckets_count;
}

static inline struct flow_owners *flow_tables_owners(const struct flow_tables *tables, u32 worker)
{
	return tables->owners + (size_t)worker * tables->buckets_count;
}

/* Maps tables that another process writes, or wrote, read-only and whatever their layout, to be
 * given back by flow_tables_unmap(). Only where they are is made sure of: what they hold is
 * anybody's, and may change at any time. fd stays the caller's. Returns 0; or -EINVAL with a
 * sentence in text. */
int flow_tables_map(int fd, struct flow_tables *tables, char *text, size_t text_bytes)
	__attribute__((warn_unused_result));

/* Gives a part back, which takes less than a millisecond. Returns whether that was the last. */
bool flow_tables_unmap(struct flow_tables *tables);

/* Clears every entry unless the tables already belong to this incarnation of the numbers. */
void flow_tables_adopt(struct flow_tables *tables, u64 incarnation);

/* The tick of a time in milliseconds: 0..63 in ages; the full count orders sweeps. */
static inline u64 flow_tick_of(u64 now_ms, u32 tick_ms)
{
	return now_ms / tick_ms;
}

#endif
