/* SPDX-License-Identifier: BSD-2-Clause */
/* What a verdict's row of the list in dataplane/core/verdict.h says, for every answer alike. */
#ifndef SHUNT_CONTROLPLANE_VERDICT_JSON_H
#define SHUNT_CONTROLPLANE_VERDICT_JSON_H

#include <jansson.h>

#include "dataplane/core/verdict.h"

/* Adds `reason`, `text`, `advice`, `doc` (where in docs/ it stands) and, where engines may differ,
 * `engines`. */
void verdict_json_add(json_t *out, enum verdict verdict);

#endif
