/* SPDX-License-Identifier: BSD-2-Clause */
/* How long a Maglev table takes to build, beside the paper's own loop (NSDI 2016, section
 * 3.4) in the same run: the loop, written as printed there, gets its permutations ready
 * made, while a build sorts, hashes and checks as well. With equal weights both make the
 * same table, and a run in which they differ fails. Weights from 1 to 100 have no floor, nor
 * have the awkward sets at the end, which must only stay within the same few milliseconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/maglev_build.h"

#define ROUNDS_MIN 15
#define ROUNDS_MAX 201
#define CASE_MS 1200.0

struct bench_case {
	u32 m;
	u32 count;
};

struct timing {
	double least_ms;
	double median_ms;
};

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void *must(void *p)
{
	if (!p) {
		perror("out of memory");
		exit(1);
	}
	return p;
}

static int order_compare(const void *a, const void *b)
{
	const struct maglev_backend *left = a, *right = b;
	u64 x = maglev_permute(&left->address, 2).order;
	u64 y = maglev_permute(&right->address, 2).order;

	return x < y ? -1 : x > y;
}

/* In canonical order, so that the floor's table is comparable. */
static void backends_make(struct maglev_backend *backends, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		backends[i].address = addr_from_v4(BE32(0x0a000001 + i));
		backends[i].number = (u16)(i + 1);
	}
	qsort(backends, count, sizeof(*backends), order_compare);
}

static void weights_set(struct maglev_backend *backends, u32 count, u32 most)
{
	u32 state = 1;

	for (u32 i = 0; i < count; i++) {
		state = state * 1664525 + 1013904223;
		backends[i].weight = 1 + fastrange32(state, most);
	}
}

/* permutation[i][j] = (offset + j * skip) mod m, worked out instead of stored: n * m entries
 * would take gigabytes. */
static void paper_fill(s64 *entry, u32 m, const struct maglev_permutation *backends, u32 n,
		       u64 *next)
{
	u32 filled = 0;

	memset(next, 0, n * sizeof(*next));
	memset(entry, 0xff, m * sizeof(*entry));
	for (;;) {
		for (u32 i = 0; i < n; i++) {
			u64 c = (backends[i].offset + next[i] * backends[i].skip) % m;

			while (entry[c] >= 0) {
				next[i]++;
				c = (backends[i].offset + next[i] * backends[i].skip) % m;
			}
			entry[c] = i;
			next[i]++;
			if (++filled == m)
				return;
		}
	}
}

static int double_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static struct timing timing_of(double *spent_ms, u32 rounds)
{
	qsort(spent_ms, rounds, sizeof(*spent_ms), double_compare);
	return (struct timing){.least_ms = spent_ms[0], .median_ms = spent_ms[rounds / 2]};
}

static struct timing build_time(u16 *table, u32 m, const struct maglev_backend *backends, u32 n)
{
	double spent_ms[ROUNDS_MAX], begin_ms = now_ms();
	u32 rounds = 0;

	do {
		double start_ms = now_ms();

		if (maglev_build(table, m, backends, n)) {
			fprintf(stderr, "maglev_build failed\n");
			exit(1);
		}
		spent_ms[rounds] = now_ms() - start_ms;
	} while (++rounds < ROUNDS_MAX && (rounds < ROUNDS_MIN || now_ms() - begin_ms < CASE_MS));
	return timing_of(spent_ms, rounds);
}

static struct timing paper_time(s64 *entry, u32 m, const struct maglev_backend *backends, u32 n)
{
	struct maglev_permutation *permutations = must(calloc(n, sizeof(*permutations)));
	u64 *next = must(calloc(n, sizeof(*next)));
	double spent_ms[ROUNDS_MAX], begin_ms = now_ms();
	u32 rounds = 0;

	for (u32 i = 0; i < n; i++)
		permutations[i] = maglev_permute(&backends[i].address, m);
	do {
		double start_ms = now_ms();

		paper_fill(entry, m, permutations, n, next);
		spent_ms[rounds] = now_ms() - start_ms;
	} while (++rounds < ROUNDS_MAX && (rounds < ROUNDS_MIN || now_ms() - begin_ms < CASE_MS));
	free(next);
	free(permutations);
	return timing_of(spent_ms, rounds);
}

static bool case_run(const struct bench_case *bench)
{
	struct maglev_backend *backends = must(calloc(bench->count, sizeof(*backends)));
	s64 *entry = must(calloc(bench->m, sizeof(*entry)));
	u16 *table = must(calloc(bench->m, sizeof(*table)));
	struct timing build, paper, weighted;
	bool same = true;

	backends_make(backends, bench->count);
	weights_set(backends, bench->count, 1);
	build = build_time(table, bench->m, backends, bench->count);
	paper = paper_time(entry, bench->m, backends, bench->count);
	for (u32 slot = 0; slot < bench->m; slot++)
		same = same && table[slot] == backends[entry[slot]].number;
	weights_set(backends, bench->count, 100);
	weighted = build_time(table, bench->m, backends, bench->count);
	printf("%7u %6u  %8.3f %8.3f  %8.3f %8.3f  %5.2f  %8.3f %8.3f%s\n", bench->m, bench->count,
	       build.least_ms, build.median_ms, paper.least_ms, paper.median_ms,
	       paper.median_ms / build.median_ms, weighted.least_ms, weighted.median_ms,
	       same ? "" : "  TABLES DIFFER");
	free(table);
	free(entry);
	free(backends);
	return same;
}

/* A set in which `heavy` backends have nearly everything. */
static void awkward_run(const char *what, u32 m, u32 count, u32 heavy)
{
	struct maglev_backend *backends = must(calloc(count, sizeof(*backends)));
	u16 *table = must(calloc(m, sizeof(*table)));
	struct timing build;

	backends_make(backends, count);
	weights_set(backends, count, 1);
	for (u32 i = 0; i < heavy; i++)
		backends[i * (count / heavy)].weight = 1000000;
	build = build_time(table, m, backends, count);
	printf("%7u %6u  %8.3f %8.3f  %s\n", m, count, build.least_ms, build.median_ms, what);
	free(table);
	free(backends);
}

int main(void)
{
	static const struct bench_case cases[] = {
		{65537, 100},  {65537, 1000},  {65537, 10000},
		{655373, 100}, {655373, 1000}, {655373, 10000},
	};
	bool same = true;

	printf("%7s %6s  %17s  %17s  %5s  %17s\n", "slots", "back-", "build, ms",
	       "paper's loop, ms", "ratio", "weights 1-100, ms");
	printf("%7s %6s  %8s %8s  %8s %8s  %5s  %8s %8s\n", "", "ends", "min", "median", "min",
	       "median", "", "min", "median");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		same = case_run(&cases[i]) && same;
	awkward_run("alone", 65537, 1, 0);
	awkward_run("a pair", 65537, 2, 0);
	awkward_run("one has nearly all", 65537, 1000, 1);
	awkward_run("two have nearly all", 65537, 1000, 2);
	awkward_run("two have nearly all", 65537, 10000, 2);
	awkward_run("a slot each", 65537, 65535, 0);
	return same ? 0 : 1;
}
