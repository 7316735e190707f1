/* SPDX-License-Identifier: BSD-2-Clause */
/* The main thread looks at every port ten times a second, each kind in the way that tells the truth:
 * DPDK's word for a card; the kernel's for an interface of its own, which net_af_packet takes for up
 * always; the open descriptor for a tap, whose interface may have moved into a namespace where nobody
 * could ask for it.
 *
 * A port whose link is down is polled on. What is for it is dropped and counted where the device would
 * swallow it. A port whose device has gone is left by all workers, each between two bursts; then the
 * device is closed, and looked for once a second: the same process takes it up again, with its flows
 * and its other ports, which have gone on meanwhile (docs/adr/0020-bad-luck.md).
 *
 * DPDK's driver for XDP sockets never gives back the packet buffers of a device that it closes: when such a
 * device is back, the process ends, to be started again. Until then its other ports go on.
 *
 * A card that uio holds vanishes from under the workers. What they write to its registers then is a
 * SIGBUS, at which DPDK puts memory in their place. One that vfio-pci holds stays until we let it go,
 * which the kernel asks for through a thread of DPDK's. */
#define ALLOW_EXPERIMENTAL_API /* rte_dev_event_*: the same in every DPDK since 18.11 */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/links.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/dpdk/plan.h"
#include "dataplane/dpdk/tap.h"
#include "dataplane/session/message.h"
#include "dataplane/state/clock.h"

#define LOOK_MS 100
#define RETRY_MS 1000

/* --- How a link is -------------------------------------------------------------------- */

/* A descriptor of a tap can be written to while its interface is up, wherever that is. */
static enum port_link tap_link(const struct link *link)
{
	struct pollfd asked = {.fd = link->tap_fd, .events = POLLOUT};

	if (link->tap_fd < 0 || poll(&asked, 1, 0) < 0)
		return PORT_LINK_UP;
	if (asked.revents & POLLERR)
		return PORT_LINK_GONE;
	return asked.revents & POLLOUT ? PORT_LINK_UP : PORT_LINK_DOWN;
}

static enum port_link iface_link(const struct links *links, const struct link *link)
{
	const int running = IFF_UP | IFF_RUNNING;
	struct ifreq request = {0};

	strcpy(request.ifr_name, link->iface);
	if (if_nametoindex(request.ifr_name) != link->ifindex)
		return PORT_LINK_GONE;
	if (ioctl(links->socket, SIOCGIFFLAGS, &request) < 0)
		return PORT_LINK_GONE;
	return (request.ifr_flags & running) == running ? PORT_LINK_UP : PORT_LINK_DOWN;
}

static enum port_link device_link(const struct port *port)
{
	struct rte_eth_link link;

	if (rte_eth_link_get_nowait(port->id, &link) < 0)
		return PORT_LINK_UP;
	return link.link_status == RTE_ETH_LINK_UP ? PORT_LINK_UP : PORT_LINK_DOWN;
}

static enum port_link card_link(const struct link *link)
{
	struct machine_nic nic;

	if (__atomic_load_n(&link->removed, __ATOMIC_ACQUIRE) || /* removal_note() */
	    !machine_card("", link->port->config->device, &nic) ||
	    strcmp(nic.driver, link->driver) != 0)
		return PORT_LINK_GONE;
	return device_link(link->port);
}

static enum port_link link_now(const struct links *links, const struct link *link)
{
	const struct port_kind *kind = link->port->kind;

	if (kind->pci)
		return card_link(link);
	if (kind->kernel_is_peer)
		return tap_link(link);
	if (kind->has_iface)
		return iface_link(links, link);
	return device_link(link->port);
}

/* Remembers what will tell that it has gone. */
static void link_begin(struct link *link)
{
	struct port *port = link->port;
	struct rte_eth_dev_info info;
	char name[IF_NAMESIZE];
	struct machine_nic nic;

	link->stage = LINK_WATCHED;
	__atomic_store_n(&link->removed, false, __ATOMIC_RELAXED);
	link->tap_fd = -1;
	if (port->kind->pci && machine_card("", port->config->device, &nic))
		memcpy(link->driver, nic.driver, sizeof(link->driver));
	if (port->kind->has_iface)
		link->ifindex = if_nametoindex(link->iface);
	if (port->kind->kernel_is_peer && rte_eth_dev_info_get(port->id, &info) == 0 &&
	    if_indextoname(info.if_index, name))
		link->tap_fd = tap_find(name);
}

/* --- Down and up ---------------------------------------------------------------------- */

/* What to do about a link that is down, in the words of a sentence's end. */
static void mend_format(const struct link *link, char *out, size_t out_bytes)
{
	const struct port_kind *kind = link->port->kind;

	if (kind->pci)
		snprintf(out, out_bytes,
			 "look at the cable and the switch's port, or at the card's link in the "
			 "settings of a virtual machine");
	else if (kind->has_iface)
		snprintf(out, out_bytes,
			 "`ip link set %s up`, or look at the cable if it has NO-CARRIER in `ip "
			 "link`",
			 link->iface);
	else if (kind->kernel_is_peer)
		snprintf(out, out_bytes, "`ip link set %s up` in its namespace",
			 link->iface[0] ? link->iface : "IF");
	else
		snprintf(out, out_bytes, "start what is to be at its other end");
}

static void down_tell(const struct link *link)
{
	char mend[256];

	mend_format(link, mend, sizeof(mend));
	message("interface %s: its link is down, and what should be sent there is dropped as "
		"queue_full until it is up: %s",
		link->port->config->name, mend);
}

