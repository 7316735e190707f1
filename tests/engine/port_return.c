/* SPDX-License-Identifier: BSD-2-Clause */
/* A port whose device has gone takes up the one that comes in its place: with the MAC that the world
 * knows, and not with fewer queues than there are workers. The device is net_null, under DPDK itself. */
#include "dataplane/dpdk/dpdk.h"

#include <errno.h>
#include <string.h>

#include "dataplane/dpdk/eal.h"
#include "dataplane/dpdk/port.h"
#include "dataplane/session/message.h"
#include "tests/unit/cmocka_help.h"

enum { WORKERS = 2, WORKERS_TOO_MANY = 5000 };

static struct ports ports;
static const struct config_interface interface = {.name = "up0", .device = "net_null0"};

static int setup(void **state)
{
	static const int cpus[WORKERS] = {0, 0};
	static struct eal_line line;
	struct eal_setup setup = {
		.program = "port_return",
		.main_cpus = "0",
		.worker_cpus = cpus,
		.workers_count = WORKERS,
	};

	ports_prepare(&ports, &interface, 1);
	setup.memory_bytes = ports_memory_bytes(&ports, WORKERS);
	eal_line_make(&line, &setup);
	return eal_start(&line) || ports_open(&ports, WORKERS);
}

static int teardown(void **state)
{
	ports_close(&ports);
	return rte_eal_cleanup();
}

static void leave(struct port *port)
{
	port->link = PORT_LINK_GONE;
	port_leave(port);
	assert_int_equal(rte_eth_dev_count_avail(), 0);
	assert_false(port->open || port->started);
}

static void it_keeps_its_mac(void **state)
{
	struct port *port = &ports.list[0];
	struct station before = port->station;
	struct rte_ether_addr own;

	leave(port);
	assert_int_equal(port_return(&ports, port), 0);
	assert_true(port->open && port->started);
	assert_memory_equal(port->station.mac, before.mac, 6);
	assert_int_equal(rte_eth_macaddr_get(port->id, &own), 0);
	assert_memory_not_equal(own.addr_bytes, before.mac,
				6); /* net_null makes one up each time */
}

static void fewer_queues_do_not_do(void **state)
{
	struct port *port = &ports.list[0];

	leave(port);
	ports.workers_count = WORKERS_TOO_MANY;
	assert_int_equal(port_return(&ports, port), -EINVAL);
	assert_non_null(strstr(port->said, "fewer than the 5000 workers that run: a restart of "));
	assert_int_equal(rte_eth_dev_count_avail(), 0);
	ports.workers_count = WORKERS;
	assert_int_equal(port_return(&ports, port), 0);
	assert_string_equal(port->said, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_keeps_its_mac),
		cmocka_unit_test(fewer_queues_do_not_do),
	};

	message_program = "port_return";
	return cmocka_run_group_tests(tests, setup, teardown);
}
