/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/verdict_json.h"

void verdict_json_add(json_t *out, enum verdict verdict)
{
	const struct verdict_words *words = verdict_words(verdict);

	json_object_set_new(out, "reason", json_string(words->reason));
	json_object_set_new(out, "text", json_string(words->text));
	json_object_set_new(out, "advice", json_string(words->advice));
	json_object_set_new(out, "doc", json_sprintf("docs/verdicts.md#%s", words->reason));
	if (words->engines[0])
		json_object_set_new(out, "engines", json_string(words->engines));
}
