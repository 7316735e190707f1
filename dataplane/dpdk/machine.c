/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/machine.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dataplane/dpdk/cores.h"

#define CPUS "/sys/devices/system/cpu"
#define NODES "/sys/devices/system/node"
#define PCI "/sys/bus/pci/devices"
#define NET "/sys/class/net"
#define HUGE_PAGES "/sys/kernel/mm/hugepages"
#define LINE_BYTES 4096

_Static_assert(MACHINE_CPUS_MAX == CPU_SETSIZE, "an affinity is a cpu_set_t");

static const struct {
	const char *directory;
	unsigned shift;
} page_kinds[MACHINE_PAGES] = {
	[MACHINE_PAGE_2M] = {"hugepages-2048kB", 21},
	[MACHINE_PAGE_1G] = {"hugepages-1048576kB", 30},
};

/* --- Files ---------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void text_format(char *out, size_t out_bytes,
							      const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vsnprintf(out, out_bytes, format, values);
	va_end(values);
}

/* Reads the first line of a file. Returns whether there is one; the line is empty otherwise. */
__attribute__((format(printf, 2, 3))) static bool line_read(char line[static LINE_BYTES],
							    const char *format, ...)
{
	char path[PATH_MAX];
	va_list values;
	FILE *file;
	bool got;

	va_start(values, format);
	vsnprintf(path, sizeof(path), format, values);
	va_end(values);
	line[0] = '\0';
	file = fopen(path, "re");
	if (!file)
		return false;
	got = fgets(line, LINE_BYTES, file) != NULL;
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	return got;
}

/* The last part of what a link leads to. */
static void link_read(const char *path, char *out, size_t out_bytes)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	const char *slash;

	out[0] = '\0';
	if (len < 0)
		return;
	target[len] = '\0';
	slash = strrchr(target, '/');
	text_format(out, out_bytes, "%s", slash ? slash + 1 : target);
}

