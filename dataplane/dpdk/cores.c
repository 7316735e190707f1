/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/cores.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

u32 cores_parse(const char *text, int list[static CORES_NUMBERS_MAX])
{
	u32 count = 0;

	for (;;) {
		char *end;
		long first = strtol(text, &end, 10), last = first;

		if (end == text)
			return count;
		if (*end == '-')
			last = strtol(end + 1, &end, 10);
		for (long cpu = first; cpu <= last && cpu < CORES_NUMBERS_MAX; cpu++)
			if (cpu >= 0 && count < CORES_NUMBERS_MAX)
				list[count++] = (int)cpu;
		if (*end != ',')
			return count;
		text = end + 1;
	}
}

void cores_format(const int *list, u32 count, char out[static CORES_TEXT_MAX])
{
	size_t used = 0;

	out[0] = '\0';
	for (u32 i = 0, next; i < count && used < CORES_TEXT_MAX - 16; i = next) {
		for (next = i + 1; next < count && list[next] == list[next - 1] + 1; next++)
			;
		used += (size_t)sprintf(out + used, used ? ",%d" : "%d", list[i]);
		if (next > i + 1)
			used += (size_t)sprintf(out + used, "-%d", list[next - 1]);
	}
}

void cores_format_given(char out[static CORES_TEXT_MAX])
{
	int list[CPU_SETSIZE];
	cpu_set_t given;
	u32 count = 0;

	if (sched_getaffinity(0, sizeof(given), &given) < 0)
		CPU_ZERO(&given);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &given))
			list[count++] = cpu;
	cores_format(list, count, out);
}
