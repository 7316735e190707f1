/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/decap/message.h"

#include <stdarg.h>
#include <stdio.h>

void message(const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	fprintf(stderr, "shunt-decap: %s\n", line);
}
