/* SPDX-License-Identifier: BSD-2-Clause */
/* What the engines agree on when they replay a capture, so that the result depends on the
 * capture alone: what becomes of a flow table while time passes, and the record of a frame. */
#ifndef SHUNT_BURST_REPLAY_H
#define SHUNT_BURST_REPLAY_H

#include "dataplane/state/env_user.h"

/* What became of a frame, in the order of the capture. Native: both ends run on one machine. */
struct replay_record {
	u32 n;              /* the frame's number, from 0 */
	u8 verdict;         /* enum verdict */
	u8 sent;            /* 1: the frame went out, as the next frame of the output */
	u16 service_number; /* 0: none */
	u16 backend_number; /* 0: none */
	u16 unused;
};

_Static_assert(sizeof(struct replay_record) == 12, "crosses processes");

/* Lets time go on from `tick` to `next` (full counts) and clears what has expired meanwhile, as
 * a worker that sweeps all the time would have. Time doesn't go back: a lower `next` changes
 * nothing. Returns the present tick. A burst of a replay ends where this changes. */
u64 burst_advance(struct env *env, u64 tick, u64 next);

#endif
