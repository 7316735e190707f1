/* SPDX-License-Identifier: BSD-2-Clause */
/* A card that DPDK drives is gone from the kernel, and with it ARP, SSH and BGP on that wire. So
 * each such port gets a TAP interface, named as the port is, with its MAC: what a worker passes
 * goes up to it, what the kernel sends there goes down to the wire.
 *
 * A worker makes no system call, so it can wake nobody. The main thread looks every millisecond
 * instead, and every four when there was nothing for a while; that is the whole delay that a
 * packet sees. Frames from the kernel wake it at once. What one look moves is bounded: a flood of
 * packets that aren't ours takes a share of the main thread's time, not all of it, and what
 * finds no room is counted and lost.
 *
 * The interface outlives the process (TUNSETPERSIST), because its addresses and routes are the
 * operator's, and his SSH session may be what restarts us. */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/exception.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dataplane/dpdk/device_check.h"
#include "dataplane/session/message.h"
#include "dataplane/dpdk/tap.h"
#include "dataplane/dpdk/worker.h"
#include "dataplane/state/clock.h"

#define LOOK_MS 1
#define LOOK_IDLE_MS 4
#define IDLE_LOOKS 100
#define SLOW_MS 100
#define BATCH 64
#define BATCHES 4          /* of one look */
#define FRAME_MIN_BYTES 60 /* Ethernet's, without the checksum that the card adds */
#define FRAME_OVERHEAD_BYTES 22
#define SEGMENTS_MAX 16

/* --- Down: from the kernel, and announcements ----------------------------------------- */

static u32 room_down(const struct exception *exception)
{
	return rte_ring_free_count(exception->lanes[0].down);
}

/* The spare mbuf, or NULL: the pool comes back as the worker sends. Whoever uses it up clears
 * exception->spare. */
static struct rte_mbuf *mbuf_take(struct exception *exception)
{
	if (!exception->spare)
		exception->spare = rte_pktmbuf_alloc(exception->ports->kernel_pool);
	return exception->spare;
}

static void mbuf_finish(struct exception *exception, u32 port, u32 frame_bytes)
{
	struct rte_mbuf *mbuf = exception->spare;

	exception->spare = NULL;
	if (frame_bytes < FRAME_MIN_BYTES) { /* not every card pads */
		memset(rte_pktmbuf_mtod_offset(mbuf, u8 *, frame_bytes), 0,
		       FRAME_MIN_BYTES - frame_bytes);
		frame_bytes = FRAME_MIN_BYTES;
	}
	mbuf->data_len = (u16)frame_bytes;
	mbuf->pkt_len = frame_bytes;
	mbuf->port = (u16)port;
}

static u32 tap_index(const struct exception *exception, const struct exception_tap *tap)
{
	return (u32)(tap - exception->taps);
}

/* Whoever raised the interface's MTU above the port's finds out why it doesn't work. */
static bool fits(struct exception_tap *tap, ssize_t frame_bytes)
{
	if (frame_bytes <= tap->port->mtu + FRAME_OVERHEAD_BYTES)
		return true;
	if (!tap->oversize_said)
		message("interface %s: the kernel sends frames above the port's MTU of %u, which "
			"are lost; `ip link set %s mtu %u` mends it",
			tap->port->config->name, tap->port->mtu, tap->port->kernel_name,
			tap->port->mtu);
	tap->oversize_said = true;
	return false;
}

static void tap_lose(struct exception_tap *tap)
{
	message("interface %s: the kernel's interface %s was deleted; a restart of shunt-dpdk makes "
		"it again",
		tap->port->config->name, tap->port->kernel_name);
	close(tap->fd);
	tap->fd = -1;
	tap->more = false;
}

/* Reads one frame into the spare. Returns whether to go on; *got whether there is one. */
static bool tap_read(struct exception *exception, struct exception_tap *tap, bool *got)
{
	struct rte_mbuf *mbuf = mbuf_take(exception);
	ssize_t frame_bytes;

	*got = false;
	if (!mbuf)
		return false;
	frame_bytes = read(tap->fd, rte_pktmbuf_mtod(mbuf, void *), rte_pktmbuf_tailroom(mbuf));
	if (frame_bytes < 0 && errno == EBADFD)
		tap_lose(tap);
	else if (frame_bytes < 0)
		tap->more = errno != EAGAIN;
	if (frame_bytes <= 0)
		return false;
	*got = fits(tap, frame_bytes);
	if (*got)
		mbuf_finish(exception, tap_index(exception, tap), (u32)frame_bytes);
	return true;
}

