/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of one small balancer, filled by hand, in ordinary memory: what the core's tests
 * forward with. The control plane's builder has no part in it.
 *
 * Backends 1 to 5 differ by encapsulation; every service uses the set of its own address family,
 * because the outer header's protocol tells what is inside. */
#ifndef SHUNT_TESTS_FIXTURE_H
#define SHUNT_TESTS_FIXTURE_H

#include "dataplane/core/single.h"
#include "dataplane/state/env_user.h"
#include "tests/unit/frames.h"

enum {
	FIXTURE_BUCKETS = 32,
	FIXTURE_SERVICES = FIXTURE_BUCKETS * SERVICE_BUCKET_KEYS,
	FIXTURE_SET = 9, /* backend numbers 0..8 in a set */
	FIXTURE_BACKENDS = 2 * FIXTURE_SET,
	FIXTURE_SLOTS = 61, /* of every Maglev table */
	FIXTURE_MAGLEV = 4096,
	FIXTURE_HIGHEST_NUMBER = 20,
};

/* Backend numbers within a set. */
enum {
	BACKEND_IPIP4 = 1,
	BACKEND_IPIP6,
	BACKEND_GUE4,
	BACKEND_GUE6,
	BACKEND_BESIDE, /* on the same segment: L2 */
	BACKEND_LOST,   /* its next hop is unknown */
	BACKEND_NARROW, /* next hop with an MTU of 600 bytes */
	BACKEND_GONE,   /* a number without a record */
};

/* Those that differ by encapsulation. */
enum { FIXTURE_FIRST = BACKEND_IPIP4, FIXTURE_LAST = BACKEND_BESIDE, FIXTURE_FORMS = 5 };

enum { FIXTURE_MTU = 1500, FIXTURE_NARROW_MTU = 600 };

struct fixture {
	struct service_bucket buckets[FIXTURE_BUCKETS];
	struct service services[FIXTURE_SERVICES];
	struct backend backends[FIXTURE_BACKENDS];
	u16 maglev[FIXTURE_MAGLEV];
	u32 maglev_used;
	u16 services_count;
	struct station station;
	struct env_recent recent;
	struct env env;
};

/* Outer addresses: IPv4 172.16.0.0/16 as the source, IPv6 fd00:0:0:1::/64. */
static inline void fixture_backend(struct backend *out, u32 number, bool inner_v6)
{
	bool gue = number == BACKEND_GUE4 || number == BACKEND_GUE6;
	bool outer_v6 = number == BACKEND_IPIP6 || number == BACKEND_GUE6;
	u8 *header = (u8 *)&out->outer;

	memset(out, 0, sizeof(*out));
	out->flags = BACKEND_PRESENT | (gue ? BACKEND_GUE : 0) | (outer_v6 ? BACKEND_OUTER_V6 : 0) |
		     (number == BACKEND_LOST ? 0 : BACKEND_REACHABLE);
	out->mtu = number == BACKEND_NARROW ? FIXTURE_NARROW_MTU : FIXTURE_MTU;
	out->port = (u8)(number & 1);
	out->counter = FIXTURE_HIGHEST_NUMBER + number + (inner_v6 ? FIXTURE_SET : 0);
	memcpy(out->ethernet.destination, (u8[]){2, 0, 0, 0, 1, (u8)number}, 6);
	memcpy(out->ethernet.source, frame_our_mac, 6);
	if (number == BACKEND_BESIDE) {
		out->flags |= BACKEND_L2;
		out->ethernet.type = BE16(inner_v6 ? 0x86dd : 0x0800);
		return;
	}
	out->source_mask = BE16(0xffff);
	if (outer_v6) {
		out->ethernet.type = BE16(0x86dd);
		header[0] = 0x60;
		header[6] = gue ? 17 : inner_v6 ? 41 : 4;
		header[7] = 64;
		inet_pton(AF_INET6, "fd00:0:0:1::", header + 8);
		inet_pton(AF_INET6, "fd00:0:0:2::", header + 24);
		header[39] = (u8)number;
	} else {
		out->ethernet.type = BE16(0x0800);
		header[0] = 0x45;
		header[8] = 64;
		header[9] = gue ? 17 : inner_v6 ? 41 : 4;
		memcpy(header + 12, (u8[]){172, 16, 0, 0, 10, 0, 1, (u8)number}, 8);
		put16(header + 10, frame_sum(header, 20, 0));
	}
}

static inline u32 fixture_key(struct fixture *fixture, u64 key)
{
	u32 bucket = service_bucket_index(key, FIXTURE_BUCKETS);

	for (u32 i = 0; i < SERVICE_BUCKET_KEYS; i++) {
		u64 *place = &fixture->buckets[bucket].keys[i];

		if (*place != 0 && *place != key)
			continue;
		*place = key;
		return bucket * SERVICE_BUCKET_KEYS + i;
	}
	abort(); /* the fixture's own table is too small */
}

