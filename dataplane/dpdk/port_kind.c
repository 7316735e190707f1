/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/port_kind.h"

#include <string.h>

#include "dataplane/dpdk/device_check.h"
#include "dataplane/dpdk/eal_line.h"

static const struct port_kind kinds[] = {
	{
		.pci = true,
		.takes_whole_nic = true,
		.filters_mac = true,
		.mtu_limit_is_real = true,
		.swallows = true,
	},
	{
		.driver = "net_tap",
		.check = device_check_tap,
		.queues_default = 16,
		.kernel_is_peer = true,
		.mtu_limit_is_real = true,
	},
	{
		.driver = "net_af_packet",
		.check = device_check_af_packet,
		.kernel_sees_all = true,
		.queues_option = "qpairs",
		.queues_default = 1,
		.spreads_always = true,
		.has_iface = true,
		.filters_mac = true,
		.swallows = true,
	},
	{
		.driver = "net_af_xdp",
		.check = device_check_af_xdp,
		.takes_whole_nic = true,
		.has_iface = true,
		.xdp_sockets = true,
		.filters_mac = true,
		.frame_in_page = true,
		.keeps_buffers = true,
		.swallows = true,
		.queues_option = "queue_count",
		.queues_default = 1,
		.spreads_always = true,
		.front_bytes = 256, /* XDP_PACKET_HEADROOM */
	},
	{
		.driver = "net_vhost",
		.check = device_check_vhost,
		.queues_option = "queues",
		.queues_default = 1,
		.takes_whole_nic = true,
	},
	{
		.driver = "net_virtio_user",
		.check = device_check_virtio_user,
		.queues_option = "queues",
		.queues_default = 1,
		.takes_whole_nic = true,
		.shares_memory = true,
	},
	{
		.driver = "net_pcap",
		.check = device_check_pcap,
		.leads_nowhere = true,
	},
	{
		.driver = "net_null",
		.leads_nowhere = true,
	},
};

static const struct port_kind unknown = {.driver = ""};

static bool is_of(const char *device, const struct port_kind *kind)
{
	size_t len;

	if (kind->pci)
		return eal_device_is_pci(device);
	len = strlen(kind->driver);
	/* A number follows, or nothing: net_vhost is not net_vhost_x. */
	return strncmp(device, kind->driver, len) == 0 &&
	       device[len + strspn(device + len, "0123456789")] != '_';
}

const struct port_kind *port_kind_of(const char *device)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (is_of(device, &kinds[i]))
			return &kinds[i];
	return &unknown;
}