static void link_leave(struct links *links, struct link *link)
{
	message("interface %s: its device `%s` is gone; waits for it to come back",
		link->port->config->name, link->port->config->device);
	link->stage = LINK_LEAVING;
	port_use_set(link->port, PORT_LEFT);
	workers_ask(links->workers);
}

/* Returns whether anything has changed. */
static bool link_watch(struct links *links, struct link *link)
{
	struct port *port = link->port;
	enum port_link before = port->link;

	port->link = link_now(links, link);
	if (port->link == before)
		return false;
	switch (port->link) {
	case PORT_LINK_UP:
		message("interface %s: its link is up again", port->config->name);
		port_use_set(port, PORT_USED);
		break;
	case PORT_LINK_DOWN:
		down_tell(link);
		port_use_set(port, port->kind->swallows ? PORT_MUTE : PORT_USED);
		break;
	case PORT_LINK_GONE:
		link_leave(links, link);
		break;
	}
	return true;
}

/* --- Gone and back -------------------------------------------------------------------- */

static void link_close(struct links *links, struct link *link)
{
	if (!workers_answered(links->workers))
		return;
	port_leave(link->port);
	link->stage = LINK_AWAITED;
	link->retry_at_ms = 0;
}

/* Whether there is something to open; says what would have to be done to it first. */
static bool is_there(const struct link *link)
{
	struct port *port = link->port;
	const struct port_kind *kind = port->kind;
	const char *device = port->config->device;
	struct machine_nic nic;
	char text[512];

	if (kind->pci) {
		if (!machine_card("", device, &nic))
			return false;
		if (plan_takes_card(device, &nic, text, sizeof(text)))
			return true;
		port_complain(port, "%s", text);
		return false;
	}
	if (kind->has_iface && if_nametoindex(link->iface) == 0)
		return false;
	if (!kind->check || kind->check(device, port->mtu, text, sizeof(text)))
		return true;
	port_complain(port, " %s", text);
	return false;
}

/* Returns whether it has come back. */
static bool link_await(struct links *links, struct link *link)
{
	struct port *port = link->port;
	u64 now = clock_now_ms();

	if (now < link->retry_at_ms)
		return false;
	link->retry_at_ms = now + RETRY_MS;
	if (!is_there(link))
		return false;
	if (port->kind->keeps_buffers) {
		message("interface %s: its device `%s` is back, and %s takes it up in a new process "
			"alone: ends, to be started again",
			port->config->name, port->config->device, port->kind->driver);
		links->restart = true;
		return false;
	}
	if (port_return(links->ports, port) < 0)
		return false;
	link_begin(link);
	port->link = PORT_LINK_UP;
	port_use_set(port, PORT_USED);
	message("interface %s: its device `%s` is back and forwards again", port->config->name,
		port->config->device);
	return true;
}

bool links_run(struct links *links)
{
	bool changed = false;
	u64 expirations;

	if (read(links->timer_fd, &expirations, sizeof(expirations)) < 0)
		return false;
	for (u32 i = 0; i < links->ports->count; i++) {
		struct link *link = &links->list[i];

		if (!link->port)
			continue;
		if (link->stage == LINK_AWAITED)
			changed |= link_await(links, link);
		else if (link->stage == LINK_LEAVING)
			link_close(links, link);
		else
			changed |= link_watch(links, link);
	}
	return changed;
}

/* --- Life ----------------------------------------------------------------------------- */

/* In a thread of DPDK's, which names the device as it was given to it. */
static void removal_note(const char *device, enum rte_dev_event_type event, void *context)
{
	struct links *links = context;
	size_t len = strlen(device);

	for (u32 i = 0; i < links->ports->count && event == RTE_DEV_EVENT_REMOVE; i++) {
		const char *given = links->ports->list[i].config->device;

		if (strncmp(given, device, len) == 0 && (given[len] == '\0' || given[len] == ','))
			__atomic_store_n(&links->list[i].removed, true, __ATOMIC_RELEASE);
	}
}

static void removals_watch(struct links *links)
{
	if (rte_dev_event_callback_register(NULL, removal_note, links) < 0 ||
	    rte_dev_hotplug_handle_enable() < 0)
		message("DPDK does not tell when a card is removed, at which shunt-dpdk may end");
}

int links_open(struct links *links, struct ports *ports, struct workers *workers)
{
	const struct itimerspec every = {
		.it_interval.tv_nsec = LOOK_MS * 1000000,
		.it_value.tv_nsec = LOOK_MS * 1000000,
	};
	bool cards = false;

	*links = (struct links){.ports = ports, .workers = workers};
	links->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	links->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (links->socket < 0 || links->timer_fd < 0 ||
	    timerfd_settime(links->timer_fd, 0, &every, NULL) < 0)
		return -errno;
	for (u32 i = 0; i < ports->count; i++) {
		struct link *link = &links->list[i];

		if (ports->list[i].steered || ports->list[i].kind->leads_nowhere)
			continue;
		link->port = &ports->list[i];
		cards |= link->port->kind->pci;
		config_device_option(link->port->config->device, "iface", link->iface,
				     sizeof(link->iface));
		link_begin(link);
		link_watch(links, link);
	}
	if (cards)
		removals_watch(links);
	return 0;
}

void links_close(struct links *links)
{
	if (!links->ports)
		return;
	/* Where none was registered, there is nothing to take back. */
	rte_dev_event_callback_unregister(NULL, removal_note, links);
	if (links->socket >= 0)
		close(links->socket);
	if (links->timer_fd >= 0)
		close(links->timer_fd);
}
