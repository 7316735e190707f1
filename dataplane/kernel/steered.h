/* SPDX-License-Identifier: BSD-2-Clause */
/* An AF_XDP socket that the program steers frames to, whoever made it: its place in the program's
 * maps, and what is to be said of it. The main thread's, but for what `shared` is. */
#ifndef SHUNT_KERNEL_STEERED_H
#define SHUNT_KERNEL_STEERED_H

#include "dataplane/kernel/hook.h"
#include "dataplane/kernel/kernel.h"
#include "dataplane/state/env_user.h"
#include "dataplane/state/report.h"

struct steered {
	const struct hook *hook;
	u32 port;    /* index of the interface */
	u32 ifindex; /* where the socket is; the interface may come back as another */
	u32 number;  /* of the queue, as the device has it */
	u32 worker;  /* as the kernel's program numbers it, and the report */
	int fd;
	u32 ring_size; /* places to receive */
	u32 bytes_max; /* of a frame in its buffer */
	bool zero_copy;
	struct kernel_worker *shared;
};

/* Whether the kernel copies a socket's frames. */
bool steered_copies(int fd);

/* After a socket could not be had: whether to try again. Who held the queue until a moment ago and was
 * killed may still hold it, as the kernel frees sockets in its own time; waits for that. */
bool steered_retry(int err, u32 *waited_ms);

/* What to do where a socket can't be had. */
const char *steered_hint(int err);

/* Enters it into the program's map, without any credit. `reserve`: buffers to be left to the driver.
 * Returns 0 or -errno. */
int steered_join(struct steered *steered, const struct kernel *kernel, u32 reserve)
	__attribute__((warn_unused_result));

/* What a thread that works for one of the program's workers works on. */
struct env steered_env(const struct kernel *kernel, u32 worker);

/* Whether frames are steered to it at all. Where the driver has no XDP of its own the kernel copies
 * every frame once before the program sees it, on any CPU; and the socket of an interface that has
 * gone is dead. */
bool steered_to(const struct steered *steered);

/* Has the program steer to it, if steered_to(), or not. */
void steered_steer(const struct steered *steered, bool on);

/* Frames that came while there was no buffer, or no place in the ring. */
u64 steered_starved(const struct steered *steered);

/* Adds to an interface's description how its sockets get their frames. */
void steered_describe(const struct steered *steered, struct attach_port *out);

/* Says what carries its traffic, and why. */
void steered_tell(const struct steered *steered, u64 starved, struct report_worker *to);

#endif
