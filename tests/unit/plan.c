/* SPDX-License-Identifier: BSD-2-Clause */
/* Plans for a machine with two nodes, hyperthreads and cards that this one doesn't have; what is
 * expected of each was written down from the machine's description alone. */
#include "tests/unit/plan_help.h"

#include <jansson.h>

#include "dataplane/dpdk/plan_print.h"

/* --- The machine ---------------------------------------------------------------------- */

static void test_machine_is_read(void **state)
{
	struct scene *scene = *state;
	const struct machine *machine = &scene->machine;
	const struct machine_nic *nic;

	isolate(scene, "6-7", "0-5,8-15");
	pages_put(scene, PAGES_2M, 3, 40);
	pages_put(scene, PAGES_1G, 0, 2);
	machine_read(&scene->machine, scene->root);
	assert_int_equal(machine->cpus_end, 16);
	assert_int_equal(machine->nodes_count, 2);
	assert_int_equal(machine->cpus[13].node, 1);
	assert_int_equal(machine->cpus[13].core, 5);
	assert_true(machine->cpus[6].isolated && machine->cpus[6].tickless);
	assert_true(machine->cpus[6].may && !machine->cpus[6].given);
	assert_true(machine->cpus[5].given && !machine->cpus[5].isolated);
	assert_int_equal(machine->pages.free[MACHINE_PAGE_2M], 43);
	assert_int_equal(machine->nodes[1].pages.free[MACHINE_PAGE_2M], 40);
	assert_int_equal(machine->nodes[1].pages.free[MACHINE_PAGE_1G], 2);
	assert_int_equal(machine->nics_count, 3);
	nic = machine_nic_of(machine, "eth1");
	assert_ptr_equal(nic, machine_nic_at(machine, "18:00.0,option=1"));
	assert_string_equal(nic->driver, "ixgbe");
	assert_int_equal(nic->queues, 4);
	assert_int_equal(nic->node, 0);
	nic = machine_nic_at(machine, BARE_NIC);
	assert_string_equal(nic->driver, "");
	assert_false(nic->has_iommu);
	assert_int_equal(nic->node, 1);
	assert_null(machine_nic_at(machine, "0000:00:1f.0"));
}

static void test_reserved_pages_are_not_free(void **state)
{
	struct scene *scene = *state;

	pages_put(scene, PAGES_2M, 32, 0);
	file_put(scene, "sys/kernel/mm/hugepages/" PAGES_2M "resv_hugepages", "5");
	machine_read(&scene->machine, scene->root);
	assert_int_equal(scene->machine.pages.free[MACHINE_PAGE_2M], 27);
}

/* As under virtio: the kernel's interface is one bus further down. */
static void test_virtio_nic_has_its_interface(void **state)
{
	struct scene *scene = *state;
	const struct machine_nic *nic;

	nic_put(scene, "0000:00:03.0", -1, "virtio-pci", false);
	file_put(scene, PCI_DIR "0000:00:03.0/virtio2/net/eth0/queues/rx-0/x", "0");
	file_put(scene, PCI_DIR "0000:00:03.0/virtio2/net/eth0/queues/tx-0/x", "0");
	link_put(scene, "sys/class/net/eth0",
		 "../../bus/pci/devices/0000:00:03.0/virtio2/net/eth0");
	machine_read(&scene->machine, scene->root);
	nic = machine_nic_at(&scene->machine, "00:03.0");
	assert_non_null(nic);
	assert_string_equal(nic->interface, "eth0");
	assert_int_equal(nic->queues, 1);
	assert_int_equal(nic->node, MACHINE_NO_NODE);
}

static void test_nothing_to_read(void **state)
{
	struct scene *scene = *state;

	strcat(scene->root, "/nowhere");
	plan_for(scene, "net_tap0", "auto");
	scene->root[strlen(scene->root) - strlen("/nowhere")] = '\0';
	workers_are(&scene->plan, "0");
	assert_string_equal(scene->plan.main_cpus, "0");
	assert_int_equal(scene->plan.packets.page, MACHINE_PAGE_4K);
	assert_int_equal(scene->plan.faults.count, 0);
}

