/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/near.h"

#include <string.h>

#include "config/text.h"

_Static_assert(CONFIG_NAME_MAX >= ADDR_TEXT_MAX, "addresses are offered too");
_Static_assert(NEAR_TEXT_MAX >= NEAR_MAX * (CONFIG_NAME_MAX + 8) + 1, "all names fit");
_Static_assert(NEAR_TEXT_MAX >= TEXT_QUOTE_MAX, "a quoted name fits");

void near_note(struct near *near, const char *name)
{
	unsigned distance = text_distance(near->wanted, name);
	size_t at = near->count;

	for (size_t i = 0; i < near->count; i++)
		if (strcmp(near->names[i], name) == 0)
			return;
	while (at > 0 && near->distances[at - 1] > distance)
		at--;
	if (at == NEAR_MAX)
		return;
	if (near->count < NEAR_MAX)
		near->count++;
	for (size_t i = near->count - 1; i > at; i--) {
		memcpy(near->names[i], near->names[i - 1], sizeof(near->names[i]));
		near->distances[i] = near->distances[i - 1];
	}
	snprintf(near->names[at], sizeof(near->names[at]), "%s", name);
	near->distances[at] = distance;
}

const char *near_text(const struct near *near, char out[static NEAR_TEXT_MAX])
{
	size_t used = 0;

	if (near->count == 0)
		return ", nor any other";
	for (size_t i = 0; i < near->count; i++)
		used += (size_t)snprintf(out + used, NEAR_TEXT_MAX - used, "%s%s",
					 i == 0                 ? ", but "
					 : i + 1 == near->count ? " and "
								: ", ",
					 near->names[i]);
	return out;
}

const char *near_quote(const char *name, char out[static NEAR_TEXT_MAX])
{
	return text_quote(name, out);
}
