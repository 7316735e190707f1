/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/session/message.h"
#include "dataplane/state/arena.h"
#include "version.h"

#define RUN_DIR "/run/shunt"

enum {
	OPTION_RUN_DIR = 256,
	OPTION_NO_FLOWS,
	OPTION_REPLAY,
	OPTION_ATTACH_FD,
	OPTION_TRACE_FD,
	OPTION_IN,
	OPTION_OUT
};

static const char help[] =
	"usage: shunt-dpdk -f FILE [--run-dir DIR] [--no-flows]\n"
	"       shunt-dpdk --replay -f FILE --attach-fd N --trace-fd N --in PCAP --out PCAP\n"
	"Forwards packets to the backends that shuntd publishes, by polling network cards.\n"
	"\n"
	"  -f, --config FILE  the configuration; only its section `dataplane` is used\n"
	"  --run-dir DIR      where shuntd listens (" RUN_DIR ")\n"
	"  --no-flows         a diagnosis: remember no flow, follow the Maglev tables alone\n"
	"  --help, --version\n"
	"\n"
	"Replay, which `shunt replay --engine dpdk` starts: reads a capture instead of a network\n"
	"card, takes each frame's own time for the present, and ends with the capture.\n"
	"  --in PCAP          frames to process\n"
	"  --out PCAP         frames sent\n"
	"  --attach-fd N      an open socket to the program that plays shuntd\n"
	"  --trace-fd N       where what became of each frame is written\n";

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'f'},
	{"run-dir", required_argument, NULL, OPTION_RUN_DIR},
	{"no-flows", no_argument, NULL, OPTION_NO_FLOWS},
	{"replay", no_argument, NULL, OPTION_REPLAY},
	{"attach-fd", required_argument, NULL, OPTION_ATTACH_FD},
	{"trace-fd", required_argument, NULL, OPTION_TRACE_FD},
	{"in", required_argument, NULL, OPTION_IN},
	{"out", required_argument, NULL, OPTION_OUT},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static bool descriptor_parse(const char *text, int *fd)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < 0 || value > 1 << 20) {
		message("`%s` is not the number of a descriptor", text);
		return false;
	}
	*fd = (int)value;
	return true;
}

/* One option; OPTIONS_RUN means "go on". */
static enum options_outcome option_take(int option, struct options *options)
{
	switch (option) {
	case 'f':
		options->config_path = optarg;
		return OPTIONS_RUN;
	case OPTION_RUN_DIR:
		options->run_dir = optarg;
		return OPTIONS_RUN;
	case OPTION_NO_FLOWS:
		options->no_flows = true;
		return OPTIONS_RUN;
	case OPTION_REPLAY:
		options->replay = true;
		return OPTIONS_RUN;
	case OPTION_IN:
		options->in_path = optarg;
		return OPTIONS_RUN;
	case OPTION_OUT:
		options->out_path = optarg;
		return OPTIONS_RUN;
	case OPTION_ATTACH_FD:
		return descriptor_parse(optarg, &options->attach_fd) ? OPTIONS_RUN : OPTIONS_WRONG;
	case OPTION_TRACE_FD:
		return descriptor_parse(optarg, &options->trace_fd) ? OPTIONS_RUN : OPTIONS_WRONG;
	case 'h':
		fputs(help, stdout);
		return OPTIONS_DONE;
	case 'V':
		printf("shunt-dpdk %s (%s) arena ABI %u\n", SHUNT_VERSION, SHUNT_COMMIT, ARENA_ABI);
		return OPTIONS_DONE;
	default:
		return OPTIONS_WRONG; /* getopt has said it */
	}
}

static const char *fault(int argc, const struct options *options)
{
	bool any = options->in_path || options->out_path || options->attach_fd >= 0 ||
		   options->trace_fd >= 0;
	bool all = options->in_path && options->out_path && options->attach_fd >= 0 &&
		   options->trace_fd >= 0;

	if (optind < argc)
		return "takes options only, no arguments";
	if (!options->config_path)
		return "-f FILE is missing: which configuration?";
	if (options->replay && !all)
		return "--replay needs --in, --out, --attach-fd and --trace-fd";
	if (options->replay && options->no_flows)
		return "--no-flows does not go with --replay";
	if (!options->replay && any)
		return "--in, --out, --attach-fd and --trace-fd belong to --replay";
	return NULL;
}

enum options_outcome options_parse(int argc, char **argv, struct options *options)
{
	const char *text;
	int option;

	*options = (struct options){.run_dir = RUN_DIR, .attach_fd = -1, .trace_fd = -1};
	while ((option = getopt_long(argc, argv, "f:", long_options, NULL)) != -1) {
		enum options_outcome outcome = option_take(option, options);

		if (outcome != OPTIONS_RUN)
			return outcome;
	}
	text = fault(argc, options);
	if (!text)
		return OPTIONS_RUN;
	message("%s (shunt-dpdk --help)", text);
	return OPTIONS_WRONG;
}
