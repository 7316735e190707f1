/* SPDX-License-Identifier: BSD-2-Clause */
/* What one packet would get, and why: the dataplane's own core, run on a copy of it. Used by
 * `shunt explain` offline and by shuntd for its running tables. */
#ifndef SHUNT_CONTROLPLANE_EXPLAIN_H
#define SHUNT_CONTROLPLANE_EXPLAIN_H

#include <jansson.h>

#include "controlplane/plan.h"
#include "dataplane/state/env_user.h"

/* Under what it is explained. The frame runs through env as any other does: an env that has flows
 * or remembers fragments is changed by it. */
struct explain_view {
	const struct env *env;
	const struct plan *plan;
	const struct station *station; /* NULL: every frame is for us */
	bool history;                  /* env has seen the frames before this one */
};

/* Explains a frame. title is how it is named in the answer. Returns a new reference, or NULL without
 * memory. */
json_t *explain_frame(const struct explain_view *view, const char *title, const u8 *frame,
		      u32 frame_bytes) __attribute__((warn_unused_result));

/* Explains the first packet of the flow that frame_from_flow() reads. Returns a new reference, or
 * NULL with one sentence in message. */
json_t *explain_text(const struct env *env, const struct plan *plan, const char *text,
		     char *message, size_t message_bytes) __attribute__((warn_unused_result));

/* Prints an explanation as a person reads it. */
void explain_print(const json_t *explanation, FILE *out);

#endif
