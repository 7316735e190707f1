/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints the next hops of some addresses, and again whatever becomes another: what netlink.sh
 * looks at. usage: netlink_probe INTERFACE ADDRESS... */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "controlplane/netlink.h"

#define DESTS_MAX 32
#define LINE_MAX_BYTES 256

struct probe {
	struct loop *loop;
	struct netlink *netlink;
	const char *ifname;
	char **texts;
	struct addr dests[DESTS_MAX];
	char lines[DESTS_MAX + 1][LINE_MAX_BYTES]; /* the last one is the interface's */
	int count;
};

static const char *mac_format(const u8 mac[static 6], char out[static 18])
{
	snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
	return out;
}

static void line_print(struct probe *probe, int at, const char *line)
{
	if (strcmp(probe->lines[at], line) == 0)
		return;
	snprintf(probe->lines[at], LINE_MAX_BYTES, "%s", line);
	printf("[%" PRIu64 "] %s\n", (uint64_t)loop_now_ms(probe->loop), line);
}

static void dest_print(struct probe *probe, int at)
{
	char line[LINE_MAX_BYTES], mac[18], own[18], via[ADDR_TEXT_MAX], source[ADDR_TEXT_MAX];
	struct nexthop hop;
	int status = netlink_nexthop(probe->netlink, &probe->dests[at], &hop);

	if (status)
		snprintf(line, sizeof(line), "%s error %s", probe->texts[at], strerror(-status));
	else if (!hop.reachable)
		snprintf(line, sizeof(line), "%s unreachable: %s", probe->texts[at], hop.reason);
	else
		snprintf(line, sizeof(line), "%s dev %s mac %s mtu %u via %s src %s own %s%s",
			 probe->texts[at], hop.ifname, mac_format(hop.mac, mac), hop.mtu,
			 addr_format(&hop.gateway, via), addr_format(&hop.preferred_source, source),
			 mac_format(hop.link_mac, own), hop.reason ? " with a reason" : "");
	line_print(probe, at, line);
}

static void link_print(struct probe *probe)
{
	char line[LINE_MAX_BYTES], own[18];
	u8 mac[6];
	u16 mtu;
	int ifindex;

	if (netlink_link(probe->netlink, probe->ifname, mac, &mtu, &ifindex) != 0)
		snprintf(line, sizeof(line), "link %s gone", probe->ifname);
	else
		snprintf(line, sizeof(line), "link %s own %s mtu %u", probe->ifname,
			 mac_format(mac, own), mtu);
	line_print(probe, DESTS_MAX, line);
}

static void all_print(void *context)
{
	struct probe *probe = context;

	for (int at = 0; at < probe->count; at++)
		dest_print(probe, at);
	link_print(probe);
	netlink_release_unasked(probe->netlink);
}

static void signal_take(void *context, int signo)
{
	struct probe *probe = context;

	if (signo == SIGTERM) {
		loop_stop(probe->loop);
		return;
	}
	if (signo == SIGUSR2 && probe->count > 0)
		probe->count--; /* the last address is of no interest any more */
	all_print(probe);
	printf("overruns %" PRIu64 "\n", (uint64_t)netlink_overruns(probe->netlink));
}

int main(int argc, char **argv)
{
	static struct probe probe;
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3 || argc > DESTS_MAX + 2)
		return EXIT_FAILURE;
	probe.ifname = argv[1];
	probe.texts = argv + 2;
	probe.count = argc - 2;
	for (int at = 0; at < probe.count; at++)
		if (addr_parse(probe.texts[at], &probe.dests[at]) != 0)
			return EXIT_FAILURE;
	status = loop_create(&probe.loop);
	if (status == 0)
		status = loop_signal(probe.loop, SIGTERM, signal_take, &probe);
	if (status == 0)
		status = loop_signal(probe.loop, SIGUSR1, signal_take, &probe);
	if (status == 0)
		status = loop_signal(probe.loop, SIGUSR2, signal_take, &probe);
	if (status == 0)
		status = netlink_open(probe.loop, all_print, &probe, &probe.netlink);
	if (status == 0) {
		all_print(&probe);
		status = loop_run(probe.loop);
	}
	if (status)
		fprintf(stderr, "netlink_probe: %s\n", strerror(-status));
	netlink_close(probe.netlink);
	loop_destroy(probe.loop);
	return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
