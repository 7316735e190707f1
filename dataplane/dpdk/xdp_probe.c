/* SPDX-License-Identifier: BSD-2-Clause */
/* Capabilities don't tell whether a program may be loaded: those of a user namespace look the
 * same and don't count. Nor does an interface tell whether it takes one. The attachment is a
 * link, which goes with its descriptor even if we die here. */
#include "dataplane/dpdk/xdp_probe.h"

#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	int got = (int)syscall(SYS_bpf, command, attr, sizeof(*attr));

	return got < 0 ? -errno : got;
}

static int program_load(void)
{
	static const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)program,
		.insn_cnt = sizeof(program) / sizeof(program[0]),
		.license = (uintptr_t) "BSD",
		.expected_attach_type = BPF_XDP,
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

int xdp_probe(const char *kernel_name)
{
	union bpf_attr attr = {0};
	int program = program_load();
	int link;

	if (program < 0)
		return program;
	attr.link_create.prog_fd = (uint32_t)program;
	attr.link_create.target_ifindex = if_nametoindex(kernel_name);
	attr.link_create.attach_type = BPF_XDP;
	link = bpf(BPF_LINK_CREATE, &attr);
	close(program);
	if (link >= 0)
		close(link);
	return link >= 0 || link == -EBUSY || link == -EEXIST ? 0 : link;
}
