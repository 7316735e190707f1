/* SPDX-License-Identifier: BSD-2-Clause */
/* The program that would be on the interfaces, run by bpf_prog_test_run() frame by frame under the
 * capture's own clock. Its scratch memory tells what it made of each; it is the CPU's, so this thread
 * stays on one. */
#include "dataplane/xdp/replay.h"

#include <errno.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "dataplane/burst/replay.h"
#include "dataplane/session/handover.h"
#include "dataplane/session/message.h"
#include "dataplane/session/trace.h"
#include "dataplane/kernel/kernel.h"

#define OUT_BYTES 66048 /* the longest IP packet, with the longest headers */
#define SNAP_BYTES 262144
#define LEAST_BYTES 14 /* the kernel lets no shorter frame come to a program */

struct replay {
	const struct options *options;
	pcap_t *in, *dead;
	pcap_dumper_t *out;
	struct kernel kernel;
	struct attachment *attachment;
	struct env env; /* the clock's */
	struct replay_clock clock;
	struct trace trace;
	u32 n, cpu;
	u8 frame[OUT_BYTES];
};

static int files_open(struct replay *replay)
{
	const struct options *options = replay->options;
	char text[PCAP_ERRBUF_SIZE];

	replay->in = pcap_open_offline(options->in_path, text);
	if (!replay->in) {
		message("cannot read %s: %s", options->in_path, text);
		return EX_NOINPUT;
	}
	if (pcap_datalink(replay->in) != DLT_EN10MB) {
		message("%s holds no Ethernet frames", options->in_path);
		return EX_NOINPUT;
	}
	replay->dead = pcap_open_dead(DLT_EN10MB, SNAP_BYTES);
	replay->out = replay->dead ? pcap_dump_open(replay->dead, options->out_path) : NULL;
	if (replay->out)
		return EX_OK;
	message("cannot write %s", options->out_path);
	return EX_CANTCREAT;
}

/* The loopback interface is where a test run's frames come from. Without a fixed MAC, frames to
 * every station are ours. */
static struct kernel_port port_of(const struct config_dataplane *config)
{
	static const u8 none[6], offline[6] = {0x02, 0, 0, 0, 0, 0x01};
	struct kernel_port port = {.ifindex = if_nametoindex("lo"), .queues_count = 1};
	bool fixed = config->interfaces_count > 0 && memcmp(config->interfaces[0].mac, none, 6);

	memcpy(port.station.mac, fixed ? config->interfaces[0].mac : offline, 6);
	port.station.any_mac = !fixed;
	if (config->interfaces_count > 0)
		port.station.answers = config->interfaces[0].answer == CONFIG_ANSWER_ARP;
	return port;
}

static int kernel_load(struct replay *replay, const struct config_dataplane *config)
{
	const struct kernel_port port = port_of(config);
	const struct kernel_layout layout = {
		.workers_count = 1,
		.ports_count = 1,
		.ports = &port,
		.flows = 1,
		.flow_timeout_ms = config->flow_timeout_ms,
	};
	cpu_set_t cpus;

	if (kernel_open(&replay->kernel, &layout, NULL) < 0)
		return EX_UNAVAILABLE;
	replay->kernel.control->fixed = 1;
	replay->kernel.workers[0].tick_ends_ms = UINT64_MAX;
	replay->cpu = (u32)sched_getcpu();
	CPU_ZERO(&cpus);
	CPU_SET(replay->cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) == 0)
		return EX_OK;
	message("cannot stay on one CPU: %s", strerror(errno));
	return EX_OSERR;
}

