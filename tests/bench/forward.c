/* SPDX-License-Identifier: BSD-2-Clause */
/* What forwarding costs over the least that a packet can cost on the same device.
 *
 * One net_null device gives and takes buffers. Its frames are empty, so each buffer is stamped
 * with the next frame of a trace of a million flows, by the same code for the floor and for the
 * rows above it. The floor swaps the MAC addresses and sends; a row is the engine's whole way
 * from relay_burst() on, counters and transmission included. EAL, pool and port are the engine's
 * own too.
 *
 * Machines are noisy, so rounds are short and interleaved: a ratio is that of one round's row to
 * the same round's floor, and the median of those is printed. Nothing is compared across runs.
 *
 * `macswap` does what dpdk-testpmd does in its mode of this name, `macswap.lean` swaps only.
 * `macswap.bare` does without stamping, as testpmd: `--bare SECONDS` runs it alone for a
 * comparison and prints the packets of each second. */
#include "dataplane/dpdk/dpdk.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ip.h>
#include <rte_prefetch.h>
#include <tmmintrin.h>

#include "dataplane/dpdk/eal.h"
#include "dataplane/dpdk/plan_here.h"
#include "dataplane/dpdk/relay.h"
#include "tests/bench/scene.h"
#include "tests/bench/stages.h"

#define FLOWS 1000000
#define ROUND_BURSTS 128
#define ROUND_PACKETS (ROUND_BURSTS * RELAY_BURST)
#define ROUNDS_DEFAULT 1000
#define ROUNDS_MAX 100000
#define TRACE_AHEAD 8 /* frames prefetched before they are copied */

/* A balancer over the port, and where in the trace it is. */
struct bench {
	struct scene scene;
	struct relay relay;
	u32 position;
};

struct row {
	const char *name;
	struct bench *bench; /* NULL: no trace */
	void (*burst)(struct bench *bench, struct rte_mbuf **mbufs, u32 count);
	double *cycles; /* a packet, by round */
};

static struct ports ports;
static struct bench bench_many, bench_one;

/* --- One burst ------------------------------------------------------------------------ */

static inline void stamp(struct bench *bench, struct rte_mbuf **mbufs, u32 count)
{
	const u8 *frame = bench->scene.trace + (size_t)bench->position * SCENE_FRAME_BYTES;

	for (u32 i = 0; i < count; i++, frame += SCENE_FRAME_BYTES) {
		prefetch_read(frame + TRACE_AHEAD * SCENE_FRAME_BYTES);
		memcpy(rte_pktmbuf_mtod(mbufs[i], u8 *), frame, SCENE_FRAME_BYTES);
	}
	bench->position += count;
	if (bench->position + RELAY_BURST > FLOWS)
		bench->position = 0;
}

static inline void macs_swap_lean(struct rte_mbuf **mbufs, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		struct rte_ether_hdr *ethernet = rte_pktmbuf_mtod(mbufs[i], struct rte_ether_hdr *);
		struct rte_ether_addr address = ethernet->src_addr;

		ethernet->src_addr = ethernet->dst_addr;
		ethernet->dst_addr = address;
	}
}

/* What dpdk-testpmd does in this mode beside swapping: it says in each mbuf that nothing is to be
 * offloaded. That touches another cache line. */
static inline void offloads_clear(struct rte_mbuf *mbuf)
{
	mbuf->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	mbuf->l2_len = sizeof(struct rte_ether_hdr);
	mbuf->l3_len = sizeof(struct rte_ipv4_hdr);
}

/* Four at a time with the next four prefetched, as testpmd again. */
static inline void macs_swap(struct rte_mbuf **mbufs, u32 count)
{
	const __m128i order = _mm_setr_epi8(6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 12, 13, 14, 15);
	__m128i *starts[4], words[4];

	for (u32 i = 0; i + 4 <= count; i += 4) {
		if (i + 8 <= count) {
#pragma GCC unroll 8
			for (u32 k = 4; k < 8; k++)
				rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + k], u8 *));
		}
