/* SPDX-License-Identifier: BSD-2-Clause */
/* One balancer three times over: the core frame by frame, the burst pipeline that DPDK's and AF_XDP's
 * workers run, and the program in the kernel. Their tables come the way a balancer's come: text,
 * configuration, plan, arena, and from there into the kernel by shunt-xdp's own code. What each
 * remembers (flows, fragments, whom it told) and counts is its own.
 *
 * Two ports of two queues each, which are TAP devices in a network namespace of the test's own:
 * the kernel runs a program on a frame as if it came in by any queue that a device has. */
#ifndef SHUNT_TESTS_DIFFERENTIAL_WORLD_H
#define SHUNT_TESTS_DIFFERENTIAL_WORLD_H

#include "controlplane/maglev_history.h"
#include "controlplane/plan.h"
#include "controlplane/tables.h"
#include "dataplane/burst/burst.h"
#include "dataplane/burst/replay.h"
#include "dataplane/state/flow_table.h"
#include "dataplane/kernel/kernel.h"
#include "tests/unit/frames.h"

enum { WORLD_PORTS = 2, WORLD_QUEUES = 2, WORLD_WORKERS = WORLD_PORTS * WORLD_QUEUES };
enum { WORLD_FRAME_MAX = 9216, WORLD_HEADROOM = 128 };
enum { WORLD_SKIP = 77 };

/* What one worker of an engine in user space has. */
struct world_worker {
	struct env env;
	struct env_recent recent;
	struct replay_clock clock;
};

struct world_engine {
	struct world_worker workers[WORLD_WORKERS];
	struct flow_bucket *buckets; /* all workers', one after the other */
	struct flow_owners *owners;
	struct report report;
};

/* What became of a frame. */
struct world_result {
	enum verdict verdict;
	u16 backend_number, service_number;
	u32 l3_len;
	u32 port; /* where it goes */
	u8 *frame;
	u32 frame_bytes;
};

/* Frames of one worker that the burst pipeline is yet to get, and what it has to make of them. */
struct world_pending {
	u32 worker;
	struct burst burst;
	struct world_result wanted[BURST_MAX];
	u8 (*room)[WORLD_HEADROOM + WORLD_FRAME_MAX];
	u8 (*out)[WORLD_HEADROOM + WORLD_FRAME_MAX];
};

struct world {
	struct config *config, *original; /* what it has become, and as the file has it */
	struct plan *plan;
	struct maglev_history *history;
	struct arena_writer *writer;
	struct tables_builder *builder;
	struct arena_view view;
	u64 generation, epoch, time_ms;
	bool stateless; /* flow tables are not to be used */
	u32 flow_buckets;
	struct kernel_port ports[WORLD_PORTS];
	struct kernel kernel;
	struct replay_clock kernel_clocks[WORLD_WORKERS];
	struct report kernel_report;
	u32 cpu;
	struct world_engine core, burst;
	struct world_pending pending;
	u64 frames;          /* so far */
	u64 publications;    /* so far */
	u64 compared_states; /* so far */
	u64 verdicts[VERDICT_COUNT];
};

/* Opens the balancer of a configuration file, with flow tables of so many buckets a worker: above
 * every service number. Ends the program with WORLD_SKIP and the reason where the kernel refuses
 * BPF, with 1 and the reason where anything else fails. */
void world_open(struct world *world, const char *config_path, u32 flow_buckets);
void world_close(struct world *world);

/* Flow tables of another size, empty. */
void world_flows(struct world *world, u32 flow_buckets);

/* Publishes the configuration and the plan as they stand now. */
void world_publish(struct world *world);

/* Changes up to so many backends as operators, health checks and routes do, and publishes. */
void world_disturb(struct world *world, struct random *random, u32 changes);

/* The same, and sometimes what holds for all services; for a while flow tables may not be used. */
void world_change(struct world *world, struct random *random);

/* Whether a service has a backend of this number that may go on with its flows. */
bool world_has(const struct world *world, u16 service_number, u16 backend_number);

/* Publishes out of a new arena of another size. */
void world_renew(struct world *world);

/* Lets time pass. */
void world_pass(struct world *world, u64 ms);

/* Runs one frame through all three, which must agree in everything. */
struct world_result world_frame(struct world *world, u32 worker, const u8 *frame, u32 frame_bytes);

/* Whether flows, fragments, who was told and every counter are the same. */
void world_compare(struct world *world);

/* Gives the burst pipeline what it has not got yet. */
void world_flush(struct world *world);

/* What the verifier had to walk through. */
u32 world_verified(const struct world *world);

/* Says what is wrong, and ends the program. */
void world_fail(const struct world *world, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

#endif
