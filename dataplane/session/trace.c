/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/session/trace.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "dataplane/session/message.h"

int trace_flush(struct trace *trace)
{
	const u8 *bytes = (const u8 *)trace->records;
	size_t left = trace->count * sizeof(trace->records[0]);

	while (left > 0) {
		ssize_t written = write(trace->fd, bytes, left);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0) {
			message("cannot write the trace: %s", strerror(errno));
			return EX_IOERR;
		}
		bytes += written;
		left -= (size_t)written;
	}
	trace->count = 0;
	return EX_OK;
}

int trace_add(struct trace *trace, const struct replay_record *record)
{
	trace->records[trace->count++] = *record;
	return trace->count < TRACE_RECORDS ? EX_OK : trace_flush(trace);
}
