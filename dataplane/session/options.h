/* SPDX-License-Identifier: BSD-2-Clause */
/* What the command lines of all engines have in common. */
#ifndef SHUNT_SESSION_OPTIONS_H
#define SHUNT_SESSION_OPTIONS_H

#include <getopt.h>

#include "dataplane/core/base.h"

#define OPTIONS_RUN_DIR "/run/shunt"
#define OPTIONS_PIN_DIR "/sys/fs/bpf/shunt"

struct options {
	const char *config_path;
	const char *run_dir;
	const char *pin_dir; /* of the program in the kernel */
	bool no_flows;
	bool replay;
	/* Of a replay. */
	const char *in_path, *out_path;
	int attach_fd, trace_fd;
};

enum options_outcome {
	OPTIONS_RUN,
	OPTIONS_DONE,  /* --help or --version: printed */
	OPTIONS_WRONG, /* said on standard error */
};

enum {
	OPTION_RUN_DIR = 256,
	OPTION_PIN_DIR,
	OPTION_NO_FLOWS,
	OPTION_REPLAY,
	OPTION_ATTACH_FD,
	OPTION_TRACE_FD,
	OPTION_IN,
	OPTION_OUT,
	OPTION_OWN /* an engine's own ones begin here */
};

/* The rows of getopt_long()'s table; its short options are "f:". */
#define OPTIONS_ROWS                                                                               \
	{"config", required_argument, NULL, 'f'},                                                  \
		{"run-dir", required_argument, NULL, OPTION_RUN_DIR},                              \
		{"pin-dir", required_argument, NULL, OPTION_PIN_DIR},                              \
		{"no-flows", no_argument, NULL, OPTION_NO_FLOWS},                                  \
		{"replay", no_argument, NULL, OPTION_REPLAY},                                      \
		{"attach-fd", required_argument, NULL, OPTION_ATTACH_FD},                          \
		{"trace-fd", required_argument, NULL, OPTION_TRACE_FD},                            \
		{"in", required_argument, NULL, OPTION_IN},                                        \
		{"out", required_argument, NULL, OPTION_OUT}, {"help", no_argument, NULL, 'h'},    \
	{                                                                                          \
		"version", no_argument, NULL, 'V'                                                  \
	}

/* What stands in the help of each about a replay. */
#define OPTIONS_REPLAY_HELP                                                                        \
	"  --in PCAP          frames to process\n"                                                 \
	"  --out PCAP         frames sent\n"                                                       \
	"  --attach-fd N      an open socket to the program that plays shuntd\n"                   \
	"  --trace-fd N       where what became of each frame is written\n"

void options_default(struct options *options);

/* Takes one of the rows above; OPTIONS_RUN means "go on". What getopt refused is OPTIONS_WRONG. */
enum options_outcome option_take(int option, struct options *options, const char *help);

/* What is wrong with them together, as a sentence, or NULL. */
const char *options_fault(int argc, const struct options *options);

#endif
