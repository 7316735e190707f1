/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine `af_xdp`: the engine `xdp` and, before it, workers with sockets. The program has the
 * tables first; it forwards whatever the workers don't take. So nothing here can fail in a way that
 * stops traffic: docs/adr/0017-af-xdp.md. */
#include "dataplane/xdp/engine.h"

#include <stdio.h>
#include <string.h>

/* How the sockets of an interface get their frames. */
static const char *sockets_state(const struct workers *workers, u32 port)
{
	for (u32 i = 0; i < workers->queues_count; i++) {
		const struct queue *queue = &workers->queues[i];

		if (queue->port == port && workers_steered_to(queue))
			return queue->zero_copy ? ", zero-copy" : ", copy";
	}
	return "";
}

static void describe(void *context, struct attach_message *hello)
{
	const struct engine *engine = context;

	xdp_engine.describe(context, hello);
	for (u32 i = 0; i < hello->ports_count; i++) {
		struct attach_port *port = &hello->ports[i];
		size_t used = strlen(port->state);

		snprintf(port->state + used, sizeof(port->state) - used, "%s",
			 sockets_state(engine->workers, i));
	}
}

static struct attachment *oldest(void *context, struct attachment *newest)
{
	const struct engine *engine = context;
	const struct attachment *programs = xdp_engine.oldest(context, newest);
	const struct attachment *workers = workers_oldest(engine->workers);
	struct attachment *oldest = NULL;

	for (struct attachment *each = newest; workers && each; each = each->older)
		if (each == programs || each == workers)
			oldest = each;
	return oldest;
}

static bool all_at(void *context, const struct attachment *attachment)
{
	const struct engine *engine = context;

	return xdp_engine.all_at(context, attachment) &&
	       workers_all_at(engine->workers, attachment);
}

const struct session_engine af_xdp_engine = {
	.name = "af_xdp",
	.describe = describe,
	.hand = engine_hand,
	.oldest = oldest,
	.all_at = all_at,
};
