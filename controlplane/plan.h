/* SPDX-License-Identifier: BSD-2-Clause */
/* The plan: what the tables should say. It joins the configuration with what it does not know:
 * numbers, next hops and health. Everything past it (tables, explain, show) reads the plan. */
#ifndef SHUNT_CONTROLPLANE_PLAN_H
#define SHUNT_CONTROLPLANE_PLAN_H

#include "config/config.h"

/* How to reach a backend from here. */
struct plan_hop {
	bool reachable;
	u8 port; /* index of the interface */
	u8 destination_mac[6];
	u8 source_mac[6];
	u16 mtu;            /* bytes of the outer IP packet */
	const char *reason; /* static text, where it is not reachable */
};

struct check;

/* Who keeps new flows away from a backend, by draining it: seconds of the Unix epoch since when
 * that is so, 0 where it is not. */
struct plan_drain {
	s64 operator_since_s; /* `shunt drain` */
	s64 file_since_s;     /* `state: drain` */
};

struct plan_backend {
	const struct config_backend *config;
	u16 number; /* 1..65535 within its service */
	u32 counter;
	const struct check *check; /* NULL: has none; the checks' own (health/checks.h) */
	bool up;                   /* what its check says; true without one */
	bool healthy;              /* what it is taken for: plan_service_judge() */
	bool on_link;              /* it must be its own next hop: encapsulation l2 */
	struct plan_drain drain;   /* from drains_apply() */
	u64 closed_generation; /* from which on it gets no new flow at all; 0: it may get some */
	struct plan_hop hop;
};

struct plan_service {
	const struct config_service *config;
	u16 number; /* 1..65535 */
	u32 counter;
	bool settling;                 /* handshakes may still go by its table before */
	bool fail_open;                /* every backend is down, and all are taken for healthy */
	struct plan_backend *backends; /* config->backends_count, in the configuration's order */
};

struct plan {
	const struct config *config; /* must outlive the plan */
	u8 fleet_seed[16];
	u32 counters_count;            /* counters are below this */
	struct plan_service *services; /* config->services_count */
};

/* Makes a plan without numbers or next hops, every backend healthy. Returns 0 or -ENOMEM. */
int plan_create(const struct config *config, const u8 fleet_seed[static 16], struct plan **plan)
	__attribute__((warn_unused_result));
void plan_destroy(struct plan *plan);

/* Numbers for a plan that no dataplane's memory depends on: services in the order of the file,
 * backends in the order of their addresses, both from 1. */
int plan_number_offline(struct plan *plan) __attribute__((warn_unused_result));

/* Next hops from the configuration's first interface alone: its `mac`, `gateway_mac` and `mtu`,
 * or locally administered addresses and 1500 where they are not fixed. An l2 backend has the
 * gateway_mac too: its own is known to the kernel alone, which is not asked. */
void plan_hop_offline(struct plan *plan);

/* Takes for healthy what is up; or everything, where health alone leaves nobody to give new flows
 * to and the service says `all_down: forward`. Returns whether another set of backends is eligible
 * than before. */
bool plan_service_judge(struct plan_service *service);

/* Whether a new flow may be given to the backend. */
bool plan_backend_eligible(const struct plan_backend *backend);

/* What its operator wants of it: the file's word, but for a drain that was ordered since. */
enum config_backend_state plan_backend_state(const struct plan_backend *backend);

/* The service's backend with this address, or NULL. */
struct plan_backend *plan_backend_find(const struct plan_service *service,
				       const struct addr *address);

/* The highest number of the service's backends. */
u32 plan_highest_number(const struct plan_service *service);

/* The plan has been published: notes for each backend since when it gets no new flows, once its
 * service is settled. */
void plan_note_published(struct plan *plan, u64 generation);

#define PLAN_OFFLINE_MAC                                                                           \
	{                                                                                          \
		0x02, 0, 0, 0, 0, 0x01                                                             \
	}
#define PLAN_OFFLINE_GATEWAY_MAC                                                                   \
	{                                                                                          \
		0x02, 0, 0, 0, 0, 0x02                                                             \
	}
#define PLAN_OFFLINE_MTU 1500

#endif
