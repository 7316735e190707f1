/* SPDX-License-Identifier: BSD-2-Clause */
/* The core's environment in user space: tables in the arena, flows in a worker's own table. */
#ifndef SHUNT_STATE_ENV_USER_H
#define SHUNT_STATE_ENV_USER_H

#include "dataplane/core/env.h"
#include "dataplane/state/arena.h"
#include "dataplane/state/flow_elder.h"
#include "dataplane/state/recent.h"

_Static_assert(RECENT_TOLD_CLASSES == ENV_TOLD_CLASSES, "one table");

struct env {
	struct tables tables;
	struct flow_bucket *flows;
	struct flow_owners *flow_owners;
	u32 flow_buckets;          /* 0: stateless */
	struct env_recent *recent; /* NULL: remembers nothing, and tells every sender */
	u32 now_ms;                /* of a clock that wraps around */
	u8 tick;
	const struct flow_elder *elder; /* NULL ordinarily */
	struct flow_others siblings;    /* all workers' tables, ours among them */
};

static inline const struct hash_seed *env_seed(const struct env *env)
{
	return &env->tables.seed;
}

static inline u32 env_service_buckets(const struct env *env)
{
	return env->tables.buckets_count;
}

static inline const struct service_bucket *env_service_bucket(const struct env *env, u32 index)
{
	return &env->tables.buckets[index];
}

static inline const struct service *env_service(const struct env *env, u32 index)
{
	return &env->tables.services[index];
}

static inline u32 env_prefix(const struct env *env, bool v6, u32 i)
{
	return env->tables.prefixes[v6][i];
}

static inline bool env_unmatched_pass(const struct env *env)
{
	return env->tables.unmatched_pass;
}

static inline u32 env_flow_buckets(const struct env *env)
{
	return env->flow_buckets;
}

static inline struct flow_bucket *env_flow_bucket(const struct env *env, u32 index)
{
	return &env->flows[index];
}

static rarely_called u16 env_flow_astray(const struct env *env, const struct service *service,
					 const struct flow_key *key)
{
	if (!env->siblings.buckets)
		return 0;
	return flow_others_find(&env->siblings, service->number, key, env->tick,
				FLOW_TIMEOUT_TICKS + 1);
}

static inline u16 env_flow_elder(const struct env *env, const struct service *service,
				 const struct packet *packet, const struct flow_key *key)
{
	bool astray = packet->flags & (PACKET_FRAGMENT | PACKET_ERROR);
	u16 number = 0;

	if (likely(!env->elder && !astray) || env->flow_buckets == 0)
		return 0;
	if (astray)
		number = env_flow_astray(env, service, key);
	if (number == 0 && env->elder)
		number = flow_elder_find(env->elder, service->number, key, env->tick);
	return number;
}

/* volatile: before the entry, whose store is volatile too. */
static inline void env_flow_own(const struct env *env, u32 index, u32 slot, u16 service_number)
{
	*(volatile u16 *)&env->flow_owners[index].services[slot] = service_number;
}

static inline u8 env_tick(const struct env *env)
{
	return env->tick;
}

static inline struct fragment_bucket *env_fragment_bucket(const struct env *env, u32 index)
{
	return env->recent ? &env->recent->fragments[index] : NULL;
}

static inline void env_fragment_kept(const struct env *env, u64 datagram)
{
	if (env->recent->kept_count < RECENT_KEPT_MAX)
		env->recent->kept[env->recent->kept_count++] = datagram;
}

static inline u32 *env_told_ms(const struct env *env, u32 index)
{
	return env->recent ? &env->recent->told_ms[index] : NULL;
}

static inline u32 env_now_ms(const struct env *env)
{
	return env->now_ms;
}

static inline const u16 *env_maglev_table(const struct env *env, u64 table_offset)
{
	return (const u16 *)(env->tables.arena + table_offset);
}

static inline u16 env_maglev(const struct env *env, u64 table_offset, u32 slot)
{
	return env_maglev_table(env, table_offset)[slot];
}

static inline const struct backend *env_backend(const struct env *env,
						const struct service *service, u16 number)
{
	const struct backend *backend;

	if (unlikely(number >= service->backends_count))
		return NULL;
	backend = &env->tables.backends[service->backends_first + number];
	return backend->flags & BACKEND_PRESENT ? backend : NULL;
}

#endif
