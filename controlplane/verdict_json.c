/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/verdict_json.h"

void verdict_json_add(json_t *out, enum verdict verdict)
{
	const char *reason = verdict_reason(verdict);

	json_object_set_new(out, "reason", json_string(reason));
	json_object_set_new(out, "text", json_string(verdict_text(verdict)));
	json_object_set_new(out, "advice", json_string(verdict_advice(verdict)));
	json_object_set_new(out, "doc", json_sprintf("docs/verdicts.md#%s", reason));
	if (verdict_engines(verdict)[0])
		json_object_set_new(out, "engines", json_string(verdict_engines(verdict)));
}
