/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables come the same way as a balancer's: text, configuration, plan, arena, attach. The
 * trace is TCP ACKs, one a flow, in an order that has nothing to do with the flow table's, so
 * that a bench walks through the table at random while it reads the trace in sequence. */
#include "tests/bench/scene.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/arena_writer.h"
#include "controlplane/plan.h"
#include "controlplane/tables.h"
#include "dataplane/core/csum.h"
#include "dataplane/core/wire.h"

#define CLIENT_NETWORK 0x0b000000u /* 11.0.0.0/8 */
#define FLOW_TIMEOUT_MS 300000

void *scene_must(void *p)
{
	if (p)
		return p;
	perror("bench");
	exit(1);
}

static void must_0(int err, const char *what)
{
	if (err == 0)
		return;
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void service_write(FILE *out, const char *name, u32 vip, const char *protocol, u32 port,
			  u32 backends_count)
{
	fprintf(out,
		"  - name: %s%u\n    vip: 198.18.0.%u\n    protocol: %s\n    port: %u\n"
		"    table_size: 65537\n    backends:\n",
		name, vip, vip, protocol, port);
	for (u32 b = 0; b < backends_count; b++)
		fprintf(out, "      - { address: 10.0.%u.%u }\n", b / 250, 1 + b % 250);
}

static void text_write(FILE *out, const struct scene_shape *shape)
{
	fputs("version: 1\nfleet_seed: 000102030405060708090a0b0c0d0e0f\n"
	      "dataplane:\n  interfaces:\n    - { name: null0, device: net_null0, mtu: 1500,\n"
	      "        mac: \"02:00:00:00:00:01\", gateway_mac: \"02:00:00:00:00:02\" }\n"
	      "services:\n",
	      out);
	for (u32 s = 1; s <= shape->services_count; s++)
		service_write(out, "s", s, "tcp", 80, shape->backends_count);
	if (shape->with_udp)
		service_write(out, "u", 1, "udp", 53, shape->backends_count);
}

static struct config *config_make(const struct scene_shape *shape)
{
	struct config_errors errors;
	struct config *config;
	size_t len_bytes;
	char *text;
	FILE *out = scene_must(open_memstream(&text, &len_bytes));

	text_write(out, shape);
	fclose(out);
	if (config_parse(text, len_bytes, &config, &errors) != 0) {
		fprintf(stderr, "bench: the configuration: %s\n",
			errors.count ? errors.list[0].text : "out of memory");
		exit(1);
	}
	config_errors_free(&errors);
	free(text);
	return config;
}

static void tables_make(struct scene *scene)
{
	char message[256] = "";
	int err;

	must_0(plan_create(scene->config, scene->config->fleet_seed, &scene->plan), "plan");
	must_0(plan_number_offline(scene->plan), "numbers");
	plan_hop_offline(scene->plan);
	must_0(arena_writer_create(tables_bytes(scene->plan) * 2 + ARENA_HEADER_BYTES, 1, 1,
				   scene->plan->counters_count + 1, &scene->writer),
	       "arena");
	must_0(tables_builder_create(scene->writer, NULL, &scene->builder), "tables");
	must_0(tables_publish(scene->builder, scene->plan, 1), "tables");
	err = arena_attach(arena_writer_fd(scene->writer), &scene->view, message, sizeof(message));
	must_0(err, message);
	must_0(arena_tables(&scene->view, arena_root_offset(&scene->view), &scene->env.tables),
	       "root");
}

static void state_make(struct scene *scene)
{
	must_0(flow_tables_create(scene->shape.flows_count, 1, FLOW_TIMEOUT_MS, &scene->flows),
	       "flow table");
	must_0(report_create(1, scene->plan->counters_count + 1, 1, &scene->report), "report");
	scene->env.flows = flow_tables_of(&scene->flows, 0);
	scene->env.flow_owners = flow_tables_owners(&scene->flows, 0);
	scene->env.flow_buckets = scene->flows.buckets_count;
}

u8 *scene_headers(u8 frame[static SCENE_FRAME_BYTES], u8 protocol, be32 source, be32 destination)
{
	struct ethernet_header ethernet = {
		.destination = SCENE_MAC,
		.source = {0x02, 0, 0, 0, 0, 0x02},
		.type = BE16(ETHERTYPE_IPV4),
	};
	struct ipv4_header ip = {
		.version_ihl = 0x45,
		.total_len = BE16(SCENE_FRAME_BYTES - ETHERNET_HEADER_BYTES),
		.fragment = IPV4_DF,
		.ttl = 64,
		.protocol = protocol,
		.source = source,
		.destination = destination,
	};

	ip.csum = csum_fold(csum_words(&ip, sizeof(ip) / 4));
	memset(frame, 0, SCENE_FRAME_BYTES);
	memcpy(frame, &ethernet, sizeof(ethernet));
	memcpy(frame + sizeof(ethernet), &ip, sizeof(ip));
	return frame + sizeof(ethernet) + sizeof(ip);
}

static void frame_make(u8 frame[static SCENE_FRAME_BYTES], u32 flow, u32 services_count)
{
	u64 random = hash_unkeyed(flow + 1);
	struct tcp_header tcp = {
		.source_port = BE16((u16)(1024 + fastrange32((u32)random, 64512))),
		.destination_port = BE16(80),
		.data_offset = 5 << 4,
		.flags = TCP_ACK,
	};
	struct ipv4_header *ip = (struct ipv4_header *)(frame + ETHERNET_HEADER_BYTES);
	/* The multiplier is odd: every flow of up to 2^24 has an address of its own. */
	u8 *transport = scene_headers(frame, PROTOCOL_TCP,
				      BE32(CLIENT_NETWORK | (flow * 0x9e3779u & 0xffffff)),
				      BE32(SCENE_VIP_NETWORK + 1 +
					   fastrange32(random >> 32, services_count)));

	ip->csum = (be16)~ip->csum;
	memcpy(transport, &tcp, sizeof(tcp));
}

static void trace_make(struct scene *scene)
{
	const struct scene_shape *shape = &scene->shape;

	scene->trace =
		scene_must(aligned_alloc(64, (size_t)shape->flows_count * SCENE_FRAME_BYTES));
	for (u32 i = 0; i < shape->flows_count; i++)
		frame_make(scene->trace + (size_t)i * SCENE_FRAME_BYTES, i, shape->services_count);
}

void scene_open(struct scene *scene, const struct scene_shape *shape)
{
	*scene = (struct scene){.shape = *shape};
	scene->config = config_make(shape);
	tables_make(scene);
	state_make(scene);
	trace_make(scene);
}

void scene_close(struct scene *scene)
{
	free(scene->trace);
	report_destroy(&scene->report);
	flow_tables_destroy(&scene->flows);
	arena_detach(&scene->view);
	tables_builder_destroy(scene->builder);
	arena_writer_destroy(scene->writer);
	plan_destroy(scene->plan);
	config_free(scene->config);
}
