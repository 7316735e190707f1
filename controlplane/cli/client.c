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

/* Makes one request; returns the HTTP status, or 0 where there was no answer. */
static long request(const char *run_dir, const char *method, const char *path, bool quiet,
		    struct body *body)
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
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
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

json_t *client_ask(const char *run_dir, const char *method, const char *path, bool quiet,
		   long *status)
{
	struct body body = {0};
	json_t *answer;

	*status = request(run_dir, method, path, quiet, &body);
	answer = *status && body.text ? json_loads(body.text, 0, NULL) : NULL;
	free(body.text);
	return answer;
}

json_t *client_request(const char *run_dir, const char *method, const char *path)
{
	long status;
	json_t *answer = client_ask(run_dir, method, path, false, &status);
	const char *error = json_string_value(json_object_get(answer, "error"));

	if (status != 0 && status / 100 != 2) {
		fprintf(stderr, "shunt: shuntd refuses: %s\n", error ? error : "no reason given");
		json_decref(answer);
		answer = NULL;
	}
	return answer;
}

char *client_text(const char *run_dir, const char *path)
{
	struct body body = {0};

	if (request(run_dir, "GET", path, false, &body) == 200)
		return body.text;
	free(body.text);
	return NULL;
}
