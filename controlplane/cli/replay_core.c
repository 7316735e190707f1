/* SPDX-License-Identifier: BSD-2-Clause */
/* The core by itself, one frame after the other, every stage back to back: the plainest caller
 * of dataplane/core, and so what the engines are compared with. */
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/replay.h"
#include "dataplane/core/reply.h"
#include "dataplane/state/flow_table.h"

#define FRAME_MAX (1u << 17)

struct core {
	struct env env;
	struct station station;
	u64 tick;
	u32 tick_ms;
	u8 *room; /* headroom and one frame */
};

/* Wraps the packet in place; returns the new frame's first byte. */
static enum verdict send_on(const struct backend *backend, const struct packet *packet,
			    const struct flow_key *key, u8 **frame, u32 *frame_bytes)
{
	u32 overhead = encap_overhead(backend);

	*frame += packet->l3_offset - ETHERNET_HEADER_BYTES;
	*frame -= overhead;
	*frame_bytes = ETHERNET_HEADER_BYTES + overhead + packet->l3_len;
	encap_write(*frame, backend, packet, key->entropy);
	return VERDICT_UNDECIDED;
}

/* What no service takes may be answered. */
static enum verdict answer(struct core *core, const struct packet *packet, enum verdict verdict,
			   u8 **frame, u32 *frame_bytes)
{
	struct cursor cursor = {*frame, *frame + *frame_bytes};
	struct reply reply;

	if (!reply_consider(&core->env, &core->station, cursor, *frame_bytes, packet, verdict,
			    &reply))
		return verdict;
	*frame -= reply.grown_bytes;
	*frame_bytes = reply.frame_bytes;
	reply_write(*frame, &reply);
	return (enum verdict)reply.verdict;
}

static enum verdict forward_one(struct core *core, u8 **frame, u32 *frame_bytes,
				struct replay_record *record)
{
	struct cursor cursor = {*frame, *frame + *frame_bytes};
	const struct service *service;
	const struct backend *backend;
	struct forward_choice choice;
	struct packet packet = {0};
	struct flow_key key;
	enum verdict verdict, fits;
	u32 index;

	verdict = parse_frame(cursor, *frame_bytes, &core->station, &packet);
	if (verdict == VERDICT_UNDECIDED)
		verdict = forward_service(&core->env, &packet, &index);
	if (verdict != VERDICT_UNDECIDED)
		return answer(core, &packet, verdict, frame, frame_bytes);
	service = env_service(&core->env, index);
	record->service_number = service->number;
	flow_key_of(service, &packet, env_seed(&core->env), &key);
	verdict = forward_pick(&core->env, service, &packet, &key,
			       forward_find(&core->env, service, &key), &choice);
	record->backend_number = choice.number;
	if (verdict_action(verdict) != ACTION_FORWARD)
		return verdict;
	backend = env_backend(&core->env, service, choice.number);
	if (!backend)
		return VERDICT_NO_BACKEND;
	fits = forward_fits(backend, &packet);
	if (fits != VERDICT_UNDECIDED)
		return fits;
	send_on(backend, &packet, &key, frame, frame_bytes);
	return verdict;
}

static void advance(struct core *core, const struct timeval *time)
{
	u64 now_ms = (u64)time->tv_sec * 1000 + (u64)time->tv_usec / 1000;

	core->tick = burst_advance(&core->env, core->tick, flow_tick_of(now_ms, core->tick_ms));
}

/* The first interface's: its fixed MAC; without one every unicast frame is for us. */
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

static int core_open(struct core *core, const struct offline *offline)
{
	const struct config_dataplane *dataplane = &offline->config->dataplane;
	size_t flows_bytes = FLOW_TABLE_MIN_BUCKETS * sizeof(struct flow_bucket);

	memset(core, 0, sizeof(*core));
	core->env = offline->env;
	core->env.flow_buckets = FLOW_TABLE_MIN_BUCKETS;
	core->env.flows = aligned_alloc(64, flows_bytes);
	core->env.flow_owners = calloc(FLOW_TABLE_MIN_BUCKETS, sizeof(struct flow_owners));
	core->room = malloc(ENCAP_OVERHEAD_MAX + FRAME_MAX);
	if (!core->env.flows || !core->env.flow_owners || !core->room)
		return -1;
	memset(core->env.flows, 0, flows_bytes);
	core->station = station_of(dataplane);
	core->tick_ms = flow_tick_ms(dataplane->flow_timeout_ms);
	return 0;
}

static void core_close(struct core *core)
{
	free(core->env.flows);
	free(core->env.flow_owners);
	free(core->room);
}

static void run_frame(struct core *core, struct replay *replay, u32 n,
		      const struct pcap_pkthdr *header, const u8 *bytes)
{
	struct replay_record record = {.n = n};
	u8 *frame = core->room + ENCAP_OVERHEAD_MAX;
	u32 frame_bytes = header->caplen < FRAME_MAX ? header->caplen : FRAME_MAX;
	struct timeval time = header->ts;

	memcpy(frame, bytes, frame_bytes);
	advance(core, &time);
	record.verdict = (u8)forward_one(core, &frame, &frame_bytes, &record);
	record.sent = verdict_sends((enum verdict)record.verdict);
	replay_tell(replay, &record, &time, frame, frame_bytes);
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
		run_frame(&core, replay, n++, header, bytes);
	if (got == PCAP_ERROR)
		code = replay_broke_off(replay, pcap, n);
close:
	core_close(&core);
	pcap_close(pcap);
	return code;
}
