/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line. */
#ifndef SHUNT_DPDK_OPTIONS_H
#define SHUNT_DPDK_OPTIONS_H

#include "dataplane/session/options.h"

struct dpdk_options {
	struct options shared;
	const char *pin_dir;
};

enum options_outcome options_parse(int argc, char **argv, struct dpdk_options *options);

#endif
