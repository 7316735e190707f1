/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of an explanation share. */
#ifndef SHUNT_CONTROLPLANE_EXPLAIN_PRIVATE_H
#define SHUNT_CONTROLPLANE_EXPLAIN_PRIVATE_H

#include <jansson.h>

#include "controlplane/explain.h"
#include "dataplane/core/single.h"

json_t *explain_address(const struct addr *addr);
json_t *explain_mac(const u8 mac[static 6]);

/* Appends a sentence. */
void explain_say(json_t *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What the parser sees in a frame, whoever it is for. Only reads it. */
json_t *explain_seen(u8 *frame, u32 frame_bytes);

/* Everything that is known once the frame has got its verdict. */
struct explained {
	const struct explain_view *view;
	const struct single *single;
	const json_t *seen;
	enum verdict verdict;
	u32 frame_bytes; /* as it came in */
};

/* Appends to why, in plain words, what made this verdict of it. */
void explain_why(const struct explained *explained, json_t *why);

#endif
