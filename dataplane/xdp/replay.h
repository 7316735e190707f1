/* SPDX-License-Identifier: BSD-2-Clause */
/* A capture's frames through the program in the kernel, without an interface; the tables of another
 * program instead of shuntd's. */
#ifndef SHUNT_XDP_REPLAY_H
#define SHUNT_XDP_REPLAY_H

#include "config/config.h"
#include "dataplane/session/options.h"

/* Runs the whole capture; returns the exit code. */
int replay_run(const struct options *options, const struct config_dataplane *config);

#endif
