/* SPDX-License-Identifier: BSD-2-Clause */
/* The production path of a burst (net_pcap's mbufs, relay.c) under the capture's own clock. A
 * burst ends where that moves on, and what expired by then is cleared at once, so the
 * result depends on the capture alone and equals what the core does frame by frame.
 *
 * net_pcap says "nothing more" at the end, at an error and when it is out of buffers alike, so
 * the frames are counted beforehand. It gets the files by descriptor: a device string has no way
 * to quote a comma in a path. All in the main thread. */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "dataplane/burst/replay.h"
#include "dataplane/core/forward.h"
#include "dataplane/session/attachment.h"
#include "dataplane/dpdk/eal.h"
#include "dataplane/session/message.h"
#include "dataplane/dpdk/relay.h"
#include "dataplane/dpdk/engine.h"
#include "dataplane/session/handover.h"
#include "dataplane/session/trace.h"

struct replay {
	const struct options *options;
	int in_fd, out_fd;
	u64 frames; /* whole ones in the capture */
	bool broken_off;

	struct config_interface interface;
	struct ports ports;
	struct flow_tables flows;
	struct attachment *attachment;
	struct relay relay;
	struct env_recent recent;
	int timestamp_offset; /* in an mbuf */

	struct replay_clock clock;
	u32 n;
	struct held_frame {
		const struct rte_mbuf *mbuf;
		u32 n;
	} held[HOLD_MAX];
	u32 held_count;
	struct trace trace;
};

/* --- Files ---------------------------------------------------------------------------- */