static inline struct addr fixture_addr(const char *text)
{
	struct addr addr;
	u8 v4[4];

	if (inet_pton(AF_INET6, text, addr.bytes) == 1)
		return addr;
	frame_require(inet_pton(AF_INET, text, v4) == 1);
	memset(addr.bytes, 0, 10);
	memset(addr.bytes + 10, 0xff, 2);
	memcpy(addr.bytes + 12, v4, 4);
	return addr;
}

/* Splits "ADDRESS/LENGTH"; returns how many bits lie below the prefix, and lists them. */
static inline u32 fixture_vip(struct fixture *fixture, const char *text, struct addr *vip)
{
	bool v6 = strchr(text, ':') != NULL;
	const char *slash = strchr(text, '/');
	u8 *list = fixture->env.tables.prefixes[v6];
	char address[64];
	u32 host_bits, place = 0;

	snprintf(address, sizeof(address), "%.*s", (int)strcspn(text, "/"), text);
	*vip = fixture_addr(address);
	if (!slash)
		return 0;
	host_bits = (v6 ? 128 : 32) - (u32)atoi(slash + 1);
	while (list[place] != 0 && list[place] < host_bits)
		place++;
	if (list[place] != host_bits)
		memmove(&list[place + 1], &list[place], SERVICE_PREFIXES_MAX - 1 - place);
	list[place] = (u8)host_bits;
	return host_bits;
}

/* Adds a service whose slots go to backend numbers `first` to `last` in turn. */
static inline struct service *fixture_service(struct fixture *fixture, const char *vip, u8 protocol,
					      u16 port, enum service_hash mode, u16 first, u16 last)
{
	bool v6 = strchr(vip, ':') != NULL;
	struct service *service;
	struct addr addr;
	u32 host_bits = fixture_vip(fixture, vip, &addr);
	u32 index = fixture_key(fixture, service_key(v6, &addr, host_bits, 0, 0));

	fixture->services[index] =
		(struct service){.vip = addr, .host_bits = (u8)host_bits, .kind = SERVICE_VIP_ONLY};
	index = fixture_key(fixture, service_key(v6, &addr, host_bits, BE16(port), protocol));
	service = &fixture->services[index];
	*service = (struct service){
		.vip = addr,
		.host_bits = (u8)host_bits,
		.maglev_offset = fixture->maglev_used * sizeof(u16),
		.previous_offset = fixture->maglev_used * sizeof(u16),
		.maglev_size = FIXTURE_SLOTS,
		.backends_first = v6 ? FIXTURE_SET : 0,
		.backends_count = FIXTURE_SET,
		.counter = fixture->services_count,
		.number = ++fixture->services_count,
		.port = BE16(port),
		.protocol = protocol,
		.kind = SERVICE_ACTIVE,
		.hash_mode = (u8)mode,
		.raw_keys = !v6 && host_bits == 0 && port != 0 && mode == SERVICE_HASH_5TUPLE,
	};
	frame_require(fixture->services_count <= FIXTURE_HIGHEST_NUMBER);
	for (u32 slot = 0; slot < FIXTURE_SLOTS; slot++)
		fixture->maglev[fixture->maglev_used + slot] =
			(u16)(first ? first + slot % (last - first + 1u) : 0);
	fixture->maglev_used += FIXTURE_SLOTS;
	frame_require(fixture->maglev_used <= FIXTURE_MAGLEV);
	return service;
}

