/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/hops.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hops {
	struct netlink *netlink;
	const struct attach_port *ports;
	size_t ports_count;
	struct hops_texts texts; /* of this resolution */
	struct hops_outcome *outcome;
};

void hops_texts_free(struct hops_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		free(texts->list[i]);
	free(texts->list);
	*texts = (struct hops_texts){0};
}

/* The list has room for a text a backend. */
__attribute__((format(printf, 2, 3))) static const char *reason(struct hops *hops,
								const char *format, ...)
{
	va_list arguments;
	char *text;
	int len;

	va_start(arguments, format);
	len = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (len < 0)
		return "no memory to say why";
	hops->texts.list[hops->texts.count++] = text;
	return text;
}

static bool mac_given(const u8 mac[static 6])
{
	static const u8 none[6];

	return memcmp(mac, none, sizeof(none)) != 0;
}

static const struct attach_port *port_of_kernel_name(const struct hops *hops, const char *name)
{
	for (size_t i = 0; i < hops->ports_count; i++)
		if (name[0] != '\0' && strcmp(hops->ports[i].kernel_name, name) == 0)
			return &hops->ports[i];
	return NULL;
}

static const struct attach_port *port_with_gateway(const struct hops *hops)
{
	for (size_t i = 0; i < hops->ports_count; i++)
		if (mac_given(hops->ports[i].gateway_mac))
			return &hops->ports[i];
	return NULL;
}

static struct plan_hop hop_through(const struct hops *hops, const struct attach_port *port,
				   const u8 destination_mac[static 6], u16 mtu)
{
	struct plan_hop hop = {
		.reachable = true,
		.port = (u8)(port - hops->ports),
		.mtu = mtu != 0 && mtu < port->mtu ? mtu : port->mtu,
	};

	memcpy(hop.destination_mac, destination_mac, 6);
	memcpy(hop.source_mac, port->mac, 6);
	return hop;
}

/* The kernel's way leads through a port, but its end isn't known. */
static const char *stuck_reason(struct hops *hops, const struct attach_port *port,
				const struct nexthop *way, const char *dest)
{
	char gateway[ADDR_TEXT_MAX];

	if (!addr_is_zero(&way->gateway) && strcmp(way->reason, "neighbour unresolved") == 0)
		return reason(hops, "neighbour %s on %s unresolved",
			      addr_format(&way->gateway, gateway), port->name);
	return reason(hops, "%s on the way to %s over %s", way->reason, dest, port->name);
}

static const char *astray_reason(struct hops *hops, const struct nexthop *way, const char *dest)
{
	char names[256] = "";

	for (size_t i = 0, used = 0; i < hops->ports_count && used < sizeof(names); i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
					 i ? " or " : "", hops->ports[i].name);
	if (way->ifname[0] != '\0' && way->reachable)
		return reason(hops, "no route to %s over %s: the kernel's leads over %s", dest,
			      names, way->ifname);
	if (way->reason && strcmp(way->reason, "no route") != 0)
		return reason(hops, "no route to %s over %s: %s", dest, names, way->reason);
	return reason(hops, "no route to %s over %s", dest, names);
}

/* A gateway would send a packet that is still addressed to the VIP back to us. */
static const char *behind_reason(struct hops *hops, const struct nexthop *way, const char *dest)
{
	char gateway[ADDR_TEXT_MAX];

	return reason(hops, "%s is behind the gateway %s; l2 needs it on the same segment", dest,
		      addr_format(&way->gateway, gateway));
}

/* The way to one backend. Its hop is the one before, kept where the kernel can't be asked. */
static struct plan_hop hop_find(struct hops *hops, const struct plan_backend *backend)
{
	const struct addr *address = &backend->config->address;
	const struct plan_hop *known = &backend->hop;
	char dest[ADDR_TEXT_MAX];
	const struct attach_port *port;
	struct nexthop way;
	int err;

	if (hops->ports_count == 0)
		return (struct plan_hop){.reason = "no dataplane has told its interfaces yet"};
	addr_format(address, dest);
	err = netlink_nexthop(hops->netlink, address, &way);
	if (err) {
		hops->outcome->again = true;
		if (known->reachable && known->port < hops->ports_count)
			return *known;
		return (struct plan_hop){
			.reason = reason(hops,
					 "the kernel could not be asked for the route to %s: %s",
					 dest, strerror(-err)),
		};
	}
	port = port_of_kernel_name(hops, way.ifname);
	if (backend->on_link && !addr_is_zero(&way.gateway) && !addr_equal(&way.gateway, address))
		return (struct plan_hop){.reason = behind_reason(hops, &way, dest)};
	if (port && mac_given(port->gateway_mac) && !backend->on_link)
		return hop_through(hops, port, port->gateway_mac, way.mtu);
	if (port && way.reachable)
		return hop_through(hops, port, way.mac, way.mtu);
	if (port)
		return (struct plan_hop){.reason = stuck_reason(hops, port, &way, dest)};
	port = backend->on_link ? NULL : port_with_gateway(hops);
	if (port)
		return hop_through(hops, port, port->gateway_mac, 0);
	return (struct plan_hop){.reason = astray_reason(hops, &way, dest)};
}

static bool hop_differs(const struct plan_hop *a, const struct plan_hop *b)
{
	return a->reachable != b->reachable || a->port != b->port || a->mtu != b->mtu ||
	       memcmp(a->destination_mac, b->destination_mac, 6) != 0 ||
	       memcmp(a->source_mac, b->source_mac, 6) != 0;
}

/* By address, and what is asked of the way there. */
static int by_way(const void *a, const void *b)
{
	const struct plan_backend *const *x = a, *const *y = b;
	int order = memcmp((*x)->config->address.bytes, (*y)->config->address.bytes, 16);

	return order != 0 ? order : (*x)->on_link - (*y)->on_link;
}

/* Every backend of the plan, those with one way together: many services may share one. */
static struct plan_backend **backends_sorted(const struct plan *plan, size_t *count)
{
	struct plan_backend **list;
	size_t total = 0;

	for (size_t i = 0; i < plan->config->services_count; i++)
		total += plan->config->services[i].backends_count;
	list = calloc(total + 1, sizeof(struct plan_backend *));
	*count = 0;
	if (!list)
		return NULL;
	for (size_t i = 0; i < plan->config->services_count; i++)
		for (size_t k = 0; k < plan->services[i].config->backends_count; k++)
			list[(*count)++] = &plan->services[i].backends[k];
	qsort(list, total, sizeof(struct plan_backend *), by_way);
	return list;
}

int hops_resolve(struct netlink *netlink, const struct attach_port *ports, size_t ports_count,
		 struct plan *plan, struct hops_texts *texts, struct hops_outcome *outcome)
{
	struct hops hops = {
		.netlink = netlink,
		.ports = ports,
		.ports_count = ports_count,
		.outcome = outcome,
	};
	size_t count;
	struct plan_backend **list = backends_sorted(plan, &count);
	struct plan_hop hop = {0};

	*outcome = (struct hops_outcome){0};
	hops.texts.list = calloc(count + 1, sizeof(char *));
	if (!list || !hops.texts.list) {
		free(list);
		free(hops.texts.list);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || by_way(&list[i - 1], &list[i]) != 0)
			hop = hop_find(&hops, list[i]);
		outcome->changed |= hop_differs(&hop, &list[i]->hop);
		outcome->unreachable += !hop.reachable;
		list[i]->hop = hop;
	}
	netlink_release_unasked(netlink);
	free(list);
	hops_texts_free(texts); /* no hop points there any more */
	*texts = hops.texts;
	return 0;
}
