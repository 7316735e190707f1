/* SPDX-License-Identifier: BSD-2-Clause */
/* What the commands of `shunt` share: each is one function in a file of its own. */
#ifndef SHUNT_CONTROLPLANE_CLI_CLI_H
#define SHUNT_CONTROLPLANE_CLI_CLI_H

#include <jansson.h>

#include "controlplane/arena_writer.h"
#include "controlplane/plan.h"
#include "controlplane/tables.h"
#include "dataplane/state/env_user.h"

/* Exit codes (sysexits.h). */
enum {
	CLI_OK = 0,
	CLI_USAGE = 64,
	CLI_INVALID = 65,
	CLI_NO_INPUT = 66,
	CLI_UNAVAILABLE = 69,
	CLI_TIMED_OUT = 75,
};

/* A command gets its own arguments, argv[0] being its name, and returns the exit code. */
int cli_check(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_replay(int argc, char **argv);
int cli_seed(int argc, char **argv);
int cli_drain(int argc, char **argv); /* and undrain */
int cli_show(int argc, char **argv);
int cli_reload(int argc, char **argv);

/* Loads and checks a configuration; on failure prints every error and returns the exit code. */
int cli_load(const char *file, struct config **config);

/* A configuration turned into tables without any other process. */
struct offline {
	struct config *config;
	struct plan *plan;
	struct arena_writer *writer;
	struct tables_builder *builder;
	struct arena_view view;
	struct env env; /* stateless */
};

/* Returns the exit code, and prints what is wrong; offline_close() releases it in any case. */
int offline_open(const char *file, struct offline *offline);
void offline_close(struct offline *offline);

/* Asks the running shuntd; path starts with "/v1/". Prints what is wrong and returns NULL where
 * there is no answer or it is an error. */
json_t *client_request(const char *run_dir, const char *method, const char *path);

/* As client_request, but an error is an answer too, and nothing is printed of it. Returns NULL
 * where there is no answer, which is printed unless quiet. *status: of HTTP, 0 without an
 * answer. */
json_t *client_ask(const char *run_dir, const char *method, const char *path, bool quiet,
		   long *status);

/* As client_request, a POST with a body. */
json_t *client_post(const char *run_dir, const char *path, const char *body);

/* As client_request, the answer as text; the caller frees it. */
char *client_text(const char *run_dir, const char *path);

#define CLI_RUN_DIR "/run/shunt"

#endif