#pragma GCC unroll 8
		for (u32 k = 0; k < 4; k++) {
			starts[k] = rte_pktmbuf_mtod(mbufs[i + k], __m128i *);
			words[k] = _mm_loadu_si128(starts[k]);
		}
#pragma GCC unroll 8
		for (u32 k = 0; k < 4; k++)
			_mm_storeu_si128(starts[k], _mm_shuffle_epi8(words[k], order));
#pragma GCC unroll 8
		for (u32 k = 0; k < 4; k++)
			offloads_clear(mbufs[i + k]);
	}
	macs_swap_lean(mbufs + count / 4 * 4, count % 4);
}

static inline void send_all(struct rte_mbuf **mbufs, u32 count)
{
	u16 sent = rte_eth_tx_burst(ports.list[0].id, 0, mbufs, (u16)count);

	if (unlikely(sent < count))
		rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
}

static always_inline void burst_bare(struct bench *bench, struct rte_mbuf **mbufs, u32 count)
{
	macs_swap(mbufs, count);
	send_all(mbufs, count);
}

static void burst_macswap(struct bench *bench, struct rte_mbuf **mbufs, u32 count)
{
	stamp(bench, mbufs, count);
	macs_swap(mbufs, count);
	send_all(mbufs, count);
}

static void burst_lean(struct bench *bench, struct rte_mbuf **mbufs, u32 count)
{
	stamp(bench, mbufs, count);
	macs_swap_lean(mbufs, count);
	send_all(mbufs, count);
}

static void burst_relay(struct bench *bench, struct rte_mbuf **mbufs, u32 count)
{
	stamp(bench, mbufs, count);
	relay_burst(&bench->relay, &ports.list[0], mbufs, count,
		    report_worker(&bench->scene.report, 0));
}

/* Inlined where `burst` is constant, so that the floor pays for no call of ours. */
static always_inline void bursts_run(void (*burst)(struct bench *, struct rte_mbuf **, u32),
				     struct bench *bench, u32 bursts)
{
	struct rte_mbuf *mbufs[RELAY_BURST];

	for (u32 i = 0; i < bursts; i++) {
		u16 count = rte_eth_rx_burst(ports.list[0].id, 0, mbufs, RELAY_BURST);

		burst(bench, mbufs, count);
	}
}

/* --- Preparation ---------------------------------------------------------------------- */

/* The trace twice: every flow gets its entry, then every packet has to find it. */
static void flows_establish(struct bench *bench)
{
	u64 *verdicts = report_worker(&bench->scene.report, 0)->verdicts;
	u64 found, sent = FLOWS / RELAY_BURST * RELAY_BURST;

	bursts_run(burst_relay, bench, FLOWS / RELAY_BURST);
	found = verdicts[VERDICT_FLOW];
	bursts_run(burst_relay, bench, FLOWS / RELAY_BURST);
	found = verdicts[VERDICT_FLOW] - found;
	if (found >= sent - sent / 1000)
		return;
	fprintf(stderr, "forward: of %llu packets only %llu found their flow's entry\n",
		(unsigned long long)sent, (unsigned long long)found);
	exit(1);
}

static void bench_open(struct bench *bench, u32 services_count)
{
	const struct scene_shape shape = {services_count, 1000, FLOWS, false};

	scene_open(&bench->scene, &shape);
	bench->relay.ports = &ports;
	bench->relay.env = bench->scene.env;
}

static bool device_open(const struct config *config, const char *program)
{
	static struct machine machine;
	static struct plan plan;

	ports_prepare(&ports, config->dataplane.interfaces, 1);
	if (ports_check(&ports) < 0)
		exit(1);
	plan_here(&plan, &machine, &ports, "auto", 0);
	if (eal_start(&plan.eal) < 0 || ports_open(&ports, 1) < 0)
		exit(1);
	return plan.packets.page != MACHINE_PAGE_4K;
}

