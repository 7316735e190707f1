/* SPDX-License-Identifier: BSD-2-Clause */
/* What the engines agree on when they replay a capture, so that the result depends on the
 * capture alone: what becomes of a flow table while time passes, and the record of a frame. */
#ifndef SHUNT_BURST_REPLAY_H
#define SHUNT_BURST_REPLAY_H

#include "dataplane/state/env_user.h"

#define REPLAY_NOT_HELD 0xffffffffu

/* What became of a frame, in the order in which frames were settled. Native: both ends run on one machine. */
struct replay_record {
	u32 n;              /* the frame's number, from 0 */
	u8 verdict;         /* enum verdict */
	u8 sent;            /* 1: the frame went out, as the next frame of the output */
	u16 service_number; /* 0: none */
	u16 backend_number; /* 0: none */
	u16 unused;
	u32 released_by; /* a fragment that was held: the frame that it waited for; or REPLAY_NOT_HELD */
};

_Static_assert(sizeof(struct replay_record) == 16, "crosses processes");

/* The time that a replay knows within a tick of flow ages. Coarse, or every burst would be one
 * frame. */
#define REPLAY_STEP_MS 64

/* A capture's clock. It doesn't go back. */
struct replay_clock {
	u32 tick_ms; /* of flow ages */
	u64 tick;    /* full count */
	u64 step;    /* of REPLAY_STEP_MS */
};

/* Whether it moves on with a frame of this time: a burst ends before that. */
bool replay_clock_moves(const struct replay_clock *clock, u64 now_ms);

/* Moves it on and clears what has expired meanwhile, as a worker that sweeps all the time would
 * have. */
void replay_clock_advance(struct replay_clock *clock, struct env *env, u64 now_ms);

#endif
