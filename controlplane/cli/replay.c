/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/cli/replay.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define SNAP_BYTES 262144

static void usage(FILE *out)
{
	fprintf(out,
		"usage: shunt replay -f FILE [--engine core|dpdk|xdp] --in IN.pcap\n"
		"                    [--out OUT.pcap] [--json]\n\n"
		"Runs each frame of IN.pcap, in order, through an engine with the tables of FILE,\n"
		"all backends healthy, the capture's time stamps as time. OUT.pcap gets what was\n"
		"sent. With --json one object a frame is printed.\n");
}

static const char *service_name(const struct plan *plan, u16 number)
{
	for (size_t i = 0; number && i < plan->config->services_count; i++)
		if (plan->services[i].number == number)
			return plan->config->services[i].name;
	return NULL;
}

static const char *backend_address(const struct plan *plan, u16 service, u16 number,
				   char text[static ADDR_TEXT_MAX])
{
	for (size_t i = 0; service && number && i < plan->config->services_count; i++) {
		const struct plan_service *planned = &plan->services[i];

		if (planned->number != service)
			continue;
		for (size_t k = 0; k < planned->config->backends_count; k++)
			if (planned->backends[k].number == number)
				return addr_format(&planned->backends[k].config->address, text);
	}
	return NULL;
}