/* --- Rounds --------------------------------------------------------------------------- */

/* Nothing of a round is executed before the first reading or after the second. */
static inline u64 cycles_now(void)
{
	u64 cycles;

	__builtin_ia32_lfence();
	cycles = rte_rdtsc();
	__builtin_ia32_lfence();
	return cycles;
}

static void rounds_run(struct row *rows, size_t rows_count, u32 rounds)
{
	for (u32 round = 0; round < rounds; round++)
		for (size_t i = 0; i < rows_count; i++) {
			u64 begin = cycles_now();

			bursts_run(rows[i].burst, rows[i].bench, ROUND_BURSTS);
			rows[i].cycles[round] = (double)(cycles_now() - begin) / ROUND_PACKETS;
		}
}

static int double_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double least(const double *values, u32 count)
{
	double least = values[0];

	for (u32 i = 1; i < count; i++)
		least = values[i] < least ? values[i] : least;
	return least;
}

/* Sorts the values. */
static double median(double *values, u32 count)
{
	qsort(values, count, sizeof(*values), double_compare);
	return values[count / 2];
}

static void row_print(struct row *row, double ratio, u32 rounds, bool last)
{
	double cycles_per_ns = (double)rte_get_tsc_hz() / 1e9;
	double low = least(row->cycles, rounds), middle = median(row->cycles, rounds);

	printf("    \"%s\": {\"ns_min\": %.2f, \"ns_median\": %.2f, \"cycles_min\": %.1f, "
	       "\"cycles_median\": %.1f, \"ratio\": %.3f}%s\n",
	       row->name, low / cycles_per_ns, middle / cycles_per_ns, low, middle, ratio,
	       last ? "" : ",");
}

/* Ratios before anything is sorted: they are those of the same round. */
static void rows_print(struct row *rows, size_t rows_count, const struct row *floor, u32 rounds)
{
	double *ratios = scene_must(calloc(rounds * rows_count, sizeof(*ratios)));

	for (size_t i = 0; i < rows_count; i++)
		for (u32 round = 0; round < rounds; round++)
			ratios[i * rounds + round] = rows[i].cycles[round] / floor->cycles[round];
	for (size_t i = 0; i < rows_count; i++)
		row_print(&rows[i], median(ratios + i * rounds, rounds), rounds,
			  i + 1 == rows_count);
	free(ratios);
}

static void rounds_bench(u32 rounds)
{
	struct row rows[] = {
		{"macswap.bare", NULL, burst_bare, NULL},
		{"macswap", &bench_many, burst_macswap, NULL},
		{"macswap.lean", &bench_many, burst_lean, NULL},
		{"dpdk.1m", &bench_many, burst_relay, NULL},
		{"dpdk.1m.one_service", &bench_one, burst_relay, NULL},
	};
	const size_t rows_count = sizeof(rows) / sizeof(*rows);

	for (size_t i = 0; i < rows_count; i++)
		rows[i].cycles = scene_must(calloc(rounds, sizeof(*rows[i].cycles)));
	flows_establish(&bench_many);
	flows_establish(&bench_one);
	rounds_run(rows, rows_count, rounds < 50 ? rounds : 50);
	rounds_run(rows, rows_count, rounds);
	printf("  \"rows\": {\n");
	rows_print(rows, rows_count, &rows[1], rounds);
	printf("  },\n");
	for (size_t i = 0; i < rows_count; i++)
		free(rows[i].cycles);
}

/* --- Stages --------------------------------------------------------------------------- */

