/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/engine.h"

static void ports_describe(const struct ports *ports, struct attach_message *hello)
{
	hello->ports_count = ports->count;
	for (u32 i = 0; i < ports->count; i++)
		port_describe(&ports->list[i], &hello->ports[i]);
}

void workers_hello(const struct ports *ports, struct attach_message *hello)
{
	attach_prepare(hello, ATTACH_HELLO);
	hello->workers_count = ports->workers_count;
	strcpy(hello->engine, dpdk_engine.name);
	ports_describe(ports, hello);
}

/* --- The session's calls -------------------------------------------------------------- */

static void describe(void *context, struct attach_message *hello)
{
	const struct workers *workers = context;

	ports_describe(workers->list[0].relay.ports, hello);
}

static int hand(void *context, struct attachment *attachment)
{
	return workers_hand(context, attachment);
}

static struct attachment *oldest(void *context, struct attachment *newest)
{
	return workers_oldest(context, newest);
}

static bool all_at(void *context, const struct attachment *attachment)
{
	return workers_all_at(context, attachment);
}

static void use_flows(void *context, const struct flow_tables *flows,
		      const struct flow_elder *elder)
{
	workers_use_flows(context, flows, elder);
}

static bool uses_elder(void *context)
{
	return workers_use_elder(context);
}

const struct session_engine dpdk_engine = {
	.name = "dpdk",
	.describe = describe,
	.hand = hand,
	.oldest = oldest,
	.all_at = all_at,
	.use_flows = use_flows,
	.uses_elder = uses_elder,
};
