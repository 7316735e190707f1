/* SPDX-License-Identifier: BSD-2-Clause */
/* What the session with shuntd needs to know of this engine. */
#ifndef SHUNT_DPDK_ENGINE_H
#define SHUNT_DPDK_ENGINE_H

#include "dataplane/dpdk/workers.h"
#include "dataplane/session/session.h"

/* Its context is a struct workers. */
extern const struct session_engine dpdk_engine;

/* The HELLO of these ports and their workers. */
void workers_hello(const struct ports *ports, struct attach_message *hello);

#endif
