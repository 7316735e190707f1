/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line. */
#ifndef SHUNT_XDP_OPTIONS_H
#define SHUNT_XDP_OPTIONS_H

#include "dataplane/core/base.h"

struct options {
	const char *config_path;
	const char *run_dir;
	const char *pin_dir;
	bool no_flows;
	bool detach;
	bool verbose;
	bool busy_poll;
	u32 buffers_count; /* of each receive queue with a socket */
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

enum options_outcome options_parse(int argc, char **argv, struct options *options);

#endif
