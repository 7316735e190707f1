/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/options.h"

#include "dataplane/session/message.h"

enum {
	OPTION_PLAN = OPTION_OWN,
	OPTION_JSON,
};

static const char help[] =
	"usage: shunt-dpdk -f FILE [--run-dir DIR] [--pin-dir DIR] [--no-flows]\n"
	"       shunt-dpdk --plan -f FILE [--json] [--no-flows]\n"
	"       shunt-dpdk --replay -f FILE --attach-fd N --trace-fd N --in PCAP --out PCAP\n"
	"Forwards packets to the backends that shuntd publishes, by polling network cards.\n"
	"\n"
	"  -f, --config FILE  the configuration; only its section `dataplane` is used\n"
	"  --run-dir DIR      where shuntd listens (" OPTIONS_RUN_DIR ")\n"
	"  --pin-dir DIR      where, over net_af_xdp, the tables outlive the process\n"
	"                     (" OPTIONS_PIN_DIR ")\n"
	"  --no-flows         a diagnosis: remember no flow, follow the Maglev tables alone\n"
	"  --plan             print which core would poll which queue, where memory would lie and how\n"
	"                     DPDK would be started on this machine, and why; change nothing\n"
	"  --json             print that as JSON\n"
	"  --help, --version\n"
	"\n"
	"Replay, which `shunt replay --engine dpdk` starts: reads a capture instead of a network\n"
	"card, takes each frame's own time for the present, and ends with the capture.\n" OPTIONS_REPLAY_HELP;

static const struct option long_options[] = {
	OPTIONS_ROWS,
	{"plan", no_argument, NULL, OPTION_PLAN},
	{"json", no_argument, NULL, OPTION_JSON},
	{NULL, 0, NULL, 0},
};

/* One option; OPTIONS_RUN means "go on". */
static enum options_outcome own_take(int option, struct engine_options *options)
{
	switch (option) {
	case OPTION_PLAN:
		options->plan = true;
		return OPTIONS_RUN;
	case OPTION_JSON:
		options->json = true;
		return OPTIONS_RUN;
	default:
		return option_take(option, &options->shared, help);
	}
}

static const char *own_fault(int argc, const struct engine_options *options)
{
	if (options->json && !options->plan)
		return "--json belongs to --plan";
	if (options->plan && options->shared.replay)
		return "--plan does not go with --replay";
	return options_fault(argc, &options->shared);
}

enum options_outcome options_parse(int argc, char **argv, struct engine_options *options)
{
	const char *text;
	int option;

	*options = (struct engine_options){0};
	options_default(&options->shared);
	while ((option = getopt_long(argc, argv, "f:", long_options, NULL)) != -1) {
		enum options_outcome outcome = own_take(option, options);

		if (outcome != OPTIONS_RUN)
			return outcome;
	}
	text = own_fault(argc, options);
	if (!text)
		return OPTIONS_RUN;
	message("%s (shunt-dpdk --help)", text);
	return OPTIONS_WRONG;
}
