/* SPDX-License-Identifier: BSD-2-Clause */
/* No cache line is written by two workers. Two of them run as in shunt-dpdk, from the device to
 * the device or to the kernel's lane, with every store of each observed (store_watch.h); one after
 * the other, so that they may share a core here. Lines that both stored into are listed; there have
 * to be none.
 *
 * The device is net_pcap, which gives the frames of a capture again and again and drops what is
 * sent, without a system call. What the main thread does with a lane is done in the worker's own
 * thread, between two bursts, under another name: so nothing runs at the same time. */
#include "dataplane/dpdk/dpdk.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/arena_writer.h"
#include "dataplane/dpdk/eal.h"
#include "dataplane/dpdk/workers.h"
#include "tests/bench/scene.h"
#include "tests/engine/store_watch.h"

enum {
	WORKERS = 2,
	MAIN_THREAD = WORKERS, /* as the watch knows it */
	FLOWS = 64,
	FLOWS_EACH_PASSED = 8, /* frames for a service to one for the kernel */
	BURSTS_WARM = 500,
	BURSTS_WATCHED = 12,
	FLOW_TIMEOUT_MS = 2000, /* of which a tick is 1/32 */
	TICKS_WATCHED = 2,
	PATIENCE_MS = 25000,
};

static struct workers workers;
static struct ports ports;
static struct flow_tables flows;
static struct attachment *attachment;
static struct lane lanes[WORKERS] cache_aligned;
static u64 refused[WORKERS]; /* packets that the main thread said it could not take */

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "worker_lines: %s\n", what);
	exit(1);
}

static void must(bool good, const char *what)
{
	if (!good)
		fail(what);
}

static u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

/* --- Two workers ---------------------------------------------------------------------- */

static void capture_write(const struct scene *scene, const char *path)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, SCENE_FRAME_BYTES);
	pcap_dumper_t *out = pcap_dump_open(pcap, path);
	struct pcap_pkthdr header = {.caplen = SCENE_FRAME_BYTES, .len = SCENE_FRAME_BYTES};

	must(out != NULL, "cannot write the capture");
	for (u32 i = 0; i < FLOWS; i++) {
		u8 *frame = scene->trace + (size_t)i * SCENE_FRAME_BYTES;
		u8 passed[SCENE_FRAME_BYTES];

		pcap_dump((u8 *)out, &header, frame);
		if (i % FLOWS_EACH_PASSED != 0)
			continue;
		memcpy(passed, frame, sizeof(passed));
		passed[12] = 0x88; /* LLDP */
		passed[13] = 0xcc;
		pcap_dump((u8 *)out, &header, passed);
	}
	pcap_dump_close(out);
	pcap_close(pcap);
}

/* Both on one core where there is but one. */
static void device_open(const struct config_interface *interface, int cpus[static WORKERS])
{
	static struct eal_line line;
	char given[CORES_TEXT_MAX];
	int list[CORES_NUMBERS_MAX];
	struct eal_setup setup = {
		.program = "worker_lines",
		.main_cpus = given,
		.worker_cpus = cpus,
		.workers_count = WORKERS,
	};
	u32 count;

	cores_format_given(given);
	count = cores_parse(given, list);
	for (u32 i = 0; i < WORKERS; i++)
		cpus[i] = list[i < count ? i : 0];
	ports_prepare(&ports, interface, 1);
	must(ports_check(&ports) == 0, "no port");
	setup.memory_bytes = ports_memory_bytes(&ports, WORKERS);
	eal_line_make(&line, &setup);
	must(eal_start(&line) == 0, "DPDK does not start");
	must(ports_open(&ports, WORKERS) == 0 && ports.workers_count == WORKERS,
	     "the device has no two queues");
}

