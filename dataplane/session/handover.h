/* SPDX-License-Identifier: BSD-2-Clause */
/* The conversation with shuntd in its shortest form, for one arena: what a replay does. */
#ifndef SHUNT_SESSION_HANDOVER_H
#define SHUNT_SESSION_HANDOVER_H

#include "dataplane/session/attachment.h"

/* Says HELLO over a connected socket and takes the arena that answers it, with a report for
 * hello->workers_count workers. Returns 0, or -errno with a sentence in text. */
int handover_take(int socket, const struct attach_message *hello, struct attachment **attachment,
		  char *text, size_t text_bytes) __attribute__((warn_unused_result));

#endif