/* --- auto ----------------------------------------------------------------------------- */

/* All that a good machine has: nothing to mend. */
static void test_auto_takes_cores_of_the_nics_node(void **state)
{
	struct scene *scene = *state;
	const struct plan *plan;
	char line[PLAN_EAL_BYTES];

	isolate(scene, "2-3,6-7,10-11,14-15", "0-1,4-5,8-9,12-13");
	pages_put(scene, PAGES_2M, 0, 32);
	plan = plan_for(scene, VFIO_NIC, "auto");
	workers_are(plan, "6-7");
	assert_string_equal(plan->why,
			    " (auto: all that are isolated of node 1, where the NICs are, "
			    "one hyperthread of each core)");
	assert_string_equal(plan->main_cpus, "4-5,12-13"); /* where the memory is */
	assert_int_equal(plan->packets.page, MACHINE_PAGE_2M);
	assert_int_equal(plan->packets.node, 1);
	plan_eal_format(plan, line);
	assert_string_equal(line, "--lcores=0@(4-5,12-13),1@6,2@7 --no-telemetry "
				  "--log-level=pmd.net.tap:critical --log-level=*:warning "
				  "--log-level=lib.eal:error --in-memory -a " VFIO_NIC);
	for (u32 i = 0; i < plan->warnings.count; i++)
		print_error("%s\n", plan->warnings.list[i]);
	assert_int_equal(plan->warnings.count, 0);
	assert_int_equal(plan->faults.count, 0);
}

static void test_auto_takes_all_for_virtual_devices(void **state)
{
	struct scene *scene = *state;

	isolate(scene, "3,6-7", "0-2,4-5,8-15");
	plan_for(scene, "net_tap0,iface=lb0", "auto");
	workers_are(&scene->plan, "3,6-7");
	assert_string_equal(scene->plan.why, " (auto: all that are isolated)");
	assert_int_equal(scene->plan.packets.node, MACHINE_NO_NODE);
}

static void test_auto_without_isolation_takes_the_last(void **state)
{
	struct scene *scene = *state;

	plan_for(scene, "net_tap0,iface=lb0", "auto");
	workers_are(&scene->plan, "15");
	says(&scene->plan.warnings, "core 15 is not isolated");
	says(&scene->plan.warnings, "`isolcpus=15 nohz_full=15` on the kernel's command line");
}

static void test_auto_without_isolation_stays_near(void **state)
{
	struct scene *scene = *state;

	plan_for(scene, "net_af_packet0,iface=eth1", "auto");
	workers_are(&scene->plan, "11");
	assert_string_equal(scene->plan.why,
			    " (auto: no core is isolated, so it is the last one of "
			    "node 0, where the NICs are)");
}

static void test_auto_takes_what_there_is_afar(void **state)
{
	struct scene *scene = *state;

	isolate(scene, "2-3,10-11", "0-1,4-9,12-15");
	plan_for(scene, VFIO_NIC, "auto");
	workers_are(&scene->plan, "2-3");
	says(&scene->plan.warnings,
	     "cores 2-3 lie on another node than interface up0, which is on node 1");
	says(&scene->plan.warnings, ": `isolcpus=6-7 nohz_full=6-7` on the kernel's command line");
}

/* --- Named cores ---------------------------------------------------------------------- */

static void test_wrong_node_is_told(void **state)
{
	struct scene *scene = *state;

	isolate(scene, "2-3,5-6,10-11,13-14", "0-1,4,7-9,12,15");
	plan_for(scene, VFIO_NIC, "2-3");
	workers_are(&scene->plan, "2-3");
	says(&scene->plan.warnings, "each packet crosses between them: `workers: 5-6` mends it");
	assert_string_equal(scene->plan.why, "");
}

static void test_only_the_far_ones_are_told(void **state)
{
	struct scene *scene = *state;

	isolate(scene, "3,6,11,14", "0-2,4-5,7-10,12-13,15");
	plan_for(scene, VFIO_NIC, "3,6");
	says(&scene->plan.warnings, "core 3 lies on another node than interface up0");
}

