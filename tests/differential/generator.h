/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames for the balancer of config.yaml, without end: valid ones of every form, such with a byte
 * overwritten, such that end early. Which ones follows from the seed alone. */
#ifndef SHUNT_TESTS_DIFFERENTIAL_GENERATOR_H
#define SHUNT_TESTS_DIFFERENTIAL_GENERATOR_H

#include "tests/unit/frames.h"

enum { GENERATOR_FRAME_MAX = 6000 };

struct generator {
	struct random random;
	uint32_t workers_count;
	uint32_t worker; /* whose queue frames come by, for a while */
	uint32_t run;    /* how many more */
	/* For engines that may keep a fragment until its first comes: only UDP is fragmented then,
	 * whose every packet leaves the same flow. */
	bool capture;
};

struct generator_frame {
	uint8_t bytes[GENERATOR_FRAME_MAX];
	uint32_t len;
	uint32_t worker;
};

void generator_next(struct generator *generator, struct generator_frame *out);

#endif
