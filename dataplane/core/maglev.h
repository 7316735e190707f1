/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Lookup in a Maglev table (Eisenbud et al., NSDI 2016, section 3.4). The table is built in
 * the control plane; here it is `u16[size]`, slot to backend number, 0 for nobody. */
#ifndef SHUNT_CORE_MAGLEV_H
#define SHUNT_CORE_MAGLEV_H

#include "base.h"

/* The slot of a flow's hash in a table of `size` slots. */
static always_inline u32 maglev_slot(u64 hash, u32 size)
{
	return fastrange32((u32)hash, size);
}

#endif
