/* SPDX-License-Identifier: BSD-2-Clause */
/* Nothing is negotiated on: no checksum offload, no LRO, no scatter. A buffer holds a whole
 * frame of the port's MTU; where a device chains buffers all the same, relay.c copes.
 *
 * Buffers are sized in whole KiB, because some cards (ixgbe) take the size in that unit, rounded
 * down, and would split every full frame. 24 bytes of private area move the frame of an
 * encapsulated small packet into one cache line with its outer IPv4 header: 128 bytes of mbuf,
 * 24, 128 of headroom put the Ethernet header 24 bytes into a line, and IPIP grows by 20.
 *
 * Ports are started at once but polled only when there are tables: a net_tap device has to be
 * started before its interface moves into another namespace, and a card's link takes seconds. */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/port.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/dpdk/device_check.h"
#include "dataplane/dpdk/eal_line.h"
#include "dataplane/dpdk/lane.h"
#include "dataplane/dpdk/plan.h"
#include "dataplane/session/message.h"

#define FRAME_OVERHEAD_BYTES 22 /* Ethernet header and two VLAN tags */
#define PRIVATE_BYTES 24
/* An mbuf in its pool, without the data. */
#define MBUF_BYTES                                                                                 \
	((u32)(sizeof(struct rte_mempool_objhdr) + sizeof(struct rte_mbuf) + PRIVATE_BYTES))
#define POOL_CACHE 256
#define POOL_IN_HAND (2 * POOL_CACHE + 64)
#define DESCRIPTORS_MAX 1024
#define DATA_ROOM_MAX (63 * 1024)
#define MTU_DEFAULT 1500
#define KERNEL_FRAMES 1023 /* on their way from the kernel to the wire */

static const u8 no_mac[6];

