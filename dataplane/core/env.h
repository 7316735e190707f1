/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What differs by engine, and nothing else: where the tables live and how headroom is gained.
 *
 * Each adapter defines `struct env` and these functions as `static inline` in the translation
 * unit that includes forward.h: static duck typing, no table of pointers in the packet path. */
#ifndef SHUNT_CORE_ENV_H
#define SHUNT_CORE_ENV_H

#include "encap.h"
#include "flow.h"
#include "frag.h"
#include "service.h"

#define ENV_TOLD_CLASSES 1024

struct env;

static inline const struct hash_seed *env_seed(const struct env *env);

/* The service table: its size in buckets (at least 1), one bucket, and the record of key i. */
static inline u32 env_service_buckets(const struct env *env);
static inline const struct service_bucket *env_service_bucket(const struct env *env, u32 index);
static inline const struct service *env_service(const struct env *env, u32 index);

/* The prefixes among the VIPs of a family, longest first: how many bits lie below those of the
 * i-th length in use; 0: there are no more. i is below SERVICE_PREFIXES_MAX. */
static inline u32 env_prefix(const struct env *env, bool v6, u32 i);

/* Whether an address without a matching service goes to the kernel (`unmatched: pass`). */
static inline bool env_unmatched_pass(const struct env *env);

/* The flow table: its size in buckets (0: none, forward statelessly) and one bucket. */
static inline u32 env_flow_buckets(const struct env *env);
static inline struct flow_bucket *env_flow_bucket(const struct env *env, u32 index);

/* The backend that others know for a flow that is still alive: a predecessor's flow tables, laid out
 * otherwise; for ICMP errors and fragments, which a device does not spread as it does their flow,
 * other workers' too. 0: none. Asked about a miss alone. */
static inline u16 env_flow_elder(const struct env *env, const struct service *service,
				 const struct packet *packet, const struct flow_key *key);

/* Notes which service the entry in a bucket's slot is about to belong to, before it can be seen. */
static inline void env_flow_own(const struct env *env, u32 index, u32 slot, u16 service_number);

/* The present tick of flow ages, 0..63. */
static inline u8 env_tick(const struct env *env);

/* One bucket of the fragment table, of FRAGMENT_BUCKETS; NULL: there is none. */
static inline struct fragment_bucket *env_fragment_bucket(const struct env *env, u32 index);

/* Says that the first fragment of a datagram has come, and is in its bucket. */
static inline void env_fragment_kept(const struct env *env, u64 datagram);

/* When the senders of one class were last told of a path's MTU, of ENV_TOLD_CLASSES; NULL: they are
 * always told. */
static inline u32 *env_told_ms(const struct env *env, u32 index);

/* A clock in milliseconds, which wraps around. */
static inline u32 env_now_ms(const struct env *env);

/* The backend number in a slot of the Maglev table at an offset that a service's record names. */
static inline u16 env_maglev(const struct env *env, u64 table_offset, u32 slot);

/* The record of a backend number, or NULL where the service has none of it. */
static inline const struct backend *env_backend(const struct env *env,
						const struct service *service, u16 number);

#endif
