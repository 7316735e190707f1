/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker polls, so it takes its core whole: nobody is served by more of them than were set
 * aside. Without a list that means the isolated cores; where none is, one worker on the last core,
 * since a second one would more likely take the time of the programs beside it than have work. */
#include "dataplane/dpdk/cores.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/session/message.h"

#define ISOLATED_PATH "/sys/devices/system/cpu/isolated"

/* "2-5,7", which the configuration or the kernel has checked. Returns how many. */
static u32 list_parse(const char *text, int cpus[static CPU_SETSIZE])
{
	u32 count = 0;

	for (;;) {
		char *end;
		long first = strtol(text, &end, 10), last = first;

		if (end == text)
			return count;
		if (*end == '-')
			last = strtol(end + 1, &end, 10);
		for (long cpu = first; cpu <= last && count < CPU_SETSIZE; cpu++)
			cpus[count++] = (int)cpu;
		if (*end != ',')
			return count;
		text = end + 1;
	}
}

/* The cores that the kernel keeps free of other work (isolcpus). */
static u32 isolated(int cpus[static CPU_SETSIZE])
{
	char text[4096] = "";
	FILE *file = fopen(ISOLATED_PATH, "re");
	u32 count;

	if (!file)
		return 0;
	count = fgets(text, sizeof(text), file) ? list_parse(text, cpus) : 0;
	fclose(file);
	return count;
}

static bool may_run_on(int cpu)
{
	cpu_set_t before, wanted;
	bool may;

	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(before), &before) < 0)
		return false;
	CPU_ZERO(&wanted);
	CPU_SET(cpu, &wanted);
	may = sched_setaffinity(0, sizeof(wanted), &wanted) == 0;
	return sched_setaffinity(0, sizeof(before), &before) == 0 && may;
}

static int last_cpu(void)
{
	cpu_set_t allowed;
	int last = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return 0;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			last = cpu;
	return last;
}

static void take(struct cores *cores, int cpu)
{
	if (cores->count < WORKERS_MAX)
		cores->list[cores->count++] = cpu;
	else
		cores->beyond++;
}

static void choose_auto(struct cores *cores)
{
	int cpus[CPU_SETSIZE];
	u32 count = isolated(cpus);

	for (u32 i = 0; i < count; i++)
		if (may_run_on(cpus[i]))
			take(cores, cpus[i]);
	cores->why = " (auto: all that are isolated)";
	if (cores->count > 0)
		return;
	take(cores, last_cpu());
	cores->why = " (auto: no core is isolated, so it is the last one)";
}

int cores_choose(const char *workers, struct cores *cores, char *text, size_t text_bytes)
{
	int cpus[CPU_SETSIZE], forbidden[CPU_SETSIZE];
	char names[CORES_TEXT_MAX];
	u32 count, forbidden_count = 0;

	*cores = (struct cores){.why = ""};
	if (strcmp(workers, "auto") == 0 || workers[0] == '\0') {
		choose_auto(cores);
		return 0;
	}
	count = list_parse(workers, cpus);
	for (u32 i = 0; i < count; i++) {
		take(cores, cpus[i]);
		if (!may_run_on(cpus[i]))
			forbidden[forbidden_count++] = cpus[i];
	}
	if (forbidden_count == 0)
		return 0;
	cores_format(forbidden, forbidden_count, names);
	snprintf(text, text_bytes,
		 "no worker may run on core%s %s: `nproc --all` counts the machine's cores, "
		 "`taskset -cp $$` shows those of this shell; mend `workers:`",
		 forbidden_count == 1 ? "" : "s", names);
	return -EINVAL;
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

void cores_warn(const int *list, u32 count)
{
	int cpus[CPU_SETSIZE], shared[WORKERS_MAX];
	char names[CORES_TEXT_MAX];
	u32 isolated_count = isolated(cpus), shared_count = 0;

	for (u32 i = 0; i < count; i++) {
		bool found = false;

		for (u32 k = 0; k < isolated_count; k++)
			found |= cpus[k] == list[i];
		if (!found)
			shared[shared_count++] = list[i];
	}
	if (shared_count == 0)
		return;
	cores_format(shared, shared_count, names);
	message("core%s %s %s not isolated: packets wait there whenever the kernel runs something "
		"else; `isolcpus=%s nohz_full=%s` on the kernel's command line mends it",
		shared_count == 1 ? "" : "s", names, shared_count == 1 ? "is" : "are", names,
		names);
}
