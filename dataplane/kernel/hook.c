/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/kernel/hook.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/session/message.h"

/* --- Finding -------------------------------------------------------------------------- */

static bool name_find(struct hook *hook)
{
	char name[CONFIG_DEVICE_MAX + 1];

	config_kernel_name(hook->config, name);
	if (strlen(name) < sizeof(hook->kernel_name) && if_nametoindex(name) != 0) {
		strcpy(hook->kernel_name, name);
		hook->ifindex = if_nametoindex(name);
		return true;
	}
	message("interface %s: the kernel has no interface `%s`; the engines xdp and af_xdp work on "
		"the kernel's own interfaces (`ip link`), by `name:` or `device:`",
		hook->config->name, name);
	return false;
}

static bool ethtool(int fd, const struct hook *hook, void *command)
{
	struct ifreq request = {.ifr_data = command};

	strcpy(request.ifr_name, hook->kernel_name);
	return ioctl(fd, SIOCETHTOOL, &request) == 0;
}

static u32 queues_find(int fd, const struct hook *hook)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	u32 count;

	if (!ethtool(fd, hook, &channels))
		return 1;
	count = channels.combined_count + channels.rx_count;
	return count == 0 ? 1 : count;
}

static bool lro_off(int fd, const struct hook *hook)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};

	if (!ethtool(fd, hook, &flags) || !(flags.data & ETH_FLAG_LRO))
		return true;
	message("interface %s: large receive offload is on, and would join packets before they "
		"can be forwarded: ethtool -K %s lro off",
		hook->config->name, hook->kernel_name);
	return false;
}

/* MAC, MTU and link; false, with errno, where the interface has just gone. */
static bool station_find(int fd, struct hook *hook)
{
	const int running = IFF_UP | IFF_RUNNING;
	static const u8 none[6];
	struct ifreq request = {0};

	strcpy(request.ifr_name, hook->kernel_name);
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return false;
	hook->running = (request.ifr_flags & running) == running;
	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		return false;
	memcpy(hook->mac, request.ifr_hwaddr.sa_data, 6);
	if (memcmp(hook->config->mac, none, 6) != 0)
		memcpy(hook->mac, hook->config->mac, 6);
	if (ioctl(fd, SIOCGIFMTU, &request) < 0)
		return false;
	hook->mtu = hook->config->mtu              ? hook->config->mtu
		    : request.ifr_mtu > UINT16_MAX ? UINT16_MAX
						   : (u16)request.ifr_mtu;
	return true;
}

static void down_tell(const struct hook *hook)
{
	message("interface %s: its link is down, and what should be sent there is dropped as "
		"queue_full until it is up: `ip link set %s up`, or look at the cable if it has "
		"NO-CARRIER in `ip link`",
		hook->config->name, hook->kernel_name);
}

static bool hook_find(int fd, struct hook *hook, const char *pin_dir)
{
	bool good = name_find(hook);

	if (!good)
		return false;
	good = station_find(fd, hook);
	if (!good)
		message("interface %s: no MAC address and MTU to be read: %s", hook->config->name,
			strerror(errno));
	else if (!hook->running)
		down_tell(hook);
	good &= lro_off(fd, hook);
	good &= hook_place_free(hook, pin_dir);
	hook->queues_count = queues_find(fd, hook);
	return good;
}

/* Of an interface that isn't the one before, only what is amiss is news. */
static void link_tell(const struct hook *before, const struct hook *hook)
{
	bool same = hook->ifindex && hook->ifindex == before->ifindex;

	if (same && hook->running && !before->running)
		message("interface %s: its link is up again", hook->config->name);
	if (hook->ifindex && !hook->running && (before->running || !same))
		down_tell(hook);
}

/* Whether anything has changed that matters, as the interface went, came, or got another MAC or
 * MTU. */
