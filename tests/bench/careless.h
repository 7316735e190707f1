/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHUNT_TESTS_BENCH_CARELESS_H
#define SHUNT_TESTS_BENCH_CARELESS_H

#include "dataplane/burst/burst.h"

/* burst_process() with probation off. */
void careless_burst_process(struct env *env, struct burst *burst);

#endif