void port_complain(struct port *port, const char *format, ...)
{
	char text[sizeof(port->said)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (message_is_new(port->said, sizeof(port->said), text))
		message("interface %s%s", port->config->name, text);
}

/* --- Before DPDK starts --------------------------------------------------------------- */

bool port_wants_exception(const struct port *port)
{
	return port->config->exception != CONFIG_EXCEPTION_OFF && !port->kind->kernel_sees_all &&
	       !port->kind->leads_nowhere && !port->steered;
}

/* Whether the main thread has anything to send. */
static bool ports_have_kernel(const struct ports *ports)
{
	for (u32 i = 0; i < ports->count; i++)
		if (port_wants_exception(&ports->list[i]) ||
		    (ports->list[i].station.answers && !ports->list[i].steered))
			return true;
	return false;
}

static void port_prepare(struct port *port, const struct config_interface *config)
{
	*port = (struct port){
		.config = config,
		.kind = port_kind_of(config->device),
		.mtu = config->mtu,
		.station.answers = config->answer == CONFIG_ANSWER_ARP,
		.rx_descriptors = DESCRIPTORS_MAX,
		.tx_descriptors = DESCRIPTORS_MAX,
	};
	if (port->kind->has_iface) {
		config_device_option(config->device, "iface", port->kernel_name,
				     sizeof(port->kernel_name));
		if (port->mtu == 0)
			port->mtu = device_kernel_mtu(port->kernel_name);
	}
	if (port->mtu == 0)
		port->mtu = MTU_DEFAULT;
}

static bool port_check(const struct port *port)
{
	const char *device = port->config->device;
	char text[512];

	if (!port->kind->check || port->kind->check(device, port->mtu, text, sizeof(text)))
		return true;
	message("interface %s %s", port->config->name, text);
	return false;
}

static u32 data_room_bytes(const struct ports *ports)
{
	u32 need = MTU_DEFAULT;
	u32 room;

	for (u32 i = 0; i < ports->count; i++) {
		const struct port *port = &ports->list[i];

		if (port->mtu + port->kind->front_bytes > need)
			need = port->mtu + port->kind->front_bytes;
	}
	room = (need + FRAME_OVERHEAD_BYTES + 1023) / 1024 * 1024;
	return RTE_PKTMBUF_HEADROOM + (room > DATA_ROOM_MAX ? DATA_ROOM_MAX : room);
}

/* One pool serves all ports: the one with the largest MTU decides. */
static bool port_check_buffers(const struct ports *ports, const struct port *port)
{
	u32 page_bytes = (u32)sysconf(_SC_PAGESIZE);
	u32 beside_bytes = RTE_PKTMBUF_HEADROOM + MBUF_BYTES;

	if (!port->kind->frame_in_page || data_room_bytes(ports) + MBUF_BYTES <= page_bytes)
		return true;
	message("interface %s needs each packet in one page of memory (%s): set `mtu: %u`, or "
		"less, on every interface",
		port->config->name, port->kind->driver,
		(page_bytes - beside_bytes) / 1024 * 1024 - FRAME_OVERHEAD_BYTES -
			port->kind->front_bytes);
	return false;
}

void ports_prepare(struct ports *ports, const struct config_interface *interfaces, size_t count)
{
	*ports = (struct ports){.count = (u32)count, .node = SOCKET_ID_ANY};
	for (size_t i = 0; i < count; i++)
		port_prepare(&ports->list[i], &interfaces[i]);
}

int ports_check(const struct ports *ports)
{
	int err = 0;

	for (u32 i = 0; i < ports->count; i++)
		if (!port_check(&ports->list[i]))
			err = -ENODEV;
	for (u32 i = 0; i < ports->count; i++)
		if (!port_check_buffers(ports, &ports->list[i]))
			err = -ENODEV;
	return err;
}

/* --- Pool ----------------------------------------------------------------------------- */

/* Every worker has what its queues and its lane hold and a cache of its own, large enough for it
 * never to touch what they share. The main thread has a cache too. */
static u32 pool_count(const struct ports *ports, u32 workers_count)
{
	u32 each = POOL_IN_HAND + LANE_ENTRIES;

	for (u32 i = 0; i < ports->count; i++)
		each += ports->list[i].rx_descriptors + ports->list[i].tx_descriptors;
	return rte_align32pow2(each * workers_count + POOL_IN_HAND) - 1;
}

u64 ports_memory_bytes(const struct ports *ports, u32 workers_count)
{
	u64 each = sizeof(struct rte_mbuf) + PRIVATE_BYTES + data_room_bytes(ports) + 192;
	u64 count = pool_count(ports, workers_count);

	return (count + (ports_have_kernel(ports) ? KERNEL_FRAMES : 0)) * each;
}

static int pool_create(struct ports *ports)
{
	u32 count = pool_count(ports, ports->workers_count);

	ports->pool = rte_pktmbuf_pool_create("shunt", count, POOL_CACHE, PRIVATE_BYTES,
					      (u16)data_room_bytes(ports), ports->node);
	if (!ports->pool && ports->node != SOCKET_ID_ANY) { /* a preference */
		ports->node = SOCKET_ID_ANY;
		return pool_create(ports);
	}
	/* Taken from by the main thread alone, and without caches: see lane.h. */
	if (ports->pool && ports_have_kernel(ports))
		ports->kernel_pool =
			rte_pktmbuf_pool_create_by_ops("shunt-kernel", KERNEL_FRAMES, 0,
						       PRIVATE_BYTES, (u16)data_room_bytes(ports),
						       ports->node, "ring_mp_sc");
	if (ports->pool && (ports->kernel_pool || !ports_have_kernel(ports)))
		return 0;
	message("no memory for %u packet buffers of %u bytes (%s): free some, or lower `mtu:`",
		count, data_room_bytes(ports), rte_strerror(rte_errno));
	return -ENOMEM;
}

/* --- Opening -------------------------------------------------------------------------- */

/* "net_tap0" of "net_tap0,iface=lb0"; a PCI address in full. */
static void device_name(const char *device, char *out, size_t out_bytes)
{
	bool lacks_domain = eal_device_is_pci(device) && device[2] == ':';

	snprintf(out, out_bytes, "%s%.*s", lacks_domain ? "0000:" : "", (int)strcspn(device, ","),
		 device);
}

static void station_choose(struct port *port, const struct rte_ether_addr *device_mac)
{
	struct station *station = &port->station;
	const u8 *mac = station->mac;

	if (memcmp(port->config->mac, no_mac, 6) != 0) {
		memcpy(station->mac, port->config->mac, 6);
		return;
	}
	memcpy(station->mac, device_mac->addr_bytes, 6);
	if (!port->kind->kernel_is_peer)
		return;
	station->mac[0] |= RTE_ETHER_LOCAL_ADMIN_ADDR;
	station->mac[5] ^= 1;
	message("interface %s: the balancer's MAC is %02x:%02x:%02x:%02x:%02x:%02x, since the "
		"kernel's end of the tap has the device's own",
		port->config->name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void signal_ignore(int number)
{
}

/* net_tap takes the first free real-time signal and has the kernel send it for every frame, to
 * save a read when there is none. That wakes the main thread for every frame, or interrupts the
 * worker, and costs nine tenths of what a tap can forward. Where no signal is free, it polls. */
static void tap_signals_take(void)
{
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
		signal(number, signal_ignore);
}

static void signal_end(int number)
{
	_exit(0);
}

/* net_virtio_user with `server=1` doesn't return before its peer has come, which may be never:
 * until then signals, which are blocked for the main thread to read, have to end the program. */
static int device_probe(const struct port *port)
{
	struct sigaction end = {.sa_handler = signal_end}, term, interrupt;
	char server[4];
	sigset_t set, before;
	int err;

	config_device_option(port->config->device, "server", server, sizeof(server));
	if (!port->kind->shares_memory || strcmp(server, "1") != 0)
		return rte_dev_probe(port->config->device);
	message("interface %s: waits for its peer to connect to `%s`", port->config->name,
		port->config->device);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaction(SIGTERM, &end, &term);
	sigaction(SIGINT, &end, &interrupt);
	sigprocmask(SIG_UNBLOCK, &set, &before);
	err = rte_dev_probe(port->config->device);
	sigprocmask(SIG_SETMASK, &before, NULL);
	sigaction(SIGTERM, &term, NULL);
	sigaction(SIGINT, &interrupt, NULL);
	return err;
}

/* DPDK has probed the cards that there were at its start. */
static int device_open(struct port *port, bool probed, struct rte_ether_addr *mac)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	int err = 0;

	device_name(port->config->device, name, sizeof(name));
	if (port->kind->kernel_is_peer)
		tap_signals_take();
	if (!probed)
		err = device_probe(port);
	if (err == 0)
		err = rte_eth_dev_get_port_by_name(name, &port->id);
	if (err == 0)
		err = rte_eth_macaddr_get(port->id, mac);
	if (err) {
		port_complain(port, ": DPDK cannot open the device `%s` (%s)%s",
			      port->config->device, rte_strerror(-err),
			      port->kind->pci
				      ? "; `dpdk-devbind.py --bind=vfio-pci ADDRESS` hands it over"
				      : "");
		return -ENODEV;
	}
	port->open = true;
	return 0;
}

static int port_open(struct port *port)
{
	struct rte_ether_addr mac;
	int err = device_open(port, port->kind->pci, &mac);

	if (err)
		return err;
	station_choose(port, &mac);
	if (port->kind->kernel_sees_all)
		message("interface %s: the kernel sees every packet of %s too, and fragments are "
			"not supported there; keep net.ipv4.ip_forward off, or it forwards them "
			"a second time",
			port->config->name, port->kernel_name);
	return 0;
}

/* --- Queues --------------------------------------------------------------------------- */

static int queues_learn(struct port *port)
{
	struct rte_eth_dev_info info;
	int err = rte_eth_dev_info_get(port->id, &info);

	port->queues_max = err                                       ? 0
			   : info.max_rx_queues < info.max_tx_queues ? info.max_rx_queues
								     : info.max_tx_queues;
	if (port->queues_max > 0)
		return 0;
	message("interface %s: the device `%s` has no queue to receive and send with",
		port->config->name, port->config->device);
	return -ENODEV;
}

/* Again, now that it is known how many workers the narrowest port has queues for. */
static int queues_check(const struct ports *ports)
{
	char text[PLAN_SAYS_BYTES];
	int err = 0;

	for (u32 i = 0; i < ports->count; i++) {
		const struct port *port = &ports->list[i];

		if (plan_polls_all(port, port->queues_max, ports->workers_count, text,
				   sizeof(text)))
			continue;
		message("%s", text);
		err = -EINVAL;
	}
	return err;
}

/* One pair a port and worker: as many workers as the narrowest port has pairs. */
static int queues_share_out(struct ports *ports, u32 workers_wanted)
{
	int err = 0;

	ports->workers_count = workers_wanted;
	ports->narrowest = NULL;
	for (u32 i = 0; i < ports->count && !err; i++) {
		err = queues_learn(&ports->list[i]);
		if (ports->list[i].queues_max >= ports->workers_count)
			continue;
		ports->workers_count = ports->list[i].queues_max;
		ports->narrowest = &ports->list[i];
	}
	return err ? err : queues_check(ports);
}

/* --- Starting ------------------------------------------------------------------------- */

/* The largest MTU that DPDK lets this device be configured with. */
static u32 mtu_limit(const struct rte_eth_dev_info *info)
{
	u32 overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
	u32 limit = info->max_mtu;

	if (info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu)
		overhead = info->max_rx_pktlen - info->max_mtu;
	if (info->max_rx_pktlen > overhead && info->max_rx_pktlen - overhead < limit)
		limit = info->max_rx_pktlen - overhead;
	return limit;
}

/* Flows are told apart by addresses and ports where the device can, else as it does by itself. */
static void rss_choose(const struct rte_eth_dev_info *info, u32 queues_count,
		       struct rte_eth_conf *conf)
{
	u64 kinds =
		(RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP) & info->flow_type_rss_offloads;

	if (queues_count == 1 || kinds == 0)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_hf = kinds;
}

static int port_configure(struct port *port, u32 queues_count)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	int err = rte_eth_dev_info_get(port->id, &info);
	u32 limit;

	if (err)
		return err;
	limit = mtu_limit(&info);
	if (port->mtu > limit && port->kind->pci) {
		message("interface %s: the device takes an MTU of %u at most", port->config->name,
			limit);
		return -EINVAL;
	}
	if (port->mtu > limit && port->kind->mtu_limit_is_real) {
		message("interface %s: %s sends packets of %u bytes at most, so its MTU is that "
			"and not %u",
			port->config->name, port->kind->driver, limit, port->mtu);
		port->mtu = (u16)limit;
	}
	/* Other virtual devices' limits are only nominal. */
	conf.rxmode.mtu = port->mtu > limit ? limit : port->mtu;
	rss_choose(&info, queues_count, &conf);
	err = rte_eth_dev_configure(port->id, (u16)queues_count, (u16)queues_count, &conf);
	if (err)
		return err;
	return rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &port->rx_descriptors,
						&port->tx_descriptors);
}

