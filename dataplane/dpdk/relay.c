/* SPDX-License-Identifier: BSD-2-Clause */
/* A burst's life here: describe the frames to the pipeline, write what became of them back into
 * the mbufs, send per port, count what was sent. A packet that no queue took is counted as such
 * and freed: waiting for room would only move the loss to where nobody counts it.
 *
 * What is passed goes up the worker's lane (lane.h), where its port has an exception port; else it
 * is freed: at net_af_packet the kernel has it anyway. A reply goes out where its question came
 * in. */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/relay.h"

static void describe(struct burst *burst, const struct port *port, struct rte_mbuf *const *mbufs,
		     u32 count)
{
	burst->count = count;
	burst->station = port->station;
	for (u32 i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = mbufs[i];
		u8 *frame = rte_pktmbuf_mtod(mbuf, u8 *);

		prefetch_write(frame);
		prefetch_write(frame - ENCAP_OVERHEAD_MAX); /* where an outer header will begin */
		burst->frame[i] = frame;
		burst->contiguous_bytes[i] = mbuf->data_len;
		burst->frame_bytes[i] = mbuf->pkt_len;
		burst->headroom_bytes[i] = rte_pktmbuf_headroom(mbuf);
	}
}

/* Cuts a chain to its first len_bytes: padding may span several segments. */
static void chain_cut(struct rte_mbuf *mbuf, u32 len_bytes)
{
	struct rte_mbuf *segment = mbuf;
	u32 left_bytes = len_bytes;
	u16 segments = 1;

	while (left_bytes > segment->data_len && segment->next) {
		left_bytes -= segment->data_len;
		segment = segment->next;
		segments++;
	}
	rte_pktmbuf_free(segment->next);
	segment->next = NULL;
	segment->data_len = (u16)left_bytes;
	mbuf->nb_segs = segments;
	mbuf->pkt_len = len_bytes;
}

/* Gives the mbuf the frame that the pipeline made of it. A chain is made whole: not every driver
 * sends one. Returns false where a whole one has no room. */
static always_inline bool rewrite(struct rte_mbuf *mbuf, const u8 *frame, u32 frame_bytes)
{
	int grown = (int)(rte_pktmbuf_mtod(mbuf, u8 *) - frame);

	mbuf->data_off = (u16)(mbuf->data_off - grown);
	if (likely(mbuf->nb_segs == 1)) {
		mbuf->data_len = (u16)frame_bytes;
		mbuf->pkt_len = frame_bytes;
		return true;
	}
	mbuf->data_len = (u16)(mbuf->data_len + grown);
	mbuf->pkt_len += (u32)grown;
	chain_cut(mbuf, frame_bytes);
	return rte_pktmbuf_linearize(mbuf) == 0;
}

static always_inline void queue_push(struct relay_queue *queue, struct rte_mbuf *mbuf, u32 place)
{
	queue->mbufs[queue->count] = mbuf;
	queue->places[queue->count] = (u8)place;
	queue->count++;
}

/* Keeps a fragment that is early, if there is a place. */
static bool held(struct relay *relay, const struct port *port, struct rte_mbuf *mbuf, u32 i)
{
	struct burst *burst = &relay->burst;
	struct held held = {.frame = mbuf, .port = port, .since_ms = relay->env.now_ms};

	if (burst->verdict[i] != VERDICT_FRAGMENT || !relay->env.recent)
		return false;
	held.datagram = burst->datagram[i];
	if (!hold_put(&relay->hold, &held))
		return false;
	burst->verdict[i] = VERDICT_UNDECIDED;
	return true;
}

static u32 port_index(const struct relay *relay, const struct port *port)
{
	return (u32)(port - relay->ports->list);
}

/* Where an mbuf goes that isn't forwarded. */
static void sort_rest(struct relay *relay, const struct port *port, struct rte_mbuf *mbuf, u32 i)
{
	struct burst *burst = &relay->burst;
	enum action action = verdict_action(burst->verdict[i]);

	if (held(relay, port, mbuf, i))
		return;
	if (action == ACTION_REPLY && rewrite(mbuf, burst->frame[i], burst->frame_bytes[i])) {
		queue_push(&relay->out[port_index(relay, port)], mbuf, i);
	} else if (action == ACTION_PASS && port->exception && relay->lane) {
		mbuf->port = (u16)port_index(relay, port);
		queue_push(&relay->passed, mbuf, i);
	} else {
		if (action == ACTION_REPLY)
			burst->verdict[i] = VERDICT_NO_HEADROOM;
		queue_push(&relay->dropped, mbuf, i);
	}
}

/* Where each mbuf goes from here. */
static void sort_out(struct relay *relay, const struct port *port, struct rte_mbuf *const *mbufs)
{
	struct burst *burst = &relay->burst;

	for (u32 i = 0; i < burst->count; i++) {
		if (unlikely(verdict_action(burst->verdict[i]) != ACTION_FORWARD)) {
			sort_rest(relay, port, mbufs[i], i);
		} else if (unlikely(burst->port[i] >= relay->ports->count)) {
			/* shuntd knows interfaces that this process was started without. */
			burst->verdict[i] = VERDICT_NO_NEXT_HOP;
			queue_push(&relay->dropped, mbufs[i], i);
		} else if (unlikely(!rewrite(mbufs[i], burst->frame[i], burst->frame_bytes[i]))) {
			burst->verdict[i] = VERDICT_TOO_BIG;
			queue_push(&relay->dropped, mbufs[i], i);
		} else {
			queue_push(&relay->out[burst->port[i]], mbufs[i], i);
		}
	}
}

