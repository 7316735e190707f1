/* SPDX-License-Identifier: BSD-2-Clause */
/* What the API answers about drains. */
#ifndef SHUNT_CONTROLPLANE_DRAIN_API_H
#define SHUNT_CONTROLPLANE_DRAIN_API_H

#include <jansson.h>

#include "controlplane/control.h"

/* Drains a backend, or takes an operator's drain back: `address` in the service of that name, or
 * where that is NULL in all that have it. Returns what to answer, an object with "error" where it
 * was refused, or NULL without memory; *status is the HTTP status. */
json_t *drain_order(struct control *control, const char *address, const char *service, bool drained,
		    unsigned *status);

/* Every backend that drains. */
json_t *drain_list(const struct control *control);

#endif