static void tell_json(const struct told *told, const char *service, const char *backend)
{
	const struct replay_record *record = &told->record;
	bool held = record->released_by != REPLAY_NOT_HELD;
	enum verdict verdict = record->verdict;
	json_t *out =
		json_pack("{s:i, s:s, s:s, s:s?, s:s?, s:o}", "n", (int)record->n, "verdict",
			  action_name(verdict_action(verdict)), "reason", verdict_reason(verdict),
			  "service", service, "backend", backend, "out",
			  record->sent && !held ? json_integer(told->out) : json_null());

	if (held) {
		json_object_set_new(out, "released_by", json_integer(record->released_by));
		json_object_set_new(out, "released_out",
				    record->sent ? json_integer(told->out) : json_null());
	}
	json_dumpf(out, stdout, JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(out);
}

static void tell(const struct replay *replay, const struct told *told)
{
	const struct replay_record *record = &told->record;
	const struct plan *plan = replay->offline->plan;
	enum verdict verdict = record->verdict;
	char text[ADDR_TEXT_MAX], released[32] = "";
	const char *service = service_name(plan, record->service_number);
	const char *backend =
		backend_address(plan, record->service_number, record->backend_number, text);

	if (replay->json) {
		tell_json(told, service, backend);
		return;
	}
	if (record->released_by != REPLAY_NOT_HELD)
		snprintf(released, sizeof(released), ", after %u", record->released_by);
	printf("%6u  %-8s %-16s %s%s%s%s\n", record->n, action_name(verdict_action(verdict)),
	       verdict_reason(verdict), service ? service : "", backend ? " -> " : "",
	       backend ? backend : "", released);
}

/* Makes room for frame n. */
static struct told *told_at(struct replay *replay, u32 n)
{
	while (n >= replay->told_room) {
		u32 room = replay->told_room ? replay->told_room * 2 : 1024;
		struct told *list = reallocarray(replay->told, room, sizeof(*list));

		if (!list) {
			fprintf(stderr, "shunt: no memory for what became of frame %u\n", n);
			exit(CLI_UNAVAILABLE);
		}
		memset(list + replay->told_room, 0, (room - replay->told_room) * sizeof(*list));
		replay->told = list;
		replay->told_room = room;
	}
	return &replay->told[n];
}

void replay_tell(struct replay *replay, const struct replay_record *record,
		 const struct timeval *time, const u8 *frame, u32 frame_bytes)
{
	struct pcap_pkthdr header = {.ts = *time, .caplen = frame_bytes, .len = frame_bytes};

	replay->counts[record->verdict]++;
	*told_at(replay, record->n) =
		(struct told){.record = *record, .out = replay->sent, .known = true};
	while (replay->next < replay->told_room && replay->told[replay->next].known)
		tell(replay, &replay->told[replay->next++]);
	if (!record->sent)
		return;
	replay->sent++;
	if (replay->dumper)
		pcap_dump((u_char *)replay->dumper, &header, frame);
}

pcap_t *replay_open(const char *path)
{
	char message[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_offline(path, message);

	if (!pcap) {
		fprintf(stderr, "shunt: cannot read the capture: %s\n", message);
		return NULL;
	}
	if (pcap_datalink(pcap) == DLT_EN10MB)
		return pcap;
	fprintf(stderr, "shunt: %s holds no Ethernet frames; capture on an Ethernet interface\n",
		path);
	pcap_close(pcap);
	return NULL;
}

int replay_broke_off(const struct replay *replay, pcap_t *pcap, u32 frames)
{
	fprintf(stderr, "shunt: %s breaks off after %u whole frames: %s\n", replay->in, frames,
		pcap_geterr(pcap));
	return CLI_NO_INPUT;
}

static int open_out(struct replay *replay)
{
	if (!replay->out)
		return CLI_OK;
	replay->dead = pcap_open_dead(DLT_EN10MB, SNAP_BYTES);
	replay->dumper = replay->dead ? pcap_dump_open(replay->dead, replay->out) : NULL;
	if (replay->dumper)
		return CLI_OK;
	fprintf(stderr, "shunt: cannot write %s: %s\n", replay->out,
		replay->dead ? pcap_geterr(replay->dead) : "out of memory");
	return CLI_UNAVAILABLE;
}

static int close_out(struct replay *replay, int code)
{
	if (replay->dumper && pcap_dump_flush(replay->dumper) < 0) {
		fprintf(stderr, "shunt: cannot write %s\n", replay->out);
		code = CLI_UNAVAILABLE;
	}
	if (replay->dumper)
		pcap_dump_close(replay->dumper);
	if (replay->dead)
		pcap_close(replay->dead);
	return code;
}

static void tell_summary(const struct replay *replay)
{
	for (size_t i = 0; i < VERDICT_COUNT; i++)
		if (replay->counts[i])
			printf("%8llu  %-8s %-16s %s\n", (unsigned long long)replay->counts[i],
			       action_name(verdict_action((enum verdict)i)),
			       verdict_reason((enum verdict)i), verdict_text((enum verdict)i));
}

/* program: the engine's; NULL: the core by itself. */
static int run(struct replay *replay, const char *program)
{
	struct offline offline;
	int code = offline_open(replay->file, &offline);

	replay->offline = &offline;
	if (code == CLI_OK)
		code = open_out(replay);
	if (code == CLI_OK)
		code = program ? replay_by_engine(replay, program) : replay_by_core(replay);
	if (code == CLI_OK && !replay->json)
		tell_summary(replay);
	code = close_out(replay, code);
	free(replay->told);
	offline_close(&offline);
	return code;
}

int cli_replay(int argc, char **argv)
{
	static const struct option options[] = {{"engine", required_argument, NULL, 'e'},
						{"in", required_argument, NULL, 'i'},
						{"out", required_argument, NULL, 'o'},
						{"json", no_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct replay replay = {0};
	const char *engine = "core";
	int option;

	while ((option = getopt_long(argc, argv, "f:", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			replay.file = optarg;
			break;
		case 'e':
			engine = optarg;
			break;
		case 'i':
			replay.in = optarg;
			break;
		case 'o':
			replay.out = optarg;
			break;
		case 'j':
			replay.json = true;
			break;
		case 'h':
			usage(stdout);
			return CLI_OK;
		default:
			usage(stderr);
			return CLI_USAGE;
		}
	}
	if (!replay.file || !replay.in || optind != argc) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (strcmp(engine, "core") == 0)
		return run(&replay, NULL);
	if (strcmp(engine, "dpdk") == 0)
		return run(&replay, "shunt-dpdk");
	if (strcmp(engine, "xdp") == 0)
		return run(&replay, "shunt-xdp");
	fprintf(stderr, "shunt: nothing replays by an engine '%s'; use core, dpdk or xdp\n",
		engine);
	return CLI_USAGE;
}