/* On a dead link nothing is tried: some devices would take it, and nobody count it. */
static always_inline u16 send_burst(const struct relay *relay, u32 port, struct rte_mbuf **mbufs,
				    u32 count)
{
	const struct port *to = &relay->ports->list[port];

	if (unlikely(port_use(to) != PORT_USED))
		return 0;
	return rte_eth_tx_burst(to->id, relay->queue, mbufs, (u16)count);
}

static void send_queue(struct relay *relay, u32 port)
{
	struct relay_queue *queue = &relay->out[port];
	u16 sent = send_burst(relay, port, queue->mbufs, queue->count);

	for (u32 k = sent; unlikely(k < queue->count); k++) {
		relay->burst.verdict[queue->places[k]] = VERDICT_QUEUE_FULL;
		rte_pktmbuf_free(queue->mbufs[k]);
	}
	queue->count = 0;
}

/* --- The kernel's share --------------------------------------------------------------- */

static void send_up(struct relay *relay)
{
	struct relay_queue *queue = &relay->passed;
	u32 taken = rte_ring_sp_enqueue_burst(relay->lane->up, (void **)queue->mbufs, queue->count,
					      NULL);

	if (taken < queue->count) {
		rte_pktmbuf_free_bulk(queue->mbufs + taken, queue->count - taken);
		relay->lane->exceptions_lost += queue->count - taken;
	}
	queue->count = 0;
}

void relay_lane_report(const struct relay *relay, struct report_worker *report)
{
	report->exceptions_lost = relay->lane->exceptions_lost;
	report->kernel_sent = relay->lane->kernel_sent;
	report->kernel_lost = relay->lane->kernel_lost;
}

void relay_pass(struct relay *relay, const struct port *port, struct rte_mbuf *const *mbufs,
		u32 count)
{
	for (u32 i = 0; i < count; i++) {
		mbufs[i]->port = (u16)port_index(relay, port);
		queue_push(&relay->passed, mbufs[i], i);
	}
	send_up(relay);
}

/* Sends frames that are for one port. */
static void send_down(struct relay *relay, u32 port, struct rte_mbuf **mbufs, u32 count)
{
	u32 sent = send_burst(relay, port, mbufs, count);

	if (sent < count)
		rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
	relay->lane->kernel_sent += sent;
	relay->lane->kernel_lost += count - sent;
}

void relay_lane_take(struct relay *relay)
{
	struct rte_mbuf *mbufs[RELAY_BURST];
	u32 count = rte_ring_sc_dequeue_burst(relay->lane->down, (void **)mbufs, RELAY_BURST, NULL);

	for (u32 from = 0, to; from < count; from = to) {
		u32 port = mbufs[from]->port;

		for (to = from + 1; to < count && mbufs[to]->port == port; to++)
			;
		if (port < relay->ports->count) {
			send_down(relay, port, mbufs + from, to - from);
			continue;
		}
		rte_pktmbuf_free_bulk(mbufs + from, to - from);
		if (port == LANE_LOST)
			relay->lane->exceptions_lost += to - from;
	}
}

/* Only a change of the tables while a frame was on its way from the program makes it the kernel's: then it
 * is lost. */
static void drop(struct relay *relay, struct report_worker *report)
{
	struct relay_queue *queue = &relay->dropped;

	for (u32 k = 0; relay->beside && k < queue->count; k++)
		report->exceptions_lost +=
			verdict_action(relay->burst.verdict[queue->places[k]]) == ACTION_PASS;
	rte_pktmbuf_free_bulk(queue->mbufs, queue->count);
	queue->count = 0;
}

void relay_burst(struct relay *relay, const struct port *port, struct rte_mbuf *const *mbufs,
		 u32 count, struct report_worker *report)
{
	describe(&relay->burst, port, mbufs, count);
	burst_process(&relay->env, &relay->burst);
	sort_out(relay, port, mbufs);
	for (u32 i = 0; i < relay->ports->count; i++)
		if (relay->out[i].count > 0)
			send_queue(relay, i);
	if (unlikely(relay->dropped.count > 0))
		drop(relay, report);
	if (unlikely(relay->passed.count > 0))
		send_up(relay);
	burst_count(&relay->burst, 0, count, report);
}

const struct rte_mbuf *relay_release(struct relay *relay, struct report_worker *report)
{
	struct held held;
	struct rte_mbuf *mbuf;

	if (!relay->env.recent || !hold_release(&relay->hold, relay->env.recent, &held))
		return NULL;
	mbuf = held.frame;
	relay_burst(relay, held.port, &mbuf, 1, report);
	return mbuf;
}

const struct rte_mbuf *relay_expire(struct relay *relay, struct report_worker *report)
{
	struct held held;
	struct rte_mbuf *mbuf;

	if (!hold_expire(&relay->hold, relay->env.now_ms, &held))
		return NULL;
	mbuf = held.frame;
	if (!relay->beside) {
		report->verdicts[VERDICT_FRAGMENT]++;
		rte_pktmbuf_free(mbuf);
		return mbuf;
	}
	relay->hold.releasing = true; /* not to be held again */
	relay_burst(relay, held.port, &mbuf, 1, report);
	relay->hold.releasing = false;
	return mbuf;
}
