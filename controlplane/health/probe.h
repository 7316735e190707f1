/* SPDX-License-Identifier: BSD-2-Clause */
/* One attempt to open a TCP connection, over the loop. */
#ifndef SHUNT_CONTROLPLANE_HEALTH_PROBE_H
#define SHUNT_CONTROLPLANE_HEALTH_PROBE_H

#include "controlplane/loop.h"
#include "dataplane/core/addr.h"

enum probe_end {
	PROBE_CONNECTED,
	PROBE_FAILED, /* the other side, or the way to it, said no */
	PROBE_TIMED_OUT,
	PROBE_UNTRIED /* we had no socket or port for it: says nothing about the other side */
};

struct probe_result {
	enum probe_end end;
	int error; /* errno where it failed or was not tried */
	u64 took_us;
};

typedef void probe_callback(void *context, const struct probe_result *result);

/* The caller's memory, all zero before the first use; it must stay while the probe is under way. */
struct probe {
	struct loop *loop;
	probe_callback *callback;
	void *context;
	struct probe_result result; /* where it is known at once, and told in the next turn */
	u64 started_us;
	u64 timer; /* of the timeout, or of that turn */
	int fd;
	bool active;
};

/* Begins; calls back exactly once, in a later turn of the loop, unless cancelled. The callback
 * may start the probe anew. Returns 0, or -ENOMEM: then nothing has begun. */
int probe_start(struct probe *probe, struct loop *loop, const struct addr *address, u16 port,
		u64 timeout_ms, probe_callback *callback, void *context)
	__attribute__((warn_unused_result));

/* Gives up without calling back; one that is not under way is ignored. */
void probe_cancel(struct probe *probe);

#endif