static void stages_bench(u32 rounds)
{
	u64 *cycles = scene_must(calloc((size_t)rounds * STAGES_COUNT, sizeof(*cycles)));
	double *values = scene_must(calloc(rounds, sizeof(*values)));
	struct report_worker *report = report_worker(&bench_many.scene.report, 0);
	struct rte_mbuf *mbufs[RELAY_BURST];

	for (u32 round = 0; round < rounds; round++)
		for (u32 i = 0; i < ROUND_BURSTS; i++) {
			u16 count = rte_eth_rx_burst(ports.list[0].id, 0, mbufs, RELAY_BURST);

			stamp(&bench_many, mbufs, count);
			stages_relay_burst(&bench_many.relay, &ports.list[0], mbufs, count, report,
					   cycles + (size_t)round * STAGES_COUNT);
		}
	printf("  \"stages\": {");
	for (u32 stage = 0; stage < STAGES_COUNT; stage++) {
		for (u32 round = 0; round < rounds; round++)
			values[round] = (double)cycles[(size_t)round * STAGES_COUNT + stage] /
					ROUND_PACKETS;
		printf("%s\"%s\": %.1f", stage ? ", " : "", stages_names[stage],
		       median(values, rounds));
	}
	printf("},\n");
	free(values);
	free(cycles);
}

/* --- As testpmd runs ------------------------------------------------------------------ */

static void bare_bench(u32 seconds)
{
	u64 hz = rte_get_tsc_hz();

	printf("  \"bare_pps\": [");
	for (u32 i = 0; i < seconds; i++) {
		u64 begin = rte_rdtsc(), packets = 0;

		while (rte_rdtsc() - begin < hz) {
			bursts_run(burst_bare, NULL, ROUND_BURSTS);
			packets += ROUND_PACKETS;
		}
		printf("%s%llu", i ? ", " : "", (unsigned long long)packets);
	}
	printf("],\n");
}

/* --- Main ----------------------------------------------------------------------------- */

struct options {
	u32 rounds;
	u32 bare_seconds;
};

/* On the worker's core, as the engine. */
static int run(void *argument)
{
	const struct options *options = argument;

	if (options->bare_seconds) {
		bare_bench(options->bare_seconds);
		return 0;
	}
	rounds_bench(options->rounds);
	stages_bench(options->rounds / 4 + 1);
	return 0;
}

static u32 number(const char *text, u32 least_value, u32 most_value)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text >= '0' && *text <= '9' && !*end && value >= least_value && value <= most_value)
		return (u32)value;
	fprintf(stderr, "forward: '%s' is no number from %u to %u\n", text, least_value,
		most_value);
	exit(64);
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"rounds", required_argument, NULL, 'r'},
		{"bare", required_argument, NULL, 'b'},
		{NULL, 0, NULL, 0},
	};
	struct options options = {.rounds = ROUNDS_DEFAULT};
	bool huge_pages;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'r')
			options.rounds = number(optarg, 1, ROUNDS_MAX);
		else if (option == 'b')
			options.bare_seconds = number(optarg, 1, 3600);
		else
			return 64;
	}
	bench_open(&bench_many, options.bare_seconds ? 1 : 100);
	if (!options.bare_seconds)
		bench_open(&bench_one, 1);
	huge_pages = device_open(bench_many.scene.config, argv[0]);
	printf("{\n");
	if (rte_eal_remote_launch(run, &options, eal_worker_lcore(0)) != 0)
		return 1;
	/* rte_eal_wait_lcore() polls, and what it keeps from its core goes to the worker's. */
	while (rte_eal_get_lcore_state(eal_worker_lcore(0)) == RUNNING)
		usleep(10000);
	rte_eal_wait_lcore(eal_worker_lcore(0));
	printf("  \"burst\": %d, \"flows\": %d, \"huge_pages\": %s, \"tsc_ghz\": %.3f\n}\n",
	       RELAY_BURST, FLOWS, huge_pages ? "true" : "false", (double)rte_get_tsc_hz() / 1e9);
	ports_close(&ports);
	scene_close(&bench_many.scene);
	if (!options.bare_seconds)
		scene_close(&bench_one.scene);
	return 0;
}