static void test_cards_on_two_nodes(void **state)
{
	struct scene *scene = *state;

	interface_add(scene, "net_af_packet0,iface=eth1");
	isolate(scene, "3,6,11,14", "0-2,4-5,7-10,12-13,15");
	plan_for(scene, VFIO_NIC, "auto");
	workers_are(&scene->plan, "3"); /* the packet socket has one pair */
	says(&scene->plan.warnings, "cards are on nodes 0-1, and each worker polls all of them");
	assert_int_equal(scene->plan.packets.node, MACHINE_NO_NODE);
}

static void test_twins_are_told(void **state)
{
	struct scene *scene = *state;

	isolate(scene, "2-3,10-11", "0-1,4-9,12-15");
	plan_for(scene, "net_tap0", "2,3,10");
	workers_are(&scene->plan, "2-3,10");
	says(&scene->plan.warnings,
	     "the worker on 2 and on 10 share hyperthreads of the same core");
	says(&scene->plan.warnings, "leave 10 out of `workers:`");
	says_nothing_of(&scene->plan.warnings, "not isolated");
}

static void test_busy_siblings_are_told(void **state)
{
	struct scene *scene = *state;

	isolate(scene, "2-3", "0-1,4-15");
	plan_for(scene, "net_tap0", "auto");
	workers_are(&scene->plan, "2-3");
	says(&scene->plan.warnings,
	     "cores 10-11 are hyperthreads of workers' cores and not isolated");
	says(&scene->plan.warnings, "add 10-11 to `isolcpus=`");
}

static void test_timer_is_told(void **state)
{
	struct scene *scene = *state;

	isolate(scene, "2,10", "0-1,3-9,11-15");
	file_put(scene, CPU_DIR "nohz_full", "(null)");
	plan_for(scene, "net_tap0", "2");
	says(&scene->plan.warnings, "core 2 is isolated, but the kernel's timer interrupts");
	says(&scene->plan.warnings, "`nohz_full=2` on the kernel's command line");
}

static void test_cores_that_are_not_there(void **state)
{
	struct scene *scene = *state;

	plan_for(scene, "net_tap0", "15-17");
	says(&scene->plan.faults, "no worker may run on cores 16-17:");
}

static void test_no_core_for_the_main_thread(void **state)
{
	struct scene *scene = *state;

	file_put(scene, "proc/self/status", "Cpus_allowed_list:\t2-3");
	plan_for(scene, "net_tap0", "2-3");
	assert_string_equal(scene->plan.main_cpus, "2-3");
	says(&scene->plan.warnings, "they share cores 2-3 with the main thread");
}

/* --- Queues --------------------------------------------------------------------------- */

static void test_too_few_queues(void **state)
{
	struct scene *scene = *state;

	plan_for(scene, "net_af_packet0,iface=eth1,qpairs=2", "1-3");
	workers_are(&scene->plan, "1-2");
	says(&scene->plan.warnings, "core 3 of `workers: 1-3` is not used");
	says(&scene->plan.warnings, "has 2: write `qpairs=3` into its `device:`");
	assert_int_equal(scene->plan.faults.count, 0);
}

static void test_the_narrowest_decides(void **state)
{
	struct scene *scene = *state;

	interface_add(scene, "net_vhost0,iface=/run/a,queues=3");
	interface_add(scene, "net_vhost1,iface=/run/b,queues=2");
	plan_for(scene, "net_null0", "1-3,5");
	workers_are(&scene->plan, "1-2");
	says(&scene->plan.warnings, "cores 3,5 of");
	says(&scene->plan.warnings, "up1 (`net_vhost1,iface=/run/b,queues=2`) has 2:");
}

static void test_unpolled_queues_are_refused(void **state)
{
	struct scene *scene = *state;

	plan_for(scene, "net_af_packet0,iface=eth1,qpairs=4", "1-2");
	says(&scene->plan.faults, "spreads packets over 4 queues, but 2 workers would serve them: "
				  "write `qpairs=2`, or name 4 cores");
}

