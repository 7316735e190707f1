/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/eal.h"

#include <errno.h>
#include <string.h>

int eal_start(struct eal_line *line)
{
	/* DPDK keeps pointers into its arguments, and writes into the list that it is given. */
	static char *given[EAL_ARGS_MAX + 1];

	memcpy(given, line->list, sizeof(given));
	rte_openlog_stream(stderr);
	if (rte_eal_init(line->count, given) < 0)
		return rte_errno > 0 ? -rte_errno : -EINVAL;
	rte_openlog_stream(stderr); /* it went back to syslog and standard output */
	return 0;
}
