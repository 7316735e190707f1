/* SPDX-License-Identifier: BSD-2-Clause */
/* The engines `xdp`, whose workers are the program on each receive queue, and `af_xdp`, which has
 * threads with sockets beside it. */
#ifndef SHUNT_XDP_ENGINES_H
#define SHUNT_XDP_ENGINES_H

#include "dataplane/kernel/engine.h"
#include "dataplane/xdp/workers.h"

/* Their context is a struct engine. */
extern const struct session_engine xdp_engine;
extern const struct session_engine af_xdp_engine;

/* Of the second; their context is a struct workers. */
extern const struct engine_workers af_xdp_workers;

#endif
