/* SPDX-License-Identifier: BSD-2-Clause */
/* The time by which programs wait and look again. */
#ifndef SHUNT_STATE_CLOCK_H
#define SHUNT_STATE_CLOCK_H

#include <time.h>

#include "dataplane/core/base.h"

/* Milliseconds of CLOCK_MONOTONIC, which every program of the machine reads alike. */
static inline u64 clock_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

#endif