static void test_queues_beyond_the_card(void **state)
{
	struct scene *scene = *state;
	const struct plan *plan =
		plan_for(scene, "net_af_xdp0,iface=eth1,start_queue=3,queue_count=2", "1-2");

	assert_int_equal(plan->ports[0].first_queue, 3);
	says(&plan->warnings, "listens at queues 3 to 4 of eth1, which has 4: `ethtool -L eth1 "
			      "combined 5`");
}

static void test_a_shared_card_with_few_queues(void **state)
{
	struct scene *scene = *state;

	nic_put(scene, "0000:19:00.0", 0, "mlx5_core", true);
	file_put(scene, PCI_DIR "0000:19:00.0/net/eth2/queues/rx-0/x", "0");
	file_put(scene, PCI_DIR "0000:19:00.0/net/eth2/queues/tx-0/x", "0");
	link_put(scene, "sys/class/net/eth2", "../../bus/pci/devices/0000:19:00.0/net/eth2");
	plan_for(scene, "0000:19:00.0", "2-3");
	assert_int_equal(scene->plan.faults.count, 0);
	says(&scene->plan.warnings, "each of 2 workers, and the kernel's driver runs 1 on eth2");
}

/* --- Cards ---------------------------------------------------------------------------- */

static void test_card_without_driver(void **state)
{
	struct scene *scene = *state;
	const struct plan *plan = plan_for(scene, "3b:00.1", "auto");

	says(&plan->faults, "interface up0 should use the PCI device 3b:00.1, which no driver has");
	says(&plan->faults, "dpdk-devbind.py --bind=vfio-pci " BARE_NIC "` hands it over");
	says(&plan->faults, "no IOMMU, which vfio-pci needs");
	workers_are(plan, "15"); /* of node 1, driver or not */
}

static void test_card_that_the_kernel_has(void **state)
{
	struct scene *scene = *state;
	const struct plan *plan = plan_for(scene, KERNEL_NIC, "auto");

	says(&plan->faults, "which the kernel's driver ixgbe has as eth1");
	says_nothing_of(&plan->faults, "IOMMU");
}

static void test_card_that_does_not_exist(void **state)
{
	struct scene *scene = *state;

	plan_for(scene, "0000:99:00.0", "auto");
	says(&scene->plan.faults, "which does not exist here; `dpdk-devbind.py --status-dev net`");
}

/* --- Memory: 16 MiB of packets are 32 pages of 2 MiB ---------------------------------- */

static void test_pages_short_by_one(void **state)
{
	struct scene *scene = *state;
	char line[PLAN_EAL_BYTES];

	pages_put(scene, PAGES_2M, 31, 0);
	file_put(scene, "sys/kernel/mm/hugepages/" PAGES_2M "nr_hugepages", "40");
	plan_for(scene, "net_tap0", "2");
	assert_int_equal(scene->plan.packets.page, MACHINE_PAGE_4K);
	says(&scene->plan.warnings, "packets lie in 4 KiB pages, because too few 2 MiB pages are "
				    "free, 31 of 32; `sysctl vm.nr_hugepages=41`");
	plan_eal_format(&scene->plan, line);
	assert_non_null(strstr(line, "--no-shconf --no-huge -m 64 --no-pci"));
}

/* A card that no IOMMU stands before has to be told where in memory its packets lie. */
static void test_small_pages_without_an_iommu(void **state)
{
	struct scene *scene = *state;

	pages_put(scene, PAGES_2M, 0, 31);
	nic_put(scene, "0000:3b:00.2", 1, "uio_pci_generic", false);
	plan_for(scene, "0000:3b:00.2", "auto");
	says(&scene->plan.faults,
	     "interface up0 takes packets in huge pages alone, since the driver "
	     "uio_pci_generic has no IOMMU, but too few 2 MiB pages are free, 31 "
	     "of 32; `");
	says_nothing_of(&scene->plan.warnings, "4 KiB");
}

