/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/session/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

bool message_is_new(char *said, size_t said_bytes, const char *text)
{
	if (strncmp(said, text, said_bytes - 1) == 0)
		return false;
	snprintf(said, said_bytes, "%s", text);
	return true;
}
