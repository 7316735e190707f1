/* SPDX-License-Identifier: BSD-2-Clause */
/* The fill: takes a permutation and a quota for each backend, and deals out the slots. It
 * knows neither addresses nor weights, so the paper's own example can be put to it. */
#ifndef SHUNT_CONTROLPLANE_MAGLEV_FILL_H
#define SHUNT_CONTROLPLANE_MAGLEV_FILL_H

#include "dataplane/core/base.h"

/* One backend's part in the fill. It prefers slots in the order offset, offset + skip,
 * offset + 2 * skip, ... (mod m). */
struct maglev_turn {
	u32 offset; /* below m */
	u32 skip;   /* 1 .. m - 1 */
	u32 quota;  /* slots it ends up with */
	u32 rounds; /* of these, how many it takes one a round; the others, late, in one go */
	u32 weight; /* lighter ones take their late slots first, equal ones in the order of turns */
	u16 number; /* what its slots hold */
};

/* Fills the m (prime) slots of table; the turns are taken in the order given, and their
 * quotas must add up to m. Returns 0 or -ENOMEM, which leaves table as it was. */
__attribute__((warn_unused_result)) int maglev_fill(u16 *table, u32 m,
						    const struct maglev_turn *turns, size_t count);

#endif
