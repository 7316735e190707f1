/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands in for kernel.c where shunt is built without libbpf. */
#include "dataplane/decap/kernel.h"

#include "dataplane/decap/message.h"

#include <errno.h>

int kernel_open(struct kernel **kernel, const struct options *options)
{
	message("this shunt-decap was built without BPF: use --mode tun, or build it where "
		"libbpf, libxdp, clang and bpftool are installed");
	return -ENOTSUP;
}

void kernel_close(struct kernel *kernel)
{
}

int kernel_fd(const struct kernel *kernel)
{
	return -1;
}

bool kernel_refresh(struct kernel *kernel)
{
	return false;
}

void kernel_count(const struct kernel *kernel, struct counters *counters)
{
}
