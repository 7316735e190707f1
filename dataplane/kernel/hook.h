/* SPDX-License-Identifier: BSD-2-Clause */
/* Interfaces (hook.c), and the program on them (attach.c). */
#ifndef SHUNT_KERNEL_HOOK_H
#define SHUNT_KERNEL_HOOK_H

#include "config/config.h"
#include "dataplane/state/attach.h"
#include "dataplane/kernel/kernel.h"

struct hook {
	const struct config_interface *config;
	char kernel_name[16];
	u32 ifindex;      /* 0: it is gone */
	u32 on;           /* where the program is: an ifindex, or 0 */
	u32 queues_count; /* to receive, as it had when we began */
	bool queues_said;
	u16 mtu;
	u8 mac[6];
	bool running; /* its link is up */
	bool generic; /* the driver has no XDP of its own */
	bool fresh;   /* there was no program of ours before this process's */
	bool beside;  /* in libxdp's dispatcher, with others' programs */
};

struct hooks {
	struct hook list[KERNEL_PORTS_MAX];
	u32 count;
};

/* Finds the interfaces, and what about them or this machine would not do: all of it is said, and
 * nothing has been changed. Returns 0 or -ENODEV. */
int hooks_find(struct hooks *hooks, const struct config_dataplane *config, const char *pin_dir)
	__attribute__((warn_unused_result));

/* Finds them again: one may have gone or come back, its link too, or have another MAC or MTU. Returns
 * whether any of it is so. */
bool hooks_follow(struct hooks *hooks);

/* Opens a descriptor that is readable when an interface has changed, or returns -1; takes the
 * readiness away. */
int hooks_watch(void);
void hooks_watch_drain(int fd);

/* The ports of the program, and how many pairs of port and queue they make. */
u32 hooks_ports(const struct hooks *hooks, struct kernel_port ports[static KERNEL_PORTS_MAX]);

/* Puts the program on every interface: in place of one of ours, whose packets go on without a gap; else
 * beside others where the kernel can, else alone. Returns 0, or -errno after a message; then those
 * interfaces that had none of ours have none. */
int hooks_attach(struct hooks *hooks, const struct kernel *kernel)
	__attribute__((warn_unused_result));

/* Whether no program is there that ours can be put neither beside nor in the place of; says so. */
bool hook_place_free(const struct hook *hook, const char *pin_dir);

/* Takes a program of this pin directory off an interface. Returns whether there was one. */
bool hook_detach(u32 ifindex, const char *pin_dir);

/* Takes it off every interface but those of `hooks` (NULL: none). Returns whether there was any. */
bool hooks_detach_others(const struct hooks *hooks, const char *pin_dir);

/* Sends a frame by an interface, as the kernel would. Returns false where that is to be tried again. */
bool hook_send(const struct hook *hook, int packet_socket, const u8 *frame, u32 frame_bytes);

/* An interface as shuntd needs to know it. */
void hook_describe(const struct hook *hook, struct attach_port *out);

#endif
