/* SPDX-License-Identifier: BSD-2-Clause */
/* `shunt explain`: who is asked, and about what. */
#ifndef SHUNT_CONTROLPLANE_CLI_EXPLAIN_H
#define SHUNT_CONTROLPLANE_CLI_EXPLAIN_H

#include "controlplane/cli/cli.h"

struct explain_options {
	const char *file; /* NULL: the running shuntd is asked */
	const char *run_dir;
	const char *hex;     /* a frame, or "-" for the standard input; NULL: none */
	const char *capture; /* NULL: none */
	const char *frames;  /* which of the capture */
	bool history;        /* the frames before count */
	bool json;
};

/* Prints an answer and takes the reference over. */
void explain_show(const struct explain_options *options, json_t *answer);

/* Explains the frame in hexadecimal, or those of the capture; offline is open where there is a file.
 * Both return the exit code, and have said what is wrong. */
int explain_hex(const struct explain_options *options, const struct offline *offline);
int explain_capture(const struct explain_options *options, const struct offline *offline);

#endif
