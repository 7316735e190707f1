/* SPDX-License-Identifier: BSD-2-Clause */
/* Counts by verdict and by note, and their text: one `name value` line each. */
#ifndef SHUNT_DECAP_COUNTERS_H
#define SHUNT_DECAP_COUNTERS_H

#include "dataplane/decap/verdict.h"

#include <stdio.h>

/* Every name on every call, zeroes too: who reads them need not know which may be missing. */
void counters_print(const struct counters *counters, FILE *stream);

/* Replaces `path` in one step, so that a reader never finds half a file. 0 or -errno. */
int counters_save(const struct counters *counters, const char *path)
	__attribute__((warn_unused_result));

#endif