/* Returns how many frames came. */
static u32 tap_receive(struct exception *exception, struct exception_tap *tap)
{
	u32 room = room_down(exception);
	struct rte_mbuf *mbufs[BATCH];
	u32 count = 0;

	tap->more = true;
	while (tap->fd >= 0 && count < BATCH && count < room) {
		bool got;
		struct rte_mbuf *mbuf = mbuf_take(exception);

		if (!tap_read(exception, tap, &got))
			break;
		if (got)
			mbufs[count++] = mbuf;
	}
	if (count > 0)
		rte_ring_sp_enqueue_bulk(exception->lanes[0].down, (void **)mbufs, count, NULL);
	return count;
}

static bool announcement_send(void *context, u32 port, const u8 *frame, u32 frame_bytes)
{
	struct exception *exception = context;
	struct rte_mbuf *mbuf = room_down(exception) > 0 ? mbuf_take(exception) : NULL;

	if (!mbuf)
		return false;
	memcpy(rte_pktmbuf_mtod(mbuf, void *), frame, frame_bytes);
	mbuf_finish(exception, port, frame_bytes);
	return rte_ring_sp_enqueue(exception->lanes[0].down, mbuf) == 0;
}

/* --- Up: to the kernel ---------------------------------------------------------------- */

static bool tap_send(const struct exception_tap *tap, const struct rte_mbuf *mbuf)
{
	struct iovec parts[SEGMENTS_MAX];
	int count = 0;

	if (!tap->port || tap->fd < 0 || mbuf->nb_segs > SEGMENTS_MAX)
		return false;
	for (const struct rte_mbuf *segment = mbuf; segment; segment = segment->next)
		parts[count++] = (struct iovec){
			rte_pktmbuf_mtod(segment, void *),
			segment->data_len,
		};
	return writev(tap->fd, parts, count) == (ssize_t)mbuf->pkt_len;
}

/* Returns how many packets went. */
static u32 lane_drain(struct exception *exception, struct lane *lane)
{
	u32 room = rte_ring_free_count(lane->down);
	struct rte_mbuf *mbufs[BATCH];
	u32 count = rte_ring_sc_dequeue_burst(lane->up, (void **)mbufs, room < BATCH ? room : BATCH,
					      NULL);

	for (u32 i = 0; i < count; i++)
		mbufs[i]->port = tap_send(&exception->taps[mbufs[i]->port], mbufs[i]) ? LANE_SPENT
										      : LANE_LOST;
	if (count > 0)
		rte_ring_sp_enqueue_bulk(lane->down, (void **)mbufs, count, NULL);
	return count;
}

/* --- The ports' state ----------------------------------------------------------------- */

/* A tap that moves into another namespace is down for a moment, for which no route should go. */
static void carrier_follow(struct exception_tap *tap)
{
	bool carrier = tap->port->link == PORT_LINK_UP;

	if (tap->port->kind->kernel_is_peer || carrier == tap->carrier)
		return;
	tap->carrier = carrier;
	tap_carrier(tap->fd, carrier);
}

/* The wire's other stations would learn the kernel's MAC and send there what is for the VIPs,
 * which would no longer be taken for ours. */
static void mac_keep(struct exception_tap *tap)
{
	const u8 *mac = tap->port->station.mac;
	u8 now[6];
	int err = tap_mac(tap->fd, now);

	if (err == -EBADFD)
		tap_lose(tap);
	if (err || memcmp(now, mac, 6) == 0)
		return;
	if (tap_mac_set(tap->fd, mac) == 0)
		message("interface %s: the MAC of %s was changed and is put back, since the "
			"balancer keeps its own; `mac:` in the configuration changes both",
			tap->port->config->name, tap->port->kernel_name);
}

/* Behind a link that was down a switch, or another one, may have learned otherwise. */
static void announce_anew(struct exception *exception, u32 index)
{
	const struct port *port = &exception->ports->list[index];
	bool was_down = exception->was_down[index];

	exception->was_down[index] = port->link != PORT_LINK_UP;
	if (was_down && port->link == PORT_LINK_UP && port->station.answers)
		announcer_repeat(&exception->announcer);
}

static void look_seldom(struct exception *exception, u64 now)
{
	if (now < exception->slow_at_ms)
		return;
	exception->slow_at_ms = now + SLOW_MS;
	for (u32 i = 0; i < exception->ports->count; i++) {
		struct exception_tap *tap = &exception->taps[i];

		announce_anew(exception, i);
		if (tap->port && tap->fd >= 0)
			carrier_follow(tap);
		if (tap->port && tap->fd >= 0)
			mac_keep(tap);
	}
	announcer_run(&exception->announcer, worker_current(exception->first), now,
		      announcement_send, exception);
}

