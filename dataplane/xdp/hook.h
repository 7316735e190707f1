/* SPDX-License-Identifier: BSD-2-Clause */
/* Interfaces, and the program on them. */
#ifndef SHUNT_XDP_HOOK_H
#define SHUNT_XDP_HOOK_H

#include "config/config.h"
#include "dataplane/state/attach.h"
#include "dataplane/xdp/kernel.h"

struct hook {
	const struct config_interface *config;
	char kernel_name[16];
	u32 ifindex;
	u32 queues_count; /* to receive */
	u16 mtu;
	u8 mac[6];
	bool generic; /* the driver has no XDP of its own */
	bool beside;  /* in libxdp's dispatcher, with others' programs */
};

struct hooks {
	struct hook list[KERNEL_PORTS_MAX];
	u32 count;
};

/* Finds the interfaces, and what about them or this machine would not do: all of it is said, and
 * nothing has been changed. Returns 0 or -ENODEV. */
int hooks_find(struct hooks *hooks, const struct config_dataplane *config)
	__attribute__((warn_unused_result));

/* The ports of the program, and how many pairs of port and queue they make. */
u32 hooks_ports(const struct hooks *hooks, struct kernel_port ports[static KERNEL_PORTS_MAX]);

/* Puts the program on every interface: in place of one of ours, whose packets go on without a gap; else
 * beside others where the kernel can, else alone. Returns 0, or -errno after a message; then those
 * interfaces that had none of ours have none. */
int hooks_attach(struct hooks *hooks, const struct kernel *kernel)
	__attribute__((warn_unused_result));

/* Takes the program off an interface that has one of ours, known by the map that it uses. Returns
 * whether there was one. */
bool hook_detach(u32 ifindex, u32 control_map_id);

/* An interface as shuntd needs to know it. */
void hook_describe(const struct hook *hook, struct attach_port *out);

#endif
