/* SPDX-License-Identifier: BSD-2-Clause */
/* One frame through each of the three, and whether they agree. The core by itself is what the others
 * are held to: stage after stage for one frame, nothing overlaps. The burst pipeline gets frames in
 * bursts, so it lags behind by as many as are pending; before anything that it would see at the
 * wrong moment (another worker's frames, a change, time) it catches up. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "dataplane/core/single.h"
#include "tests/differential/world.h"

#define LEAST_BYTES 14 /* the kernel runs no program on less than an Ethernet header */

static const char *reason_of(u32 verdict)
{
	return verdict < VERDICT_COUNT ? verdict_reason((enum verdict)verdict) : "nothing";
}

static void hex_print(const char *title, const u8 *bytes, u32 count)
{
	printf("%s, %u bytes: ", title, count);
	for (u32 i = 0; i < count; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
}

static void frames_differ(const struct world *world, const char *who,
			  const struct world_result *wanted, const u8 *bytes, u32 count)
{
	u32 at = 0;

	while (at < count && at < wanted->frame_bytes && bytes[at] == wanted->frame[at])
		at++;
	hex_print("the core", wanted->frame, wanted->frame_bytes);
	hex_print(who, bytes, count);
	world_fail(world, "%s: %s leaves other bytes from %u on", reason_of(wanted->verdict), who,
		   at);
}

/* --- The core ------------------------------------------------------------------------- */

/* What burst_count() would count. */
static void core_count(struct report_worker *report, const struct single *single,
		       enum verdict verdict)
{
	report->verdicts[verdict]++;
	report->flows_unplaced += single->record == FORWARD_NO_ROOM;
	if (verdict_action(verdict) != ACTION_FORWARD)
		return;
	report->traffic[single->service->counter].packets++;
	report->traffic[single->service->counter].bytes += single->packet.l3_len;
	report->traffic[single->backend->counter].packets++;
	report->traffic[single->backend->counter].bytes += single->packet.l3_len;
}

static struct world_result core_run(struct world *world, u32 worker, u8 *room, u32 frame_bytes)
{
	struct single single = {
		.frame = room + WORLD_HEADROOM,
		.frame_bytes = frame_bytes,
		.headroom_bytes = WORLD_HEADROOM,
	};
	struct world_worker *mine = &world->core.workers[worker];
	u32 port = worker / WORLD_QUEUES;
	enum verdict verdict = single_run(&mine->env, &world->ports[port].station, &single);

	mine->recent.kept_count = 0;
	core_count(report_worker(&world->core.report, worker), &single, verdict);
	return (struct world_result){
		.verdict = verdict,
		.backend_number = single.backend_number,
		.service_number = single.service ? single.service->number : 0,
		.l3_len = single.packet.l3_len,
		.port = verdict_action(verdict) == ACTION_FORWARD ? single.backend->port : port,
		.frame = single.frame,
		.frame_bytes = single.frame_bytes,
	};
}

/* --- The program in the kernel -------------------------------------------------------- */

static u32 action_wanted(const struct world_result *wanted, u32 port)
{
	switch (verdict_action(wanted->verdict)) {
	case ACTION_FORWARD:
		return wanted->port == port ? XDP_TX : XDP_REDIRECT;
	case ACTION_REPLY:
		return XDP_TX;
	case ACTION_PASS:
		return XDP_PASS;
	default:
		return XDP_DROP;
	}
}

static void kernel_check(const struct world *world, const struct kernel_frame *frame, u32 port,
			 const struct world_result *wanted)
{
	const struct kernel_result *result = &frame->result;

	if (result->verdict != (u32)wanted->verdict) {
		hex_print("the frame", frame->in, frame->in_bytes);
		world_fail(world, "%s in the kernel, %s by the core", reason_of(result->verdict),
			   reason_of(wanted->verdict));
	}
	if (result->backend_number != wanted->backend_number ||
	    result->service_number != wanted->service_number || result->l3_len != wanted->l3_len)
		world_fail(world,
			   "%s: service %u, backend %u, %u bytes in the kernel; %u, %u, %u by the "
			   "core",
			   reason_of(wanted->verdict), result->service_number,
			   result->backend_number, result->l3_len, wanted->service_number,
			   wanted->backend_number, wanted->l3_len);
	if (frame->action != action_wanted(wanted, port))
		world_fail(world, "%s: the kernel's action is %u, not %u",
			   reason_of(wanted->verdict), frame->action, action_wanted(wanted, port));
	if (frame->out_bytes != wanted->frame_bytes ||
	    memcmp(frame->out, wanted->frame, wanted->frame_bytes) != 0)
		frames_differ(world, "the kernel", wanted, frame->out, frame->out_bytes);
}

static void kernel_frame(struct world *world, u32 worker, const u8 *bytes, u32 frame_bytes,
			 const struct world_result *wanted)
{
	static u8 out[WORLD_HEADROOM + WORLD_FRAME_MAX];
	u32 port = worker / WORLD_QUEUES;
	struct kernel_frame frame = {
		.in = bytes,
		.in_bytes = frame_bytes,
		.ifindex = world->ports[port].ifindex,
		.queue = worker % WORLD_QUEUES,
		.out = out,
		.out_bytes = sizeof(out),
	};
	int err;

	if (frame_bytes < LEAST_BYTES)
		return;
	err = kernel_run(&world->kernel, world->cpu, &frame);
	if (err)
		world_fail(world, "the kernel does not run it: %s", strerror(-err));
	kernel_check(world, &frame, port, wanted);
}

/* --- The burst pipeline --------------------------------------------------------------- */

static void burst_check(const struct world *world, u32 i)
{
	const struct world_pending *pending = &world->pending;
	const struct world_result *wanted = &pending->wanted[i];
	const struct burst *burst = &pending->burst;
	u32 service_number = burst->service[i] ? burst->service[i]->number : 0;

	if (burst->verdict[i] != wanted->verdict)
		world_fail(world, "%s in a burst, %s by the core", reason_of(burst->verdict[i]),
			   reason_of(wanted->verdict));
	if (burst->backend_number[i] != wanted->backend_number ||
	    service_number != wanted->service_number || burst->l3_len[i] != wanted->l3_len)
		world_fail(world, "%s: service %u, backend %u in a burst; %u, %u by the core",
			   reason_of(wanted->verdict), service_number, burst->backend_number[i],
			   wanted->service_number, wanted->backend_number);
	if (verdict_action(wanted->verdict) == ACTION_FORWARD && burst->port[i] != wanted->port)
		world_fail(world, "another port in a burst");
	if (burst->frame_bytes[i] != wanted->frame_bytes ||
	    memcmp(burst->frame[i], wanted->frame, wanted->frame_bytes) != 0)
		frames_differ(world, "a burst", wanted, burst->frame[i], burst->frame_bytes[i]);
}

void world_flush(struct world *world)
{
	struct world_pending *pending = &world->pending;
	struct burst *burst = &pending->burst;
	struct world_worker *worker = &world->burst.workers[pending->worker];

	if (burst->count == 0)
		return;
	burst->station = world->ports[pending->worker / WORLD_QUEUES].station;
	burst_process(&worker->env, burst);
	worker->recent.kept_count = 0;
	for (u32 i = 0; i < burst->count; i++)
		burst_check(world, i);
	burst_count(burst, 0, burst->count, report_worker(&world->burst.report, pending->worker));
	burst->count = 0;
}

/* --- One frame ------------------------------------------------------------------------ */

struct world_result world_frame(struct world *world, u32 worker, const u8 *frame, u32 frame_bytes)
{
	struct world_pending *pending = &world->pending;
	struct burst *burst = &pending->burst;
	struct world_result result;
	u32 i;

	frame_require(worker < WORLD_WORKERS && frame_bytes <= WORLD_FRAME_MAX);
	if (burst->count == BURST_MAX || pending->worker != worker)
		world_flush(world);
	pending->worker = worker;
	i = burst->count++;
	memcpy(pending->room[i] + WORLD_HEADROOM, frame, frame_bytes);
	memcpy(pending->out[i] + WORLD_HEADROOM, frame, frame_bytes);
	burst->frame[i] = pending->room[i] + WORLD_HEADROOM;
	burst->contiguous_bytes[i] = burst->frame_bytes[i] = frame_bytes;
	burst->headroom_bytes[i] = WORLD_HEADROOM;

	result = pending->wanted[i] = core_run(world, worker, pending->out[i], frame_bytes);
	kernel_frame(world, worker, frame, frame_bytes, &result);
	if (frame_bytes < LEAST_BYTES) {
		/* Not the kernel's to count either. */
		if (result.verdict != VERDICT_TRUNCATED)
			world_fail(world, "%u bytes are %s", frame_bytes,
				   reason_of(result.verdict));
		report_worker(&world->kernel_report, worker)->verdicts[VERDICT_TRUNCATED]++;
	}
	world->verdicts[result.verdict]++;
	world->frames++;
	return result;
}

/* --- What is remembered and counted --------------------------------------------------- */

static void same(const struct world *world, const void *a, const void *b, size_t bytes,
		 const char *who, const char *what, u32 worker)
{
	if (memcmp(a, b, bytes) != 0)
		world_fail(world, "worker %u: %s's %s not the core's", worker, who, what);
}

static void counters_same(const struct world *world, const struct report *report, const char *who,
			  u32 worker)
{
	const struct report_worker *core = report_worker(&world->core.report, worker);
	const struct report_worker *other = report_worker(report, worker);

	for (u32 i = 0; i < VERDICT_COUNT; i++)
		if (core->verdicts[i] != other->verdicts[i])
			world_fail(world, "worker %u counted %llu of %s by %s, %llu by the core",
				   worker, (unsigned long long)other->verdicts[i], reason_of(i),
				   who, (unsigned long long)core->verdicts[i]);
	if (core->flows_unplaced != other->flows_unplaced)
		world_fail(world, "worker %u: %llu flows unplaced by %s, %llu by the core", worker,
			   (unsigned long long)other->flows_unplaced, who,
			   (unsigned long long)core->flows_unplaced);
	same(world, core->traffic, other->traffic,
	     report->counters_count * sizeof(core->traffic[0]), who,
	     "traffic of services and backends is", worker);
}

static void recent_same(const struct world *world, const struct world_worker *core,
			const struct fragment_bucket *fragments, const u32 *told_ms,
			const char *who, u32 worker)
{
	same(world, core->recent.fragments, fragments, sizeof(core->recent.fragments), who,
	     "fragments are", worker);
	same(world, core->recent.told_ms, told_ms, sizeof(core->recent.told_ms), who,
	     "senders that were told are", worker);
}

static void flows_same(const struct world *world, const struct flow_bucket *buckets,
		       const struct flow_owners *owners, const char *who, u32 worker)
{
	size_t first = (size_t)worker * world->flow_buckets;

	same(world, world->core.buckets + first, buckets,
	     world->flow_buckets * sizeof(struct flow_bucket), who, "flows are", worker);
	same(world, world->core.owners + first, owners,
	     world->flow_buckets * sizeof(struct flow_owners), who, "flows' owners are", worker);
}

static void worker_same(const struct world *world, u32 i)
{
	const struct world_worker *core = &world->core.workers[i];
	const struct world_engine *burst = &world->burst;
	const struct kernel *kernel = &world->kernel;
	size_t first = (size_t)i * world->flow_buckets;

	flows_same(world, burst->buckets + first, burst->owners + first, "the burst", i);
	flows_same(world, flow_tables_of(&kernel->flows, i), flow_tables_owners(&kernel->flows, i),
		   "the kernel", i);
	recent_same(world, core, burst->workers[i].recent.fragments,
		    burst->workers[i].recent.told_ms, "the burst", i);
	recent_same(world, core, kernel->recent[i].recent.fragments,
		    kernel->recent[i].recent.told_ms, "the kernel", i);
	counters_same(world, &burst->report, "the burst", i);
	counters_same(world, &world->kernel_report, "the kernel", i);
}

void world_compare(struct world *world)
{
	world_flush(world);
	kernel_count_up(&world->kernel, &world->kernel_report);
	for (u32 i = 0; i < WORLD_WORKERS; i++)
		worker_same(world, i);
	world->compared_states++;
}

u32 world_verified(const struct world *world)
{
	struct bpf_prog_info info = {0};
	__u32 info_bytes = sizeof(info);

	if (bpf_obj_get_info_by_fd(kernel_program_fd(&world->kernel), &info, &info_bytes) < 0)
		world_fail(world, "the program tells nothing: %s", strerror(errno));
	return info.verified_insns;
}