/* Groups: solicited nodes, and all that the kernel listens to. */
static void groups_receive(const struct port *port)
{
	if (!port->station.answers && !port_wants_exception(port))
		return;
	if (rte_eth_allmulticast_enable(port->id) != 0 &&
	    rte_eth_promiscuous_enable(port->id) != 0 && port->station.answers)
		message("interface %s: the device may not receive what is sent to groups, so that "
			"neighbour discovery for VIPs can fail there",
			port->config->name);
}

static int queues_setup(struct port *port, u32 queues_count, struct rte_mempool *pool)
{
	unsigned socket = (unsigned)rte_eth_dev_socket_id(port->id);
	int err = 0;

	for (u16 queue = 0; queue < queues_count && err == 0; queue++) {
		err = rte_eth_rx_queue_setup(port->id, queue, port->rx_descriptors, socket, NULL,
					     pool);
		if (err == 0)
			err = rte_eth_tx_queue_setup(port->id, queue, port->tx_descriptors, socket,
						     NULL);
	}
	return err;
}

static int port_start(struct port *port, u32 queues_count, struct rte_mempool *pool)
{
	struct rte_ether_addr mac;
	int err = port_configure(port, queues_count);

	if (err == 0)
		err = queues_setup(port, queues_count, pool);
	if (err == 0)
		err = rte_eth_dev_start(port->id);
	if (err) {
		port_complain(port,
			      ": DPDK cannot start the device `%s` with %u pair%s of queues, of %u "
			      "and %u descriptors each (%s): if it has no more, name fewer cores "
			      "in `workers:`",
			      port->config->device, queues_count, queues_count == 1 ? "" : "s",
			      port->rx_descriptors, port->tx_descriptors, rte_strerror(-err));
		return err;
	}
	port->started = true;
	groups_receive(port);
	if (port->kind->filters_mac && rte_eth_macaddr_get(port->id, &mac) == 0 &&
	    memcmp(mac.addr_bytes, port->station.mac, 6) != 0 &&
	    rte_eth_promiscuous_enable(port->id) != 0)
		message("interface %s: the device cannot receive for a MAC that is not its own; "
			"remove `mac:`",
			port->config->name);
	return 0;
}

