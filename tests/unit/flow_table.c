/* SPDX-License-Identifier: BSD-2-Clause */
/* Flow tables that pass from one process to the next: whole and to one writer alone, or not at
 * all. */
#include "dataplane/state/flow_table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/cmocka_help.h"
#include "tests/unit/frames.h"

enum { FLOWS = 1000, TIMEOUT_MS = 64000, TICK = 5000, TAIL = FLOW_TABLE_MIN_BUCKETS - 1 };

/* Where nothing but our own layout is expected. */
static struct flow_elder none;

static u32 open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	u32 count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

/* Tables that were in use until TICK, with one entry in the last bucket. */
static struct flow_tables tables_used(u64 flows, u32 workers_count, u64 timeout_ms)
{
	struct flow_tables tables;

	assert_int_equal(flow_tables_create(flows, workers_count, timeout_ms, &tables), 0);
	flow_tables_adopt(&tables, 77);
	tables.header->last_tick = TICK;
	flow_tables_of(&tables, workers_count - 1)[TAIL].entries[6] = 0x1234567890000aull;
	return tables;
}

static struct flow_tables tables_new(void)
{
	struct flow_tables tables;

	assert_int_equal(flow_tables_create(FLOWS, 1, TIMEOUT_MS, &tables), 0);
	return tables;
}

static int deposit(const struct flow_tables *tables)
{
	int fd = flow_tables_deposit(tables);

	assert_true(fd >= 0);
	return fd;
}

/* Refused for a reason that says so, and our own tables are as they were. */
static void assert_refused(struct flow_tables *tables, int fd, u64 tick, const char *says)
{
	struct flow_tables before = *tables;
	char text[200] = "";

	assert_int_equal(flow_tables_inherit(tables, fd, tick, &none, text, sizeof(text)), -EINVAL);
	if (!strstr(text, says))
		fail_msg("\"%s\" does not say \"%s\"", text, says);
	assert_memory_equal(tables, &before, sizeof(before));
	tables->buckets[TAIL].entries[0]++; /* still mapped */
}

static void the_heir_has_everything(void **state)
{
	u32 descriptors = open_descriptors();
	struct flow_tables old = tables_used(FLOWS, 1, TIMEOUT_MS);
	struct flow_tables heir = tables_new();
	int fd = deposit(&old);
	char text[200];

	flow_tables_destroy(&old);
	assert_int_equal(flow_tables_inherit(&heir, fd, TICK + 1, &none, text, sizeof(text)), 0);
	close(fd);
	assert_int_equal(heir.buckets_count, FLOW_TABLE_MIN_BUCKETS);
	assert_int_equal(heir.tick_ms, TIMEOUT_MS / FLOW_TIMEOUT_TICKS);
	flow_tables_adopt(&heir, 77);
	assert_true(flow_tables_of(&heir, 0)[TAIL].entries[6] == 0x1234567890000aull);
	heir.buckets[TAIL].entries[6]++;
	flow_tables_adopt(&heir, 78); /* numbers mean something else now */
	assert_true(flow_tables_of(&heir, 0)[TAIL].entries[6] == 0);
	flow_tables_destroy(&heir);
	assert_int_equal(open_descriptors(), descriptors);
}

static void two_never_write(void **state)
{
	struct flow_tables old = tables_used(FLOWS, 1, TIMEOUT_MS);
	struct flow_tables heir = tables_new(), late = tables_new();
	int fd = deposit(&old); /* as shuntd holds it, which mustn't keep the lock alive */
	char text[200];

	assert_refused(&heir, fd, TICK, "still writes");
	flow_tables_destroy(&old);
	assert_int_equal(flow_tables_inherit(&heir, fd, TICK, &none, text, sizeof(text)), 0);
	assert_refused(&late, fd, TICK, "still writes");
	flow_tables_destroy(&heir);
	assert_int_equal(flow_tables_inherit(&late, fd, TICK, &none, text, sizeof(text)), 0);
	flow_tables_destroy(&late);
	close(fd);
}

