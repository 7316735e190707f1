/* SPDX-License-Identifier: BSD-2-Clause */
/* libmicrohttpd does the HTTP, without threads: its epoll descriptor nests in our loop, and its
 * timeout is a timer of the loop. What a client can make us hold is bounded: connections, bytes a
 * connection, seconds of silence. One endpoint alone reads a body, up to a bound that is checked
 * before the first byte of it is kept; any other body is thrown away as it comes. */
#include "controlplane/api.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "controlplane/drain_api.h"
#include "controlplane/view.h"

#define CONNECTIONS_MAX 32
#define CONNECTION_BYTES (16u << 10)
#define CONNECTION_TIMEOUT_S 10u
#define BODY_MAX_BYTES 4096
#define FRAME_TEXT_MAX (3 * (size_t)API_FRAME_MAX) /* two digits a byte, and something between */
#define JSON_TYPE "application/json"

struct api {
	struct loop *loop;
	struct control *control;
	struct MHD_Daemon *daemon;
	int epoll_fd;
	u64 timer;
	char path[108];
};

/* One request while its body, if any, comes in. */
struct request {
	size_t body_bytes;
	size_t body_max; /* more of it ends the connection */
	char *body;      /* NULL: thrown away; else with room for body_max and a NUL */
};

/* --- Answers -------------------------------------------------------------------------- */

/* Takes text over. allow: the method that would have been right, or NULL. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
			      const char *allow, char *text)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	if (!text)
		return MHD_NO; /* no memory: the connection is closed */
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

/* Takes the reference over. */
static enum MHD_Result answer_json(struct MHD_Connection *connection, unsigned status, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return answer(connection, status, JSON_TYPE, NULL, text);
}

static enum MHD_Result answer_error(struct MHD_Connection *connection, unsigned status,
				    const char *sentence)
{
	return answer_json(connection, status, json_pack("{s:s}", "error", sentence));
}

/* --- Endpoints ------------------------------------------------------------------------ */

typedef enum MHD_Result endpoint_call(struct api *api, struct MHD_Connection *connection);

static enum MHD_Result get_status(struct api *api, struct MHD_Connection *connection)
{
	return answer_json(connection, MHD_HTTP_OK, view_status(api->control));
}

static enum MHD_Result get_workers(struct api *api, struct MHD_Connection *connection)
{
	return answer_json(connection, MHD_HTTP_OK, view_workers(api->control));
}

static enum MHD_Result get_engines(struct api *api, struct MHD_Connection *connection)
{
	return answer_json(connection, MHD_HTTP_OK, view_engines(api->control));
}

static enum MHD_Result get_services(struct api *api, struct MHD_Connection *connection)
{
	return answer_json(connection, MHD_HTTP_OK, view_services(api->control));
}

static enum MHD_Result get_drops(struct api *api, struct MHD_Connection *connection)
{
	return answer_json(connection, MHD_HTTP_OK, view_drops(api->control));
}

static enum MHD_Result get_config(struct api *api, struct MHD_Connection *connection)
{
	return answer(connection, MHD_HTTP_OK, "text/yaml", NULL, view_config(api->control));
}

static enum MHD_Result get_explain(struct api *api, struct MHD_Connection *connection)
{
	const char *packet =
		MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "packet");
	char message[256] = "out of memory";
	json_t *json;

	if (!packet)
		return answer_error(connection, MHD_HTTP_BAD_REQUEST,
				    "say which packet: /v1/explain?packet=tcp+198.51.100.7:4242+"
				    "203.0.113.10:443");
	json = view_explain(api->control, packet, message, sizeof(message));
	return json ? answer_json(connection, MHD_HTTP_OK, json)
		    : answer_error(connection, MHD_HTTP_BAD_REQUEST, message);
}

static enum MHD_Result post_explain(struct api *api, struct MHD_Connection *connection,
				    const char *body)
{
	char message[256] = "out of memory";
	json_t *json =
		view_explain_frame(api->control, body, API_FRAME_MAX, message, sizeof(message));

	return json ? answer_json(connection, MHD_HTTP_OK, json)
		    : answer_error(connection, MHD_HTTP_BAD_REQUEST, message);
}

