/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/cli.h"

static void usage(FILE *out)
{
	fprintf(out,
		"usage: shunt check -f FILE [--json]\n\n"
		"Tells every error of FILE at once, with line, column and a caret. Works\n"
		"offline and without privileges. Exits with 0 where the file is valid, 65 where\n"
		"it is not, 66 where it cannot be read.\n");
}

int cli_load(const char *file, struct config **config)
{
	int err = config_load_or_tell(file, config, stderr, "shunt");

	return err == 0 ? CLI_OK : err == -EINVAL ? CLI_INVALID : CLI_NO_INPUT;
}

static int check_json(const char *file)
{
	struct config_errors errors;
	struct config *config = NULL;
	size_t len_bytes = 0;
	char *text = NULL;
	int err = config_load(file, &config, &errors, &text, &len_bytes);
	json_t *list = json_array(), *out;

	for (size_t i = 0; i < errors.count; i++)
		json_array_append_new(list,
				      json_pack("{s:i, s:i, s:s}", "line", errors.list[i].line,
						"column", errors.list[i].column, "text",
						errors.list[i].text));
	if (err && errors.count == 0)
		json_array_append_new(list, json_pack("{s:i, s:i, s:s}", "line", 0, "column", 0,
						      "text", strerror(-err)));
	out = json_pack("{s:s, s:b, s:o}", "file", file, "valid", err == 0, "errors", list);
	json_dumpf(out, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(out);
	err = err == 0 ? CLI_OK : errors.count > 0 ? CLI_INVALID : CLI_NO_INPUT;
	config_errors_free(&errors);
	config_free(config);
	free(text);
	return err;
}

/* The seed is not part of the file, and may not be on this machine: only worth a word. */
static void warn_of_seed(const struct config *config)
{
	bool world_readable = false;
	char message[256];
	u8 seed[16];

	if (config->fleet_seed_file &&
	    config_seed_load(config, seed, &world_readable, message, sizeof(message)) < 0)
		fprintf(stderr,
			"shunt: note: %s: no usable seed there on this machine; 'shunt seed' "
			"makes one\n",
			config->fleet_seed_file);
	if (world_readable)
		fprintf(stderr, "shunt: warning: everybody may read %s; run: chmod 600 %s\n",
			config->fleet_seed_file, config->fleet_seed_file);
}

static void note(void *context, const char *text)
{
	fprintf(stderr, "shunt: note: %s\n", text);
}

int cli_check(int argc, char **argv)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	const char *file = NULL;
	struct config *config = NULL;
	bool json = false;
	int option, code;

	while ((option = getopt_long(argc, argv, "f:", options, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			return CLI_OK;
		}
		if (option == 'f')
			file = optarg;
		else if (option == 'j')
			json = true;
		else
			file = "";
		if (file && !*file)
			break;
	}
	if (!file || !*file || optind != argc) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (json)
		return check_json(file);
	code = cli_load(file, &config);
	if (code == CLI_OK) {
		warn_of_seed(config);
		config_unused(config, note, NULL);
		printf("%s: valid: %zu service%s\n", file, config->services_count,
		       config->services_count == 1 ? "" : "s");
	}
	config_free(config);
	return code;
}
