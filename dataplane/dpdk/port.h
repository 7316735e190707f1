/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports: the configuration's interfaces as DPDK devices, with a pair of queues (one to receive,
 * one to transmit) for each worker. Their buffers come from one pool. */
#ifndef SHUNT_DPDK_PORT_H
#define SHUNT_DPDK_PORT_H

#include "config/config.h"
#include "dataplane/core/packet.h"
#include "dataplane/dpdk/port_kind.h"
#include "dataplane/state/attach.h"

#define PORTS_MAX CONFIG_INTERFACES_MAX
#define PORT_SAID_BYTES 1024

struct rte_mempool;

enum port_link { PORT_LINK_UP, PORT_LINK_DOWN, PORT_LINK_GONE };

/* What workers may do with a port. */
enum port_use {
	PORT_USED,
	PORT_MUTE, /* they send nothing there */
	PORT_LEFT, /* nor do they poll it: there is no device */
};

struct port {
	const struct config_interface *config;
	const struct port_kind *kind;
	char kernel_name[16]; /* of the exception port; else the value of `iface=`, where the kind
			       * has one; else empty */
	enum port_use use;    /* links.c writes it, workers read it */
	u16 id;               /* DPDK's number */
	u16 mtu;              /* bytes of an IP packet */
	u16 rx_descriptors, tx_descriptors; /* of each queue */
	u32 queues_max;                     /* pairs that the device has, once it is open */
	bool open, started;
	enum port_link link; /* as last seen: the main thread's */
	bool exception;      /* what is passed goes to the kernel_name */
	bool steered; /* shunt's own program is below: what is the kernel's never gets here */
	struct station station;
	char said[PORT_SAID_BYTES]; /* last complaint: the same one isn't repeated */
};

static inline enum port_use port_use(const struct port *port)
{
	return __atomic_load_n(&port->use, __ATOMIC_ACQUIRE); /* port_use_set() */
}

static inline void port_use_set(struct port *port, enum port_use use)
{
	__atomic_store_n(&port->use, use, __ATOMIC_RELEASE);
}

struct ports {
	struct port list[PORTS_MAX];
	u32 count;
	u32 workers_count;            /* pairs of queues that each port runs */
	const struct port *narrowest; /* that has fewer pairs than were wanted; NULL: none */
	int node;                     /* whose memory is preferred; SOCKET_ID_ANY */
	struct rte_mempool *pool;
	struct rte_mempool *kernel_pool; /* for what the kernel sends; NULL: nothing */
};

/* Takes the interfaces. */
void ports_prepare(struct ports *ports, const struct config_interface *interfaces, size_t count);

/* Finds what they lack on this machine before DPDK starts: device files, privileges, interfaces.
 * All of it is said; returns 0 or -ENODEV. */
int ports_check(const struct ports *ports) __attribute__((warn_unused_result));

/* Bytes that the pool for so many workers will take. */
u64 ports_memory_bytes(const struct ports *ports, u32 workers_count);

/* Opens the devices, makes the pool and starts every port for so many workers, or for as many as
 * every device has queues for. On failure says why, closes what was opened and returns -errno. */
int ports_open(struct ports *ports, u32 workers_wanted) __attribute__((warn_unused_result));
void ports_close(struct ports *ports);

/* Says a complaint of a port unless it was the last one. */
void port_complain(struct port *port, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Gives up the device of a port that no worker uses any more; opens the one that has come in its
 * place. The port keeps its MAC. On failure says why, once, and returns -errno. */
void port_leave(struct port *port);
int port_return(const struct ports *ports, struct port *port) __attribute__((warn_unused_result));

/* Whether the device has taken the whole wire from the kernel, which is to have its share. */
bool port_wants_exception(const struct port *port);

/* A port as shuntd needs to know it. */
void port_describe(const struct port *port, struct attach_port *out);

#endif