/* Whoever has the tables may die without a word. */
static void a_killed_writer_leaves_them(void **state)
{
	struct flow_tables old = tables_used(FLOWS, 1, TIMEOUT_MS);
	struct flow_tables heir = tables_new(), late = tables_new();
	int fd = deposit(&old), ready[2], status;
	char text[200], byte;
	pid_t pid;

	flow_tables_destroy(&old);
	frame_require(pipe(ready) == 0);
	pid = fork();
	frame_require(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* or it would outlive a test that fails */
		byte = flow_tables_inherit(&heir, fd, TICK, &none, text, sizeof(text)) == 0;
		(void)!write(ready[1], &byte, 1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 1);
	assert_refused(&late, fd, TICK, "still writes");
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(flow_tables_inherit(&late, fd, TICK, &none, text, sizeof(text)), 0);
	flow_tables_destroy(&late);
	flow_tables_destroy(&heir);
	close(ready[0]);
	close(ready[1]);
	close(fd);
}

static void other_ages_are_refused(void **state)
{
	u32 descriptors = open_descriptors();
	struct flow_tables old = tables_used(FLOWS, 1, TIMEOUT_MS / 2);
	struct flow_tables mine = tables_new();
	int fd = deposit(&old);

	flow_tables_destroy(&old);
	assert_refused(&mine, fd, TICK, "`flow_timeout:` has changed");
	flow_tables_destroy(&mine);
	close(fd);
	assert_int_equal(open_descriptors(), descriptors);
}

/* Tables of another layout are kept beside ours, to be read. */
static void another_layout_becomes_the_elder(void **state)
{
	static const struct {
		u64 flows;
		u32 workers_count;
	} cases[] = {{1000000, 1}, {FLOWS, 2}};
	u32 descriptors = open_descriptors();

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		u32 workers = cases[i].workers_count;
		struct flow_tables old = tables_used(cases[i].flows, workers, TIMEOUT_MS);
		struct flow_tables mine = tables_new(), before = mine, late = tables_new();
		struct flow_elder elder = {0};
		u32 buckets = old.buckets_count;
		int fd = deposit(&old);
		char text[200];

		flow_tables_destroy(&old);
		assert_int_equal(flow_tables_inherit(&mine, fd, TICK + 9, &elder, text,
						     sizeof(text)),
				 0);
		assert_memory_equal(&mine, &before, sizeof(mine));
		assert_int_equal(elder.workers_count, workers);
		assert_int_equal(elder.buckets_count, buckets);
		assert_true(elder.incarnation == 77 && elder.last_tick == TICK);
		assert_true(elder.buckets[(workers - 1) * buckets + TAIL].entries[6] ==
			    0x1234567890000aull);
		assert_refused(&late, fd, TICK, "still writes"); /* they are locked */
		flow_elder_release(&elder);
		flow_elder_release(&elder);
		flow_tables_destroy(&late);
		flow_tables_destroy(&mine);
		close(fd);
	}
	assert_int_equal(open_descriptors(), descriptors);
}

static void a_lying_header_is_refused(void **state)
{
	static const struct {
		size_t offset;
		u8 size;
		u64 value;
		const char *says;
	} cases[] = {
		{offsetof(struct flow_table_header, magic), 8, 1, "another version"},
		{offsetof(struct flow_table_header, abi), 4, FLOW_TABLE_ABI - 1, "another version"},
		{offsetof(struct flow_table_header, workers_count), 4, 0, "header is wrong"},
		{offsetof(struct flow_table_header, workers_count), 4, 0xffffffff,
		 "header is wrong"},
		{offsetof(struct flow_table_header, buckets_count), 4, 0xffffffff,
		 "header is wrong"},
		{offsetof(struct flow_table_header, buckets_count), 4, 0, "header is wrong"},
		{offsetof(struct flow_table_header, buckets_count), 4, FLOW_TABLE_MIN_BUCKETS - 1,
		 "header is wrong"},
		{offsetof(struct flow_table_header, buckets_count), 4, FLOW_TABLE_MIN_BUCKETS * 2,
		 "smaller than their header says"},
		{offsetof(struct flow_table_header, workers_count), 4, 2,
		 "smaller than their header says"},
		{offsetof(struct flow_table_header, tick_ms), 4, 0, "header is wrong"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct flow_tables old = tables_used(FLOWS, 1, TIMEOUT_MS), mine = tables_new();
		int fd = deposit(&old);

		memcpy((u8 *)old.header + cases[i].offset, &cases[i].value, cases[i].size);
		flow_tables_destroy(&old);
		assert_refused(&mine, fd, TICK, cases[i].says);
		flow_tables_destroy(&mine);
		close(fd);
	}
}

/* No flow is alive after a timeout, and later ages begin to look young again. */
static void idle_tables_are_refused(void **state)
{
	struct flow_tables old = tables_used(FLOWS, 1, TIMEOUT_MS), heir = tables_new();
	int fd = deposit(&old);
	char text[200];

	flow_tables_destroy(&old);
	assert_refused(&heir, fd, TICK + FLOW_TIMEOUT_TICKS + 1, "idle");
	assert_refused(&heir, fd, TICK - 1, "idle");
	assert_int_equal(flow_tables_inherit(&heir, fd, TICK + FLOW_TIMEOUT_TICKS, &none, text,
					     sizeof(text)),
			 0);
	flow_tables_destroy(&heir);
	close(fd);
}

static int file_new(off_t bytes, int seals)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	frame_require(fd >= 0 && ftruncate(fd, bytes) == 0 &&
		      (seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0));
	return fd;
}