static void test_small_pages_with_an_iommu(void **state)
{
	struct scene *scene = *state;

	pages_put(scene, PAGES_2M, 0, 31);
	plan_for(scene, VFIO_NIC, "auto");
	assert_int_equal(scene->plan.faults.count, 0);
	says(&scene->plan.warnings, "packets lie in 4 KiB pages, because too few");
}

static void test_pages_just_enough(void **state)
{
	struct scene *scene = *state;

	pages_put(scene, PAGES_2M, 32, 0);
	plan_for(scene, "net_tap0", "2");
	assert_int_equal(scene->plan.packets.page, MACHINE_PAGE_2M);
	assert_int_equal(scene->plan.packets.node, 0);
	says_nothing_of(&scene->plan.warnings, "pages");
}

static void test_pages_of_1_gib(void **state)
{
	struct scene *scene = *state;

	pages_put(scene, PAGES_2M, 0, 31);
	pages_put(scene, PAGES_1G, 0, 1);
	plan_for(scene, VFIO_NIC, "6");
	assert_int_equal(scene->plan.packets.page, MACHINE_PAGE_1G);
	assert_int_equal(scene->plan.packets.node, 1);
	says_nothing_of(&scene->plan.warnings, "pages");
}

/* Where sysctl would make pages of another size. */
static void test_pages_by_their_size(void **state)
{
	struct scene *scene = *state;

	file_put(scene, "proc/meminfo", "Hugepagesize:    1048576 kB");
	plan_for(scene, "net_tap0", "2");
	says(&scene->plan.warnings,
	     "`echo 32 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages`");
}

static void test_flows_take_pages_first(void **state)
{
	struct scene *scene = *state;

	pages_put(scene, PAGES_2M, 41, 0);
	interface_add(scene, "net_tap0");
	plan_with(scene, "2", 16 * MIB, 20 * MIB);
	assert_int_equal(scene->plan.flows.page, MACHINE_PAGE_2M);
	assert_int_equal(scene->plan.packets.page, MACHINE_PAGE_4K);
	says(&scene->plan.warnings, "31 of 32; `sysctl vm.nr_hugepages=42`");
	pages_put(scene, PAGES_2M, 42, 0);
	plan_with(scene, "2", 16 * MIB, 20 * MIB);
	assert_int_equal(scene->plan.packets.page, MACHINE_PAGE_2M);
	/* Flows that don't fit leave the pages to the packets. */
	plan_with(scene, "2", 16 * MIB, 86 * MIB);
	assert_int_equal(scene->plan.flows.page, MACHINE_PAGE_4K);
	assert_int_equal(scene->plan.packets.page, MACHINE_PAGE_2M);
}

static void test_pages_on_another_node(void **state)
{
	struct scene *scene = *state;

	pages_put(scene, PAGES_2M, 10, 30);
	plan_for(scene, VFIO_NIC, "6");
	assert_int_equal(scene->plan.packets.page, MACHINE_PAGE_2M);
	assert_int_equal(scene->plan.packets.node, MACHINE_NO_NODE);
	says(&scene->plan.warnings, "node 1 has 30 free pages of the 32");
	says(&scene->plan.warnings, "`echo 32 > /sys/devices/system/node/node1/hugepages/"
				    "hugepages-2048kB/nr_hugepages`");
}

/* DPDK would abort: its main thread has no core where the pages are, and takes its own memory where
 * it runs. */
static void test_pages_where_the_main_thread_is_not(void **state)
{
	struct scene *scene = *state;

	isolate(scene, "4-7,12-15", "0-3,8-11");
	pages_put(scene, PAGES_2M, 23, 40);
	plan_for(scene, VFIO_NIC, "6");
	assert_string_equal(scene->plan.main_cpus, "0-3,8-11");
	assert_int_equal(scene->plan.packets.page, MACHINE_PAGE_4K);
	says(&scene->plan.warnings,
	     "DPDK needs 24 free 2 MiB pages on node 0, where its main thread runs, and 23 are "
	     "there; `echo 24 > /sys/devices/system/node/node0/hugepages/hugepages-2048kB/"
	     "nr_hugepages`");
	/* Packets alone are 8 pages. */
	pages_put(scene, PAGES_2M, 24, 8);
	plan_with(scene, "6", 16 * MIB, 0);
	assert_int_equal(scene->plan.packets.page, MACHINE_PAGE_2M);
	assert_int_equal(scene->plan.packets.node, 1);
	says_nothing_of(&scene->plan.warnings, "pages");
}

