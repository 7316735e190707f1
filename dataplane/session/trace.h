/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a replaying engine tells what became of each frame: records, in the order in which frames were
 * settled, down a pipe. */
#ifndef SHUNT_SESSION_TRACE_H
#define SHUNT_SESSION_TRACE_H

#include "dataplane/burst/replay.h"

#define TRACE_RECORDS 512

struct trace {
	int fd;
	u32 count;
	struct replay_record records[TRACE_RECORDS]; /* not written yet */
};

/* Both return an exit code: 0, or EX_IOERR, which has been said. */
int trace_add(struct trace *trace, const struct replay_record *record);
int trace_flush(struct trace *trace);

#endif
