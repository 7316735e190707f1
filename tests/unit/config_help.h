/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the configuration share: files that are whole but for one thing, and
 * parses that must succeed. */
#ifndef SHUNT_UNIT_CONFIG_HELP_H
#define SHUNT_UNIT_CONFIG_HELP_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* Two lines that make the rest of a file complete. */
#define HEAD "version: 1\nfleet_seed_file: s\n"
/* Head and a service but for its port: lines 3 to 6. */
#define SERVICE HEAD "services:\n- name: web\n  vip: 192.0.2.1\n  protocol: tcp\n"
#define WHOLE SERVICE "  port: 80\n"

static inline void errors_show(const char *text, const struct config_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++)
		config_error_print(stderr, "file", text, strlen(text), &errors->list[i]);
}

static inline struct config *parse_whole(const char *text, size_t len_bytes)
{
	struct config_errors errors;
	struct config *config;

	if (config_parse(text, len_bytes, &config, &errors) != 0) {
		errors_show(text, &errors);
		fail_msg("does not parse:\n%s", text);
	}
	assert_non_null(config);
	assert_int_equal(errors.count, 0);
	config_errors_free(&errors);
	return config;
}

static inline struct config *example_load(const char *path)
{
	struct config_errors errors;
	struct config *config;
	char *text;
	size_t len;
	int result = config_load(path, &config, &errors, &text, &len);

	if (result != 0) {
		if (text)
			errors_show(text, &errors);
		fail_msg("%s: %s", path, strerror(-result));
	}
	config_errors_free(&errors);
	free(text);
	return config;
}

#endif