/* A file that is refused is an answer to the question, not an error of the request. */
static enum MHD_Result post_reload(struct api *api, struct MHD_Connection *connection)
{
	return answer_json(connection, MHD_HTTP_OK,
			   view_reload(api->control, control_reload(api->control)));
}

static enum MHD_Result get_drains(struct api *api, struct MHD_Connection *connection)
{
	return answer_json(connection, MHD_HTTP_OK, drain_list(api->control));
}

static enum MHD_Result order_drain(struct api *api, struct MHD_Connection *connection, bool drained)
{
	const char *backend =
		MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "backend");
	const char *service =
		MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "service");
	unsigned status = MHD_HTTP_INTERNAL_SERVER_ERROR;
	json_t *json;

	if (!backend)
		return answer_error(connection, MHD_HTTP_BAD_REQUEST,
				    "say which backend: ?backend=10.0.1.1, and with "
				    "&service=NAME in which service alone");
	json = drain_order(api->control, backend, service, drained, &status);
	return answer_json(connection, status, json);
}

static enum MHD_Result post_drain(struct api *api, struct MHD_Connection *connection)
{
	return order_drain(api, connection, true);
}

static enum MHD_Result post_undrain(struct api *api, struct MHD_Connection *connection)
{
	return order_drain(api, connection, false);
}

typedef enum MHD_Result endpoint_body_call(struct api *api, struct MHD_Connection *connection,
					   const char *body);

static const struct endpoint {
	const char *path, *method;
	endpoint_call *call;
	/* In its place, where the body is read: of body_max bytes at most. */
	endpoint_body_call *body_call;
	size_t body_max;
} endpoints[] = {
	{"/v1/status", MHD_HTTP_METHOD_GET, .call = get_status},
	{"/v1/workers", MHD_HTTP_METHOD_GET, .call = get_workers},
	{"/v1/engine", MHD_HTTP_METHOD_GET, .call = get_engines},
	{"/v1/services", MHD_HTTP_METHOD_GET, .call = get_services},
	{"/v1/drops", MHD_HTTP_METHOD_GET, .call = get_drops},
	{"/v1/config", MHD_HTTP_METHOD_GET, .call = get_config},
	{"/v1/explain", MHD_HTTP_METHOD_GET, .call = get_explain},
	{"/v1/explain", MHD_HTTP_METHOD_POST, .body_call = post_explain,
	 .body_max = FRAME_TEXT_MAX},
	{"/v1/drains", MHD_HTTP_METHOD_GET, .call = get_drains},
	{"/v1/drain", MHD_HTTP_METHOD_POST, .call = post_drain},
	{"/v1/undrain", MHD_HTTP_METHOD_POST, .call = post_undrain},
	{"/v1/reload", MHD_HTTP_METHOD_POST, .call = post_reload},
};

#define ENDPOINTS (sizeof(endpoints) / sizeof(endpoints[0]))

/* The endpoint of a path and method, or NULL. */
static const struct endpoint *endpoint_find(const char *path, const char *method)
{
	for (size_t i = 0; i < ENDPOINTS; i++)
		if (strcmp(path, endpoints[i].path) == 0 &&
		    strcmp(method, endpoints[i].method) == 0)
			return &endpoints[i];
	return NULL;
}

/* RFC 9110 section 15.5.6 wants the methods that are allowed. */
static enum MHD_Result answer_no_endpoint(struct MHD_Connection *connection, const char *path)
{
	char allowed[32] = "", said[32] = "";
	json_t *json;
	char *text;

	for (size_t i = 0; i < ENDPOINTS; i++) {
		if (strcmp(path, endpoints[i].path) != 0)
			continue;
		snprintf(allowed + strlen(allowed), sizeof(allowed) - strlen(allowed), "%s%s",
			 allowed[0] ? ", " : "", endpoints[i].method);
		snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s%s",
			 said[0] ? " or " : "", endpoints[i].method);
	}
	if (!allowed[0])
		return answer_error(connection, MHD_HTTP_NOT_FOUND,
				    "there is no such endpoint; see shuntd(8)");
	json = json_pack("{s:o}", "error", json_sprintf("%s wants %s", path, said));
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, JSON_TYPE, allowed, text);
}

