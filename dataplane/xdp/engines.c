/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine `af_xdp` is the engine `xdp` and, before it, workers with sockets. The program has the
 * tables first; it forwards whatever the workers don't take. So nothing here can fail in a way that
 * stops traffic: docs/adr/0017-af-xdp.md. */
#include "dataplane/xdp/engines.h"

#include <stdio.h>
#include <string.h>

const struct session_engine xdp_engine = {
	.name = "xdp",
	.describe = engine_describe,
	.hand = engine_hand,
	.oldest = engine_oldest,
	.all_at = engine_all_at,
};

/* --- With sockets --------------------------------------------------------------------- */

static int hand(void *context, const struct attachment *attachment)
{
	return workers_hand(context, attachment);
}

static const struct attachment *oldest(const void *context)
{
	return workers_oldest(context);
}

static bool all_at(const void *context, const struct attachment *attachment)
{
	return workers_all_at(context, attachment);
}

static void tell(void *context, const struct report *report, u64 generation)
{
	workers_tell(context, report, generation);
}

const struct engine_workers af_xdp_workers = {
	.hand = hand,
	.oldest = oldest,
	.all_at = all_at,
	.tell = tell,
};

static void describe(void *context, struct attach_message *hello)
{
	const struct engine *engine = context;
	const struct workers *workers = engine->workers_context;

	engine_describe(context, hello);
	for (u32 i = 0; i < workers->queues_count; i++) {
		const struct steered *steered = &workers->queues[i].steered;

		if (steered->number == 0)
			steered_describe(steered, &hello->ports[steered->port]);
	}
}

const struct session_engine af_xdp_engine = {
	.name = "af_xdp",
	.describe = describe,
	.hand = engine_hand,
	.oldest = engine_oldest,
	.all_at = engine_all_at,
};
