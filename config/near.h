/* SPDX-License-Identifier: BSD-2-Clause */
/* What to offer to who asked for a name that doesn't exist: the nearest ones that do. */
#ifndef SHUNT_CONFIG_NEAR_H
#define SHUNT_CONFIG_NEAR_H

#include "config/config.h"

#define NEAR_MAX 3
#define NEAR_TEXT_MAX 256

/* To be made with `wanted` alone; names are the nearest so far, nearest first, each once. */
struct near {
	const char *wanted;
	char names[NEAR_MAX][CONFIG_NAME_MAX + 1]; /* of services, or addresses */
	unsigned distances[NEAR_MAX];
	size_t count;
};

/* Tells one name that exists. */
void near_note(struct near *near, const char *name);

/* The end of a sentence that says what is not there: ", but 10.0.1.1 and 10.0.1.2". */
const char *near_text(const struct near *near, char out[static NEAR_TEXT_MAX]);

/* The name as it may stand in a message. */
const char *near_quote(const char *name, char out[static NEAR_TEXT_MAX]);

#endif
