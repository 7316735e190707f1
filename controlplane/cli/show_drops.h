/* SPDX-License-Identifier: BSD-2-Clause */
/* `shunt show drops`: verdicts with their counts, and what to do about them. */
#ifndef SHUNT_CONTROLPLANE_CLI_SHOW_DROPS_H
#define SHUNT_CONTROLPLANE_CLI_SHOW_DROPS_H

#include "controlplane/cli/cli.h"

/* reasons: those to explain, else the table of all that were given; with explain, their texts in
 * place of the table; with all, those that were never given too. Returns the exit code. */
int show_drops(const char *run_dir, char *const *reasons, int reasons_count, bool explain, bool all,
	       bool json);

#endif
