/* SPDX-License-Identifier: BSD-2-Clause */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/cli.h"

struct body {
	char *text;
	size_t length;
};

static size_t collect(char *data, size_t size, size_t count, void *context)
{
	struct body *body = context;
	char *text = realloc(body->text, body->length + size * count + 1);

	if (!text)
		return 0;
	memcpy(text + body->length, data, size * count);
	body->text = text;
	body->length += size * count;
	body->text[body->length] = '\0';
	return size * count;
}

/* Makes one request; returns the HTTP status, or 0 where there was no answer. sent: the body of a
 * POST. */
static long request(const char *run_dir, const char *method, const char *path, const char *sent,
		    bool quiet, struct body *body)
{
	CURL *curl = curl_easy_init();
	char socket_path[256], url[1200];
	CURLcode result;
	long status = 0;

	if (!curl)
		return 0;
	snprintf(socket_path, sizeof(socket_path), "%s/api.sock", run_dir);
	snprintf(url, sizeof(url), "http://shuntd%s", path);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	if (strcmp(method, "POST") == 0)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, sent);
	result = curl_easy_perform(curl);
	if (result == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	else if (!quiet)
		fprintf(stderr,
			"shunt: no answer from shuntd at %s (%s); is it running, and with this "
			"--run-dir?\n",
			socket_path, curl_easy_strerror(result));
	curl_easy_cleanup(curl);
	return status;
}

static json_t *ask(const char *run_dir, const char *method, const char *path, const char *sent,
		   bool quiet, long *status)
{
	struct body body = {0};
	json_t *answer;

	*status = request(run_dir, method, path, sent, quiet, &body);
	answer = *status && body.text ? json_loads(body.text, 0, NULL) : NULL;
	free(body.text);
	return answer;
}

/* Says what is wrong with an answer that is an error, and drops it. */
static json_t *take_answer(json_t *answer, long status)
{
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (status == 0 || status / 100 == 2)
		return answer;
	fprintf(stderr, "shunt: shuntd refuses: %s\n", error ? error : "no reason given");
	json_decref(answer);
	return NULL;
}

json_t *client_ask(const char *run_dir, const char *method, const char *path, bool quiet,
		   long *status)
{
	return ask(run_dir, method, path, "", quiet, status);
}

json_t *client_request(const char *run_dir, const char *method, const char *path)
{
	long status;
	json_t *answer = ask(run_dir, method, path, "", false, &status);

	return take_answer(answer, status);
}

json_t *client_post(const char *run_dir, const char *path, const char *body)
{
	long status;
	json_t *answer = ask(run_dir, "POST", path, body, false, &status);

	return take_answer(answer, status);
}

char *client_text(const char *run_dir, const char *path)
{
	struct body body = {0};

	if (request(run_dir, "GET", path, "", false, &body) == 200)
		return body.text;
	free(body.text);
	return NULL;
}
