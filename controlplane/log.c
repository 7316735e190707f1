/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/log.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_MAX_BYTES 1024

/* One write a line, so that lines of several processes on one terminal stay whole. */
void log_line(const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "shuntd: %s\n", text);
}
