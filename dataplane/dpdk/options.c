/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/options.h"

#include "dataplane/session/message.h"

static const char help[] =
	"usage: shunt-dpdk -f FILE [--run-dir DIR] [--pin-dir DIR] [--no-flows]\n"
	"       shunt-dpdk --replay -f FILE --attach-fd N --trace-fd N --in PCAP --out PCAP\n"
	"Forwards packets to the backends that shuntd publishes, by polling network cards.\n"
	"\n"
	"  -f, --config FILE  the configuration; only its section `dataplane` is used\n"
	"  --run-dir DIR      where shuntd listens (" OPTIONS_RUN_DIR ")\n"
	"  --pin-dir DIR      where, over net_af_xdp, the tables outlive the process\n"
	"                     (" OPTIONS_PIN_DIR ")\n"
	"  --no-flows         a diagnosis: remember no flow, follow the Maglev tables alone\n"
	"  --help, --version\n"
	"\n"
	"Replay, which `shunt replay --engine dpdk` starts: reads a capture instead of a network\n"
	"card, takes each frame's own time for the present, and ends with the capture.\n" OPTIONS_REPLAY_HELP;

static const struct option long_options[] = {OPTIONS_ROWS, {NULL, 0, NULL, 0}};

enum options_outcome options_parse(int argc, char **argv, struct options *options)
{
	const char *text;
	int option;

	options_default(options);
	while ((option = getopt_long(argc, argv, "f:", long_options, NULL)) != -1) {
		enum options_outcome outcome = option_take(option, options, help);

		if (outcome != OPTIONS_RUN)
			return outcome;
	}
	text = options_fault(argc, options);
	if (!text)
		return OPTIONS_RUN;
	message("%s (shunt-dpdk --help)", text);
	return OPTIONS_WRONG;
}
