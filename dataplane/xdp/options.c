/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/xdp/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/session/message.h"
#include "dataplane/state/arena.h"
#include "dataplane/xdp/queue.h"
#include "version.h"

#define RUN_DIR "/run/shunt"
#define PIN_DIR "/sys/fs/bpf/shunt"

enum {
	OPTION_RUN_DIR = 256,
	OPTION_PIN_DIR,
	OPTION_NO_FLOWS,
	OPTION_DETACH,
	OPTION_VERBOSE,
	OPTION_BUFFERS,
	OPTION_BUSY_POLL,
	OPTION_REPLAY,
	OPTION_ATTACH_FD,
	OPTION_TRACE_FD,
	OPTION_IN,
	OPTION_OUT
};

static const char help[] =
	"usage: shunt-xdp -f FILE [--run-dir DIR] [--pin-dir DIR] [--no-flows] [--verbose]\n"
	"                 [--buffers N] [--busy-poll]\n"
	"       shunt-xdp --detach [--pin-dir DIR]\n"
	"       shunt-xdp --replay -f FILE --attach-fd N --trace-fd N --in PCAP --out PCAP\n"
	"Forwards packets to the backends that shuntd publishes: by a program in the kernel, or by\n"
	"workers to which that steers what is for a service (`engine: af_xdp`). The program stays when\n"
	"this process ends, and forwards on with the tables it has.\n"
	"\n"
	"  -f, --config FILE  the configuration; only its section `dataplane` is used\n"
	"  --run-dir DIR      where shuntd listens (" RUN_DIR ")\n"
	"  --pin-dir DIR      where the tables outlive the process (" PIN_DIR ")\n"
	"  --detach           take the program off and remove all that this program made\n"
	"  --no-flows         a diagnosis: remember no flow, follow the Maglev tables alone\n"
	"  --buffers N        packet buffers for each receive queue of `engine: af_xdp`, 4 KiB each: a\n"
	"                     power of two, 128 to 16384 (4096)\n"
	"  --busy-poll        workers never sleep, and the kernel polls devices for them: less delay,\n"
	"                     a whole core for each\n"
	"  --verbose          print what libbpf and the kernel's verifier say\n"
	"  --help, --version\n"
	"\n"
	"Replay, which `shunt replay --engine xdp` starts: runs a capture's frames through the\n"
	"program, without an interface, each frame's own time for the present.\n"
	"  --in PCAP          frames to process\n"
	"  --out PCAP         frames sent\n"
	"  --attach-fd N      an open socket to the program that plays shuntd\n"
	"  --trace-fd N       where what became of each frame is written\n";

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'f'},
	{"run-dir", required_argument, NULL, OPTION_RUN_DIR},
	{"pin-dir", required_argument, NULL, OPTION_PIN_DIR},
	{"no-flows", no_argument, NULL, OPTION_NO_FLOWS},
	{"detach", no_argument, NULL, OPTION_DETACH},
	{"buffers", required_argument, NULL, OPTION_BUFFERS},
	{"busy-poll", no_argument, NULL, OPTION_BUSY_POLL},
	{"verbose", no_argument, NULL, OPTION_VERBOSE},
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

static bool buffers_parse(const char *text, u32 *count)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < QUEUE_BUFFERS_MIN ||
	    value > QUEUE_BUFFERS_MAX || (value & (value - 1)) != 0) {
		message("--buffers takes a power of two from %u to %u, not `%s`", QUEUE_BUFFERS_MIN,
			QUEUE_BUFFERS_MAX, text);
		return false;
	}
	*count = (u32)value;
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
	case OPTION_PIN_DIR:
		options->pin_dir = optarg;
		return OPTIONS_RUN;
	case OPTION_NO_FLOWS:
		options->no_flows = true;
		return OPTIONS_RUN;
	case OPTION_DETACH:
		options->detach = true;
		return OPTIONS_RUN;
	case OPTION_VERBOSE:
		options->verbose = true;
		return OPTIONS_RUN;
	case OPTION_BUFFERS:
		return buffers_parse(optarg, &options->buffers_count) ? OPTIONS_RUN : OPTIONS_WRONG;
	case OPTION_BUSY_POLL:
		options->busy_poll = true;
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
		printf("shunt-xdp %s (%s) arena ABI %u\n", SHUNT_VERSION, SHUNT_COMMIT, ARENA_ABI);
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
	if (options->detach && (options->replay || options->config_path))
		return "--detach goes with --pin-dir alone";
	if (!options->config_path && !options->detach)
		return "-f FILE is missing: which configuration?";
	if (options->replay && !all)
		return "--replay needs --in, --out, --attach-fd and --trace-fd";
	if (!options->replay && any)
		return "--in, --out, --attach-fd and --trace-fd belong to --replay";
	return NULL;
}

enum options_outcome options_parse(int argc, char **argv, struct options *options)
{
	const char *text;
	int option;

	*options = (struct options){
		.run_dir = RUN_DIR,
		.pin_dir = PIN_DIR,
		.buffers_count = QUEUE_BUFFERS,
		.attach_fd = -1,
		.trace_fd = -1,
	};
	while ((option = getopt_long(argc, argv, "f:", long_options, NULL)) != -1) {
		enum options_outcome outcome = option_take(option, options);

		if (outcome != OPTIONS_RUN)
			return outcome;
	}
	text = fault(argc, options);
	if (!text)
		return OPTIONS_RUN;
	message("%s (shunt-xdp --help)", text);
	return OPTIONS_WRONG;
}
