/* SPDX-License-Identifier: BSD-2-Clause */
/* What the program in the kernel (bpf/shunt.bpf.c) shares with the process that looks after it: the
 * values of BPF maps that both map. The process may go; the memory is pinned and stays.
 *
 * A generation of tables is a copy of the arena's regions, at the arena's own offsets, in lines of 64
 * bytes: line n is the arena's bytes from 64 * n. They lie in chunks, arrays of one size, of which
 * there are as many as the arena needs; counters likewise. Two generations have room, and
 * `active` says which one counts. A packet reads `active` once. The other one may be written again
 * when no packet can be using it any more: docs/adr/0015-kernel-engine.md.
 *
 * Flow tables are laid out as in a file (flow_table.h), in lines likewise, so that the program and a
 * user-space worker of the same queue work on the same memory. */
#ifndef SHUNT_STATE_KERNEL_H
#define SHUNT_STATE_KERNEL_H

#include "dataplane/core/frag.h"
#include "dataplane/core/packet.h"
#include "dataplane/core/service.h"
#include "dataplane/core/verdict.h"
#include "dataplane/state/recent.h"

#define KERNEL_ABI 3
#define KERNEL_SLOTS 2 /* generations that have room */
#define KERNEL_PORTS_MAX 16
#define KERNEL_WORKERS_MAX 128 /* pairs of a port and one of its receive queues */
#define KERNEL_LINE_BYTES 64
#define KERNEL_ARENA_CHUNK_BITS 15     /* lines of a chunk: 2 MiB */
#define KERNEL_ARENA_CHUNKS_BITS 11    /* chunks of a generation: 4 GiB */
#define KERNEL_COUNTS_CHUNK_BITS 14    /* counters of a chunk: 256 KiB */
#define KERNEL_COUNTS_CHUNKS_BITS 12   /* chunks of a generation: 1 GiB */
#define KERNEL_HEARTBEAT_MS 25         /* without a sign of life, a worker is stalled */
#define KERNEL_FALL_BACK_NS 1000000ull /* as long at least the program forwards then */
#define KERNEL_PIN_DIR_MAX 128

struct kernel_line {
	u8 bytes[KERNEL_LINE_BYTES];
} cache_aligned;

/* Where the tables of a generation are, as the arena's root says it. Offsets count lines. */
struct kernel_tables {
	struct hash_seed seed;
	u64 generation;
	u32 buckets_line;
	u32 services_line;
	u32 backends_line;
	u32 buckets_count;
	u32 backends_count;
	u32 unmatched_pass;
	u32 counters_count;
	u8 prefixes[2][SERVICE_PREFIXES_MAX];
} cache_aligned;

struct kernel_port {
	u32 ifindex;
	u32 first_worker; /* of its receive queue 0 */
	u32 queues_count;
	struct station station;
};

struct kernel_control {
	u32 abi;
	u32 active; /* below KERNEL_SLOTS, once there are tables; else KERNEL_SLOTS */
	u32 ports_count;
	u32 workers_count;
	u32 flow_buckets;        /* of each worker; 0: the program remembers no flows, for now */
	u32 flow_tables_buckets; /* as they are laid out */
	u32 tick_ms;
	u32 fixed; /* 1: time is fixed_ms, and a worker's tick what it says: a replay */
	u64 fixed_ms;
	/* Whose the program is, by its pin directory. Where this stands no version changes. */
	char pin_dir[KERNEL_PIN_DIR_MAX] cache_aligned;
	struct kernel_port ports[KERNEL_PORTS_MAX];
	struct kernel_tables tables[KERNEL_SLOTS];
} cache_aligned;

_Static_assert(offsetof(struct kernel_control, pin_dir) == 64, "versions know each other by it");

/* Why a worker that has a socket has its packets forwarded by the program. */
enum kernel_why {
	KERNEL_WHY_NOT,
	KERNEL_WHY_NO_ROOM, /* the socket's process is slow: it had given no more buffers */
	KERNEL_WHY_STALLED, /* it gave no sign of life for KERNEL_HEARTBEAT_MS */
};

/* Of one worker: a port's receive queue, which one packet at a time comes through.
 *
 * `credit` - `steered` buffers wait in the kernel for frames that the program gives to the socket,
 * and in the socket's receive ring there is a place for each of them. The program gives none that
 * `reserve` of them have to be left for: where a driver fills buffers before the program sees what is
 * in them, it must never run out. */
struct kernel_worker {
	/* The program's own. */
	u64 tick_ends_ms; /* tick is right until then */
	u32 tick;
	u32 why;          /* enum kernel_why: of the last time that it fell back */
	u64 resume_at_ns; /* 0: frames are steered; else not before then, by the exact clock */
	u64 steered;      /* frames given to the socket, all told */
	u64 fallen_back;  /* frames that were to be steered, and that the program forwarded */
	u64 falls;        /* how often it began to do so */
	u8 unused[16];
	/* The process's: frames that the socket has been given room for, all told, and when its
	 * worker last looked, in milliseconds of the kernel's coarse clock. */
	u64 credit cache_aligned;
	u64 heartbeat_ms;
	u32 steers;    /* 1: there is a socket */
	u32 reserve;   /* buffers to be left */
	u32 resume;    /* buffers that there have to be again before it is steered again */
	u32 bytes_max; /* the longest frame that a buffer of the socket's holds */
	u64 taken;     /* frames that its worker has taken from the socket, all told */
	u64 lost;      /* of those steered, what killed processes had not taken yet */
} cache_aligned;

#ifndef __bpf__
/* Of the worker's process: so many more frames may come, for which the kernel can see the room; so many
 * have been taken. */
static inline void kernel_worker_credit(struct kernel_worker *worker, u64 count)
{
	__atomic_store_n(&worker->credit, worker->credit + count, __ATOMIC_RELEASE);
}

static inline void kernel_worker_take(struct kernel_worker *worker, u64 count)
{
	worker->taken += count;
}
#endif

/* What a worker remembers for seconds: the program, and a user-space worker of the same queue. */
struct kernel_recent {
	struct env_recent recent;
} cache_aligned;

/* Counters of one worker, one after the other: an entry for each verdict, then
 * KERNEL_COUNT_UNPLACED, then from KERNEL_COUNT_TRAFFIC on the traffic of the arena's counters. */
enum {
	KERNEL_COUNT_UNPLACED = VERDICT_COUNT,
	KERNEL_COUNT_TRAFFIC = (VERDICT_COUNT + 1 + 3) / 4 * 4,
};

struct kernel_count {
	u64 packets;
	u64 bytes; /* of IP packets as they came in; of traffic only */
};

/* Entries of one worker: whole cache lines. */
static inline u32 kernel_counts_stride(u32 counters_count)
{
	return KERNEL_COUNT_TRAFFIC + (counters_count + 3) / 4 * 4;
}

/* What the last packet of a CPU has come to, for who looks at it afterwards: a replay, a test. The
 * beginning of the program's scratch memory. */
struct kernel_result {
	u32 verdict; /* enum verdict */
	u32 backend_number;
	u32 l3_len;
	u16 service_number; /* 0: none */
	u16 port;           /* where a forwarded packet goes */
};

#endif
