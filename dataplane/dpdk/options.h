/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line. */
#ifndef SHUNT_DPDK_OPTIONS_H
#define SHUNT_DPDK_OPTIONS_H

#include "dataplane/session/options.h"

enum options_outcome options_parse(int argc, char **argv, struct options *options);

#endif
