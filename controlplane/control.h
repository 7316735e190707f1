/* SPDX-License-Identifier: BSD-2-Clause */
/* The control: what is configured, what is planned from it, and what is published of that.
 *
 * Five things change what is published: a reload, a next hop, a backend's health, an operator's
 * drain, and a dataplane that attaches. Each ends in one new generation, or changes nothing. */
#ifndef SHUNT_CONTROLPLANE_CONTROL_H
#define SHUNT_CONTROLPLANE_CONTROL_H

#include "controlplane/publish.h"
#include "controlplane/session.h"
#include "controlplane/state.h"

struct control;

struct control_options {
	const char *config_file, *run_dir, *state_dir;
};

/* Reads the configuration file and its seed, and logs what is wrong with them. Returns 0 or
 * outcome->error; the outcome is to be freed in any case. */
int control_create(const struct control_options *options, struct control **control,
		   struct outcome *outcome) __attribute__((warn_unused_result));

/* Takes the locks and sockets, publishes the first generation and listens for dataplanes. Where
 * it fails, logs one sentence and returns -errno. */
int control_open(struct control *control, struct loop *loop) __attribute__((warn_unused_result));
void control_destroy(struct control *control);

/* Reads the file again. A good one is applied, but for its `dataplane` section; anything else
 * changes nothing. Everything is logged. The outcome stays the control's, up to the next call. */
const struct outcome *control_reload(struct control *control);

/* Drains a backend by an operator's word, or takes that back: in one service, or where that is
 * NULL in all that have the address. It is on disk when this returns 0, and published unless
 * control_published() says otherwise. Returns -errno where it can't be kept: nothing has changed
 * then. */
int control_drain(struct control *control, const struct plan_service *service,
		  const struct addr *address, bool drained) __attribute__((warn_unused_result));

/* Whether dataplanes are told all that is planned; where that has failed it is tried again. */
bool control_published(const struct control *control);

/* How many flows a backend of the running plan holds, once that was counted with no new flow on
 * its way to it. Returns false before. */
bool control_flows(const struct control *control, const struct plan_service *service,
		   const struct plan_backend *backend, u64 *flows)
	__attribute__((warn_unused_result));

/* What the views show. */
const struct control_options *control_options(const struct control *control);
const struct outcome *control_last_reload(const struct control *control);
const struct plan *control_plan(const struct control *control);
const struct publisher *control_publisher(const struct control *control);
const struct sessions *control_sessions(const struct control *control);
const struct totals *control_totals(const struct control *control);

/* The keys of the `dataplane` section that wait for a restart of the dataplane, separated by
 * spaces. Returns how many. */
size_t control_pending_keys(const struct control *control, char *out, size_t out_bytes);

#endif
