/* SPDX-License-Identifier: BSD-2-Clause */
/* DPDK as a guest: no files in /var/run, no telemetry socket, no huge pages unless they are
 * free, no devices but those of the configuration.
 *
 * Each worker's thread is pinned to its core. The main thread, which sleeps, may run on every
 * other core that the process was given, and shares theirs where there is none.
 * Virtual devices are not created here: port.c opens them one by one, so that a failure can be
 * told with the interface's name. */
#include "dataplane/dpdk/eal_line.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool eal_device_is_pci(const char *device)
{
	unsigned domain, bus, slot, function;
	int end = 0;

	if (sscanf(device, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) != 4 &&
	    sscanf(device, "%2x:%2x.%1x%n", &bus, &slot, &function, &end) != 3)
		return false;
	return end > 0 && (device[end] == '\0' || device[end] == ',');
}

__attribute__((format(printf, 2, 3))) static void argument(struct eal_line *line,
							   const char *format, ...)
{
	size_t room = sizeof(line->text) - line->used_bytes;
	char *text = line->text + line->used_bytes;
	va_list values;
	int len;

	va_start(values, format);
	len = vsnprintf(text, room, format, values);
	va_end(values);
	if (len < 0 || (size_t)len >= room || line->count == EAL_ARGS_MAX)
		abort(); /* both are counted for what eal_line_make() gives */
	line->used_bytes += (size_t)len + 1;
	line->list[line->count++] = text;
	line->list[line->count] = NULL;
}

/* "0@(0,3),1@1,2@2": the main thread on what is left beside the workers' cores. */
static void argument_lcores(struct eal_line *line, const struct eal_setup *setup)
{
	char workers[2048] = ""; /* ",127@1023" is the longest of 127 */
	size_t used = 0;

	for (u32 i = 0; i < setup->workers_count; i++)
		used += (size_t)sprintf(workers + used, ",%u@%d", eal_worker_lcore(i),
					setup->worker_cpus[i]);
	argument(line, "--lcores=0@(%s)%s", setup->main_cpus, workers);
}

void eal_line_make(struct eal_line *line, const struct eal_setup *setup)
{
	line->count = 0;
	line->used_bytes = 0;
	argument(line, "%s", setup->program);
	argument_lcores(line, setup);
	argument(line, "--no-telemetry");
	/* net_tap complains of what we neither use nor need (queueing disciplines, secondary
	 * processes), the EAL, without root, of its directory in /run. Of the patterns for a
	 * driver, which is loaded later, the first counts; for the EAL itself the last. */
	argument(line, "--log-level=pmd.net.tap:critical");
	argument(line, "--log-level=*:warning");
	argument(line, "--log-level=lib.eal:%s", setup->pci_count > 0 ? "error" : "critical");
	if (setup->huge_pages) {
		argument(line, "--in-memory");
		/* One descriptor for all pages: vhost-user passes eight at most. */
		if (setup->shares_memory)
			argument(line, "--single-file-segments");
	} else {
		/* --in-memory is refused beside --no-huge; this is what it would bring. */
		argument(line, "--no-shconf");
		argument(line, "--no-huge");
		argument(line, "-m");
		argument(line, "%llu",
			 (unsigned long long)(setup->memory_bytes + EAL_OWN_BYTES) >> 20);
	}
	if (setup->pci_count == 0)
		argument(line, "--no-pci");
	for (size_t i = 0; i < setup->pci_count; i++) {
		argument(line, "-a");
		argument(line, "%s", setup->pci[i]);
	}
}
