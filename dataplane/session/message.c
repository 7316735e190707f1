/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/session/message.h"

#include <stdarg.h>
#include <stdio.h>

const char *message_program = "shunt";

void message(const char *format, ...)
{
	char line[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(stderr, "%s: %s\n", message_program,
		line); /* one write: lines of two programs don't mix */
}
