/* SPDX-License-Identifier: BSD-2-Clause */
/* What the benches of many short rounds say of them. */
#ifndef SHUNT_TESTS_BENCH_ROUNDS_H
#define SHUNT_TESTS_BENCH_ROUNDS_H

#include <stdlib.h>

#define ROUNDS 40

static inline int round_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts them; the least is the first then. */
static inline double rounds_median(double list[ROUNDS])
{
	qsort(list, ROUNDS, sizeof(*list), round_compare);
	return (list[ROUNDS / 2 - 1] + list[ROUNDS / 2]) / 2;
}

#endif
