/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports: the configuration's interfaces as DPDK devices, one receive and one transmit queue
 * each. Their buffers come from one pool. */
#ifndef SHUNT_DPDK_PORT_H
#define SHUNT_DPDK_PORT_H

#include "config/config.h"
#include "dataplane/core/packet.h"
#include "dataplane/state/attach.h"

#define PORTS_MAX CONFIG_INTERFACES_MAX

struct rte_mempool;

enum port_kind { PORT_PCI, PORT_TAP, PORT_AF_PACKET, PORT_OTHER };

struct port {
	const struct config_interface *config;
	char kernel_name[16]; /* of net_af_packet: the interface that it listens at; else of the
			       * exception port; empty: none */
	enum port_kind kind;
	u16 id;  /* DPDK's number */
	u16 mtu; /* bytes of an IP packet */
	u16 rx_descriptors, tx_descriptors;
	bool open, started;
	bool exception; /* what is passed goes to the kernel_name */
	struct station station;
};

struct ports {
	struct port list[PORTS_MAX];
	u32 count;
	struct rte_mempool *pool;
	struct rte_mempool *kernel_pool; /* for what the kernel sends; NULL: nothing */
};

/* Takes the interfaces and finds what is missing on this machine before DPDK starts: device
 * files, privileges, interfaces. All of it is said; returns 0 or -ENODEV. */
int ports_prepare(struct ports *ports, const struct config_interface *interfaces, size_t count)
	__attribute__((warn_unused_result));

/* Bytes that the pool will take. */
u64 ports_memory_bytes(const struct ports *ports);

/* Opens the devices, makes the pool and starts every port. On failure says why, closes what was
 * opened and returns -errno. */
int ports_open(struct ports *ports) __attribute__((warn_unused_result));
void ports_close(struct ports *ports);

/* Whether the device has taken the whole wire from the kernel, which is to have its share. */
bool port_wants_exception(const struct port *port);

/* A port as shuntd needs to know it. */
void port_describe(const struct port *port, struct attach_port *out);

#endif
