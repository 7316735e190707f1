/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/explain.h"

#include <curl/curl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/cli.h"

struct explain_options {
	const char *file;
	const char *run_dir;
	bool json;
};

static void usage(FILE *out)
{
	fprintf(out,
		"usage: shunt explain [-f FILE] [--json] [--run-dir DIR] PACKET...\n\n"
		"Says which service and backend the first packet of a flow gets, what is\n"
		"wrapped around it, and why: by FILE, or by the running shuntd without -f.\n"
		"PACKET is 'tcp SOURCE:PORT DESTINATION:PORT', an IPv6 address in [brackets];\n"
		"'-' reads packets from the standard input, one a line. With --json each\n"
		"answer is one line.\n");
}

static json_t *ask_running(const char *run_dir, const char *packet)
{
	char *escaped = curl_easy_escape(NULL, packet, 0);
	char path[1024];
	json_t *answer;

	snprintf(path, sizeof(path), "/v1/explain?packet=%s", escaped ? escaped : "");
	curl_free(escaped);
	answer = client_request(run_dir, "GET", path);
	return answer;
}

static int explain_one(const struct explain_options *options, const struct offline *offline,
		       const char *packet)
{
	char message[512];
	json_t *answer = NULL;

	if (!options->file) {
		answer = ask_running(options->run_dir, packet);
		if (!answer)
			return CLI_UNAVAILABLE;
	} else {
		answer = explain_text(&offline->env, offline->plan, packet, message,
				      sizeof(message));
		if (!answer) {
			fprintf(stderr, "shunt: %s\n", message);
			return CLI_USAGE;
		}
	}
	if (options->json) {
		json_dumpf(answer, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		explain_print(answer, stdout);
	}
	json_decref(answer);
	return CLI_OK;
}

static int explain_lines(const struct explain_options *options, const struct offline *offline)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	int code = CLI_OK;

	while (code == CLI_OK && (length = getline(&line, &room, stdin)) >= 0) {
		if (length > 0 && line[length - 1] == '\n')
			line[length - 1] = '\0';
		if (line[0])
			code = explain_one(options, offline, line);
	}
	free(line);
	return code;
}

static int explain_all(const struct explain_options *options, char **packets, int count)
{
	struct offline offline = {0};
	int code = options->file ? offline_open(options->file, &offline) : CLI_OK;

	for (int i = 0; i < count && code == CLI_OK; i++)
		code = strcmp(packets[i], "-") == 0 ? explain_lines(options, &offline)
						    : explain_one(options, &offline, packets[i]);
	offline_close(&offline);
	return code;
}

int cli_explain(int argc, char **argv)
{
	static const struct option long_options[] = {{"json", no_argument, NULL, 'j'},
						     {"run-dir", required_argument, NULL, 'r'},
						     {"help", no_argument, NULL, 'h'},
						     {0}};
	struct explain_options options = {.run_dir = CLI_RUN_DIR};
	int option;

	while ((option = getopt_long(argc, argv, "f:", long_options, NULL)) != -1) {
		switch (option) {
		case 'f':
			options.file = optarg;
			break;
		case 'j':
			options.json = true;
			break;
		case 'r':
			options.run_dir = optarg;
			break;
		case 'h':
			usage(stdout);
			return CLI_OK;
		default:
			usage(stderr);
			return CLI_USAGE;
		}
	}
	if (optind == argc) {
		usage(stderr);
		return CLI_USAGE;
	}
	return explain_all(&options, argv + optind, argc - optind);
}
