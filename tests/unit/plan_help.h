/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine that nobody here has, as a directory of the files that the kernel would show:
 *
 *   node 0: cores 0-3, and 8-11, which are their second hyperthreads;  0000:18:00.0, ixgbe as eth1
 *           with 4 queues
 *   node 1: cores 4-7 and 12-15;  0000:3b:00.0, vfio-pci;  0000:3b:00.1, no driver, no IOMMU
 *
 * A test changes files of it before it is read. */
#ifndef SHUNT_TESTS_PLAN_HELP_H
#define SHUNT_TESTS_PLAN_HELP_H

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/dpdk/device_check.h"
#include "dataplane/dpdk/plan.h"
#include "tests/unit/cmocka_help.h"

#define CPU_DIR "sys/devices/system/cpu/"
#define NODE_DIR "sys/devices/system/node/"
#define PCI_DIR "sys/bus/pci/devices/"
#define PAGES_2M "hugepages-2048kB/"
#define PAGES_1G "hugepages-1048576kB/"
#define VFIO_NIC "0000:3b:00.0"
#define BARE_NIC "0000:3b:00.1"
#define KERNEL_NIC "0000:18:00.0"
#define INTERFACES_MAX 3

struct scene {
	char root[96];
	struct machine machine;
	struct plan plan;
	struct config_interface interfaces[INTERFACES_MAX];
	struct ports ports;
};