static void test_flows_and_packets_on_one_node(void **state)
{
	struct scene *scene = *state;

	pages_put(scene, PAGES_2M, 30, 41); /* 10 and 32 are wanted */
	interface_add(scene, VFIO_NIC);
	plan_with(scene, "6", 16 * MIB, 20 * MIB);
	assert_int_equal(scene->plan.flows.node, 1);
	assert_int_equal(scene->plan.packets.node, MACHINE_NO_NODE);
	says(&scene->plan.warnings,
	     "node 1 has 31 free pages of the 32 that they take; `echo 42 >");
	pages_put(scene, PAGES_2M, 60, 9);
	plan_with(scene, "6", 16 * MIB, 20 * MIB);
	assert_int_equal(scene->plan.flows.page, MACHINE_PAGE_2M);
	assert_int_equal(scene->plan.flows.node, MACHINE_NO_NODE);
}

static void test_pages_that_the_kernel_refuses(void **state)
{
	struct scene *scene = *state;

	interface_add(scene, "net_tap0");
	pages_put(scene, PAGES_2M, 64, 0);
	machine_read(&scene->machine, scene->root);
	scene->machine.pages.free[MACHINE_PAGE_2M] = 0; /* as machine_ask() does */
	scene->machine.pages_refused[MACHINE_PAGE_2M] = true;
	plan_cores(&scene->plan, &scene->machine, &scene->ports, "2");
	plan_memory(&scene->plan, &scene->machine, 16 * MIB, 0);
	assert_int_equal(scene->plan.packets.page, MACHINE_PAGE_4K);
	says(&scene->plan.warnings, "the kernel refuses this process the 2 MiB pages");
}

/* --- What is printed ------------------------------------------------------------------ */

static void printed(const struct scene *scene, bool json, char *out, size_t out_bytes)
{
	FILE *file = fmemopen(out, out_bytes, "w");

	assert_non_null(file);
	if (json)
		assert_true(plan_print_json(&scene->plan, &scene->machine, file));
	else
		plan_print(&scene->plan, &scene->machine, file);
	assert_int_equal(fclose(file), 0);
}

static void test_text(void **state)
{
	struct scene *scene = *state;
	char text[8192];

	isolate(scene, "6-7,14-15", "0-5,8-13");
	pages_put(scene, PAGES_2M, 0, 32);
	interface_add(scene, "net_tap0,iface=lb0");
	plan_for(scene, VFIO_NIC, "auto");
	printed(scene, false, text, sizeof(text));
	assert_string_equal(
		text,
		"machine\n"
		"  cores 0-15 on 2 nodes, isolated: 6-7,14-15\n"
		"  node 0: free huge pages: 0 of 2 MiB, 0 of 1 GiB\n"
		"  node 1: free huge pages: 32 of 2 MiB, 0 of 1 GiB\n"
		"  NIC 0000:18:00.0 eth1: driver ixgbe, node 0, the kernel runs 4 queues\n"
		"  NIC 0000:3b:00.0: driver vfio-pci, node 1\n"
		"  NIC 0000:3b:00.1: driver none, node 1, no IOMMU\n"
		"interfaces\n"
		"  up0: net_tap0,iface=lb0, 16 pairs of queues\n"
		"  up1: 0000:3b:00.0, node 1, its queues are known when it is open\n"
		"workers\n"
		"  2 workers on cores 6-7 (auto: all that are isolated, one hyperthread of each "
		"core)\n"
		"  worker 0: core 6, node 1, polls queue 0 of up0, queue 0 of up1\n"
		"  worker 1: core 7, node 1, polls queue 1 of up0, queue 1 of up1\n"
		"  main thread: sleeps on 4-5,12-13\n"
		"memory\n"
		"  packets: 17 MB in 2 MiB pages of node 1\n"
		"  flows: none\n"
		"DPDK gets\n"
		"  --lcores=0@(4-5,12-13),1@6,2@7 --no-telemetry --log-level=pmd.net.tap:critical "
		"--log-level=*:warning --log-level=lib.eal:error --in-memory -a 0000:3b:00.0\n");
}