static inline void fixture_services(struct fixture *fixture)
{
	const u16 first = FIXTURE_FIRST, last = FIXTURE_LAST;

	fixture_service(fixture, "203.0.113.10", FRAME_TCP, 443, SERVICE_HASH_5TUPLE, first, last);
	fixture_service(fixture, "203.0.113.10", FRAME_UDP, 53, SERVICE_HASH_5TUPLE, first, last);
	fixture_service(fixture, "203.0.113.11", FRAME_TCP, 0, SERVICE_HASH_5TUPLE, first, last);
	fixture_service(fixture, "203.0.113.12", FRAME_TCP, 80, SERVICE_HASH_SOURCE, first, last);
	fixture_service(fixture, "203.0.113.12", FRAME_UDP, 0, SERVICE_HASH_SOURCE_DEST_PORT, first,
			last);
	fixture_service(fixture, "203.0.113.13", FRAME_TCP, 80, SERVICE_HASH_5TUPLE, 0, 0);
	fixture_service(fixture, "203.0.113.14", FRAME_TCP, 80, SERVICE_HASH_5TUPLE, BACKEND_LOST,
			BACKEND_LOST);
	fixture_service(fixture, "203.0.113.15", FRAME_TCP, 80, SERVICE_HASH_5TUPLE, BACKEND_NARROW,
			BACKEND_NARROW);
	fixture_service(fixture, "203.0.113.16", FRAME_TCP, 80, SERVICE_HASH_5TUPLE, BACKEND_GONE,
			BACKEND_GONE);
	fixture_service(fixture, "2001:db8:1::10", FRAME_TCP, 443, SERVICE_HASH_5TUPLE, first,
			last);
	fixture_service(fixture, "2001:db8:1::10", FRAME_UDP, 53, SERVICE_HASH_SOURCE, first, last);
	fixture_service(fixture, "2001:db8:1::11", FRAME_TCP, 0, SERVICE_HASH_5TUPLE, first, last);
	fixture_service(fixture, "2001:db8:1::15", FRAME_TCP, 80, SERVICE_HASH_5TUPLE,
			BACKEND_NARROW, BACKEND_NARROW);
	fixture_service(fixture, "203.0.114.0/24", FRAME_TCP, 0, SERVICE_HASH_5TUPLE, first, last);
	fixture_service(fixture, "203.0.114.128/25", FRAME_TCP, 80, SERVICE_HASH_5TUPLE, first,
			last);
	fixture_service(fixture, "203.0.114.10", FRAME_TCP, 443, SERVICE_HASH_5TUPLE, first, last);
	fixture_service(fixture, "2001:db8:5::/48", FRAME_UDP, 0, SERVICE_HASH_5TUPLE, first, last);
	fixture_service(fixture, "2001:db8:5:1::/64", FRAME_UDP, 53, SERVICE_HASH_SOURCE, first,
			last);
}

/* The fixture with a flow table of that many buckets: 0, or above every service number. */
static inline struct fixture *fixture_new(u32 flow_buckets)
{
	struct fixture *fixture = aligned_alloc(64, (sizeof(*fixture) + 63) / 64 * 64);
	size_t flows_bytes = flow_buckets * sizeof(struct flow_bucket);
	u8 seed[16];

	frame_require(fixture && (flow_buckets == 0 || flow_buckets > FIXTURE_HIGHEST_NUMBER));
	memset(fixture, 0, sizeof(*fixture));
	for (u32 i = 0; i < sizeof(seed); i++)
		seed[i] = (u8)i;
	for (u32 i = 1; i < BACKEND_GONE; i++) {
		fixture_backend(&fixture->backends[i], i, false);
		fixture_backend(&fixture->backends[FIXTURE_SET + i], i, true);
	}
	memcpy(fixture->station.mac, frame_our_mac, 6);
	fixture->env = (struct env){
		.tables =
			{
				.generation = 1,
				.seed = hash_seed_derive(seed),
				.arena = (const u8 *)fixture->maglev,
				.buckets = fixture->buckets,
				.services = fixture->services,
				.backends = fixture->backends,
				.buckets_count = FIXTURE_BUCKETS,
				.backends_count = FIXTURE_BACKENDS,
				.highest_service_number = FIXTURE_HIGHEST_NUMBER,
			},
		.recent = &fixture->recent,
		.flow_buckets = flow_buckets,
	};
	fixture_services(fixture);
	if (flow_buckets) {
		fixture->env.flows = aligned_alloc(64, flows_bytes);
		frame_require(fixture->env.flows);
		memset(fixture->env.flows, 0, flows_bytes);
		fixture->env.flow_owners = calloc(flow_buckets, sizeof(struct flow_owners));
		frame_require(fixture->env.flow_owners);
	}
	return fixture;
}

static inline void fixture_free(struct fixture *fixture)
{
	free(fixture->env.flows);
	free(fixture->env.flow_owners);
	free(fixture);
}

/* --- One packet through the stages, back to back -------------------------------------- */

struct outcome {
	enum verdict verdict;
	const struct service *service;
	const struct backend *backend;
	u16 number;
	u32 l3_len;
	bool unplaced; /* a new flow that found no room */
	u8 *frame;     /* where it begins now */
	u32 frame_bytes;
};

/* The reference that a burst must equal. */
static inline struct outcome fixture_forward(struct fixture *fixture, u8 *frame, u32 frame_bytes,
					     u32 headroom_bytes)
{
	struct single single = {
		.frame = frame,
		.frame_bytes = frame_bytes,
		.headroom_bytes = headroom_bytes,
	};
	enum verdict verdict = single_run(&fixture->env, &fixture->station, &single);

	return (struct outcome){
		.verdict = verdict,
		.service = single.service,
		.backend = single.backend,
		.number = single.backend_number,
		.l3_len = single.packet.l3_len,
		.unplaced = single.record == FORWARD_NO_ROOM,
		.frame = single.frame,
		.frame_bytes = single.frame_bytes,
	};
}

#endif
