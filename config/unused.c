/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/config.h"

#include <stdio.h>
#include <string.h>

void config_unused(const struct config *config, void (*tell)(void *context, const char *text),
		   void *context)
{
	const struct config_dataplane *dataplane = &config->dataplane;
	char text[200];

	if (dataplane->engine != CONFIG_ENGINE_XDP && dataplane->engine != CONFIG_ENGINE_AF_XDP)
		return;
	if (strcmp(dataplane->workers, "auto") != 0)
		tell(context,
		     "workers is not used by the engines xdp and af_xdp, which have one for each "
		     "receive queue of an interface: ethtool -L IF combined N");
	for (size_t i = 0; i < dataplane->interfaces_count; i++) {
		const struct config_interface *interface = &dataplane->interfaces[i];

		if (interface->exception == CONFIG_EXCEPTION_AUTO)
			continue;
		snprintf(text, sizeof(text),
			 "exception of interface %.64s is not used by the engines xdp and af_xdp: "
			 "the kernel has its share there anyway",
			 interface->name);
		tell(context, text);
	}
}