static void assert_json_integer(const json_t *object, const char *key, u64 value)
{
	assert_true(json_is_integer(json_object_get(object, key)));
	assert_int_equal(json_integer_value(json_object_get(object, key)), value);
}

static void test_json(void **state)
{
	struct scene *scene = *state;
	char text[16384];
	json_t *json, *worker, *queue, *memory;

	plan_for(scene, "net_af_xdp0,iface=eth1,start_queue=1,queue_count=2", "2-4");
	printed(scene, true, text, sizeof(text));
	json = json_loads(text, 0, NULL);
	assert_non_null(json);
	assert_int_equal(json_array_size(json_object_get(json, "workers")), 2);
	worker = json_array_get(json_object_get(json, "workers"), 1);
	assert_json_integer(worker, "core", 3);
	queue = json_array_get(json_object_get(worker, "queues"), 0);
	assert_json_integer(queue, "queue", 2);
	assert_string_equal(json_string_value(json_object_get(queue, "interface")), "up0");
	assert_string_equal(json_string_value(json_array_get(json_object_get(json, "eal"), 0)),
			    "--lcores=0@(0-1,8-11),1@2,2@3");
	assert_int_equal(json_array_size(json_object_get(json, "warnings")),
			 scene->plan.warnings.count);
	memory = json_object_get(json, "memory");
	assert_json_integer(json_object_get(memory, "packets"), "node", 0); /* eth1's */
	assert_json_integer(json_object_get(memory, "packets"), "bytes", 16 * MIB);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_test_between(test_machine_is_read),
		unit_test_between(test_reserved_pages_are_not_free),
		unit_test_between(test_virtio_nic_has_its_interface),
		unit_test_between(test_nothing_to_read),
		unit_test_between(test_auto_takes_cores_of_the_nics_node),
		unit_test_between(test_auto_takes_all_for_virtual_devices),
		unit_test_between(test_auto_without_isolation_takes_the_last),
		unit_test_between(test_auto_without_isolation_stays_near),
		unit_test_between(test_auto_takes_what_there_is_afar),
		unit_test_between(test_wrong_node_is_told),
		unit_test_between(test_only_the_far_ones_are_told),
		unit_test_between(test_cards_on_two_nodes),
		unit_test_between(test_twins_are_told),
		unit_test_between(test_busy_siblings_are_told),
		unit_test_between(test_timer_is_told),
		unit_test_between(test_cores_that_are_not_there),
		unit_test_between(test_no_core_for_the_main_thread),
		unit_test_between(test_too_few_queues),
		unit_test_between(test_the_narrowest_decides),
		unit_test_between(test_unpolled_queues_are_refused),
		unit_test_between(test_queues_beyond_the_card),
		unit_test_between(test_a_shared_card_with_few_queues),
		unit_test_between(test_card_without_driver),
		unit_test_between(test_card_that_the_kernel_has),
		unit_test_between(test_card_that_does_not_exist),
		unit_test_between(test_pages_short_by_one),
		unit_test_between(test_small_pages_without_an_iommu),
		unit_test_between(test_small_pages_with_an_iommu),
		unit_test_between(test_pages_just_enough),
		unit_test_between(test_pages_of_1_gib),
		unit_test_between(test_pages_by_their_size),
		unit_test_between(test_flows_take_pages_first),
		unit_test_between(test_pages_on_another_node),
		unit_test_between(test_pages_where_the_main_thread_is_not),
		unit_test_between(test_flows_and_packets_on_one_node),
		unit_test_between(test_pages_that_the_kernel_refuses),
		unit_test_between(test_text),
		unit_test_between(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
