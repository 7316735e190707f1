/* SPDX-License-Identifier: BSD-2-Clause */
/* What an engine's process begins with. */
#ifndef SHUNT_SESSION_START_H
#define SHUNT_SESSION_START_H

#include "config/config.h"
#include "dataplane/session/options.h"

/* Reads the configuration, or says what is wrong with it; returns the exit code. */
int start_config(const char *path, struct config **config);

/* A descriptor of the signals that ask for the end, which are blocked in threads made from now on;
 * -1 with errno. */
int start_signals(void);

/* Becomes another engine's program: the one beside this, else the one of PATH. Returns an exit code,
 * after a message, where it can't. */
int start_other(const char *program, const struct options *options);

#endif
