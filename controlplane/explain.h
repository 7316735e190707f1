/* SPDX-License-Identifier: BSD-2-Clause */
/* What one packet would get, and why: the dataplane's own core, run on a packet that is only
 * spoken of. Used by `shunt explain` offline and by shuntd for its running tables. */
#ifndef SHUNT_CONTROLPLANE_EXPLAIN_H
#define SHUNT_CONTROLPLANE_EXPLAIN_H

#include <jansson.h>

#include "controlplane/plan.h"
#include "dataplane/state/env_user.h"

/* Explains "PROTOCOL SOURCE:PORT DESTINATION:PORT", such as
 * "tcp 198.51.100.7:4242 203.0.113.10:443" or "udp [2001:db8::1]:53 [2001:db8::2]:53", as the
 * first packet of a new flow. Returns a new reference, or NULL with one sentence in message. */
json_t *explain_text(const struct env *env, const struct plan *plan, const char *text,
		     char *message, size_t message_bytes) __attribute__((warn_unused_result));

/* Prints an explanation as a person reads it. */
void explain_print(const json_t *explanation, FILE *out);

#endif