int ports_open(struct ports *ports, u32 workers_wanted)
{
	int err = 0;

	for (u32 i = 0; i < ports->count && !err; i++)
		err = port_open(&ports->list[i]);
	if (!err)
		err = queues_share_out(ports, workers_wanted);
	if (!err)
		err = pool_create(ports);
	for (u32 i = 0; i < ports->count && !err; i++)
		err = port_start(&ports->list[i], ports->workers_count, ports->pool);
	if (err)
		ports_close(ports);
	return err;
}

/* What isn't there any more can't be stopped cleanly, which is no news. */
static void port_close(struct port *port)
{
	bool gone = port->link == PORT_LINK_GONE;

	if (port->started && rte_eth_dev_stop(port->id) != 0 && !gone)
		message("interface %s did not stop cleanly", port->config->name);
	if (port->open && rte_eth_dev_close(port->id) != 0 && !gone)
		message("interface %s did not close cleanly", port->config->name);
	port->started = port->open = false;
}

/* A closed port leaves its device with DPDK, which would not look for it again. */
void port_leave(struct port *port)
{
	struct rte_eth_dev_info info;

	if (!port->open || rte_eth_dev_info_get(port->id, &info) != 0)
		return;
	port_close(port);
	if (rte_dev_remove(info.device) != 0)
		port_complain(port, ": DPDK does not let the device `%s` go", port->config->device);
}

