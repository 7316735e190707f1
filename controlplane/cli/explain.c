/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/explain.h"

#include <curl/curl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/explain.h"

static void usage(FILE *out)
{
	fprintf(out,
		"usage: shunt explain [-f FILE] [--json] [--run-dir DIR] PACKET...\n"
		"       shunt explain [-f FILE] [--json] [--run-dir DIR] --hex FRAME\n"
		"       shunt explain [-f FILE [--with-history]] [--json] [--run-dir DIR]\n"
		"                     --in CAPTURE --frame N[-[M]]\n\n"
		"Says what a packet gets: service and backend, what is wrapped around it or sent\n"
		"back, why, and what to do about it: by FILE, or by the running shuntd without -f.\n"
		"PACKET is 'tcp SOURCE:PORT DESTINATION:PORT', an IPv6 address in [brackets], for\n"
		"the first packet of a flow; '-' reads packets from the standard input, one a line.\n"
		"FRAME is an Ethernet frame in hexadecimal digits, as xxd or tcpdump -XX write it;\n"
		"'-' reads it from the standard input. Frames of a capture are counted from 0; N-M\n"
		"and N- are many. A frame is explained as if it were the first that ever came, or\n"
		"with --with-history as if those before it in the capture had come. With --json\n"
		"each answer is one line.\n");
}

void explain_show(const struct explain_options *options, json_t *answer)
{
	if (options->json) {
		json_dumpf(answer, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		explain_print(answer, stdout);
	}
	json_decref(answer);
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
	explain_show(options, answer);
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

	if (code == CLI_OK && options->hex)
		code = explain_hex(options, &offline);
	else if (code == CLI_OK && options->capture)
		code = explain_capture(options, &offline);
	for (int i = 0; i < count && code == CLI_OK; i++)
		code = strcmp(packets[i], "-") == 0 ? explain_lines(options, &offline)
						    : explain_one(options, &offline, packets[i]);
	offline_close(&offline);
	return code;
}

/* Whether exactly one thing is asked about, and in a way that can be answered. */
static bool options_fit(const struct explain_options *options, int packets_count)
{
	int things = (packets_count > 0) + (options->hex != NULL) + (options->capture != NULL);

	if (things != 1 || (options->capture != NULL) != (options->frames != NULL))
		return false;
	if (!options->history)
		return true;
	if (options->capture && !options->file)
		fprintf(stderr,
			"shunt: --with-history works with -f FILE alone: the running shuntd "
			"forwards nothing, so it has no history\n");
	return options->capture && options->file;
}

int cli_explain(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"json", no_argument, NULL, 'j'},        {"run-dir", required_argument, NULL, 'r'},
		{"hex", required_argument, NULL, 'x'},   {"in", required_argument, NULL, 'i'},
		{"frame", required_argument, NULL, 'n'}, {"with-history", no_argument, NULL, 'w'},
		{"help", no_argument, NULL, 'h'},        {0}};
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
		case 'x':
			options.hex = optarg;
			break;
		case 'i':
			options.capture = optarg;
			break;
		case 'n':
			options.frames = optarg;
			break;
		case 'w':
			options.history = true;
			break;
		case 'h':
			usage(stdout);
			return CLI_OK;
		default:
			usage(stderr);
			return CLI_USAGE;
		}
	}
	if (!options_fit(&options, argc - optind)) {
		usage(stderr);
		return CLI_USAGE;
	}
	return explain_all(&options, argv + optind, argc - optind);
}
