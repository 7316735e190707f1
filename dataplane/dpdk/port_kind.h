/* SPDX-License-Identifier: BSD-2-Clause */
/* Kinds of devices, and all that sets one kind apart from another. */
#ifndef SHUNT_DPDK_PORT_KIND_H
#define SHUNT_DPDK_PORT_KIND_H

#include "dataplane/core/base.h"

struct port_kind {
	const char *driver; /* "net_tap" of "net_tap0,iface=lb0"; NULL: a PCI address */

	/* Whether it can be opened; if not, the rest of a sentence that begins with "interface
	 * NAME". NULL: nothing of it can be missing. */
	bool (*check)(const char *device, u32 mtu, char *text, size_t text_bytes);

	bool pci;

	/* Whom its packets reach beside us. With neither, the kernel is at the wire's other end,
	 * or nobody is. */
	bool kernel_sees_all; /* the kernel has every packet anyway, so what is its is not lost */
	bool takes_whole_nic; /* the kernel has no packet but those that we hand it */
	bool leads_nowhere;   /* no wire, so that the kernel has no share in it */

	const char
		*queues_option; /* of the device string, that says how many pairs it has; or NULL */
	u16 queues_default;     /* pairs without that option; 0: only the open device tells */
	bool spreads_always;    /* over all its queues, polled or not */

	bool has_iface;         /* `iface=` names the kernel's interface that it stands on */
	bool kernel_is_peer;    /* the kernel's end of the wire has the device's own MAC */
	bool filters_mac;       /* receives for its own MAC alone unless told otherwise */
	bool shares_memory;     /* the other end maps our memory, by few descriptors */
	bool xdp_sockets;       /* the kernel keeps the interface, and a program gives us packets */
	bool frame_in_page;     /* a buffer and what belongs to it has to fit one page */
	u16 front_bytes;        /* that the kernel keeps for itself before each frame */
	bool mtu_limit_is_real; /* sends no more than the limit that it tells */
	bool keeps_buffers;     /* whoever closes it does not get its packet buffers back */
	bool swallows;          /* takes what is sent on a dead link as if it had been sent */
};

/* The kind of the device that a string names; a driver of which nothing is known has a kind of
 * its own, that checks nothing. Never NULL. */
const struct port_kind *port_kind_of(const char *device);

#endif