/* The path of a file, whose directories are made. */
static void path_make(const struct scene *scene, const char *file, char out[static 512])
{
	snprintf(out, 512, "%s/%s", scene->root, file);
	for (char *slash = out + strlen(scene->root); (slash = strchr(slash + 1, '/'));) {
		*slash = '\0';
		assert_true(mkdir(out, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
}

__attribute__((format(printf, 3, 4))) static void file_put(const struct scene *scene,
							   const char *name, const char *format,
							   ...)
{
	char path[512];
	va_list values;
	FILE *file;

	path_make(scene, name, path);
	file = fopen(path, "w");
	assert_non_null(file);
	va_start(values, format);
	vfprintf(file, format, values);
	va_end(values);
	fputc('\n', file);
	assert_int_equal(fclose(file), 0);
}

static void link_put(const struct scene *scene, const char *name, const char *target)
{
	char path[512];

	path_make(scene, name, path);
	assert_int_equal(symlink(target, path), 0);
}

/* --- The machine ---------------------------------------------------------------------- */

static void cpus_put(const struct scene *scene)
{
	char name[128];

	file_put(scene, CPU_DIR "online", "0-15");
	file_put(scene, CPU_DIR "isolated", "%s", "");
	file_put(scene, CPU_DIR "nohz_full", "(null)");
	for (int cpu = 0; cpu < 16; cpu++) {
		snprintf(name, sizeof(name), CPU_DIR "cpu%d/topology/thread_siblings_list", cpu);
		file_put(scene, name, "%d,%d", cpu % 8, cpu % 8 + 8);
	}
	file_put(scene, NODE_DIR "node0/cpulist", "0-3,8-11");
	file_put(scene, NODE_DIR "node1/cpulist", "4-7,12-15");
	file_put(scene, "proc/self/status",
		 "Name:\tshunt-dpdk\nCpus_allowed:\tffff\n"
		 "Cpus_allowed_list:\t0-15");
	file_put(scene, "proc/meminfo", "MemTotal: 1 kB\nHugepagesize:       2048 kB");
}

static void nic_put(const struct scene *scene, const char *address, int node, const char *driver,
		    bool has_iommu)
{
	char name[128], target[64];

	snprintf(name, sizeof(name), PCI_DIR "%s/class", address);
	file_put(scene, name, "0x020000");
	snprintf(name, sizeof(name), PCI_DIR "%s/numa_node", address);
	file_put(scene, name, "%d", node);
	snprintf(name, sizeof(name), PCI_DIR "%s/driver", address);
	snprintf(target, sizeof(target), "../../../bus/pci/drivers/%s", driver);
	if (driver[0] != '\0')
		link_put(scene, name, target);
	snprintf(name, sizeof(name), PCI_DIR "%s/iommu_group", address);
	if (has_iommu)
		link_put(scene, name, "../../../../kernel/iommu_groups/7");
}

static void nics_put(const struct scene *scene)
{
	char name[128];

	nic_put(scene, VFIO_NIC, 1, "vfio-pci", true);
	nic_put(scene, BARE_NIC, 1, "", false);
	nic_put(scene, KERNEL_NIC, 0, "ixgbe", true);
	for (int queue = 0; queue < 4; queue++) {
		snprintf(name, sizeof(name), PCI_DIR KERNEL_NIC "/net/eth1/queues/rx-%d/x", queue);
		file_put(scene, name, "0");
		snprintf(name, sizeof(name), PCI_DIR KERNEL_NIC "/net/eth1/queues/tx-%d/x", queue);
		file_put(scene, name, "0");
	}
	file_put(scene, PCI_DIR KERNEL_NIC "/net/eth1/queues/tx-4/x", "0"); /* no pair */
	link_put(scene, "sys/class/net/eth1", "../../bus/pci/devices/" KERNEL_NIC "/net/eth1");
	file_put(scene, PCI_DIR "0000:00:1f.0/class", "0x060100"); /* a bridge */
}

/* So many free pages of one kind on each node, all of which are free. */
static void pages_put(const struct scene *scene, const char *kind, int node0, int node1)
{
	const char *const directories[] = {"sys/kernel/mm/hugepages/", NODE_DIR "node0/hugepages/",
					   NODE_DIR "node1/hugepages/"};
	const int counts[] = {node0 + node1, node0, node1};
	char name[128];

	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s%snr_hugepages", directories[i], kind);
		file_put(scene, name, "%d", counts[i]);
		snprintf(name, sizeof(name), "%s%sfree_hugepages", directories[i], kind);
		file_put(scene, name, "%d", counts[i]);
	}
	snprintf(name, sizeof(name), "sys/kernel/mm/hugepages/%sresv_hugepages", kind);
	file_put(scene, name, "0");
}

static void isolate(const struct scene *scene, const char *cpus, const char *rest)
{
	file_put(scene, CPU_DIR "isolated", "%s", cpus);
	file_put(scene, CPU_DIR "nohz_full", "%s", cpus);
	file_put(scene, "proc/self/status", "Cpus_allowed_list:\t%s", rest);
}

static int setup(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	snprintf(scene->root, sizeof(scene->root), "%.64s/shunt-plan-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : P_tmpdir);
	assert_non_null(mkdtemp(scene->root));
	cpus_put(scene);
	nics_put(scene);
	*state = scene;
	return 0;
}

static int entry_remove(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct scene *scene = *state;

	nftw(scene->root, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
	free(scene);
	return 0;
}

/* --- The plan ------------------------------------------------------------------------- */

static void interface_add(struct scene *scene, const char *device)
{
	u32 i = scene->ports.count++;
	struct config_interface *interface = &scene->interfaces[i];
	struct port *port = &scene->ports.list[i];

	snprintf(interface->name, sizeof(interface->name), "up%u", i);
	snprintf(interface->device, sizeof(interface->device), "%s", device);
	*port = (struct port){.config = interface, .kind = port_kind_of(device)};
	if (port->kind->has_iface)
		config_device_option(device, "iface", port->kernel_name, sizeof(port->kernel_name));
}

#define MIB ((u64)1 << 20)

static void plan_with(struct scene *scene, const char *workers, u64 packets_bytes, u64 flows_bytes)
{
	machine_read(&scene->machine, scene->root);
	for (u32 i = 0; i < scene->ports.count; i++)
		if (scene->ports.list[i].kernel_name[0])
			machine_see_interface(&scene->machine, scene->root,
					      scene->ports.list[i].kernel_name);
	plan_cores(&scene->plan, &scene->machine, &scene->ports, workers);
	plan_memory(&scene->plan, &scene->machine, packets_bytes, flows_bytes);
}

/* With a device and 16 MiB of packets, which take 64 with what DPDK needs beside: 32 pages. */
static const struct plan *plan_for(struct scene *scene, const char *device, const char *workers)
{
	interface_add(scene, device);
	plan_with(scene, workers, 16 * MIB, 0);
	return &scene->plan;
}

static void workers_are(const struct plan *plan, const char *cores)
{
	char names[CORES_TEXT_MAX];

	cores_format(plan->cores.list, plan->workers_count, names);
	assert_string_equal(names, cores);
}

static void says(const struct plan_says *list, const char *text)
{
	for (u32 i = 0; i < list->count; i++)
		if (strstr(list->list[i], text))
			return;
	for (u32 i = 0; i < list->count; i++)
		print_error("said: %s\n", list->list[i]);
	fail_msg("nobody says: %s", text);
}

static void says_nothing_of(const struct plan_says *list, const char *text)
{
	for (u32 i = 0; i < list->count; i++)
		if (strstr(list->list[i], text))
			fail_msg("says: %s", list->list[i]);
}

#endif
