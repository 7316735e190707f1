/* SPDX-License-Identifier: BSD-2-Clause */
/* Offline commands build the same arena as shuntd and attach to it as a dataplane would: there
 * is one way from a configuration to tables, and one way to read them. */
#include <errno.h>
#include <string.h>

#include "controlplane/cli/cli.h"

static int load_seed(const struct config *config, u8 seed[static 16])
{
	bool world_readable;
	char message[256] = "";

	if (config_seed_load(config, seed, &world_readable, message, sizeof(message)) == 0)
		return CLI_OK;
	fprintf(stderr, "shunt: %s\n", message);
	return CLI_NO_INPUT;
}

static int build(struct offline *offline, const u8 seed[static 16])
{
	char message[256] = "";
	int err = plan_create(offline->config, seed, &offline->plan);

	if (!err)
		err = plan_number_offline(offline->plan);
	if (err)
		return err;
	plan_hop_offline(offline->plan);
	err = arena_writer_create(tables_bytes(offline->plan) * 2 + ARENA_HEADER_BYTES, 1, 1,
				  offline->plan->counters_count + 1, &offline->writer);
	if (!err)
		err = tables_builder_create(offline->writer, NULL, &offline->builder);
	if (!err)
		err = tables_publish(offline->builder, offline->plan, 1);
	if (!err)
		err = arena_attach(arena_writer_fd(offline->writer), &offline->view, message,
				   sizeof(message));
	if (!err)
		err = arena_tables(&offline->view, arena_root_offset(&offline->view),
				   &offline->env.tables);
	if (message[0])
		fprintf(stderr, "shunt: %s\n", message);
	return err;
}

int offline_open(const char *file, struct offline *offline)
{
	u8 seed[16];
	int code, err;

	memset(offline, 0, sizeof(*offline));
	code = cli_load(file, &offline->config);
	if (code == CLI_OK)
		code = load_seed(offline->config, seed);
	if (code != CLI_OK)
		return code;
	err = build(offline, seed);
	if (err == 0)
		return CLI_OK;
	fprintf(stderr, "shunt: cannot build the tables of %s: %s\n", file, strerror(-err));
	return CLI_UNAVAILABLE;
}

void offline_close(struct offline *offline)
{
	arena_detach(&offline->view);
	tables_builder_destroy(offline->builder);
	arena_writer_destroy(offline->writer);
	plan_destroy(offline->plan);
	config_free(offline->config);
}
