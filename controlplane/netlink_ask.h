/* SPDX-License-Identifier: BSD-2-Clause */
/* Questions and orders to the kernel, each answered before the call returns. */
#ifndef SHUNT_CONTROLPLANE_NETLINK_ASK_H
#define SHUNT_CONTROLPLANE_NETLINK_ASK_H

#include <linux/netlink.h>

#include "dataplane/core/addr.h"

struct asker;

/* The kernel's choice for one destination. */
struct route {
	u8 type; /* RTN_* */
	bool encapsulated;
	int ifindex;
	u32 mtu;             /* the route's metric; 0: none */
	struct addr gateway; /* zero: on the link */
	struct addr preferred_source;
};

typedef void asker_callback(void *context, const struct nlmsghdr *message);

int asker_open(struct asker **asker) __attribute__((warn_unused_result));
void asker_close(struct asker *asker);

/* Dumps all of RTM_GETLINK or RTM_GETNEIGH, once more where it changed meanwhile: the callback
 * may see a thing twice. 0 or -errno. */
int asker_dump(struct asker *asker, u16 type, asker_callback *callback, void *context)
	__attribute__((warn_unused_result));

/* Returns 0, or -errno: the kernel's for "no way" (-ENETUNREACH and others) or the socket's. */
int asker_route(struct asker *asker, const struct addr *dest, struct route *route)
	__attribute__((warn_unused_result));

/* Makes the kernel resolve or confirm a neighbour, and keep doing so where managed is set and
 * the kernel can; without managed an entry must exist and is no longer kept alive. */
int asker_neighbour_prod(struct asker *asker, int ifindex, const struct addr *addr, bool managed)
	__attribute__((warn_unused_result));

/* The same by an empty datagram to the neighbour's discard port, which needs no privilege. */
void asker_neighbour_datagram(struct asker *asker, int ifindex, const struct addr *addr);

/* The address in a netlink attribute's bytes; false where they are none. */
bool addr_from_bytes(const void *bytes, size_t len_bytes, struct addr *addr);

#endif
