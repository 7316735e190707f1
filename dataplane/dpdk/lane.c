/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/lane.h"

#include <stdio.h>

static struct rte_ring *ring_create(const char *way, unsigned worker)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "lane-%s-%u", way, worker);
	return rte_ring_create(name, LANE_ENTRIES, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static void ring_destroy(struct rte_ring *ring)
{
	void *mbuf;

	while (ring && rte_ring_sc_dequeue(ring, &mbuf) == 0)
		rte_pktmbuf_free(mbuf);
	rte_ring_free(ring);
}

int lane_create(struct lane *lane, unsigned worker)
{
	lane->up = ring_create("up", worker);
	lane->down = ring_create("down", worker);
	if (lane->up && lane->down)
		return 0;
	lane_destroy(lane);
	return -rte_errno;
}

void lane_destroy(struct lane *lane)
{
	ring_destroy(lane->up);
	ring_destroy(lane->down);
	*lane = (struct lane){0};
}
