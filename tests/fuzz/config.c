/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a configuration: either a model that renders to a file with the same meaning, or
 * errors that each have a place and a sentence. */
#include "config/config.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static char *render(const struct config *config, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	require(out && config_render(config, out) == 0);
	fclose(out);
	return text;
}

/* Rendering what was rendered and parsed again changes nothing. */
static void check_model(const struct config *config)
{
	struct config_errors errors;
	struct config *again;
	size_t first_len, second_len;
	char *first = render(config, &first_len), *second;

	require(config_parse(first, first_len, &again, &errors) == 0 && errors.count == 0);
	second = render(again, &second_len);
	require(first_len == second_len && memcmp(first, second, first_len) == 0);
	config_errors_free(&errors);
	config_free(again);
	free(first);
	free(second);
}

static void check_errors(const struct config_errors *errors, const char *text, size_t len)
{
	char *drawn = NULL;
	size_t drawn_len;
	FILE *out = open_memstream(&drawn, &drawn_len);

	require(errors->count > 0);
	for (size_t i = 0; i < errors->count; i++) {
		require(errors->list[i].line > 0 && errors->list[i].column > 0);
		require(errors->list[i].text && errors->list[i].text[0]);
		config_error_print(out, "file", text, len, &errors->list[i]);
	}
	fclose(out);
	free(drawn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of exactly the size: nothing follows the last byte. */
	char *text = malloc(size);
	struct config_errors errors;
	struct config *config;
	int err;

	if (size)
		memcpy(text, data, size);
	err = config_parse(text, size, &config, &errors);
	if (err == 0) {
		check_model(config);
	} else {
		require(err == -EINVAL && config == NULL);
		check_errors(&errors, text, size);
	}
	config_errors_free(&errors);
	config_free(config);
	free(text);
	return 0;
}