static enum MHD_Result dispatch(struct api *api, struct MHD_Connection *connection,
				const char *path, const char *method, const struct request *request)
{
	const struct endpoint *endpoint = endpoint_find(path, method);

	if (!endpoint)
		return answer_no_endpoint(connection, path);
	if (endpoint->body_call)
		return endpoint->body_call(api, connection, request->body);
	return endpoint->call(api, connection);
}

/* --- Requests ------------------------------------------------------------------------- */

/* The headers are there. Where the body is to be read and says that it is longer than that, the
 * client is told at once. */
static enum MHD_Result begin(struct MHD_Connection *connection, const char *path,
			     const char *method, void **slot)
{
	const struct endpoint *endpoint = endpoint_find(path, method);
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_CONTENT_LENGTH);
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return MHD_NO;
	*slot = request;
	request->body_max = BODY_MAX_BYTES;
	if (!endpoint || !endpoint->body_call)
		return MHD_YES;
	request->body_max = endpoint->body_max;
	if (length && strtoull(length, NULL, 10) > request->body_max)
		return answer_error(connection, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too long");
	request->body = calloc(1, request->body_max + 1);
	return request->body ? MHD_YES : MHD_NO;
}

/* Called once for the headers, once for each piece of a body, and once at the end. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
			      const char *method, const char *version, const char *body,
			      size_t *body_bytes, void **slot)
{
	struct request *request = *slot;

	if (!request)
		return begin(connection, path, method, slot);
	if (*body_bytes > 0) {
		if (*body_bytes > request->body_max - request->body_bytes)
			return MHD_NO;
		if (request->body)
			memcpy(request->body + request->body_bytes, body, *body_bytes);
		request->body_bytes += *body_bytes;
		*body_bytes = 0;
		return MHD_YES;
	}
	return dispatch(context, connection, path, method, request);
}

static void completed(void *context, struct MHD_Connection *connection, void **slot,
		      enum MHD_RequestTerminationCode code)
{
	struct request *request = *slot;

	if (request)
		free(request->body);
	free(request);
	*slot = NULL;
}

static void run(struct api *api);

static void epoll_ready(void *context, int fd, u32 events)
{
	run(context);
}

static void timer_due(void *context)
{
	((struct api *)context)->timer = 0;
	run(context);
}

static void run(struct api *api)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	(void)MHD_run(api->daemon);
	loop_timer_cancel(api->loop, api->timer);
	api->timer = 0;
	if (MHD_get_timeout(api->daemon, &timeout_ms) == MHD_YES)
		api->timer = loop_timer_add(api->loop, timeout_ms, 0, timer_due, api);
}

/* --- Life ----------------------------------------------------------------------------- */

static int socket_listen(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;
	int fd, err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	mask = umask(0117); /* the user's and the group's, from the first moment on */
	err = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (!err && listen(fd, CONNECTIONS_MAX) < 0)
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int daemon_start(struct api *api, int socket)
{
	const union MHD_DaemonInfo *info;

	api->daemon =
		MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, handle, api,
				 MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_CONNECTION_LIMIT,
				 CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				 (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
				 CONNECTION_TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
				 MHD_OPTION_END);
	if (!api->daemon)
		return -EIO;
	info = MHD_get_daemon_info(api->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return -EIO;
	api->epoll_fd = info->epoll_fd;
	return loop_add(api->loop, api->epoll_fd, EPOLLIN, epoll_ready, api);
}

int api_open(struct loop *loop, struct control *control, const char *path, struct api **out)
{
	struct api *api = calloc(1, sizeof(*api));
	int socket, err;

	if (!api)
		return -ENOMEM;
	*api = (struct api){.loop = loop, .control = control, .epoll_fd = -1};
	err = socket = socket_listen(path);
	if (err < 0)
		goto free_api;
	snprintf(api->path, sizeof(api->path), "%s", path);
	err = daemon_start(api, socket);
	if (err)
		goto stop;
	*out = api;
	return 0;
stop:
	if (api->daemon)
		MHD_stop_daemon(api->daemon);
	unlink(api->path);
free_api:
	free(api);
	return err;
}

void api_close(struct api *api)
{
	if (!api)
		return;
	loop_timer_cancel(api->loop, api->timer);
	loop_remove(api->loop, api->epoll_fd);
	MHD_stop_daemon(api->daemon); /* closes the listening socket too */
	unlink(api->path);
	free(api);
}
