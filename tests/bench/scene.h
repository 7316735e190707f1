/* SPDX-License-Identifier: BSD-2-Clause */
/* What the benches forward with: tables that the control plane made of a configuration, and a
 * trace of packets for them. */
#ifndef SHUNT_TESTS_BENCH_SCENE_H
#define SHUNT_TESTS_BENCH_SCENE_H

#include "config/config.h"
#include "dataplane/core/packet.h"
#include "dataplane/state/env_user.h"
#include "dataplane/state/flow_table.h"
#include "dataplane/state/report.h"

#define SCENE_FRAME_BYTES 64
#define SCENE_VIP_NETWORK 0xc6120000u /* 198.18.0.0/15: RFC 2544; the first VIP ends in 1 */
#define SCENE_MAC                                                                                  \
	{                                                                                          \
		0x02, 0, 0, 0, 0, 0x01                                                             \
	}

struct scene_shape {
	u32 services_count; /* at most 254; each has all the backends, so they share one table */
	u32 backends_count;
	u32 flows_count;
	bool with_udp; /* one more service beside the first: UDP to port 53 */
};

struct scene {
	struct scene_shape shape;
	struct config *config;
	struct plan *plan;
	struct arena_writer *writer;
	struct tables_builder *builder;
	struct arena_view view;
	struct env env;
	struct flow_tables flows;
	struct report report;
	u8 *trace; /* flows_count frames of SCENE_FRAME_BYTES, one a flow */
};

/* Makes all of it, with an empty flow table. Where that fails it says why and ends the program. */
void scene_open(struct scene *scene, const struct scene_shape *shape);
void scene_close(struct scene *scene);

/* Writes the headers before a transport header, and zeros behind them. The IPv4 checksum's field
 * holds the sum so far. Returns where the transport header begins. */
u8 *scene_headers(u8 frame[static SCENE_FRAME_BYTES], u8 protocol, be32 source, be32 destination);

/* p, or the end of the program where it is NULL. */
void *scene_must(void *p);

#endif
