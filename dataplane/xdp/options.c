/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/xdp/options.h"

#include <stdlib.h>

#include "dataplane/session/message.h"
#include "dataplane/xdp/queue.h"

enum {
	OPTION_DETACH = OPTION_OWN,
	OPTION_VERBOSE,
	OPTION_BUFFERS,
	OPTION_BUSY_POLL,
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
	"  --run-dir DIR      where shuntd listens (" OPTIONS_RUN_DIR ")\n"
	"  --pin-dir DIR      where the tables outlive the process (" OPTIONS_PIN_DIR ")\n"
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
	"program, without an interface, each frame's own time for the present.\n" OPTIONS_REPLAY_HELP;

static const struct option long_options[] = {
	OPTIONS_ROWS,
	{"detach", no_argument, NULL, OPTION_DETACH},
	{"buffers", required_argument, NULL, OPTION_BUFFERS},
	{"busy-poll", no_argument, NULL, OPTION_BUSY_POLL},
	{"verbose", no_argument, NULL, OPTION_VERBOSE},
	{NULL, 0, NULL, 0},
};

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
static enum options_outcome own_take(int option, struct engine_options *options)
{
	switch (option) {
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
	default:
		return option_take(option, &options->shared, help);
	}
}

static const char *fault(int argc, const struct engine_options *options)
{
	if (!options->detach)
		return options_fault(argc, &options->shared);
	if (optind < argc || options->shared.replay || options->shared.config_path)
		return "--detach goes with --pin-dir alone";
	return NULL;
}

enum options_outcome options_parse(int argc, char **argv, struct engine_options *options)
{
	const char *text;
	int option;

	*options = (struct engine_options){.buffers_count = QUEUE_BUFFERS};
	options_default(&options->shared);
	while ((option = getopt_long(argc, argv, "f:", long_options, NULL)) != -1) {
		enum options_outcome outcome = own_take(option, options);

		if (outcome != OPTIONS_RUN)
			return outcome;
	}
	text = fault(argc, options);
	if (!text)
		return OPTIONS_RUN;
	message("%s (shunt-xdp --help)", text);
	return OPTIONS_WRONG;
}
