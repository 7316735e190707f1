/* SPDX-License-Identifier: BSD-2-Clause */
/* The other end of a DPDK device, as a socket: each message that comes by descriptor FD is sent
 * as a frame, each frame that comes becomes a message. Nothing is lost on the way in: what the
 * device has no room for yet waits here.
 *
 * usage: dpdk_wire NAME DEVICE FD    NAME is this process's own among DPDK's
 *
 * Says "ready" once the device runs, and ends when the socket does. */
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BURST 32
#define MBUFS 4095
#define FRAME_MAX 16384
#define IDLE_US 20

static void fail(const char *what, int err)
{
	fprintf(stderr, "dpdk_wire: %s: %s\n", what, rte_strerror(err < 0 ? -err : err));
	exit(1);
}

static void eal_open(const char *name)
{
	char prefix[64], levels[] = "--log-level=*:warning";
	char *arguments[] = {"dpdk_wire",      prefix, "--no-shconf",    "--no-huge", "-m", "64",
			     "--lcores=0@0-1", levels, "--no-telemetry", "--no-pci",  NULL};

	snprintf(prefix, sizeof(prefix), "--file-prefix=%s", name);
	if (rte_eal_init((int)RTE_DIM(arguments) - 1, arguments) < 0)
		fail("DPDK does not start", rte_errno);
}

/* Its receive buffers hold 2 KiB, so that a longer frame comes in several. */
static uint16_t port_open(const char *device, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {0};
	char name[RTE_ETH_NAME_MAX_LEN];
	uint16_t port, rx = 1024, tx = 1024;
	int err = rte_dev_probe(device);

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(device, ","), device);
	if (err == 0)
		err = rte_eth_dev_get_port_by_name(name, &port);
	if (err)
		fail(device, err);
	err = rte_eth_dev_configure(port, 1, 1, &conf);
	if (err == 0)
		err = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);
	if (err == 0)
		err = rte_eth_rx_queue_setup(port, 0, rx, SOCKET_ID_ANY, NULL, pool);
	if (err == 0)
		err = rte_eth_tx_queue_setup(port, 0, tx, SOCKET_ID_ANY, NULL);
	if (err == 0)
		err = rte_eth_dev_start(port);
	if (err)
		fail(device, err);
	return port;
}

/* An mbuf with len bytes, of several segments where one doesn't hold them. */
static struct rte_mbuf *mbuf_of(struct rte_mempool *pool, const uint8_t *bytes, size_t len)
{
	struct rte_mbuf *head = NULL, **next = &head;
	size_t at = 0;

	while (at < len) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
		size_t room;

		if (!mbuf)
			fail("mbuf", ENOMEM);
		room = rte_pktmbuf_tailroom(mbuf);
		mbuf->data_len = (uint16_t)(len - at < room ? len - at : room);
		memcpy(rte_pktmbuf_mtod(mbuf, void *), bytes + at, mbuf->data_len);
		at += mbuf->data_len;
		*next = mbuf;
		next = &mbuf->next;
		if (mbuf != head)
			head->nb_segs++;
	}
	head->pkt_len = (uint32_t)len;
	return head;
}

/* Takes one message and sends it. Returns whether there was one. */
static bool send_one(int fd, uint16_t port, struct rte_mempool *pool)
{
	static uint8_t bytes[FRAME_MAX];
	ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	struct rte_mbuf *mbuf;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0)
		exit(0); /* nobody is there any more */
	mbuf = mbuf_of(pool, bytes, (size_t)got);
	while (rte_eth_tx_burst(port, 0, &mbuf, 1) == 0)
		usleep(IDLE_US);
	return true;
}

static bool receive_burst(int fd, uint16_t port)
{
	static uint8_t bytes[FRAME_MAX];
	struct rte_mbuf *mbufs[BURST];
	uint16_t count = rte_eth_rx_burst(port, 0, mbufs, BURST);

	for (uint16_t i = 0; i < count; i++) {
		uint32_t len = mbufs[i]->pkt_len;
		const void *whole = rte_pktmbuf_read(mbufs[i], 0, len, bytes);

		if (!whole)
			fail("a frame is too long", EMSGSIZE);
		if (send(fd, whole, len, MSG_NOSIGNAL) < 0)
			fail("a frame for the socket", errno);
		rte_pktmbuf_free(mbufs[i]);
	}
	return count > 0;
}

int main(int argc, char **argv)
{
	struct rte_mempool *pool;
	uint16_t port;
	int fd;

	if (argc != 4)
		return 64;
	fd = atoi(argv[3]);
	eal_open(argv[1]);
	pool = rte_pktmbuf_pool_create("wire", MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       SOCKET_ID_ANY);
	if (!pool)
		fail("buffers", rte_errno);
	port = port_open(argv[2], pool);
	puts("ready");
	fflush(stdout);
	for (;;) {
		bool sent = send_one(fd, port, pool);

		if (!receive_burst(fd, port) && !sent)
			usleep(IDLE_US);
	}
}
