/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/config.h"

void config_unused(const struct config *config, void (*tell)(void *context, const char *text),
		   void *context)
{
	enum config_engine engine = config->dataplane.engine;
	char text[128];

	if (engine != CONFIG_ENGINE_AUTO && engine != CONFIG_ENGINE_DPDK) {
		snprintf(text, sizeof(text), "engine %s is not part of this version; shunt-dpdk is",
			 config_engine_name(engine));
		tell(context, text);
	}
}
