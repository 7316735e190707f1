/* SPDX-License-Identifier: BSD-2-Clause */
/* The program's caretaker, whichever engine that is: what a session hands over goes into the kernel at
 * once. The program on each receive queue is a worker; beside it there may be threads with sockets. */
#ifndef SHUNT_KERNEL_ENGINE_H
#define SHUNT_KERNEL_ENGINE_H

#include "dataplane/burst/burst.h"
#include "dataplane/session/announce.h"
#include "dataplane/session/session.h"
#include "dataplane/kernel/hook.h"
#include "dataplane/kernel/kernel.h"

#define ENGINE_LOOK_MS 10 /* for a new generation, and for counters */

/* Threads with sockets, as the main thread asks them. */
struct engine_workers {
	/* Hands them an attachment, and has the program steer. Returns 0 or -errno. */
	int (*hand)(void *context, const struct attachment *attachment);

	/* The oldest attachment that one of them may still use, NULL while one uses none yet; whether
	 * all use this one. */
	const struct attachment *(*oldest)(const void *context);
	bool (*all_at)(const void *context, const struct attachment *attachment);

	/* Adds to the report what they have counted since the last time, and says what carries
	 * traffic. `generation` is the program's. */
	void (*tell)(void *context, const struct report *report, u64 generation);
};

struct engine {
	/* Set before. */
	struct kernel *kernel;
	struct hooks *hooks;
	const struct session_engine *session; /* whose context this is */
	const struct engine_workers *workers; /* NULL: none have sockets */
	void *workers_context;
	int packet_socket; /* to announce VIPs by */

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

/* Loads the program for these interfaces, over what is pinned where that fits, and says which of the two
 * it is. Returns 0, or -errno after a message. */
int engine_prepare(struct kernel *kernel, const struct hooks *hooks,
		   const struct config_dataplane *config, const char *pin_dir)
	__attribute__((warn_unused_result));

/* What announces VIPs; -1 where that is not to be, or can't be, which is said. */
int engine_packet_socket(const struct config_dataplane *config);

/* What a session asks; the context is a struct engine. */
void engine_describe(void *context, struct attach_message *hello);
int engine_hand(void *context, struct attachment *attachment);
struct attachment *engine_oldest(void *context, struct attachment *newest);
bool engine_all_at(void *context, const struct attachment *attachment);

/* What is due every ENGINE_LOOK_MS: follows the arena, adds up counters, sweeps the flow tables. */
void engine_run(struct engine *engine);

/* Says what goes on without this process. */
void engine_tell_end(const struct engine *engine);

/* Follows interfaces that have gone, come back, or changed. Returns whether shuntd has to be told. */
bool engine_follow_links(struct engine *engine);

#endif
