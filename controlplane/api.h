/* SPDX-License-Identifier: BSD-2-Clause */
/* The API: HTTP and JSON on a unix socket, for the command line and for scripts.
 *
 *     GET  /v1/status    shuntd, its arena and its dataplanes
 *     GET  /v1/services  services and backends with their counters
 *     GET  /v1/drops     every verdict with its count
 *     GET  /v1/config    the running configuration, as YAML
 *     GET  /v1/explain   ?packet=TEXT: what this packet would get, and why
 *     POST /v1/explain   the same of the frame that the body has in hexadecimal
 *     GET  /v1/drains    every backend that drains, and the flows it has left
 *     POST /v1/drain     ?backend=ADDRESS[&service=NAME]: no new flows for it
 *     POST /v1/undrain   ?backend=ADDRESS[&service=NAME]: takes that back
 *     POST /v1/reload    reads the configuration file again
 *
 * An answer with an error is {"error": "one sentence"}. */
#ifndef SHUNT_CONTROLPLANE_API_H
#define SHUNT_CONTROLPLANE_API_H

#include "controlplane/control.h"

/* The longest frame that POST /v1/explain takes: the longest IP packet of any device (9216), an
 * Ethernet header and two VLAN tags. */
#define API_FRAME_MAX 9238u

struct api;

/* Listens at path, with mode 0660. Returns 0 or -errno. */
int api_open(struct loop *loop, struct control *control, const char *path, struct api **api)
	__attribute__((warn_unused_result));
void api_close(struct api *api);

#endif