/* As exception.c does it: what went up comes down to be freed, and one of them to be counted, too. */
static u16 main_thread_drain(u16 port, u16 queue, struct rte_mbuf **received, u16 count, u16 max,
			     void *unused)
{
	struct rte_mbuf *mbufs[RELAY_BURST];
	struct lane *lane = &lanes[queue];
	u32 passed;

	store_watch_as(MAIN_THREAD);
	passed = rte_ring_sc_dequeue_burst(lane->up, (void **)mbufs, RELAY_BURST, NULL);
	for (u32 i = 0; i < passed; i++)
		mbufs[i]->port = i == 0 ? LANE_LOST : LANE_SPENT;
	refused[queue] += passed > 0;
	if (passed > 0 &&
	    rte_ring_sp_enqueue_bulk(lane->down, (void **)mbufs, passed, NULL) != passed)
		abort();
	store_watch_as(queue);
	return count;
}

static void lanes_open(void)
{
	ports.list[0].exception = true;
	for (u16 i = 0; i < WORKERS; i++) {
		must(lane_create(&lanes[i], i) == 0, "no lane");
		must(rte_eth_add_rx_callback(ports.list[0].id, i, main_thread_drain, NULL) != NULL,
		     "DPDK has no callbacks");
		workers.list[i].relay.lane = &lanes[i];
	}
}

static void workers_open(const struct scene *scene)
{
	static int cpus[WORKERS];
	static struct config_interface interface;
	char path[] = P_tmpdir "/worker_lines-XXXXXX", text[400];
	int fd = mkstemp(path);

	must(fd >= 0, "cannot make a file");
	capture_write(scene, path);
	interface = scene->config->dataplane.interfaces[0];
	snprintf(interface.device, sizeof(interface.device),
		 "net_pcap0,rx_pcap=%s,rx_pcap=%s,infinite_rx=1", path, path);
	device_open(&interface, cpus);
	unlink(path);
	close(fd);
	must(flow_tables_create(FLOWS, WORKERS, FLOW_TIMEOUT_MS, &flows) == 0, "no flow tables");
	must(attachment_create(arena_writer_fd(scene->writer), WORKERS, &attachment, text,
			       sizeof(text)) == 0,
	     text);
	flow_tables_adopt(&flows, attachment->incarnation);
	attachment->flow_buckets = flows.buckets_count;
	workers_prepare(&workers, WORKERS, cpus, &ports, flow_tick_ms(FLOW_TIMEOUT_MS));
	workers_use_flows(&workers, &flows, NULL);
	lanes_open();
}

static u64 bursts(const struct report_worker *report)
{
	return __atomic_load_n(&report->heartbeat, __ATOMIC_RELAXED);
}

static void bursts_wait(const struct report_worker *report, u64 count, u64 until_ms)
{
	u64 give_up_ms = now_ms() + PATIENCE_MS;

	while (bursts(report) < count || now_ms() < until_ms) {
		must(now_ms() < give_up_ms, "a worker does not get on");
		usleep(1000);
	}
}

/* In the thread of a worker to be. */
static int thread_watch(void *number)
{
	int here = 0;

	store_watch_spare(&here);
	store_watch_as(*(u32 *)number);
	return 0;
}

/* Runs one worker for a while, and watches when it has settled down. */
static void worker_watch(u32 number)
{
	struct report_worker *report = report_worker(&attachment->report, number);
	u64 before;

	must(rte_eal_remote_launch(thread_watch, &number, eal_worker_lcore(number)) == 0 &&
		     rte_eal_wait_lcore(eal_worker_lcore(number)) == 0,
	     "a thread does not start");
	must(worker_hand(&workers.list[number], attachment) == 0, "a worker does not start");
	bursts_wait(report, BURSTS_WARM, 0);
	store_watch_begin();
	before = bursts(report);
	bursts_wait(report, before + BURSTS_WATCHED,
		    now_ms() + (TICKS_WATCHED + 1) * flows.tick_ms);
	store_watch_end();
	worker_stop(&workers.list[number]);
	worker_join(&workers.list[number]);
	must(report->verdicts[VERDICT_FLOW] > FLOWS, "a worker forwards nothing by its flow table");
	must(lanes[number].exceptions_lost > 0, "a worker counts nothing that the kernel refused");
	must(lanes[number].exceptions_lost <= refused[number], "a worker's lane does not get on");
}

