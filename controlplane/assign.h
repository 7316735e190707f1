/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers into the plan: from the state file into a plan, and the plan's wishes into the file. */
#ifndef SHUNT_CONTROLPLANE_ASSIGN_H
#define SHUNT_CONTROLPLANE_ASSIGN_H

#include "controlplane/numbers.h"
#include "controlplane/plan.h"
#include "controlplane/totals.h"

#define SERVICE_KEY_TEXT_MAX (ADDR_TEXT_MAX + 24)

/* The text by which state files know a service. */
void service_key_format(const struct config_service *service,
			char key[static SERVICE_KEY_TEXT_MAX]);

/* Gives every service and backend of the plan its number and counter, retires what the plan no
 * longer has, and commits. *generation: the one to publish the plan as. Returns 0 or -errno;
 * then the plan must not be published, and the one that is published before has to be assigned
 * anew, lest its numbers stay retired. */
int assign_numbers(struct numbers *numbers, struct totals *totals, struct plan *plan,
		   u64 *generation) __attribute__((warn_unused_result));

#endif
