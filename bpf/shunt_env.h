/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The core's environment in the kernel: tables in the maps that dataplane/state/kernel.h describes.
 *
 * Every access is a lookup of a line, whose index the kernel checks against its map's size: what the
 * maps hold can lead a packet astray, but never outside. */
#ifndef SHUNT_BPF_SHUNT_ENV_H
#define SHUNT_BPF_SHUNT_ENV_H

#include "dataplane/core/reply.h"
#include "dataplane/state/flow_elder.h"
#include "dataplane/state/flow_table.h"
#include "dataplane/state/kernel.h"

_Static_assert(RECENT_TOLD_CLASSES == ENV_TOLD_CLASSES, "one table");

/* An index or pointer that was checked, kept from clang, which would compute first and compare
 * later: the verifier follows only the order that is written. */
#define checked(x) asm volatile("" : "+r"(x))

#define LINE_OWNERS (KERNEL_LINE_BYTES / sizeof(struct flow_owners))
#define LINE_SLOTS (KERNEL_LINE_BYTES / sizeof(u16))

/* --- Maps ----------------------------------------------------------------------------- */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct kernel_control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KERNEL_WORKERS_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct kernel_worker);
} workers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* as many as there are workers: set before loading */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct kernel_recent);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* lines of the flow tables: set before loading */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct kernel_line);
} flows SEC(".maps");

struct lines {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << KERNEL_ARENA_CHUNK_BITS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(struct kernel_line));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, KERNEL_SLOTS << KERNEL_ARENA_CHUNKS_BITS);
	__type(key, u32);
	__array(values, struct lines);
} arenas SEC(".maps");

struct counters {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << KERNEL_COUNTS_CHUNK_BITS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(u32));
	__uint(value_size, sizeof(struct kernel_count));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, KERNEL_SLOTS << KERNEL_COUNTS_CHUNKS_BITS);
	__type(key, u32);
	__array(values, struct counters);
} counts SEC(".maps");

