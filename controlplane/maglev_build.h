/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds a Maglev table: which backend each slot of a service's lookup table points at. */
#ifndef SHUNT_CONTROLPLANE_MAGLEV_BUILD_H
#define SHUNT_CONTROLPLANE_MAGLEV_BUILD_H

#include "dataplane/core/addr.h"

/* The largest prime below 2^23; nothing here depends on it but the bound of the arithmetic. */
#define MAGLEV_SIZE_MAX 8388593u

struct maglev_backend {
	struct addr address;
	u32 weight; /* 0: gets no slots */
	u16 number; /* 1 .. 65535: what its slots hold */
};

/* Fills the m slots of table with backend numbers. Each backend gets within one slot of its
 * exact share, m * weight / sum of weights. Which address a slot points at follows from the
 * set of (address, weight) alone: neither the order of the backends nor their numbers
 * matter, nor does a common factor of the weights. Without a weighted backend every slot
 * holds 0, nobody.
 *
 * Returns 0; -EINVAL where m is no prime up to MAGLEV_SIZE_MAX, where more backends than m
 * have weight, where a number is 0, or where two backends share an address or a number;
 * -ENOMEM. An error leaves table as it was. */
__attribute__((warn_unused_result)) int maglev_build(u16 *table, u32 m,
						     const struct maglev_backend *backends,
						     size_t count);

bool maglev_prime(u32 m);

/* Where an address stands among others and how it walks over m slots; the same on every
 * balancer. The one with the smaller (order, address) has the earlier turn. */
struct maglev_permutation {
	u64 order;
	u32 offset; /* below m */
	u32 skip;   /* 1 .. m - 1 */
};

struct maglev_permutation maglev_permute(const struct addr *address, u32 m);

#endif
