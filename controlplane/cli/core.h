/* SPDX-License-Identifier: BSD-2-Clause */
/* The core with what a worker of its own has: flows, fragments, a clock. */
#ifndef SHUNT_CONTROLPLANE_CLI_CORE_H
#define SHUNT_CONTROLPLANE_CLI_CORE_H

#include <sys/time.h>

#include "controlplane/cli/cli.h"
#include "dataplane/burst/hold.h"
#include "dataplane/burst/replay.h"
#include "dataplane/core/single.h"

#define CORE_FRAME_MAX (1u << 17) /* what is longer is cut */

struct core {
	struct env env;
	struct env_recent recent;
	struct hold hold; /* a replay's frames that wait for their first fragment */
	/* The first interface's: its fixed MAC; without one every unicast frame is for us. */
	struct station station;
	struct replay_clock clock;
	u8 *room; /* headroom and one frame */
};

/* Opens one that has seen nothing yet. Returns 0, or -1 without memory; core_close() in any case. */
int core_open(struct core *core, const struct offline *offline);
void core_close(struct core *core);

/* Moves the clock on to a frame's time. */
void core_advance(struct core *core, const struct timeval *time);

/* Runs one frame; *single is filled in, and what it sends lies in core->room until the next one. */
enum verdict core_run(struct core *core, const u8 *frame, u32 frame_bytes, struct single *single);

#endif
