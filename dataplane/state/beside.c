/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/state/beside.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void beside_exec(const char *program, char *const arguments[])
{
	const char *slash = strrchr(program_invocation_name, '/');
	char path[PATH_MAX];

	if (slash) {
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - program_invocation_name),
			 program_invocation_name, program);
		execv(path, arguments);
	}
	execvp(program, arguments);
}
