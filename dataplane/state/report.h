/* SPDX-License-Identifier: BSD-2-Clause */
/* The report: shared memory that a dataplane writes and shuntd reads, never trusting it.
 *
 * A header, then a block per worker: which generation it uses, its heartbeat, and counters by
 * verdict, by service and by backend (the last two in one array of struct report_traffic,
 * indexed by the counter numbers that the arena's records carry). A worker writes only its own
 * block, with plain stores: counters only grow, so a reader needs no lock. */
#ifndef SHUNT_STATE_REPORT_H
#define SHUNT_STATE_REPORT_H

#include "dataplane/core/verdict.h"

#define REPORT_MAGIC 0x0a74726f7065720aull
#define REPORT_ABI 3
#define REPORT_HEADER_BYTES 4096
#define REPORT_WORKERS_MAX 128

struct report_header {
	u64 magic;
	u32 abi;
	u32 workers_count;
	u64 size_bytes;
	u64 epoch; /* of the arena that the counter numbers belong to */
	u32 counters_count;
	u32 verdicts_count;
	u64 worker_bytes; /* distance between worker blocks */
};

struct report_traffic {
	u64 packets;
	u64 bytes; /* of IP packets as they came in */
};

/* What carries a worker's traffic, and why not what is meant to. */
enum report_carrier {
	REPORT_CARRIER_THREAD,    /* a thread that polls the device */
	REPORT_CARRIER_KERNEL,    /* the program in the kernel */
	REPORT_CARRIER_COPY,      /* a thread, over an AF_XDP socket whose frames are copied */
	REPORT_CARRIER_ZERO_COPY, /* the same, where the driver shares its memory */
};

enum report_why {
	REPORT_WHY_SETTLED, /* it is what was chosen */
	REPORT_WHY_NO_ROOM, /* the socket's thread is slow, and its buffers are full */
	REPORT_WHY_STALLED, /* the socket's thread gives no sign of life */
	REPORT_WHY_GONE,    /* the interface has gone, and perhaps come back: the socket is dead */
	REPORT_WHY_GENERIC, /* the driver takes no XDP program, and the kernel's way is slow enough */
};

struct report_worker {
	u64 heartbeat;        /* bursts begun, idle ones included */
	u64 generation;       /* in use since before the present burst */
	u64 swept_generation; /* a full sweep ran one timeout after this one came */
	u64 flows_unplaced;   /* new flows forwarded statelessly: both buckets taken */
	u64 roots_refused;    /* generations that pointed outside the arena */
	u64 exceptions_lost;  /* passed, but the kernel had no room for them */
	u64 kernel_sent;      /* frames of the kernel's that went out, and of ours unasked for */
	u64 kernel_lost;      /* such that the transmit queue did not take */
	u64 core
		cache_aligned; /* that it is pinned to, as the kernel numbers them; main thread's */
	u64 carrier;           /* enum report_carrier; these too are the main thread's */
	u64 why;               /* enum report_why */
	u64 steered;           /* frames given to the socket since the program was loaded */
	u64 fallen_back;       /* such that the program forwarded in the socket's stead */
	u64 falls;             /* how often it began to */
	u64 lost;              /* such that were in the socket of a process that was killed */
	u64 starved;           /* frames that the socket's kernel side had no buffer or place for */
	u64 verdicts[VERDICT_COUNT + 1] cache_aligned; /* the last: not settled, shown nowhere */
	struct report_traffic traffic[] cache_aligned;
} cache_aligned;

/* A mapped report. The layout is copied out when it is mapped: the writer could change the
 * header under a reader's hands. */
struct report {
	struct report_header *header;
	size_t size_bytes;
	u64 worker_bytes;
	u64 epoch;
	u32 workers_count;
	u32 counters_count;
	int fd;
};

/* Makes, maps and seals a report for an arena's counters. Returns 0 or -errno. */
int report_create(u32 workers_count, u32 counters_count, u64 epoch, struct report *report)
	__attribute__((warn_unused_result));

/* Maps a report behind a descriptor read-only after checking seals, magic, ABI and sizes.
 * Returns 0; -EINVAL with a sentence in message; -errno. */
int report_attach(int fd, struct report *report, char *message, size_t message_bytes)
	__attribute__((warn_unused_result));
void report_destroy(struct report *report);

struct report_worker *report_worker(const struct report *report, u32 worker);

/* Copies what one worker counted in an old report into a new one, counter by counter (the numbers
 * of an arena live on in its successor). */
void report_carry_over(const struct report *from, const struct report *to, u32 worker);

#endif