static bool hook_follow(int fd, struct hook *hook)
{
	struct hook before = *hook;

	hook->ifindex = if_nametoindex(hook->kernel_name);
	if (hook->ifindex && !station_find(fd, hook))
		hook->ifindex = 0; /* gone in this moment */
	link_tell(&before, hook);
	if (!hook->ifindex && before.ifindex)
		message("interface %s: %s is gone; waits for it to come back", hook->config->name,
			hook->kernel_name);
	if (hook->ifindex && queues_find(fd, hook) != hook->queues_count && !hook->queues_said) {
		hook->queues_said = true;
		message("interface %s: %s has another number of receive queues than %u now; a "
			"restart of shunt-xdp gives each of them a flow table of its own",
			hook->config->name, hook->kernel_name, hook->queues_count);
	}
	return hook->ifindex != before.ifindex || hook->running != before.running ||
	       hook->mtu != before.mtu || memcmp(hook->mac, before.mac, 6) != 0;
}

bool hooks_follow(struct hooks *hooks)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool changed = false;

	for (u32 i = 0; fd >= 0 && i < hooks->count; i++)
		changed |= hook_follow(fd, &hooks->list[i]);
	if (fd >= 0)
		close(fd);
	return changed;
}

int hooks_watch(void)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

void hooks_watch_drain(int fd)
{
	u8 bytes[4096];

	/* What does not fit is cut, or lost: that something was told is all that matters. */
	while (recv(fd, bytes, sizeof(bytes), 0) >= 0 || errno == ENOBUFS || errno == EINTR)
		;
}

int hooks_find(struct hooks *hooks, const struct config_dataplane *config, const char *pin_dir)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	u32 workers_count = 0;
	bool good = fd >= 0;

	*hooks = (struct hooks){.count = (u32)config->interfaces_count};
	for (u32 i = 0; fd >= 0 && i < hooks->count; i++) {
		hooks->list[i].config = &config->interfaces[i];
		good &= hook_find(fd, &hooks->list[i], pin_dir);
		workers_count += hooks->list[i].queues_count;
	}
	if (fd >= 0)
		close(fd);
	if (workers_count > KERNEL_WORKERS_MAX) {
		message("the interfaces have %u receive queues together, and shunt takes %u at "
			"most: ethtool -L IF combined N",
			workers_count, KERNEL_WORKERS_MAX);
		good = false;
	}
	return good ? 0 : -ENODEV;
}

u32 hooks_ports(const struct hooks *hooks, struct kernel_port ports[static KERNEL_PORTS_MAX])
{
	u32 workers_count = 0;

	for (u32 i = 0; i < hooks->count; i++) {
		const struct hook *hook = &hooks->list[i];

		ports[i] = (struct kernel_port){
			.ifindex = hook->ifindex,
			.first_worker = workers_count,
			.queues_count = hook->queues_count,
			.station.answers = hook->config->answer == CONFIG_ANSWER_ARP,
		};
		memcpy(ports[i].station.mac, hook->mac, 6);
		workers_count += hook->queues_count;
	}
	return workers_count;
}

bool hook_send(const struct hook *hook, int packet_socket, const u8 *frame, u32 frame_bytes)
{
	const struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)hook->ifindex};

	return !hook->ifindex || /* whoever isn't there is not told */
	       sendto(packet_socket, frame, frame_bytes, 0, (const struct sockaddr *)&to,
		      sizeof(to)) >= 0 ||
	       (errno != ENOBUFS && errno != EAGAIN);
}

void hook_describe(const struct hook *hook, struct attach_port *out)
{
	*out = (struct attach_port){.mtu = hook->mtu};
	snprintf(out->name, sizeof(out->name), "%s", hook->config->name);
	snprintf(out->kernel_name, sizeof(out->kernel_name), "%s", hook->kernel_name);
	memcpy(out->mac, hook->mac, 6);
	memcpy(out->gateway_mac, hook->config->gateway_mac, 6);
	if (!hook->ifindex)
		snprintf(out->state, sizeof(out->state), "gone");
	else if (hook->on == hook->ifindex)
		snprintf(out->state, sizeof(out->state), "%s%s mode, %u queue%s, %s",
			 hook->running ? "" : "link down, ", hook->generic ? "generic" : "native",
			 hook->queues_count, hook->queues_count == 1 ? "" : "s",
			 hook->beside ? "beside other programs" : "alone there");
	else
		snprintf(out->state, sizeof(out->state), "not attached");
}