static int tables_take(struct replay *replay)
{
	struct attach_message hello;
	char text[400];
	int err;

	attach_prepare(&hello, ATTACH_HELLO);
	hello.workers_count = 1;
	strcpy(hello.engine, "xdp");
	err = handover_take(replay->options->attach_fd, &hello, &replay->attachment, text,
			    sizeof(text));
	if (err) {
		message("%s", text);
		return EX_UNAVAILABLE;
	}
	err = arena_tables(&replay->attachment->arena,
			   arena_root_offset(&replay->attachment->arena), &replay->env.tables);
	if (!err)
		err = kernel_publish(&replay->kernel, &replay->attachment->arena,
				     &replay->env.tables, replay->kernel.flows.buckets_count);
	attach_prepare(&hello, ATTACH_REPORT);
	if (!err)
		err = attachment_answer(replay->options->attach_fd, &hello, replay->attachment,
					&replay->kernel.flows);
	if (!err)
		return EX_OK;
	message("the tables do not go into the kernel: %s", strerror(-err));
	return EX_UNAVAILABLE;
}

static void clock_set(struct replay *replay, const struct pcap_pkthdr *header)
{
	u64 time_ms = (u64)header->ts.tv_sec * 1000 + (u64)header->ts.tv_usec / 1000;

	replay_clock_advance(&replay->clock, &replay->env, time_ms);
	replay->kernel.control->fixed_ms = replay->env.now_ms;
	replay->kernel.workers[0].tick = replay->env.tick;
}

static int frame_replay(struct replay *replay, const struct pcap_pkthdr *header, const u8 *bytes)
{
	struct pcap_pkthdr sent = {.ts = header->ts};
	struct kernel_frame frame = {
		.in = bytes,
		.in_bytes = header->caplen,
		.out = replay->frame,
		.out_bytes = OUT_BYTES,
		.result.verdict = VERDICT_TRUNCATED,
	};
	struct replay_record record;
	int err = 0;

	clock_set(replay, header);
	if (header->caplen >= LEAST_BYTES)
		err = kernel_run(&replay->kernel, replay->cpu, &frame);
	if (err) {
		message("the kernel does not run the program on frame %u of %s: %s", replay->n,
			replay->options->in_path, strerror(-err));
		return EX_OSERR;
	}
	record = (struct replay_record){
		.n = replay->n++,
		.verdict = (u8)frame.result.verdict,
		.sent = frame.sent,
		.service_number = frame.result.service_number,
		.backend_number = (u16)frame.result.backend_number,
		.released_by = REPLAY_NOT_HELD,
	};
	sent.caplen = sent.len = frame.out_bytes;
	if (record.sent)
		pcap_dump((u_char *)replay->out, &sent, replay->frame);
	return trace_add(&replay->trace, &record);
}

static int capture_run(struct replay *replay)
{
	struct pcap_pkthdr *header;
	const u8 *bytes;
	int status = EX_OK;
	int got = 0;

	while (status == EX_OK && (got = pcap_next_ex(replay->in, &header, &bytes)) == 1)
		status = frame_replay(replay, header, bytes);
	if (status == EX_OK)
		status = trace_flush(&replay->trace);
	if (status == EX_OK && got == PCAP_ERROR)
		message("%s breaks off after frame %u", replay->options->in_path, replay->n);
	return status;
}

int replay_run(const struct options *options, const struct config_dataplane *config)
{
	static struct replay replay;
	int status;

	replay = (struct replay){.options = options, .trace.fd = options->trace_fd};
	status = files_open(&replay);
	if (status == EX_OK)
		status = kernel_load(&replay, config);
	if (status == EX_OK) {
		replay.clock.tick_ms = replay.kernel.flows.tick_ms;
		replay.env.flows = flow_tables_of(&replay.kernel.flows, 0);
		replay.env.flow_buckets = replay.kernel.flows.buckets_count;
		status = tables_take(&replay);
	}
	if (status == EX_OK)
		status = capture_run(&replay);
	if (replay.out)
		pcap_dump_close(replay.out);
	if (replay.dead)
		pcap_close(replay.dead);
	if (replay.in)
		pcap_close(replay.in);
	attachment_destroy(replay.attachment);
	if (replay.kernel.skeleton)
		kernel_close(&replay.kernel);
	return status;
}
