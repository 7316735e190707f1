/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "config/config.h"

void config_device_option(const char *device, const char *option, char *out, size_t out_bytes)
{
	size_t len = strlen(option);

	out[0] = '\0';
	for (const char *at = strchr(device, ','); at; at = strchr(at, ',')) {
		at++;
		if (strncmp(at, option, len) == 0 && at[len] == '=') {
			snprintf(out, out_bytes, "%.*s", (int)strcspn(at + len + 1, ","),
				 at + len + 1);
			return;
		}
	}
}

void config_kernel_name(const struct config_interface *interface,
			char out[static CONFIG_DEVICE_MAX + 1])
{
	const char *device = interface->device;

	out[0] = '\0';
	if (strncmp(device, "net_af_", 7) == 0)
		config_device_option(device, "iface", out, CONFIG_DEVICE_MAX + 1);
	if (out[0] == '\0')
		snprintf(out, CONFIG_DEVICE_MAX + 1, "%s", device[0] ? device : interface->name);
}
