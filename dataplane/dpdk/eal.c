/* SPDX-License-Identifier: BSD-2-Clause */
/* DPDK as a guest: no files in /var/run, no telemetry socket, no huge pages unless they are
 * free, no devices but those of the configuration.
 *
 * The worker's thread is pinned to its core. The main thread, which sleeps, may run on every
 * other core that the process was given, and shares the worker's where there is only one.
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

#include "dataplane/dpdk/message.h"

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

/* --- Cores ---------------------------------------------------------------------------- */

static bool may_run_on(int cpu)
{
	cpu_set_t before, wanted;
	bool may;

	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(before), &before) < 0)
		return false;
	CPU_ZERO(&wanted);
	CPU_SET(cpu, &wanted);
	may = sched_setaffinity(0, sizeof(wanted), &wanted) == 0;
	return sched_setaffinity(0, sizeof(before), &before) == 0 && may;
}

/* The first core that the kernel keeps free of other work (isolcpus), or -1. */
static int isolated_cpu(void)
{
	FILE *file = fopen("/sys/devices/system/cpu/isolated", "re");
	int cpu = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &cpu) != 1 || !may_run_on(cpu))
		cpu = -1;
	fclose(file);
	return cpu;
}

static int last_cpu(void)
{
	cpu_set_t allowed;
	int last = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return 0;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			last = cpu;
	return last;
}

int eal_core_choose(const char *workers, struct eal_core *core, char *text, size_t text_bytes)
{
	char *end;

	*core = (struct eal_core){0};
	if (strcmp(workers, "auto") == 0 || workers[0] == '\0') {
		core->cpu = isolated_cpu();
		if (core->cpu < 0)
			core->cpu = last_cpu();
		return 0;
	}
	core->cpu = (int)strtol(workers, &end, 10);
	core->more = *end != '\0';
	if (may_run_on(core->cpu))
		return 0;
	snprintf(text, text_bytes,
		 "the worker may not run on core %d: `nproc --all` counts the machine's cores, "
		 "`taskset -cp $$` shows those of this shell; mend `workers:`",
		 core->cpu);
	return -EINVAL;
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

/* "0@(0,2-3),1@1": the main thread on what is left beside the worker's core. */
static void argument_lcores(struct arguments *args, int worker_cpu)
{
	char main_cpus[CPU_SETSIZE * 5] = "";
	size_t used = 0;
	cpu_set_t allowed;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		CPU_ZERO(&allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && cpu != worker_cpu)
			used += (size_t)sprintf(main_cpus + used, used ? ",%d" : "%d", cpu);
	if (used == 0)
		sprintf(main_cpus, "%d", worker_cpu < 0 ? 0 : worker_cpu);
	if (worker_cpu == EAL_NO_WORKER)
		argument(args, "--lcores=0@(%s)", main_cpus);
	else
		argument(args, "--lcores=0@(%s),%d@%d", main_cpus, EAL_WORKER_LCORE, worker_cpu);
}

static void arguments_make(struct arguments *args, const struct eal_setup *setup, bool huge)
{
	argument(args, "%s", setup->program);
	argument_lcores(args, setup->worker_cpu);
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
