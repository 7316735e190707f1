/* SPDX-License-Identifier: BSD-2-Clause */
/* What the API shows, as JSON: each view is one moment of the running control. Every call
 * returns a new reference, or NULL without memory. */
#ifndef SHUNT_CONTROLPLANE_VIEW_H
#define SHUNT_CONTROLPLANE_VIEW_H

#include <jansson.h>

#include "controlplane/control.h"

json_t *view_status(const struct control *control);
json_t *view_workers(const struct control *control);
json_t *view_engines(const struct control *control);
json_t *view_services(const struct control *control);
json_t *view_drops(const struct control *control);
json_t *view_reload(const struct control *control, const struct outcome *outcome);

/* Who drains a backend, and since when; null where nobody does. */
json_t *view_drain(const struct plan_backend *backend);

/* How many flows it holds; null while they are not counted. */
json_t *view_flows(const struct control *control, const struct plan_service *service,
		   const struct plan_backend *backend);

/* The running configuration as YAML; the caller frees it. */
char *view_config(const struct control *control);

/* What explain_text() says about a packet, under the published tables. Returns NULL with one
 * sentence in message. */
json_t *view_explain(const struct control *control, const char *packet, char *message,
		     size_t message_bytes);

/* What explain_frame() says about a frame in hexadecimal that comes in by the port that it is sent
 * to, or else by the first one. Returns NULL with one sentence in message. */
json_t *view_explain_frame(const struct control *control, const char *hex, u32 frame_max,
			   char *message, size_t message_bytes);

#endif
