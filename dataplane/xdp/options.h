/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line. */
#ifndef SHUNT_XDP_OPTIONS_H
#define SHUNT_XDP_OPTIONS_H

#include "dataplane/session/options.h"

struct engine_options {
	struct options shared;
	bool detach;
	bool verbose;
	bool busy_poll;
	u32 buffers_count; /* of each receive queue with a socket */
};

enum options_outcome options_parse(int argc, char **argv, struct engine_options *options);

#endif
