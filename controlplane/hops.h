/* SPDX-License-Identifier: BSD-2-Clause */
/* Next hops into the plan: which port a backend is reached through, and with which MAC.
 *
 * The kernel decides. Its route to the backend names an interface; where that is a port's, the
 * neighbour on the way gives the MAC, unless the port has a fixed gateway_mac. Where the kernel
 * knows no way through any port, the first port with a fixed gateway_mac takes it.
 *
 * A backend that must be on the link (encapsulation l2) has to be its own neighbour there: no
 * gateway may lie between, and no gateway_mac stands in for its MAC. */
#ifndef SHUNT_CONTROLPLANE_HOPS_H
#define SHUNT_CONTROLPLANE_HOPS_H

#include "controlplane/netlink.h"
#include "controlplane/plan.h"
#include "dataplane/state/attach.h"

/* The texts that a plan's hops point to; all zero: none. They live as long as the plan. */
struct hops_texts {
	char **list;
	size_t count;
};

void hops_texts_free(struct hops_texts *texts);

struct hops_outcome {
	bool changed; /* the plan's tables would differ */
	bool again;   /* the kernel could not be asked about some; what was known of them stays */
	size_t unreachable;
};

/* Finds the way to every backend of the plan and writes it there. Returns 0 or -ENOMEM: then
 * the plan is unchanged. */
int hops_resolve(struct netlink *netlink, const struct attach_port *ports, size_t ports_count,
		 struct plan *plan, struct hops_texts *texts, struct hops_outcome *outcome)
	__attribute__((warn_unused_result));

#endif
