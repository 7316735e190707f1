/* SPDX-License-Identifier: BSD-2-Clause */
/* shuntd drains; this asks it to, and may wait until the last flow has gone. The wait is a
 * matter of this program alone: it ends at a deadline, or with Ctrl-C, and the backend goes on
 * draining. It bears a restart of shuntd in between. */
#include <curl/curl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/cli/cli.h"
#include "dataplane/state/clock.h"

#define POLL_MS 200

struct options {
	const char *backend, *service, *run_dir;
	bool undrain, wait, json, timeout_given;
	u64 timeout_ms; /* 0: none */
};

static void usage(FILE *out, bool undrain)
{
	if (undrain)
		fprintf(out,
			"usage: shunt undrain BACKEND [--service NAME] [--json] [--run-dir DIR]\n\n"
			"Gives the backend with the address BACKEND new flows again, in all services\n"
			"that have it or in one. What the file drains stays drained.\n");
	else
		fprintf(out,
			"usage: shunt drain BACKEND [--service NAME] [--wait [--timeout DURATION]]\n"
			"                   [--json] [--run-dir DIR]\n\n"
			"Gives the backend with the address BACKEND no new flows, in all services that\n"
			"have it or in one; flows that it has stay to their end. That holds through\n"
			"reloads and restarts until 'shunt undrain', or until the backend leaves the\n"
			"configuration.\n\n"
			"  --wait              until it has no flow left; exits with 75 where it still\n"
			"                      has some in the end\n"
			"  --timeout DURATION  how long to wait, such as 90s or 5m, 0 for ever; the\n"
			"                      service's drain_timeout by default\n");
}

/* --- What shuntd says ----------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static json_t *order(const struct options *options, long *status)
{
	char *backend = curl_easy_escape(NULL, options->backend, 0);
	char *service = options->service ? curl_easy_escape(NULL, options->service, 0) : NULL;
	char path[1100];
	json_t *answer;

	snprintf(path, sizeof(path), "/v1/%s?backend=%s%s%s",
		 options->undrain ? "undrain" : "drain", backend ? backend : "",
		 service ? "&service=" : "", service ? service : "");
	curl_free(backend);
	curl_free(service);
	answer = client_ask(options->run_dir, "POST", path, false, status);
	if (*status == 0 || *status == 200)
		return answer;
	fprintf(stderr, "shunt: %s\n",
		answer ? text_of(answer, "error") : "shuntd refuses, and says no reason");
	json_decref(answer);
	return NULL;
}

/* "web4, web6" */
static void services_print(const json_t *backends)
{
	const json_t *backend;
	size_t i;

	json_array_foreach(backends, i, backend)
		printf("%s%s", i ? ", " : "", text_of(backend, "service"));
	putchar('\n');
	fflush(stdout);
}

static void outcome_print(const struct options *options, const json_t *answer)
{
	bool changed = json_integer_value(json_object_get(answer, "changed")) > 0;
	const json_t *warning;
	size_t i;

	printf("%s %s in ", options->backend,
	       options->undrain ? changed ? "is undrained" : "was not drained"
	       : changed        ? "drains"
				: "drained already");
	services_print(json_object_get(answer, "backends"));
	json_array_foreach(json_object_get(answer, "warnings"), i, warning)
		fprintf(stderr, "shunt: warning: %s\n", json_string_value(warning));
}

/* --- Waiting -------------------------------------------------------------------------- */

enum wait_state { WAIT_UNKNOWN, WAIT_FLOWS, WAIT_EMPTY, WAIT_OVER };

struct wait {
	enum wait_state state;
	long long flows;
	char text[400]; /* what is left and where; why nothing is known; who drains no more */
};

/* The same backend of the same service, under whatever name. */
static const json_t *find(const json_t *drains, const json_t *backend)
{
	static const char *const keys[] = {"address", "vip", "protocol", "port"};
	const json_t *drain;
	size_t i, k;

	json_array_foreach(drains, i, drain)
	{
		for (k = 0; k < 4; k++)
			if (!json_equal(json_object_get(drain, keys[k]),
					json_object_get(backend, keys[k])))
				break;
		if (k == 4)
			return drain;
	}
	return NULL;
}

/* Adds one backend's flows to what is known of all. */
static void wait_add(struct wait *wait, const json_t *drain)
{
	const json_t *flows = json_object_get(drain, "flows");
	size_t used = strlen(wait->text);

	if (!json_is_integer(flows)) {
		wait->state = WAIT_UNKNOWN;
		snprintf(wait->text, sizeof(wait->text), "its flows are being counted");
		return;
	}
	if (json_integer_value(flows) == 0 || used >= sizeof(wait->text) - 1)
		return;
	wait->state = WAIT_FLOWS;
	wait->flows += json_integer_value(flows);
	snprintf(wait->text + used, sizeof(wait->text) - used, "%s%s %lld", used ? ", " : "",
		 text_of(drain, "service"), (long long)json_integer_value(flows));
}

/* Brings `backends` up to what shuntd knows now. */
static struct wait wait_look(const struct options *options, json_t *backends)
{
	struct wait wait = {.state = WAIT_EMPTY};
	long status;
	json_t *drains = client_ask(options->run_dir, "GET", "/v1/drains", true, &status);
	json_t *backend;
	size_t i;

