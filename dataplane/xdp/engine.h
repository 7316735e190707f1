/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine `xdp`: what a session hands over goes into the kernel at once; the workers are the
 * kernel's program on each receive queue. */
#ifndef SHUNT_XDP_ENGINE_H
#define SHUNT_XDP_ENGINE_H

#include "dataplane/burst/burst.h"
#include "dataplane/session/announce.h"
#include "dataplane/session/session.h"
#include "dataplane/xdp/hook.h"
#include "dataplane/xdp/kernel.h"
#include "dataplane/xdp/workers.h"

#define ENGINE_LOOK_MS 10 /* for a new generation, and for counters */

struct engine {
	/* Set before. */
	struct kernel *kernel;
	struct hooks *hooks;
	const struct session_engine *session; /* which of the two below */
	struct workers *workers;              /* NULL: none have sockets */
	int packet_socket;                    /* to announce VIPs by */

	/* Its own. */
	struct attachment *wanted;  /* handed over last */
	struct attachment *current; /* what is published */
	u64 root_offset;
	struct tables tables; /* of that root */
	bool attached;        /* the program is on the interfaces, and its maps are pinned */
	int failed; /* 0, or -errno of what has been said and can't be mended by waiting */
	const struct attachment *said_of; /* and which root of it could not be published */
	u64 said_root;
	struct burst_sweep sweeps[KERNEL_WORKERS_MAX];
	u64 swept_ms;
	struct announcer announcer;
	u64 announced_ms; /* when it was last looked at */
};

/* Their context is a struct engine. */
extern const struct session_engine xdp_engine;
extern const struct session_engine af_xdp_engine;

/* The hand() of both. */
int engine_hand(void *context, struct attachment *attachment);

/* What is due every ENGINE_LOOK_MS: follows the arena, adds up counters, sweeps the flow tables. */
void engine_run(struct engine *engine);

/* Follows interfaces that have gone, come back, or changed. Returns whether shuntd has to be told. */
bool engine_follow_links(struct engine *engine);

#endif
