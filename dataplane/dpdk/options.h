/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line. */
#ifndef SHUNT_DPDK_OPTIONS_H
#define SHUNT_DPDK_OPTIONS_H

#include "dataplane/session/options.h"

struct engine_options {
	struct options shared;
	bool plan; /* print it and end */
	bool json;
};

enum options_outcome options_parse(int argc, char **argv, struct engine_options *options);

#endif