/* Counts the frames; a capture that ends within one is told and read up to there. */
static int capture_count(struct replay *replay)
{
	char path[64], text[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const u8 *bytes;
	pcap_t *pcap;
	int got;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", replay->in_fd);
	pcap = pcap_open_offline(path, text);
	if (!pcap) {
		message("%s is not a capture: %s", replay->options->in_path, text);
		return EX_NOINPUT;
	}
	if (pcap_datalink(pcap) != DLT_EN10MB) {
		message("%s holds no Ethernet frames", replay->options->in_path);
		pcap_close(pcap);
		return EX_NOINPUT;
	}
	while ((got = pcap_next_ex(pcap, &header, &bytes)) == 1)
		replay->frames++;
	replay->broken_off = got == PCAP_ERROR;
	pcap_close(pcap);
	return EX_OK;
}

static int files_open(struct replay *replay)
{
	const struct options *options = replay->options;
	struct stat stat;

	replay->in_fd = open(options->in_path, O_RDONLY | O_CLOEXEC);
	if (replay->in_fd < 0 || fstat(replay->in_fd, &stat) < 0) {
		message("cannot read %s: %s", options->in_path, strerror(errno));
		return EX_NOINPUT;
	}
	if (!S_ISREG(stat.st_mode)) {
		message("%s is not a regular file, and is read twice", options->in_path);
		return EX_NOINPUT;
	}
	replay->out_fd = open(options->out_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (replay->out_fd < 0) {
		message("cannot write %s: %s", options->out_path, strerror(errno));
		return EX_CANTCREAT;
	}
	return capture_count(replay);
}

/* --- The port ------------------------------------------------------------------------- */

static void interface_choose(struct replay *replay, const struct config_dataplane *config)
{
	struct config_interface *interface = &replay->interface;

	if (config->interfaces_count > 0)
		*interface = config->interfaces[0];
	else
		strcpy(interface->name, "replay");
	snprintf(interface->device, sizeof(interface->device),
		 "net_pcap0,rx_pcap=/proc/self/fd/%d,tx_pcap=/proc/self/fd/%d", replay->in_fd,
		 replay->out_fd);
}

/* Without a fixed MAC, frames to every station are ours. */
static void station_choose(struct replay *replay)
{
	static const u8 none[6], offline[6] = {0x02, 0, 0, 0, 0, 0x01};
	struct station *station = &replay->ports.list[0].station;

	if (memcmp(replay->interface.mac, none, 6) != 0)
		return;
	memcpy(station->mac, offline, 6);
	station->any_mac = true;
}

static int device_open(struct replay *replay, const struct config_dataplane *config)
{
	char cpus[CORES_TEXT_MAX];
	struct eal_setup setup = {.program = "shunt-dpdk", .main_cpus = cpus};
	static struct eal_line line;
	u64 flag;

	interface_choose(replay, config);
	ports_prepare(&replay->ports, &replay->interface, 1);
	if (ports_check(&replay->ports) < 0)
		return EX_UNAVAILABLE;
	cores_format_given(cpus);
	setup.memory_bytes = ports_memory_bytes(&replay->ports, 1);
	eal_line_make(&line, &setup);
	if (eal_start(&line) < 0) {
		message("DPDK does not start");
		return EX_UNAVAILABLE;
	}
	if (ports_open(&replay->ports, 1) < 0)
		return EX_UNAVAILABLE;
	station_choose(replay);
	if (rte_mbuf_dyn_rx_timestamp_register(&replay->timestamp_offset, &flag) < 0) {
		message("DPDK gives no time stamps");
		return EX_SOFTWARE;
	}
	return EX_OK;
}

/* --- Tables --------------------------------------------------------------------------- */

static int tables_receive(struct replay *replay, char *text, size_t text_bytes)
{
	int socket = replay->options->attach_fd;
	struct env *env = &replay->relay.env;
	struct attach_message hello;
	u64 root_offset = 0;
	int err;

	workers_hello(&replay->ports, &hello);
	err = handover_take(socket, &hello, &replay->attachment, text, text_bytes);
	if (err)
		return err;
	env->recent = &replay->recent;
	replay->clock.tick_ms = replay->flows.tick_ms;
	env->flows = flow_tables_of(&replay->flows, 0);
	env->flow_owners = flow_tables_owners(&replay->flows, 0);
	env->flow_buckets = replay->flows.buckets_count;
	if (!burst_follow(&replay->attachment->arena, &root_offset, env,
			  report_worker(&replay->attachment->report, 0))) {
		snprintf(text, text_bytes, "the arena holds no tables");
		return -EPROTO;
	}
	attach_prepare(&hello, ATTACH_REPORT);
	err = attachment_answer(socket, &hello, replay->attachment, &replay->flows);
	if (err)
		snprintf(text, text_bytes, "the report is not taken: %s", strerror(-err));
	return err;
}

static int attach(struct replay *replay, const struct config_dataplane *config)
{
	char text[400];
	int err = flow_tables_create(1, 1, config->flow_timeout_ms, &replay->flows);

	if (err) {
		message("no memory for a flow table: %s", strerror(-err));
		return EX_OSERR;
	}
	replay->relay.ports = &replay->ports;
	if (tables_receive(replay, text, sizeof(text)) == 0)
		return EX_OK;
	message("%s", text);
	return EX_UNAVAILABLE;
}

/* --- The capture ---------------------------------------------------------------------- */

/* Tells what became of frame number n, which is number i of the last burst. */
static int trace_frame(struct replay *replay, u32 i, u32 n, u32 released_by)
{
	const struct burst *burst = &replay->relay.burst;
	enum verdict verdict = burst->verdict[i];
	const struct replay_record record = {
		.n = n,
		.verdict = (u8)verdict,
		.sent = verdict_sends(verdict),
		.service_number = burst->service[i] ? burst->service[i]->number : 0,
		.backend_number = burst->backend_number[i],
		.released_by = released_by,
	};

	return trace_add(&replay->trace, &record);
}

/* Frames that are held are told when they go. */
static int trace_burst(struct replay *replay, struct rte_mbuf *const *mbufs)
{
	const struct burst *burst = &replay->relay.burst;
	u32 count = burst->count;
	int status = EX_OK;

	for (u32 i = 0; i < count && status == EX_OK; i++, replay->n++) {
		if (burst->verdict[i] == VERDICT_UNDECIDED)
			replay->held[replay->held_count++] =
				(struct held_frame){mbufs[i], replay->n};
		else
			status = trace_frame(replay, i, replay->n, REPLAY_NOT_HELD);
	}
	return status;
}

/* The number of a frame that is held no more. */
static u32 held_number(struct replay *replay, const struct rte_mbuf *mbuf)
{
	u32 at = 0, n;

	while (replay->held[at].mbuf != mbuf)
		at++;
	n = replay->held[at].n;
	replay->held[at] = replay->held[--replay->held_count];
	return n;
}

static int release(struct replay *replay, struct report_worker *report)
{
	const struct rte_mbuf *mbuf;
	int status = EX_OK;

	while (status == EX_OK && (mbuf = relay_release(&replay->relay, report)))
		status = trace_frame(replay, 0, held_number(replay, mbuf), replay->n - 1);
	return status;
}

static int expire(struct replay *replay, struct report_worker *report)
{
	struct replay_record record = {
		.verdict = VERDICT_FRAGMENT,
		.released_by = REPLAY_NOT_HELD,
	};
	const struct rte_mbuf *mbuf;
	int status = EX_OK;

	while (status == EX_OK && (mbuf = relay_expire(&replay->relay, report))) {
		record.n = held_number(replay, mbuf);
		status = trace_add(&replay->trace, &record);
	}
	return status;
}

static u64 time_ms_of(const struct replay *replay, const struct rte_mbuf *mbuf)
{
	return *RTE_MBUF_DYNFIELD(mbuf, replay->timestamp_offset, const rte_mbuf_timestamp_t *) /
	       1000;
}

/* Whether what waits for this frame, if any does, may go after it. */
static bool is_fragment(const struct replay *replay, struct rte_mbuf *mbuf)
{
	u8 *frame = rte_pktmbuf_mtod(mbuf, u8 *);
	struct cursor cursor = {frame, frame + mbuf->data_len};
	struct packet packet;

	return parse_frame(cursor, mbuf->pkt_len, &replay->ports.list[0].station, &packet) ==
		       VERDICT_UNDECIDED &&
	       packet.flags & PACKET_FRAGMENT;
}

/* How many of the mbufs, at least one, come before the clock moves again. A burst ends with a
 * fragment too, so that what it releases follows at once, as it does frame by frame. */
static u32 same_moment(const struct replay *replay, struct rte_mbuf *const *mbufs, u32 count)
{
	u32 same = 1;

	while (same < count && !is_fragment(replay, mbufs[same - 1]) &&
	       !replay_clock_moves(&replay->clock, time_ms_of(replay, mbufs[same])))
		same++;
	return same;
}

static int replay_mbufs(struct replay *replay, struct rte_mbuf **mbufs, u32 count)
{
	struct report_worker *report = report_worker(&replay->attachment->report, 0);
	int status = EX_OK;

	for (u32 from = 0, part; from < count && status == EX_OK; from += part) {
		replay_clock_advance(&replay->clock, &replay->relay.env,
				     time_ms_of(replay, mbufs[from]));
		status = expire(replay, report);
		part = same_moment(replay, mbufs + from, count - from);
		relay_burst(&replay->relay, &replay->ports.list[0], mbufs + from, part, report);
		report->heartbeat++;
		if (status == EX_OK)
			status = trace_burst(replay, mbufs + from);
		if (status == EX_OK)
			status = release(replay, report);
	}
	return status;
}

static int capture_run(struct replay *replay)
{
	struct rte_mbuf *mbufs[RELAY_BURST];
	int status = EX_OK;

	while (replay->n < replay->frames && status == EX_OK) {
		u16 count = rte_eth_rx_burst(replay->ports.list[0].id, 0, mbufs, RELAY_BURST);

		if (count == 0) {
			message("frame %u of %s cannot be read", replay->n,
				replay->options->in_path);
			status = EX_IOERR;
		} else {
			status = replay_mbufs(replay, mbufs, count);
		}
	}
	replay->relay.env.now_ms += HOLD_MS; /* nothing more comes */
	if (status == EX_OK)
		status = expire(replay, report_worker(&replay->attachment->report, 0));
	if (status == EX_OK)
		status = trace_flush(&replay->trace);
	if (status == EX_OK && replay->broken_off)
		message("%s breaks off after frame %u", replay->options->in_path, replay->n);
	return status;
}

int replay_run(const struct options *options, const struct config_dataplane *config)
{
	static struct replay replay;
	int status;

	replay = (struct replay){.options = options,
				 .in_fd = -1,
				 .out_fd = -1,
				 .flows = {.fd = -1},
				 .trace = {.fd = options->trace_fd}};
	signal(SIGPIPE, SIG_IGN);
	status = files_open(&replay);
	if (status == EX_OK)
		status = device_open(&replay, config);
	if (status == EX_OK)
		status = attach(&replay, config);
	if (status == EX_OK)
		status = capture_run(&replay);
	ports_close(&replay.ports); /* completes the output */
	attachment_destroy(replay.attachment);
	flow_tables_destroy(&replay.flows);
	return status;
}
