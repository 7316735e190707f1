/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/config.h"

static void tell_service(const struct config_service *service,
			 void (*tell)(void *context, const char *text), void *context)
{
	char text[CONFIG_NAME_MAX + 128];

	if (service->check.type == CONFIG_CHECK_NONE)
		return;
	snprintf(text, sizeof(text),
		 "service %s: `check` is not carried out by this version; every backend is taken "
		 "for healthy",
		 service->name);
	tell(context, text);
}

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
	for (size_t i = 0; i < config->services_count; i++)
		tell_service(&config->services[i], tell, context);
}
