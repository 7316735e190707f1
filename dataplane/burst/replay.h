/* SPDX-License-Identifier: BSD-2-Clause */
/* What every engine's replay has in common: the record of one frame, and how time moves. */
#ifndef SHUNT_BURST_REPLAY_H
#define SHUNT_BURST_REPLAY_H

#include "dataplane/burst/burst.h"

/* What became of one frame of a capture, in the capture's order. */
struct replay_record {
	u32 n;
	u8 verdict; /* enum verdict */
	u8 sent;    /* 1: a frame went out for it */
	u16 service_number; /* 0: none */
	u16 backend_number; /* 0: none */
	u16 unused;
};

_Static_assert(sizeof(struct replay_record) == 12, "crosses processes");

/* Moves the environment's clock from one tick (the whole count) to another and clears what has
 * expired meanwhile, so that a replay depends on its time stamps alone and on no sweep's pace.
 * Time that runs backwards stands still. Returns the tick now in force. */
u64 burst_advance(struct env *env, u64 tick, u64 new_tick) __attribute__((warn_unused_result));

#endif
