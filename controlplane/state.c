/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/state.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/log.h"

void state_free(struct state *state)
{
	plan_destroy(state->plan);
	hops_texts_free(&state->texts);
	config_free(state->config);
	*state = (struct state){0};
}

void outcome_free(struct outcome *outcome)
{
	config_errors_free(&outcome->errors);
	free(outcome->report);
	*outcome = (struct outcome){0};
}

int outcome_fail(struct outcome *outcome, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(outcome->text, sizeof(outcome->text), format, arguments);
	va_end(arguments);
	outcome->error = error;
	log_line("%s", outcome->text);
	return error;
}

/* --- Reading the file ----------------------------------------------------------------- */

/* All errors as a person reads them. */
static char *errors_render(const char *file, const char *text, size_t len_bytes,
			   const struct config_errors *errors)
{
	char *rendered = NULL;
	size_t rendered_bytes;
	FILE *out = open_memstream(&rendered, &rendered_bytes);

	if (!out)
		return NULL;
	config_errors_print(out, file, text, len_bytes, errors);
	fclose(out);
	return rendered;
}

static int file_load(const char *file, struct config **config, struct outcome *outcome)
{
	char *text;
	size_t len_bytes, count;
	int err = config_load(file, config, &outcome->errors, &text, &len_bytes);

	count = outcome->errors.count;
	if (err == -EINVAL && count > 0) {
		outcome->report = errors_render(file, text, len_bytes, &outcome->errors);
		fputs(outcome->report ? outcome->report : "", stderr);
		(void)outcome_fail(outcome, err, "%s has %zu error%s", file, count,
				   count == 1 ? "" : "s");
	} else if (err) {
		(void)outcome_fail(outcome, err, "cannot read %s: %s", file, strerror(-err));
	}
	free(text);
	return err;
}

static int seed_load(const struct config *config, u8 seed[static 16], struct outcome *outcome)
{
	char message[256] = "";
	bool world_readable;
	int err = config_seed_load(config, seed, &world_readable, message, sizeof(message));

	if (err)
		return outcome_fail(outcome, err, "%s", message);
	if (world_readable)
		log_line("warning: anyone on this machine can read the fleet seed, and so choose "
			 "the backend of a flow; chmod 600 %s",
			 config->fleet_seed_file);
	return 0;
}

static void log_unused(void *context, const char *text)
{
	log_line("note: %s", text);
}

int state_load(const char *file, struct state *state, struct outcome *outcome)
{
	u8 seed[16];
	int err = file_load(file, &state->config, outcome);

	if (!err)
		err = seed_load(state->config, seed, outcome);
	if (err)
		return err;
	config_unused(state->config, log_unused, NULL);
	err = plan_create(state->config, seed, &state->plan);
	explicit_bzero(seed, sizeof(seed));
	return err ? outcome_fail(outcome, err, "out of memory for the plan of %s", file) : 0;
}
