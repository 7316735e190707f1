/* SPDX-License-Identifier: BSD-2-Clause */
/* The core by itself, one frame after the other, every stage back to back: the plainest caller
 * of dataplane/core, and so what the engines are compared with. */
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/core.h"
#include "controlplane/cli/replay.h"
#include "dataplane/state/flow_table.h"

#define HEADROOM 128

void core_advance(struct core *core, const struct timeval *time)
{
	replay_clock_advance(&core->clock, &core->env,
			     (u64)time->tv_sec * 1000 + (u64)time->tv_usec / 1000);
}

static struct station station_of(const struct config_dataplane *dataplane)
{
	static const u8 none[6];
	struct station station = {.mac = PLAN_OFFLINE_MAC, .any_mac = true};

	if (dataplane->interfaces_count > 0)
		station.answers = dataplane->interfaces[0].answer == CONFIG_ANSWER_ARP;
	if (dataplane->interfaces_count > 0 &&
	    memcmp(dataplane->interfaces[0].mac, none, sizeof(none)) != 0) {
		memcpy(station.mac, dataplane->interfaces[0].mac, sizeof(station.mac));
		station.any_mac = false;
	}
	return station;
}

int core_open(struct core *core, const struct offline *offline)
{
	const struct config_dataplane *dataplane = &offline->config->dataplane;
	size_t flows_bytes = FLOW_TABLE_MIN_BUCKETS * sizeof(struct flow_bucket);

	memset(core, 0, sizeof(*core));
	core->env = offline->env;
	core->env.recent = &core->recent;
	core->env.flow_buckets = FLOW_TABLE_MIN_BUCKETS;
	core->env.flows = aligned_alloc(64, flows_bytes);
	core->env.flow_owners = calloc(FLOW_TABLE_MIN_BUCKETS, sizeof(struct flow_owners));
	core->room = malloc(HEADROOM + CORE_FRAME_MAX);
	if (!core->env.flows || !core->env.flow_owners || !core->room)
		return -1;
	memset(core->env.flows, 0, flows_bytes);
	core->station = station_of(dataplane);
	core->clock.tick_ms = flow_tick_ms(dataplane->flow_timeout_ms);
	return 0;
}

void core_close(struct core *core)
{
	free(core->env.flows);
	free(core->env.flow_owners);
	free(core->room);
}

enum verdict core_run(struct core *core, const u8 *frame, u32 frame_bytes, struct single *single)
{
	*single = (struct single){
		.frame = core->room + HEADROOM,
		.frame_bytes = frame_bytes < CORE_FRAME_MAX ? frame_bytes : CORE_FRAME_MAX,
		.headroom_bytes = HEADROOM,
	};
	memcpy(single->frame, frame, single->frame_bytes);
	return single_run(&core->env, &core->station, single);
}

/* A frame of the capture, as it came. */
struct frame {
	u32 n, bytes_count;
	u8 bytes[];
};

/* Whether the frame now waits for its first fragment. */
static bool held(struct core *core, const struct packet *packet, u32 n,
		 const struct pcap_pkthdr *header, const u8 *bytes)
{
	struct frame *frame = malloc(sizeof(*frame) + header->caplen);
	const struct held held = {
		.frame = frame,
		.datagram = fragment_datagram(packet, env_seed(&core->env)),
		.since_ms = core->env.now_ms,
	};

	if (!frame || !hold_put(&core->hold, &held)) {
		free(frame);
		return false;
	}
	frame->n = n;
	frame->bytes_count = header->caplen;
	memcpy(frame->bytes, bytes, header->caplen);
	return true;
}

static void run_frame(struct core *core, struct replay *replay, struct replay_record record,
		      const struct pcap_pkthdr *header, const u8 *bytes)
{
	struct single single;

	record.verdict = (u8)core_run(core, bytes, header->caplen, &single);
	if (record.verdict == VERDICT_FRAGMENT &&
	    held(core, &single.packet, record.n, header, bytes))
		return;
	record.service_number = single.service ? single.service->number : 0;
	record.backend_number = single.backend_number;
	record.sent = verdict_sends((enum verdict)record.verdict);
	replay_tell(replay, &record, &header->ts, single.frame, single.frame_bytes);
}

/* What has waited for frame n. */
static void release(struct core *core, struct replay *replay, u32 n, const struct timeval *time)
{
	struct held held;

	while (hold_release(&core->hold, &core->recent, &held)) {
		struct frame *frame = held.frame;
		const struct pcap_pkthdr header = {.ts = *time, .caplen = frame->bytes_count};

		run_frame(core, replay, (struct replay_record){.n = frame->n, .released_by = n},
			  &header, frame->bytes);
		free(frame);
	}
}

/* What has waited in vain. */
static void expire(struct core *core, struct replay *replay)
{
	static const struct timeval never;
	struct replay_record record = {
		.verdict = VERDICT_FRAGMENT,
		.released_by = REPLAY_NOT_HELD,
	};
	struct held held;

	while (hold_expire(&core->hold, core->env.now_ms, &held)) {
		record.n = ((struct frame *)held.frame)->n;
		replay_tell(replay, &record, &never, NULL, 0);
		free(held.frame);
	}
}

static void run_next(struct core *core, struct replay *replay, u32 n,
		     const struct pcap_pkthdr *header, const u8 *bytes)
{
	core_advance(core, &header->ts);
	expire(core, replay);
	run_frame(core, replay, (struct replay_record){.n = n, .released_by = REPLAY_NOT_HELD},
		  header, bytes);
	release(core, replay, n, &header->ts);
}

int replay_by_core(struct replay *replay)
{
	pcap_t *pcap = replay_open(replay->in);
	struct pcap_pkthdr *header;
	struct core core;
	const u8 *bytes;
	int code = CLI_OK;
	int got;
	u32 n = 0;

	if (!pcap)
		return CLI_NO_INPUT;
	if (core_open(&core, replay->offline) < 0) {
		fprintf(stderr, "shunt: out of memory\n");
		code = CLI_UNAVAILABLE;
		goto close;
	}
	while ((got = pcap_next_ex(pcap, &header, &bytes)) == 1)
		run_next(&core, replay, n++, header, bytes);
	core.env.now_ms += HOLD_MS; /* nothing more comes */
	expire(&core, replay);
	if (got == PCAP_ERROR)
		code = replay_broke_off(replay, pcap, n);
close:
	core_close(&core);
	pcap_close(pcap);
	return code;
}