/* --- What they stored into ------------------------------------------------------------ */

static bool inside(u64 address, const volatile void *begin, size_t bytes)
{
	return address >= (u64)begin && address < (u64)begin + bytes;
}

static const char *place_name(u64 address)
{
	if (inside(address, lanes, sizeof(lanes)))
		return "the lanes";
	if (inside(address, &workers, sizeof(workers)))
		return "the workers";
	if (inside(address, attachment->report.header, attachment->report.size_bytes))
		return "the report";
	if (inside(address, flows.header, FLOW_TABLE_HEADER_BYTES))
		return "the flow tables' header";
	if (inside(address, flows.header, flows.size_bytes))
		return "the flow tables";
	if (inside(address, attachment, sizeof(*attachment)))
		return "the attachment";
	if (inside(address, &ports, sizeof(ports)))
		return "the ports";
	if (inside(address, ports.pool, sizeof(*ports.pool)))
		return "the pool";
	return "memory of DPDK";
}

/* Whether one was seen to store into the line of this, and nobody else. */
static void expect_seen(const volatile void *p, u8 by, const char *what)
{
	const struct store_line *line;

	for (u32 i = 0; (line = store_watch_line(i)); i++)
		if (line->address == ((u64)p & ~63ull) && line->by == by)
			return;
	fprintf(stderr, "worker_lines: %s was not seen to be written by %s alone\n", what,
		by == 1   ? "the first worker"
		: by == 2 ? "the second one"
			  : "the main thread");
	exit(1);
}

/* That stores are seen at all. */
static void expect_own_lines(void)
{
	for (u32 i = 0; i < WORKERS; i++) {
		struct report_worker *report = report_worker(&attachment->report, i);

		expect_seen(&report->heartbeat, (u8)(1u << i), "a heartbeat");
		expect_seen(&report->verdicts[VERDICT_FLOW], (u8)(1u << i), "a verdict's counter");
		expect_seen(&workers.list[i].relay.burst.count, (u8)(1u << i), "a burst");
		expect_seen(&lanes[i].exceptions_lost, (u8)(1u << i), "a count of losses");
		expect_seen(&lanes[i].up->prod, (u8)(1u << i), "the foot of a lane up");
		expect_seen(&lanes[i].up->cons, 1u << MAIN_THREAD, "the head of a lane up");
		expect_seen(&lanes[i].down->prod, 1u << MAIN_THREAD, "the head of a lane down");
		expect_seen(&lanes[i].down->cons, (u8)(1u << i), "the foot of a lane down");
	}
	expect_seen(&flows.header->last_tick, 1, "the tick of the flow tables");
}

static int lines_judge(void)
{
	const struct store_line *line;
	u32 alone[WORKERS] = {0}, both = 0;

	for (u32 i = 0; (line = store_watch_line(i)); i++) {
		bool by_worker[WORKERS] = {line->by & 1, line->by & 2};

		for (u32 k = 0; k < WORKERS; k++)
			alone[k] += by_worker[k] && !by_worker[1 - k];
		if (!by_worker[0] || !by_worker[1])
			continue;
		both++;
		printf("written by both: line 0x%llx in %s\n", (unsigned long long)line->address,
		       place_name(line->address));
	}
	printf("lines written: %u by the first worker alone, %u by the second alone, %u by both\n",
	       alone[0], alone[1], both);
	return both == 0 ? 0 : 1;
}

int main(void)
{
	static const struct scene_shape shape = {1, 10, FLOWS, false};
	struct scene scene;
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	scene_open(&scene, &shape);
	must(store_watch_open() == 0, "cannot watch");
	workers_open(&scene);
	for (u32 i = 0; i < WORKERS; i++)
		worker_watch(i);
	status = lines_judge();
	if (status == 0)
		expect_own_lines();
	for (u32 i = 0; i < WORKERS; i++)
		lane_destroy(&lanes[i]);
	ports_close(&ports);
	attachment_destroy(attachment);
	flow_tables_destroy(&flows);
	scene_close(&scene);
	return status;
}