/* What a packet's stages hand on. */
struct scratch {
	struct kernel_result result;
	u32 slot; /* of the generation */
	u32 worker;
	u32 port;         /* where the packet came in */
	u32 service;      /* index of its record */
	u32 backend_line; /* of its record */
	u32 service_counter;
	u32 backend_counter;
	u32 unplaced;    /* 1: a new flow found no room */
	u32 frame_bytes; /* all of it, though it may lie in several buffers */
	u32 now_ms;
	bool own_queue; /* the worker is this queue's and no other's */
	bool fell_back; /* the packet would be a socket's, but for room or time */
	u8 tick;
	struct station station;
	struct packet packet;
	struct packet embedded;
	struct flow_key key;
	struct reply reply;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

/* --- The environment ------------------------------------------------------------------ */

struct env {
	struct scratch *scratch;
	const struct kernel_control *control;
	const struct kernel_tables *tables;
	u32 slot;
};

/* The environment of a packet. False where its generation has no tables. */
static always_inline bool env_open(struct env *env, struct scratch *s)
{
	u32 zero = 0, slot = s->slot;

	env->scratch = s;
	env->control = bpf_map_lookup_elem(&control, &zero);
	if (!env->control || slot >= KERNEL_SLOTS)
		return false;
	checked(slot);
	env->tables = &env->control->tables[slot & (KERNEL_SLOTS - 1)];
	env->slot = slot;
	return true;
}

static always_inline const void *env_line(const struct env *env, u32 line)
{
	u32 place = (env->slot << KERNEL_ARENA_CHUNKS_BITS) + (line >> KERNEL_ARENA_CHUNK_BITS);
	void *chunk = bpf_map_lookup_elem(&arenas, &place);

	line %= 1u << KERNEL_ARENA_CHUNK_BITS;
	return chunk ? bpf_map_lookup_elem(chunk, &line) : NULL;
}

static inline const struct hash_seed *env_seed(const struct env *env)
{
	return &env->tables->seed;
}

static inline u32 env_service_buckets(const struct env *env)
{
	return env->tables->buckets_count;
}

static inline const struct service_bucket *env_service_bucket(const struct env *env, u32 index)
{
	return env_line(env, env->tables->buckets_line + index);
}

static inline const struct service *env_service(const struct env *env, u32 index)
{
	return env_line(env, env->tables->services_line + index);
}

static inline u32 env_prefix(const struct env *env, bool v6, u32 i)
{
	return env->tables->prefixes[v6][i & (SERVICE_PREFIXES_MAX - 1)];
}

static inline bool env_unmatched_pass(const struct env *env)
{
	return env->tables->unmatched_pass;
}

static inline u32 env_flow_buckets(const struct env *env)
{
	return env->control->flow_buckets;
}

static always_inline struct flow_bucket *flow_bucket_of(const struct env *env, u32 worker,
							u32 index)
{
	u32 line = FLOW_TABLE_HEADER_BYTES / KERNEL_LINE_BYTES +
		   worker * env->control->flow_tables_buckets + index;

	return bpf_map_lookup_elem(&flows, &line);
}

static inline struct flow_bucket *env_flow_bucket(const struct env *env, u32 index)
{
	return flow_bucket_of(env, env->scratch->worker, index);
}

static inline void env_flow_own(const struct env *env, u32 index, u32 slot, u16 service_number)
{
	const struct kernel_control *shared = env->control;
	u32 number = env->scratch->worker * shared->flow_tables_buckets + index;
	u32 line = FLOW_TABLE_HEADER_BYTES / KERNEL_LINE_BYTES +
		   shared->workers_count * shared->flow_tables_buckets + number / LINE_OWNERS;
	struct flow_owners *owners = bpf_map_lookup_elem(&flows, &line);

	if (owners)
		*(volatile u16 *)&owners[number % LINE_OWNERS].services[slot & 7] = service_number;
}

/* What the flow table of one worker says of a flow. */
struct sibling {
	u32 worker;
	u32 age;
	u32 number;
};

__attribute__((noinline)) int sibling_look(struct scratch *s, struct sibling *sibling,
					   u32 service_number)
{
	const struct flow_bucket *bucket;
	u32 buckets, first, second;
	struct env env;
	u16 number = 0;
	u32 age;

	if (!s || !sibling || !env_open(&env, s))
		return 0;
	buckets = env.control->flow_buckets;
	first = flow_bucket_first(s->key.hash, service_number, buckets);
	second = flow_bucket_second(s->key.hash, service_number, buckets);
	age = sibling->age;
	bucket = flow_bucket_of(&env, sibling->worker, first);
	if (!bucket)
		return 0;
	flow_elder_look(bucket, &s->key, 0, s->tick, &age, &number);
	if (bucket->choices & FLOW_OVERFLOWED) {
		bucket = flow_bucket_of(&env, sibling->worker, second);
		if (bucket)
			flow_elder_look(bucket, &s->key, 1, s->tick, &age, &number);
	}
	if (number == 0)
		return 0;
	sibling->age = age;
	sibling->number = number;
	return 0;
}

/* Of all workers' tables. A function of its own, or the verifier would walk through the loop once for
 * every state that it can be come to in. */
__attribute__((noinline)) int siblings_look(struct scratch *s, u32 service_number)
{
	struct sibling sibling = {.age = FLOW_TIMEOUT_TICKS + 1};
	u32 zero = 0, workers_count;
	const struct kernel_control *shared = bpf_map_lookup_elem(&control, &zero);

	if (!s || !shared)
		return 0;
	workers_count = shared->workers_count;
	for (u32 i = 0; i < KERNEL_WORKERS_MAX && i < workers_count; i++) {
		sibling.worker = i;
		sibling_look(s, &sibling, service_number);
	}
	return (int)(sibling.number & 0xffff);
}

static inline u16 env_flow_elder(const struct env *env, const struct service *service,
				 const struct packet *packet, const struct flow_key *key)
{
	if (likely(!(packet->flags & (PACKET_FRAGMENT | PACKET_ERROR))) ||
	    env->control->workers_count < 2 || env->control->flow_buckets == 0)
		return 0;
	return (u16)siblings_look(env->scratch, service->number);
}

static inline u8 env_tick(const struct env *env)
{
	return env->scratch->tick;
}

/* Before Linux 6.3 a key may lie on the stack, but not in memory that a function was handed. */
static always_inline struct kernel_recent *env_recent(const struct env *env)
{
	u32 worker = env->scratch->worker;

	return bpf_map_lookup_elem(&recent, &worker);
}

static inline struct fragment_bucket *env_fragment_bucket(const struct env *env, u32 index)
{
	struct kernel_recent *mine = env_recent(env);

	if (!mine || index >= FRAGMENT_BUCKETS)
		return NULL;
	checked(index);
	return &mine->recent.fragments[index];
}

static inline void env_fragment_kept(const struct env *env, u64 datagram)
{
	/* Nothing waits for it here. */
}

static inline u32 *env_told_ms(const struct env *env, u32 index)
{
	struct kernel_recent *mine = env_recent(env);

	if (!mine || index >= ENV_TOLD_CLASSES)
		return NULL;
	checked(index);
	return &mine->recent.told_ms[index];
}

static inline u32 env_now_ms(const struct env *env)
{
	return env->scratch->now_ms;
}

static inline u16 env_maglev(const struct env *env, u64 table_offset, u32 slot)
{
	u64 at = table_offset / sizeof(u16) + slot;
	const u16 *line = env_line(env, (u32)(at / LINE_SLOTS));

	return line ? line[at % LINE_SLOTS] : 0;
}

static inline const struct backend *env_backend(const struct env *env,
						const struct service *service, u16 number)
{
	const struct backend *backend;

	if (number >= service->backends_count)
		return NULL;
	backend = env_line(env, env->tables->backends_line + service->backends_first + number);
	if (!backend)
		return NULL;
	checked(backend);
	if (!(backend->flags & BACKEND_PRESENT))
		return NULL;
	checked(backend);
	return backend;
}

#endif