static int port_suffices(const struct ports *ports, struct port *port)
{
	int err = queues_learn(port);

	if (err || port->queues_max >= ports->workers_count)
		return err;
	port_complain(port,
		      ": its device `%s` is back with %u pair%s of queues, fewer than the %u "
		      "workers that run: a restart of shunt-dpdk makes do with them",
		      port->config->device, port->queues_max, port->queues_max == 1 ? "" : "s",
		      ports->workers_count);
	return -EINVAL;
}

int port_return(const struct ports *ports, struct port *port)
{
	struct rte_ether_addr mac;
	int err = device_open(port, false, &mac);

	if (err == 0)
		err = port_suffices(ports, port);
	if (err == 0)
		err = port_start(port, ports->workers_count, ports->pool);
	if (err == 0)
		port->said[0] = '\0';
	else
		port_leave(port);
	return err;
}

void ports_close(struct ports *ports)
{
	for (u32 i = 0; i < ports->count; i++)
		port_close(&ports->list[i]);
	rte_mempool_free(ports->pool);
	rte_mempool_free(ports->kernel_pool);
	ports->pool = ports->kernel_pool = NULL;
}

void port_describe(const struct port *port, struct attach_port *out)
{
	const char *device = port->kind->driver ? port->kind->driver : port->config->device;

	*out = (struct attach_port){.mtu = port->mtu};
	snprintf(out->name, sizeof(out->name), "%s", port->config->name);
	/* A tap's own interface may live in another namespace: the kernel's routes say nothing. */
	if (port->kernel_name[0] != '\0')
		memcpy(out->kernel_name, port->kernel_name, sizeof(out->kernel_name));
	else if (!port->kind->kernel_is_peer)
		snprintf(out->kernel_name, sizeof(out->kernel_name), "%.15s", port->config->name);
	memcpy(out->mac, port->station.mac, 6);
	memcpy(out->gateway_mac, port->config->gateway_mac, 6);
	if (port->link == PORT_LINK_GONE)
		snprintf(out->state, sizeof(out->state), "gone");
	else if (port->link == PORT_LINK_DOWN)
		snprintf(out->state, sizeof(out->state), "link down, DPDK polls %.24s", device);
	else
		snprintf(out->state, sizeof(out->state), "DPDK polls %.24s%s", device,
			 port->kind->xdp_sockets ? ", an XDP program of its own" : "");
}