/* The value of a line such as "Hugepagesize:  2048 kB" in a file of such lines. */
static bool value_read(const char *root, const char *path, const char *key,
		       char value[static LINE_BYTES])
{
	char full[PATH_MAX], line[LINE_BYTES];
	size_t len = strlen(key);
	bool found = false;
	FILE *file;

	text_format(full, sizeof(full), "%s%s", root, path);
	file = fopen(full, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = strncmp(line, key, len) == 0;
	if (file)
		fclose(file);
	text_format(value, LINE_BYTES, "%s", found ? line + len + strspn(line + len, " \t") : "");
	return found;
}

/* --- Cores ---------------------------------------------------------------------------- */

static void core_read(struct machine *machine, const char *root, u32 cpu)
{
	char line[LINE_BYTES];
	int siblings[MACHINE_CPUS_MAX];

	machine->cpus[cpu].core = cpu;
	line_read(line, "%s" CPUS "/cpu%u/topology/thread_siblings_list", root, cpu);
	if (cores_parse(line, siblings) > 0)
		machine->cpus[cpu].core = (u32)siblings[0];
}

static void cpus_read(struct machine *machine, const char *root)
{
	char line[LINE_BYTES];
	int list[MACHINE_CPUS_MAX];
	u32 count;

	line_read(line, "%s" CPUS "/online", root);
	count = cores_parse(line, list);
	for (u32 i = 0; i < count; i++) {
		machine->cpus[list[i]].online = machine->cpus[list[i]].may = true;
		machine->cpus_end = (u32)list[i] + 1;
		core_read(machine, root, (u32)list[i]);
	}
	line_read(line, "%s" CPUS "/isolated", root);
	count = cores_parse(line, list);
	for (u32 i = 0; i < count; i++)
		machine->cpus[list[i]].isolated = true;
	/* Without any it says "(null)", which is no list either. */
	machine->has_tickless = line_read(line, "%s" CPUS "/nohz_full", root);
	count = cores_parse(line, list);
	for (u32 i = 0; i < count; i++)
		machine->cpus[list[i]].tickless = true;
	value_read(root, "/proc/self/status", "Cpus_allowed_list:", line);
	count = cores_parse(line, list);
	for (u32 i = 0; i < count; i++)
		machine->cpus[list[i]].given = true;
}

static bool may_run_on(u32 cpu)
{
	cpu_set_t before, wanted;
	bool may;

	if (sched_getaffinity(0, sizeof(before), &before) < 0)
		return false;
	CPU_ZERO(&wanted);
	CPU_SET(cpu, &wanted);
	may = sched_setaffinity(0, sizeof(wanted), &wanted) == 0;
	return sched_setaffinity(0, sizeof(before), &before) == 0 && may;
}

/* --- Memory --------------------------------------------------------------------------- */

static void pages_read(struct machine_pages *pages, const char *directory)
{
	char line[LINE_BYTES];

	for (int kind = MACHINE_PAGE_2M; kind < MACHINE_PAGES; kind++) {
		const char *name = page_kinds[kind].directory;
		u64 reserved;

		line_read(line, "%s/%s/nr_hugepages", directory, name);
		pages->total[kind] = strtoull(line, NULL, 10);
		line_read(line, "%s/%s/resv_hugepages", directory, name); /* not of a node */
		reserved = strtoull(line, NULL, 10);
		line_read(line, "%s/%s/free_hugepages", directory, name);
		pages->free[kind] = strtoull(line, NULL, 10);
		pages->free[kind] -= reserved < pages->free[kind] ? reserved : pages->free[kind];
	}
}

static void nodes_read(struct machine *machine, const char *root)
{
	char line[LINE_BYTES], path[PATH_MAX];
	int list[MACHINE_CPUS_MAX];

	for (u32 node = 0; node < MACHINE_NODES_MAX; node++) {
		u32 count;

		if (!line_read(line, "%s" NODES "/node%u/cpulist", root, node))
			continue;
		machine->nodes[node].exists = true;
		machine->nodes_count++;
		count = cores_parse(line, list);
		for (u32 i = 0; i < count; i++)
			machine->cpus[list[i]].node = (int)node;
		text_format(path, sizeof(path), "%s" NODES "/node%u/hugepages", root, node);
		pages_read(&machine->nodes[node].pages, path);
	}
}

static void memory_read(struct machine *machine, const char *root)
{
	char line[LINE_BYTES], path[PATH_MAX];

	text_format(path, sizeof(path), "%s" HUGE_PAGES, root);
	pages_read(&machine->pages, path);
	machine->sysctl_is_2m = value_read(root, "/proc/meminfo", "Hugepagesize:", line) &&
				strtoul(line, NULL, 10) == 2048;
	nodes_read(machine, root);
	if (machine->nodes_count > 0)
		return;
	machine->nodes_count = 1; /* a kernel without NUMA */
	machine->nodes[0] = (struct machine_node){.exists = true, .pages = machine->pages};
}

/* Whether the kernel lets us have such a page: a control group may not. It is not touched. */
static bool page_given(enum machine_page kind)
{
	size_t bytes = (size_t)1 << page_kinds[kind].shift;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
	void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  flags | (int)(page_kinds[kind].shift << MAP_HUGE_SHIFT), -1, 0);

	if (page == MAP_FAILED)
		return false;
	munmap(page, bytes);
	return true;
}

/* --- NICs ----------------------------------------------------------------------------- */

/* The first entry of a directory that begins so; false: none. */
static bool entry_find(const char *directory, const char *prefix, char *out, size_t out_bytes)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		found = entry->d_name[0] != '.' &&
			strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
		if (found)
			text_format(out, out_bytes, "%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Pairs: as many as there are of both. */
static u32 queues_count(const char *root, const char *interface)
{
	u32 rx = 0, tx = 0;
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	text_format(path, sizeof(path), "%s" NET "/%s/queues", root, interface);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		rx += strncmp(entry->d_name, "rx-", 3) == 0;
		tx += strncmp(entry->d_name, "tx-", 3) == 0;
	}
	if (dir)
		closedir(dir);
	return rx < tx ? rx : tx;
}

/* "eth0" of what the kernel's driver made of a device: below it, or below its virtio bus. */
static bool interface_find(const char *device, char *out, size_t out_bytes)
{
	char path[PATH_MAX], bus[64];

	text_format(path, sizeof(path), "%s/net", device);
	if (entry_find(path, "", out, out_bytes))
		return true;
	if (!entry_find(device, "virtio", bus, sizeof(bus)))
		return false;
	text_format(path, sizeof(path), "%s/%s/net", device, bus);
	return entry_find(path, "", out, out_bytes);
}

