/* SPDX-License-Identifier: BSD-2-Clause */
/* From a configuration text to published tables, as a reader has them. */
#ifndef SHUNT_TESTS_TABLES_HELP_H
#define SHUNT_TESTS_TABLES_HELP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/tables.h"
#include "dataplane/core/forward.h"
#include "dataplane/state/env_user.h"
#include "tests/unit/cmocka_help.h"

#define TABLES_HELP_HEAD "version: 1\nfleet_seed: \"000102030405060708090a0b0c0d0e0f\"\n"

struct tables_help {
	struct config *config;
	struct plan *plan;
	struct arena_writer *writer;
	struct tables_builder *builder;
	struct arena_view view;
	struct env env;
};

static inline void tables_help_load(struct tables_help *help, const char *text)
{
	static const u8 seed[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	struct config_errors errors;

	plan_destroy(help->plan);
	config_free(help->config);
	assert_int_equal(config_parse(text, strlen(text), &help->config, &errors), 0);
	config_errors_free(&errors);
	assert_int_equal(plan_create(help->config, seed, &help->plan), 0);
	assert_int_equal(plan_number_offline(help->plan), 0);
	plan_hop_offline(help->plan);
}

static inline void tables_help_open(struct tables_help *help, u64 size_bytes)
{
	char message[256] = "";

	assert_int_equal(arena_writer_create(size_bytes, 1, 1, 4096, &help->writer), 0);
	assert_int_equal(tables_builder_create(help->writer, NULL, &help->builder), 0);
	assert_int_equal(arena_attach(arena_writer_fd(help->writer), &help->view, message,
				      sizeof(message)),
			 0);
}

static inline void tables_help_publish(struct tables_help *help, u64 generation)
{
	assert_int_equal(tables_publish(help->builder, help->plan, generation), 0);
	assert_int_equal(arena_tables(&help->view, arena_root_offset(&help->view),
				      &help->env.tables),
			 0);
	assert_int_equal(help->env.tables.generation, generation);
}

static inline void tables_help_close(struct tables_help *help)
{
	arena_detach(&help->view);
	tables_builder_destroy(help->builder);
	arena_writer_destroy(help->writer);
	plan_destroy(help->plan);
	config_free(help->config);
}

#endif
