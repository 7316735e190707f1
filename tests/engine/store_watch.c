/* SPDX-License-Identifier: BSD-2-Clause */
/* While it watches, all writable memory is write-protected. A store then faults: the handler
 * notes the line, opens the page and sets the trap flag, so that after this one instruction the
 * trap's handler closes the page again. Nothing is left out: our code, DPDK's drivers, the C
 * library. It takes some ten microseconds a store.
 *
 * Left alone are the stacks (with each thread's own variables on them), where the kernel puts
 * signal frames, and what the kernel itself writes for the main thread (rseq). A store that
 * reaches over into the next line of its page is noted there too if it changes it. */
#include "tests/engine/store_watch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE_BYTES 4096ull
#define HUGE_PAGE_BYTES (2ull << 20)
#define LINE_BYTES 64ull
#define RANGES_MAX 512
#define LINES_MAX (1u << 18)
#define TRAP_FLAG 0x100
#define SPARED_MAX 16
#define PAGES_MAX 4 /* that one instruction may store into */

struct range {
	u64 begin, end;
};

/* In a mapping of its own, which is never protected. */
static struct watch {
	struct range ranges[RANGES_MAX];
	u32 ranges_count;
	bool watching;

	const void *spared[SPARED_MAX];
	u32 spared_count;

	u32 lines_count;
	struct store_line lines[LINES_MAX];
	u32 places[2 * LINES_MAX]; /* hash table: index into lines, plus one */
} * watch;

/* Whose stores a thread's are, and the instruction that it steps over; on its stack's mapping, which is never protected. */
static __thread struct step {
	u32 who;
	u64 open_pages[PAGES_MAX]; /* an address in each */
	u32 open_count;
	u64 next_line; /* behind the one that it stores into; 0: in another page */
	u8 next_bytes[LINE_BYTES];
} step = {.who = 7};

static void note(u64 address)
{
	u64 line = address & ~(LINE_BYTES - 1);
	u32 place = (u32)((line >> 6) * 0x9e3779b1u) % (2 * LINES_MAX);
	struct store_line *entry;

	if (!watch->watching)
		return; /* a page that was closed in the moment of the end */
	while (watch->places[place] && watch->lines[watch->places[place] - 1].address != line)
		place = (place + 1) % (2 * LINES_MAX);
	if (!watch->places[place]) {
		if (watch->lines_count == LINES_MAX)
			return;
		watch->lines[watch->lines_count].address = line;
		watch->places[place] = ++watch->lines_count;
	}
	entry = &watch->lines[watch->places[place] - 1];
	entry->by |= (u8)(1u << step.who);
}

static bool watched(u64 address)
{
	for (u32 i = 0; i < watch->ranges_count; i++)
		if (address >= watch->ranges[i].begin && address < watch->ranges[i].end)
			return true;
	return false;
}

/* A part of a huge page has no rights of its own. */
static void page_protect(u64 address, int rights)
{
	if (mprotect((void *)(address & ~(PAGE_BYTES - 1)), PAGE_BYTES, rights) < 0)
		mprotect((void *)(address & ~(HUGE_PAGE_BYTES - 1)), HUGE_PAGE_BYTES, rights);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	ucontext_t *at = context;
	u64 address = (u64)info->si_addr;
	u64 next = (address & ~(LINE_BYTES - 1)) + LINE_BYTES;

	if (!watched(address) || step.open_count == PAGES_MAX) {
		signal(SIGSEGV, SIG_DFL); /* a bug of the program */
		return;
	}
	note(address);
	page_protect(address, PROT_READ | PROT_WRITE);
	step.open_pages[step.open_count++] = address;
	step.next_line = next & (PAGE_BYTES - 1) ? next : 0;
	if (step.next_line)
		memcpy(step.next_bytes, (void *)next, LINE_BYTES);
	at->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int number, siginfo_t *info, void *context)
{
	ucontext_t *at = context;

	if (step.next_line && memcmp(step.next_bytes, (void *)step.next_line, LINE_BYTES))
		note(step.next_line);
	for (u32 i = 0; i < step.open_count && watch->watching; i++)
		page_protect(step.open_pages[i], PROT_READ);
	step.open_count = 0;
	at->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static void range_add(u64 begin, u64 end)
{
	if (watch->ranges_count < RANGES_MAX)
		watch->ranges[watch->ranges_count++] = (struct range){begin, end};
}

static bool holds(u64 begin, u64 end, const void *address)
{
	return (u64)address >= begin && (u64)address < end;
}

/* Stacks, as far as we know them, and what the kernel writes for the main thread. */
static bool spared(u64 begin, u64 end)
{
	for (u32 i = 0; i < watch->spared_count; i++)
		if (holds(begin, end, watch->spared[i]))
			return true;
	return holds(begin, end, watch) || holds(begin, end, &errno);
}

/* All that is writable now. What lies directly above a guard page is a stack, too. */
static void ranges_find(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned long long begin, end, guard_end = 0;
	char line[512], rights[8];

	watch->ranges_count = 0;
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx-%llx %7s", &begin, &end, rights) != 3)
			continue;
		if (strncmp(rights, "rw", 2) == 0 && begin != guard_end &&
		    !strstr(line, "[stack]") && !spared(begin, end))
			range_add(begin, end);
		guard_end = strncmp(rights, "---", 3) == 0 && end - begin == PAGE_BYTES ? end : 0;
	}
	if (file)
		fclose(file);
}

static void protect(int rights)
{
	for (u32 i = 0; i < watch->ranges_count; i++)
		mprotect((void *)watch->ranges[i].begin,
			 watch->ranges[i].end - watch->ranges[i].begin, rights);
}

int store_watch_open(void)
{
	struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	struct sigaction trap = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};

	watch = mmap(NULL, sizeof(*watch), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	if (watch == MAP_FAILED || sigaction(SIGSEGV, &fault, NULL) < 0 ||
	    sigaction(SIGTRAP, &trap, NULL) < 0)
		return -errno;
	return 0;
}

void store_watch_spare(const void *address)
{
	if (watch->spared_count < SPARED_MAX)
		watch->spared[watch->spared_count++] = address;
}

void store_watch_as(u32 who)
{
	step.who = who;
}

void store_watch_begin(void)
{
	ranges_find();
	watch->watching = true;
	protect(PROT_READ);
}

void store_watch_end(void)
{
	watch->watching = false;
	protect(PROT_READ | PROT_WRITE);
}

const struct store_line *store_watch_line(u32 index)
{
	return index < watch->lines_count ? &watch->lines[index] : NULL;
}