static int node_read(const char *device)
{
	char line[LINE_BYTES];

	return line_read(line, "%s/numa_node", device) ? atoi(line) : MACHINE_NO_NODE;
}

static bool card_read(const char *root, const char *address, struct machine_nic *nic)
{
	char device[PATH_MAX], path[PATH_MAX], line[LINE_BYTES], group[16];

	text_format(device, sizeof(device), "%s" PCI "/%s", root, address);
	line_read(line, "%s/class", device);
	if (strncmp(line, "0x02", 4) != 0)
		return false;
	*nic = (struct machine_nic){.node = node_read(device)};
	text_format(nic->address, sizeof(nic->address), "%.15s", address);
	text_format(path, sizeof(path), "%s/driver", device);
	link_read(path, nic->driver, sizeof(nic->driver));
	text_format(path, sizeof(path), "%s/iommu_group", device);
	link_read(path, group, sizeof(group));
	nic->has_iommu = group[0] != '\0';
	if (interface_find(device, nic->interface, sizeof(nic->interface)))
		nic->queues = queues_count(root, nic->interface);
	return true;
}

static void nics_read(struct machine *machine, const char *root)
{
	char path[PATH_MAX];
	struct dirent **entries;
	int count;

	text_format(path, sizeof(path), "%s" PCI, root);
	count = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		if (isxdigit((unsigned char)entries[i]->d_name[0]) &&
		    machine->nics_count < MACHINE_NICS_MAX)
			machine->nics_count += card_read(root, entries[i]->d_name,
							 &machine->nics[machine->nics_count]);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

/* --- All of it ------------------------------------------------------------------------ */

void machine_read(struct machine *machine, const char *root)
{
	*machine = (struct machine){0};
	cpus_read(machine, root);
	memory_read(machine, root);
	nics_read(machine, root);
}

void machine_ask(struct machine *machine)
{
	for (u32 cpu = 0; cpu < machine->cpus_end; cpu++)
		machine->cpus[cpu].may = machine->cpus[cpu].online && may_run_on(cpu);
	for (int kind = MACHINE_PAGE_2M; kind < MACHINE_PAGES; kind++) {
		if (machine->pages.free[kind] == 0 || page_given((enum machine_page)kind))
			continue;
		machine->pages.free[kind] = 0;
		machine->pages_refused[kind] = true;
	}
}

void machine_prefer_node(int node)
{
	unsigned long nodes = 1ul << node;

	/* A kernel that can't has one node. */
	(void)syscall(SYS_set_mempolicy, MPOL_PREFERRED, &nodes, 8 * sizeof(nodes) + 1);
}

/* With its domain, without arguments. */
static void address_complete(const char *address, char out[static 16])
{
	text_format(out, 16, "%s%.*s", address[2] == ':' ? "0000:" : "", (int)strcspn(address, ","),
		    address);
}

bool machine_card(const char *root, const char *address, struct machine_nic *nic)
{
	char full[sizeof(nic->address)];

	address_complete(address, full);
	return card_read(root, full, nic);
}

const struct machine_nic *machine_nic_at(const struct machine *machine, const char *address)
{
	char full[sizeof(machine->nics[0].address)];

	address_complete(address, full);
	for (u32 i = 0; i < machine->nics_count; i++)
		if (strcasecmp(machine->nics[i].address, full) == 0)
			return &machine->nics[i];
	return NULL;
}

const struct machine_nic *machine_nic_of(const struct machine *machine, const char *interface)
{
	for (u32 i = 0; i < machine->nics_count; i++)
		if (strcmp(machine->nics[i].interface, interface) == 0)
			return &machine->nics[i];
	return NULL;
}

void machine_see_interface(struct machine *machine, const char *root, const char *interface)
{
	struct machine_nic *nic = &machine->nics[machine->nics_count];
	char path[PATH_MAX];

	text_format(path, sizeof(path), "%s" NET "/%s", root, interface);
	if (machine_nic_of(machine, interface) || access(path, F_OK) < 0 ||
	    machine->nics_count == MACHINE_NICS_MAX)
		return;
	text_format(path, sizeof(path), "%s" NET "/%s/device", root, interface);
	*nic = (struct machine_nic){.node = node_read(path),
				    .queues = queues_count(root, interface)};
	text_format(nic->interface, sizeof(nic->interface), "%.15s", interface);
	machine->nics_count++;
}