/* Marks the taps that have frames. */
static void edges_take(struct exception *exception)
{
	struct epoll_event events[PORTS_MAX];
	int count = epoll_wait(exception->epoll_fd, events, PORTS_MAX, 0);

	for (int i = 0; i < count; i++)
		exception->taps[events[i].data.u32].more = true;
}

int exception_wait_ms(const struct exception *exception)
{
	if (exception->epoll_fd < 0)
		return -1;
	return exception->idle_looks < IDLE_LOOKS ? LOOK_MS : LOOK_IDLE_MS;
}

void exception_run(struct exception *exception, bool readable)
{
	u32 moved = 0;

	if (readable)
		edges_take(exception);
	for (u32 i = 0; i < exception->lanes_count; i++)
		for (u32 k = 0, count = BATCH; k < BATCHES && count == BATCH; k++) {
			count = lane_drain(exception, &exception->lanes[i]);
			moved += count;
		}
	for (u32 i = 0; i < exception->ports->count; i++)
		if (exception->taps[i].more)
			moved += tap_receive(exception, &exception->taps[i]);
	if (moved > 0)
		exception->idle_looks = 0;
	else if (exception->idle_looks < IDLE_LOOKS)
		exception->idle_looks++;
	look_seldom(exception, clock_now_ms());
}

/* --- Life ----------------------------------------------------------------------------- */

/* Opens the port's interface in the kernel, which must not be the one that its device is or stands
 * on. */
static int port_tap_open(const struct port *port, char *text, size_t text_bytes)
{
	const char *name = port->config->name;
	char iface[16];

	config_device_option(port->config->device, "iface", iface, sizeof(iface));
	if (strcmp(iface, name) != 0)
		return tap_open(name, port->station.mac, port->mtu, text, text_bytes);
	snprintf(text, text_bytes,
		 "its `name:` is that of `iface=` in its device and should be another");
	return -EEXIST;
}

static void tap_make(struct exception *exception, u32 index)
{
	struct exception_tap *tap = &exception->taps[index];
	struct port *port = &exception->ports->list[index];
	/* Edges: a queue that can't be emptied now must not keep us awake. */
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = index};
	char text[256];
	int fd = port_tap_open(port, text, sizeof(text));

	if (fd < 0) {
		message("interface %s has no exception port, because %s: the kernel gets nothing "
			"from this wire, neither ARP nor SSH; mend it, or say `exception: off`",
			port->config->name, text);
		return;
	}
	if (epoll_ctl(exception->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		message("interface %s has no exception port: %s", port->config->name,
			strerror(errno));
		close(fd);
		return;
	}
	*tap = (struct exception_tap){.port = port, .fd = fd, .carrier = true, .more = true};
	exception->taps_count++;
	port->exception = true;
	snprintf(port->kernel_name, sizeof(port->kernel_name), "%.15s", port->config->name);
}

int exception_open(struct exception *exception, struct ports *ports, struct lane *lanes,
		   u32 lanes_count)
{
	bool answers = false;
	int err;

	*exception = (struct exception){
		.ports = ports,
		.lanes = lanes,
		.lanes_count = lanes_count,
		.announcer = {.stations_count = ports->count},
		.epoll_fd = -1,
	};
	if (!ports->kernel_pool)
		return 0;
	exception->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	err = exception->epoll_fd < 0 ? -errno : 0;
	for (u32 i = 0; i < lanes_count && !err; i++)
		err = lane_create(&lanes[i], i);
	if (err) {
		exception_close(exception);
		return err;
	}
	for (u32 i = 0; i < ports->count; i++) {
		if (port_wants_exception(&ports->list[i]))
			tap_make(exception, i);
		answers |= ports->list[i].station.answers;
		exception->announcer.stations[i] = ports->list[i].station;
	}
	if (exception->taps_count == 0 && !answers)
		exception_close(exception);
	return 0;
}

void exception_close(struct exception *exception)
{
	for (u32 i = 0; i < PORTS_MAX; i++)
		if (exception->taps[i].port && exception->taps[i].fd >= 0)
			close(exception->taps[i].fd);
	if (exception->epoll_fd >= 0)
		close(exception->epoll_fd);
	for (u32 i = 0; i < exception->lanes_count; i++)
		lane_destroy(&exception->lanes[i]);
	rte_pktmbuf_free(exception->spare);
	announcer_free(&exception->announcer);
	*exception = (struct exception){.epoll_fd = -1};
}