	if (!json_is_array(drains)) {
		wait.state = WAIT_UNKNOWN;
		snprintf(wait.text, sizeof(wait.text), "shuntd does not answer");
		json_decref(drains);
		return wait;
	}
	json_array_foreach(backends, i, backend)
	{
		const json_t *drain = find(drains, backend);

		if (!drain) {
			wait.state = WAIT_OVER;
			snprintf(wait.text, sizeof(wait.text), "%s", text_of(backend, "service"));
			break;
		}
		json_object_update(backend, (json_t *)drain);
		if (wait.state != WAIT_UNKNOWN)
			wait_add(&wait, drain);
	}
	json_decref(drains);
	return wait;
}

static void progress(const struct options *options, const struct wait *wait)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (wait->state == WAIT_FLOWS)
		fprintf(stderr, "\r\033[K%s: %lld flow%s left (%s)", options->backend, wait->flows,
			wait->flows == 1 ? "" : "s", wait->text);
	else if (wait->state == WAIT_UNKNOWN)
		fprintf(stderr, "\r\033[K%s: %s", options->backend, wait->text);
	else
		fprintf(stderr, "\r\033[K");
}

/* The longest patience among the services; 0: for ever. */
static u64 timeout_of(const struct options *options, const json_t *backends)
{
	u64 longest = options->timeout_ms;
	const json_t *backend;
	size_t i;

	if (options->timeout_given)
		return longest;
	json_array_foreach(backends, i, backend)
	{
		u64 one = (u64)json_integer_value(json_object_get(backend, "drain_timeout_ms"));

		if (one == 0)
			return 0;
		if (one > longest)
			longest = one;
	}
	return longest;
}

static int wait_end(const struct options *options, const struct wait *wait, u64 start_ms,
		    u64 timeout_ms)
{
	char text[DURATION_TEXT_MAX];

	if (wait->state == WAIT_EMPTY) {
		if (!options->json)
			printf("%s has no flow left, after %.1f s\n", options->backend,
			       (double)(clock_now_ms() - start_ms) / 1000);
		return CLI_OK;
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
	if (wait->state == WAIT_OVER) {
		fprintf(stderr, "shunt: %s drains no more in %s: it was undrained, or removed\n",
			options->backend, wait->text);
		return CLI_UNAVAILABLE;
	}
	if (wait->state == WAIT_FLOWS)
		fprintf(stderr, "shunt: %s still has %lld flow%s after %s (%s)", options->backend,
			wait->flows, wait->flows == 1 ? "" : "s", duration_format(timeout_ms, text),
			wait->text);
	else
		fprintf(stderr, "shunt: how many flows %s has is not known after %s: %s",
			options->backend, duration_format(timeout_ms, text), wait->text);
	fprintf(stderr, "; it goes on draining\n");
	return CLI_TIMED_OUT;
}

static int wait_for_none(const struct options *options, json_t *answer)
{
	json_t *backends = json_object_get(answer, "backends");
	u64 start_ms = clock_now_ms(), timeout_ms = timeout_of(options, backends);
	struct wait wait;
	bool late;

	for (;;) {
		late = timeout_ms && clock_now_ms() - start_ms >= timeout_ms;
		wait = wait_look(options, backends);
		progress(options, &wait);
		if (late || wait.state == WAIT_EMPTY || wait.state == WAIT_OVER)
			break;
		nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000}, NULL);
	}
	json_object_set_new(answer, "timed_out",
			    json_boolean(wait.state == WAIT_FLOWS || wait.state == WAIT_UNKNOWN));
	json_object_set_new(answer, "waited_ms",
			    json_integer((json_int_t)(clock_now_ms() - start_ms)));
	return wait_end(options, &wait, start_ms, timeout_ms);
}

/* --- The command ---------------------------------------------------------------------- */

static int carry_out(const struct options *options)
{
	int code = CLI_OK;
	long status;
	json_t *answer = order(options, &status);

	if (!answer)
		return status == 400 || status == 404 ? CLI_INVALID : CLI_UNAVAILABLE;
	if (!options->json)
		outcome_print(options, answer);
	if (options->wait)
		code = wait_for_none(options, answer);
	if (options->json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(answer);
	return code;
}

/* Returns whether to go on, else *code is final. */
static bool options_read(int argc, char **argv, struct options *options, int *code)
{
	static const struct option long_options[] = {{"json", no_argument, NULL, 'j'},
						     {"run-dir", required_argument, NULL, 'r'},
						     {"service", required_argument, NULL, 's'},
						     {"help", no_argument, NULL, 'h'},
						     {"wait", no_argument, NULL, 'w'},
						     {"timeout", required_argument, NULL, 't'},
						     {0}};
	int option;

	*code = CLI_USAGE;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout, options->undrain);
			*code = CLI_OK;
			return false;
		}
		if (option == 'j')
			options->json = true;
		else if (option == 'r')
			options->run_dir = optarg;
		else if (option == 's')
			options->service = optarg;
		else if (option == 'w' && !options->undrain)
			options->wait = true;
		else if (option == 't' && !options->undrain)
			options->timeout_given = duration_parse(optarg, &options->timeout_ms) == 0;
		if (option == '?' || (option == 't' && !options->timeout_given) ||
		    (options->undrain && (option == 'w' || option == 't')))
			return false;
	}
	options->backend = argv[optind];
	return argc - optind == 1 && (options->wait || !options->timeout_given);
}

int cli_drain(int argc, char **argv)
{
	struct options options = {
		.run_dir = CLI_RUN_DIR,
		.undrain = strcmp(argv[0], "undrain") == 0,
	};
	int code;

	if (options_read(argc, argv, &options, &code))
		return carry_out(&options);
	if (code == CLI_USAGE)
		usage(stderr, options.undrain);
	return code;
}