static void other_files_are_refused(void **state)
{
	enum { BOTH = F_SEAL_SHRINK | F_SEAL_GROW };
	struct flow_tables mine = tables_new();
	off_t bytes = (off_t)mine.size_bytes;
	int ends[2];

	frame_require(pipe(ends) == 0);
	const struct {
		int fd;
		const char *says;
	} cases[] = {
		{ends[0], "sealed"},
		{open("/dev/null", O_RDWR | O_CLOEXEC), "sealed"},
		{file_new(bytes, 0), "sealed"},
		{file_new(bytes, F_SEAL_GROW), "sealed"},
		{file_new(0, BOTH), "smaller"},
		{file_new(bytes - 4096, BOTH), "another version"},
		{file_new(bytes, BOTH | F_SEAL_WRITE), "cannot be"},
		{file_new(bytes, BOTH), "another version"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_refused(&mine, cases[i].fd, TICK, cases[i].says);
		close(cases[i].fd);
	}
	close(ends[1]);
	flow_tables_destroy(&mine);
}

/* --- For who only reads ---------------------------------------------------------------- */

static void a_reader_finds_every_worker(void **state)
{
	struct flow_tables old = tables_used(FLOWS, 3, TIMEOUT_MS), seen;
	char text[200];

	flow_tables_owners(&old, 2)[TAIL].services[6] = 4711;
	assert_int_equal(flow_tables_map(old.fd, &seen, text, sizeof(text)), 0);
	assert_int_equal(seen.workers_count, 3);
	assert_int_equal(seen.buckets_count, FLOW_TABLE_MIN_BUCKETS);
	assert_int_equal(seen.tick_ms, TIMEOUT_MS / FLOW_TIMEOUT_TICKS);
	assert_true(flow_tables_of(&seen, 2)[TAIL].entries[6] == 0x1234567890000aull);
	assert_int_equal(flow_tables_owners(&seen, 2)[TAIL].services[6], 4711);
	assert_true((u8 *)(flow_tables_owners(&seen, 3)) <= (u8 *)seen.header + seen.size_bytes);
	while (!flow_tables_unmap(&seen))
		assert_int_equal(seen.workers_count, 3);
	flow_tables_destroy(&old);
}

static void assert_unmapped(int fd, const char *says)
{
	struct flow_tables seen;
	char text[200] = "";

	assert_int_equal(flow_tables_map(fd, &seen, text, sizeof(text)), -EINVAL);
	if (!strstr(text, says))
		fail_msg("\"%s\" does not say \"%s\"", text, says);
}

static void a_reader_believes_no_header(void **state)
{
	static const struct {
		size_t offset;
		u64 value;
		const char *says;
	} cases[] = {
		{offsetof(struct flow_table_header, magic), 1, "another version"},
		{offsetof(struct flow_table_header, abi), FLOW_TABLE_ABI - 1, "another version"},
		{offsetof(struct flow_table_header, workers_count), 0, "header"},
		{offsetof(struct flow_table_header, workers_count), 3, "smaller"},
		{offsetof(struct flow_table_header, workers_count), 0x10000001, "header"},
		{offsetof(struct flow_table_header, buckets_count), 0, "header"},
		{offsetof(struct flow_table_header, buckets_count), 1, "header"},
		{offsetof(struct flow_table_header, buckets_count), 1u << 31, "smaller"},
		{offsetof(struct flow_table_header, buckets_count), 0xffffffff, "header"},
		{offsetof(struct flow_table_header, tick_ms), 0, "header"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct flow_tables old = tables_used(FLOWS, 2, TIMEOUT_MS);

		memcpy((u8 *)old.header + cases[i].offset, &cases[i].value,
		       cases[i].offset == 0 ? 8 : 4);
		assert_unmapped(old.fd, cases[i].says);
		flow_tables_destroy(&old);
	}
}

static void a_reader_wants_a_sealed_file(void **state)
{
	enum { BOTH = F_SEAL_SHRINK | F_SEAL_GROW };
	const struct {
		int fd;
		const char *says;
	} cases[] = {
		{open("/dev/null", O_RDWR | O_CLOEXEC), "sealed"},
		{file_new(1 << 23, F_SEAL_GROW), "sealed"},
		{file_new(0, BOTH), "smaller"},
		{file_new(FLOW_TABLE_HEADER_BYTES, BOTH), "another version"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_unmapped(cases[i].fd, cases[i].says);
		close(cases[i].fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_heir_has_everything),
		cmocka_unit_test(two_never_write),
		cmocka_unit_test(a_killed_writer_leaves_them),
		cmocka_unit_test(other_ages_are_refused),
		cmocka_unit_test(another_layout_becomes_the_elder),
		cmocka_unit_test(a_lying_header_is_refused),
		cmocka_unit_test(idle_tables_are_refused),
		cmocka_unit_test(other_files_are_refused),
		cmocka_unit_test(a_reader_finds_every_worker),
		cmocka_unit_test(a_reader_believes_no_header),
		cmocka_unit_test(a_reader_wants_a_sealed_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
