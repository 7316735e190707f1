/* SPDX-License-Identifier: BSD-2-Clause */
/* Any text in what shuntd's API takes: the packet or frame of /v1/explain, the backend and the service of
 * /v1/drain and /v1/undrain, of a control with everything but a dataplane. What comes back is JSON
 * that can be sent. (HTTP itself is libmicrohttpd's.)
 *
 * Input: one byte (0: explain, 1: drain, 2: undrain, 3: explain a frame), then the text; for a drain the backend, and
 * behind a NUL the service. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controlplane/api.h"
#include "controlplane/control.h"
#include "controlplane/drain_api.h"
#include "controlplane/view.h"

#define CONFIG                                                                                     \
	"version: 1\nfleet_seed: \"000102030405060708090a0b0c0d0e0f\"\nservices:\n"                \
	"  - { name: web, vip: 203.0.113.10, protocol: tcp, port: 443, table_size: 1009,\n"        \
	"      backends: [{ address: 10.0.1.1 }, { address: 10.0.1.2, state: drain }] }\n"         \
	"  - { name: dns, vip: '2001:db8::10', protocol: udp, port: any, table_size: 1009,\n"      \
	"      backends: [{ address: 10.0.1.1 }, { address: '2001:db8:1::1' }] }\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64];

static void require(bool condition)
{
	if (!condition)
		abort();
}

static int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
	return remove(path);
}

static void folder_remove(void)
{
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct control *control_start(void)
{
	static char file[80];
	static struct loop *loop;
	const struct control_options options = {.config_file = file,
						.run_dir = folder,
						.state_dir = folder};
	struct outcome outcome = {0};
	struct control *control;
	FILE *out;

	strcpy(folder, P_tmpdir "/shunt-fuzz-XXXXXX");
	require(mkdtemp(folder) != NULL);
	atexit(folder_remove);
	snprintf(file, sizeof(file), "%s/shunt.yaml", folder);
	out = fopen(file, "w");
	require(out && fputs(CONFIG, out) >= 0 && fclose(out) == 0);
	require(loop_create(&loop) == 0);
	require(control_create(&options, &control, &outcome) == 0);
	outcome_free(&outcome);
	require(control_open(control, loop) == 0);
	return control;
}

/* It is an object that JSON can say; takes the reference over. */
static void check_json(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	require(json_is_object(json) && text);
	free(text);
	json_decref(json);
}

static void explain(struct control *control, const char *text, bool frame)
{
	char message[256] = "";
	json_t *json =
		frame ? view_explain_frame(control, text, API_FRAME_MAX, message, sizeof(message))
		      : view_explain(control, text, message, sizeof(message));

	if (json)
		check_json(json);
	else
		check_json(json_pack("{s:s}", "error", message[0] ? message : NULL));
}

static void drain(struct control *control, const char *backend, const char *service, bool drained)
{
	unsigned status = 0;
	json_t *list;

	check_json(drain_order(control, backend, service, drained, &status));
	require(status == 200 || status == 400 || status == 404);
	list = drain_list(control);
	require(json_is_array(list));
	json_decref(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct control *control;
	char *text, *service;

	if (!control)
		control = control_start();
	if (size == 0)
		return 0;
	/* Exactly as long as it is: nothing follows its end. */
	text = malloc(size);
	require(text != NULL);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	service = memchr(text, '\0', size - 1);
	if (data[0] % 4 == 0 || data[0] % 4 == 3)
		explain(control, text, data[0] % 4 == 3);
	else
		drain(control, text, service ? service + 1 : NULL, data[0] % 4 == 1);
	free(text);
	return 0;
}
