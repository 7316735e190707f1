/* SPDX-License-Identifier: BSD-2-Clause */
/* DPDK as a guest: no files in /var/run, no telemetry socket, no huge pages unless they are
 * free, no devices but those of the configuration.
 *
 * Each worker's thread is pinned to its core. The main thread, which sleeps, may run on every
 * other core that the process was given, and shares theirs where there is none.
 * Virtual devices are not created here: port.c opens them one by one, so that a failure can be
 * told with the interface's name. */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/eal.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/session/message.h"

#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define HUGE_PAGES_DIR "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define OWN_BYTES ((u64)48 << 20) /* DPDK's own needs beside pools and rings */
#define ARGS_MAX (16 + 2 * CONFIG_INTERFACES_MAX)

bool eal_device_is_pci(const char *device)
{
	unsigned domain, bus, slot, function;
	int end = 0;

	if (sscanf(device, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) != 4 &&
	    sscanf(device, "%2x:%2x.%1x%n", &bus, &slot, &function, &end) != 3)
		return false;
	return end > 0 && (device[end] == '\0' || device[end] == ',');
}

/* --- Memory --------------------------------------------------------------------------- */

static u64 huge_pages_count(const char *name)
{
	char path[128];
	unsigned long long count = 0;
	FILE *file;

	snprintf(path, sizeof(path), HUGE_PAGES_DIR "%s", name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%llu", &count) != 1)
		count = 0;
	fclose(file);
	return count;
}

/* Whether enough 2 MiB pages are free, and ours to take. */
static bool huge_pages_usable(u64 need_bytes)
{
	u64 free_pages = huge_pages_count("free_hugepages");
	u64 reserved = huge_pages_count("resv_hugepages");
	void *page;

	if (free_pages < reserved || (free_pages - reserved) * HUGE_PAGE_BYTES < need_bytes)
		return false;
	page = mmap(NULL, HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (page == MAP_FAILED)
		return false;
	munmap(page, HUGE_PAGE_BYTES);
	return true;
}

/* --- Arguments ------------------------------------------------------------------------ */

/* DPDK keeps pointers into its arguments, and writes into the list that it is given. */
struct arguments {
	char *list[ARGS_MAX + 1];
	char *given[ARGS_MAX + 1];
	int count;
};

__attribute__((format(printf, 2, 3))) static void argument(struct arguments *args,
							   const char *format, ...)
{
	va_list values;
	char *text;

	va_start(values, format);
	if (vasprintf(&text, format, values) < 0)
		abort();
	va_end(values);
	if (args->count == ARGS_MAX)
		abort(); /* ARGS_MAX counts what eal_start() gives */
	args->list[args->count++] = text;
	args->list[args->count] = NULL;
}

static bool is_worker_cpu(const struct eal_setup *setup, int cpu)
{
	for (u32 i = 0; i < setup->workers_count; i++)
		if (setup->worker_cpus[i] == cpu)
			return true;
	return false;
}

/* Lists what the process may run on, with or without the workers' cores. Returns the length. */
static size_t cpus_list(const struct eal_setup *setup, bool with_workers,
			char out[static CPU_SETSIZE * 5])
{
	cpu_set_t allowed;
	size_t used = 0;

	out[0] = '\0';
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		CPU_ZERO(&allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && (with_workers || !is_worker_cpu(setup, cpu)))
			used += (size_t)sprintf(out + used, used ? ",%d" : "%d", cpu);
	return used;
}

/* "0@(0,3),1@1,2@2": the main thread on what is left beside the workers' cores. */
static void argument_lcores(struct arguments *args, const struct eal_setup *setup)
{
	char main_cpus[CPU_SETSIZE * 5], workers[CPU_SETSIZE * 10] = "";
	size_t used = 0;

	if (cpus_list(setup, false, main_cpus) == 0 && cpus_list(setup, true, main_cpus) == 0)
		strcpy(main_cpus, "0");
	for (u32 i = 0; i < setup->workers_count; i++)
		used += (size_t)sprintf(workers + used, ",%u@%d", eal_worker_lcore(i),
					setup->worker_cpus[i]);
	argument(args, "--lcores=0@(%s)%s", main_cpus, workers);
}

static void arguments_make(struct arguments *args, const struct eal_setup *setup, bool huge)
{
	argument(args, "%s", setup->program);
	argument_lcores(args, setup);
	argument(args, "--no-telemetry");
	/* net_tap complains of what we neither use nor need (queueing disciplines, secondary
	 * processes), the EAL, without root, of its directory in /run. Of the patterns for a
	 * driver, which is loaded later, the first counts; for the EAL itself the last. */
	argument(args, "--log-level=pmd.net.tap:critical");
	argument(args, "--log-level=*:warning");
	argument(args, "--log-level=lib.eal:%s", setup->pci_count > 0 ? "error" : "critical");
	if (huge) {
		argument(args, "--in-memory");
		/* One descriptor for all pages: vhost-user passes eight at most. */
		if (setup->shares_memory)
			argument(args, "--single-file-segments");
	} else {
		/* --in-memory is refused beside --no-huge; this is what it would bring. */
		argument(args, "--no-shconf");
		argument(args, "--no-huge");
		argument(args, "-m");
		argument(args, "%llu", (unsigned long long)(setup->memory_bytes + OWN_BYTES) >> 20);
	}
	if (setup->pci_count == 0)
		argument(args, "--no-pci");
	for (size_t i = 0; i < setup->pci_count; i++) {
		argument(args, "-a");
		argument(args, "%s", setup->pci[i]);
	}
}

int eal_start(const struct eal_setup *setup, bool *huge_pages)
{
	static struct arguments args;
	u64 need_bytes = setup->memory_bytes + OWN_BYTES;

	*huge_pages = setup->huge_pages && huge_pages_usable(need_bytes);
	if (setup->huge_pages && !*huge_pages)
		message("runs on 4 KiB pages, because too few 2 MiB pages are free; `sysctl "
			"vm.nr_hugepages=%llu` makes them",
			(unsigned long long)((need_bytes + setup->beside_bytes) / HUGE_PAGE_BYTES +
					     2));
	arguments_make(&args, setup, *huge_pages);
	memcpy(args.given, args.list, sizeof(args.list));
	rte_openlog_stream(stderr);
	if (rte_eal_init(args.count, args.given) < 0)
		return rte_errno > 0 ? -rte_errno : -EINVAL;
	rte_openlog_stream(stderr); /* it went back to syslog and standard output */
	return 0;
}
