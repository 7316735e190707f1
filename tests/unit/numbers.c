/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/numbers.h"
#include "tests/unit/cmocka_help.h"

#define PATH_LEN 160

struct fixture {
	char dir[80]; /* the state directory; made by numbers_open itself */
	char parent[64];
	struct numbers *numbers;
	char message[256];
};

static void state_open(struct fixture *fixture)
{
	numbers_close(fixture->numbers);
	assert_int_equal(numbers_open(fixture->dir, &fixture->numbers, fixture->message,
				      sizeof(fixture->message)),
			 0);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	snprintf(fixture->parent, sizeof(fixture->parent), "%s/shunt-numbers-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : P_tmpdir);
	assert_non_null(mkdtemp(fixture->parent));
	snprintf(fixture->dir, sizeof(fixture->dir), "%s/state", fixture->parent);
	state_open(fixture);
	assert_string_equal(fixture->message, "");
	*state = fixture;
	return 0;
}

static void directory_remove(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	(void)rmdir(path);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	numbers_close(fixture->numbers);
	directory_remove(fixture->dir);
	directory_remove(fixture->parent);
	free(fixture);
	return 0;
}

static void file_write(const struct fixture *fixture, const char *text)
{
	char path[PATH_LEN];
	FILE *file;

	snprintf(path, sizeof(path), "%s/numbers.json", fixture->dir);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static int files_named(const struct fixture *fixture, const char *prefix)
{
	DIR *dir = opendir(fixture->dir);
	struct dirent *entry;
	int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	closedir(dir);
	return count;
}

static struct addr backend_addr(u32 at)
{
	return addr_from_v4(BE32(0x0a000001 + at));
}

static u16 service(struct numbers *numbers, const char *key)
{
	u16 number = 0;

	assert_int_equal(numbers_service(numbers, key, &number), 0);
	return number;
}

static u16 backend(struct numbers *numbers, const char *key, u32 at)
{
	struct addr address = backend_addr(at);
	u16 number = 0;

	assert_int_equal(numbers_backend(numbers, key, &address, &number), 0);
	return number;
}

static u32 counter(struct numbers *numbers, const char *key, u32 at)
{
	struct addr address = backend_addr(at);
	u32 index = 0;

	assert_int_equal(numbers_counter(numbers, key, &address, &index), 0);
	return index;
}

/* Retires every backend of "web" except the first `kept` ones. */
static void retire_beyond(struct numbers *numbers, u32 kept, u64 generation)
{
	struct addr wanted[8];

	for (u32 at = 0; at < kept; at++)
		wanted[at] = backend_addr(at);
	assert_int_equal(numbers_retire_backends(numbers, "web", wanted, kept, generation), 0);
}

/* ---- giving ---- */

static void test_lowest_free_and_stable(void **state)
{
	struct numbers *numbers = ((struct fixture *)*state)->numbers;

	assert_int_equal(service(numbers, "web"), 1);
	assert_int_equal(service(numbers, "dns"), 2);
	assert_int_equal(service(numbers, "web"), 1);
	assert_int_equal(backend(numbers, "web", 5), 1);
	assert_int_equal(backend(numbers, "web", 3), 2);
	assert_int_equal(backend(numbers, "dns", 3), 1);
	assert_int_equal(backend(numbers, "web", 5), 1);
	assert_int_equal(numbers_services_bound(numbers), 3);
}

static void test_unknown_is_refused(void **state)
{
	struct numbers *numbers = ((struct fixture *)*state)->numbers;
	struct addr address = backend_addr(0);
	u16 number;
	u32 index;

	assert_int_equal(numbers_services_bound(numbers), 1);
	assert_int_equal(numbers_counters_bound(numbers), 0);
	assert_int_equal(numbers_backend(numbers, "web", &address, &number), -ENOENT);
	assert_int_equal(numbers_counter(numbers, "web", NULL, &index), -ENOENT);
	assert_int_equal(numbers_retire_backends(numbers, "web", &address, 1, 1), -ENOENT);
	assert_int_equal(service(numbers, "web"), 1);
	assert_int_equal(numbers_counter(numbers, "web", &address, &index), -ENOENT);
	assert_int_equal(numbers_service(numbers, "not \xff UTF-8", &number), -EINVAL);
	assert_int_equal(service(numbers, "dns"), 2);
	assert_int_equal(numbers_counters_bound(numbers), 2);
}

static void test_equal_sets_get_equal_numbers(void **state)
{
	enum { COUNT = 200 };
	struct numbers *numbers = ((struct fixture *)*state)->numbers;
	struct addr up[COUNT], mixed[COUNT];
	u16 up_numbers[COUNT], mixed_numbers[COUNT];

	for (u32 at = 0; at < COUNT; at++) {
		up[at] = backend_addr(at);
		mixed[at] = backend_addr(at * 77 % COUNT); /* 77 and 200 share no factor */
	}
	service(numbers, "a");
	service(numbers, "b");
	assert_int_equal(numbers_backends(numbers, "a", up, COUNT, up_numbers), 0);
	assert_int_equal(numbers_backends(numbers, "b", mixed, COUNT, mixed_numbers), 0);
	for (u32 at = 0; at < COUNT; at++) {
		assert_int_equal(up_numbers[at], at + 1);
		assert_int_equal(mixed_numbers[at], at * 77 % COUNT + 1);
	}
}

static void test_one_named_twice_has_one_number(void **state)
{
	struct numbers *numbers = ((struct fixture *)*state)->numbers;
	struct addr both_families[3] = {backend_addr(0),
					{.bytes = {0x20, 1, 0xd, 0xb8}},
					backend_addr(0)};
	u16 out[3];

	service(numbers, "web");
	assert_int_equal(numbers_backends(numbers, "web", both_families, 3, out), 0);
	assert_int_equal(out[0], 1);
	assert_int_equal(out[1], 2);
	assert_int_equal(out[2], 1);
}

static void test_counters_are_global_and_reused(void **state)
{
	struct numbers *numbers = ((struct fixture *)*state)->numbers;
	u32 index;

	service(numbers, "web");
	service(numbers, "dns");
	backend(numbers, "web", 0);
	backend(numbers, "dns", 0);
	backend(numbers, "web", 1);
	assert_int_equal(numbers_counter(numbers, "dns", NULL, &index), 0);
	assert_int_equal(index, 1);
	assert_int_equal(counter(numbers, "web", 0), 2);
	assert_int_equal(counter(numbers, "dns", 0), 3);
	assert_int_equal(counter(numbers, "web", 1), 4);
	assert_int_equal(numbers_counters_bound(numbers), 5);

	assert_int_equal(numbers_retire_backends(numbers, "web", NULL, 0, 3), 0);
	assert_int_equal(counter(numbers, "web", 1), 4); /* still counts while it drains */
	assert_int_equal(numbers_reclaim(numbers, 3), 2);
	assert_int_equal(numbers_counters_bound(numbers), 4);
	backend(numbers, "dns", 7);
	assert_int_equal(counter(numbers, "dns", 7), 2);
}

/* ---- reuse ---- */

static void test_number_is_not_reused_before_the_sweep(void **state)
{
	struct numbers *numbers = ((struct fixture *)*state)->numbers;

	service(numbers, "web");
	for (u32 at = 0; at < 3; at++)
		assert_int_equal(backend(numbers, "web", at), at + 1);
	retire_beyond(numbers, 2, 10); /* number 3 */
	retire_beyond(numbers, 1, 11); /* number 2; 3 keeps generation 10 */

	assert_int_equal(backend(numbers, "web", 7), 4);
	assert_int_equal(numbers_reclaim(numbers, 9), 0);
	assert_int_equal(backend(numbers, "web", 8), 5);
	assert_int_equal(numbers_reclaim(numbers, 10), 1);
	assert_int_equal(backend(numbers, "web", 9), 3);
	assert_int_equal(numbers_reclaim(numbers, 11), 1);
	assert_int_equal(backend(numbers, "web", 2), 2); /* gone for good: a newcomer now */
}

static void test_returning_backend_has_its_old_number(void **state)
{
	struct numbers *numbers = ((struct fixture *)*state)->numbers;

	service(numbers, "web");
	for (u32 at = 0; at < 3; at++)
		backend(numbers, "web", at);
	u32 index = counter(numbers, "web", 2);
	retire_beyond(numbers, 0, 5);
	assert_int_equal(backend(numbers, "web", 2), 3);
	assert_int_equal(counter(numbers, "web", 2), index);
	assert_int_equal(numbers_reclaim(numbers, 100), 2);
	assert_int_equal(backend(numbers, "web", 2), 3); /* no longer retired: kept */
}

static void test_services_retire_with_their_backends(void **state)
{
	static const char *const wanted[] = {"dns"};
	struct numbers *numbers = ((struct fixture *)*state)->numbers;
	struct addr address = backend_addr(0);
	u16 number;

	service(numbers, "web");
	service(numbers, "dns");
	backend(numbers, "web", 0);
	backend(numbers, "web", 1);
	backend(numbers, "dns", 0);
	assert_int_equal(numbers_retire_services(numbers, wanted, 1, 6), 0);
	assert_int_equal(numbers_backend(numbers, "web", &address, &number), -ENOENT);

	assert_int_equal(service(numbers, "web"), 1); /* back in time */
	assert_int_equal(backend(numbers, "web", 1), 2);
	assert_int_equal(numbers_reclaim(numbers, 6), 1); /* only its backend 0 */
	assert_int_equal(backend(numbers, "web", 5), 1);

	assert_int_equal(numbers_retire_services(numbers, wanted, 1, 7), 0);
	assert_int_equal(service(numbers, "new"), 3);
	assert_int_equal(numbers_reclaim(numbers, 7), 3);
	assert_int_equal(service(numbers, "newer"), 1);
}

/* ---- limits ---- */

static u64 clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

static void test_a_full_service_is_fast_and_then_full(void **state)
{
	struct fixture *fixture = *state;
	struct addr *addresses = calloc(NUMBERS_MAX + 1, sizeof(*addresses));
	u16 *out = calloc(NUMBERS_MAX + 1, sizeof(*out));
	u64 start_ms = clock_ms();

	for (u32 at = 0; at <= NUMBERS_MAX; at++)
		addresses[at] = backend_addr(at * 40503 % (NUMBERS_MAX + 1));
	service(fixture->numbers, "web");
	assert_int_equal(numbers_backends(fixture->numbers, "web", addresses, NUMBERS_MAX + 1, out),
			 -ENOSPC);
	assert_int_equal(numbers_counters_bound(fixture->numbers), 1); /* none of them was taken */
	assert_int_equal(numbers_backends(fixture->numbers, "web", addresses, NUMBERS_MAX, out), 0);
	assert_int_equal(numbers_backend(fixture->numbers, "web", &addresses[NUMBERS_MAX], out),
			 -ENOSPC);
	assert_int_equal(numbers_backends(fixture->numbers, "web", addresses, NUMBERS_MAX, out), 0);
	assert_int_equal(numbers_retire_backends(fixture->numbers, "web", addresses, 1, 4), 0);
	assert_int_equal(numbers_commit(fixture->numbers), 0);
	state_open(fixture);
	assert_int_equal(numbers_reclaim(fixture->numbers, 4), NUMBERS_MAX - 1);
	assert_int_equal(numbers_backend(fixture->numbers, "web", &addresses[NUMBERS_MAX], out), 0);
	assert_in_range(clock_ms() - start_ms, 0, 10000); /* about 0.3 s without sanitizers */
	free(addresses);
	free(out);
}

static void test_services_run_out(void **state)
{
	struct numbers *numbers = ((struct fixture *)*state)->numbers;
	char key[16];
	u16 number;

	for (u32 at = 1; at <= NUMBERS_MAX; at++) {
		snprintf(key, sizeof(key), "s%u", at);
		assert_int_equal(service(numbers, key), at);
	}
	assert_int_equal(numbers_service(numbers, "one more", &number), -ENOSPC);
	assert_int_equal(numbers_counters_bound(numbers), NUMBERS_MAX);
	assert_int_equal(numbers_services_bound(numbers), NUMBERS_MAX + 1);
}

/* ---- the file ---- */

static void test_everything_comes_back(void **state)
{
	struct fixture *fixture = *state;
	u64 incarnation = numbers_incarnation(fixture->numbers), epoch;
	struct addr v6 = {.bytes = {0x20, 1, 0xd, 0xb8, [15] = 9}};
	u16 number;

	assert_true(incarnation != 0);
	service(fixture->numbers, "tcp 203.0.113.10 443 \"quoted\" \xc3\xa9");
	service(fixture->numbers, "web");
	for (u32 at = 0; at < 4; at++)
		backend(fixture->numbers, "web", at);
	assert_int_equal(numbers_backend(fixture->numbers, "web", &v6, &number), 0);
	retire_beyond(fixture->numbers, 3, 8); /* numbers 4 and 5 */
	assert_int_equal(numbers_next_epoch(fixture->numbers, &epoch), 0);
	assert_int_equal(epoch, 1);

	state_open(fixture);
	assert_string_equal(fixture->message, "");
	assert_true(numbers_incarnation(fixture->numbers) == incarnation);
	assert_int_equal(numbers_epoch(fixture->numbers), 1);
	assert_int_equal(service(fixture->numbers, "web"), 2);
	assert_int_equal(counter(fixture->numbers, "web", 2), 4);
	assert_int_equal(backend(fixture->numbers, "web", 2), 3);
	assert_int_equal(backend(fixture->numbers, "web", 9), 6); /* 4 and 5 are retired */
	assert_int_equal(counter(fixture->numbers, "web", 9), 7);
	assert_int_equal(numbers_reclaim(fixture->numbers, 7), 0);
	assert_int_equal(numbers_reclaim(fixture->numbers, 8), 2);
	assert_int_equal(numbers_next_epoch(fixture->numbers, &epoch), 0);
	assert_int_equal(epoch, 2);
}

static void test_uncommitted_is_forgotten(void **state)
{
	struct fixture *fixture = *state;

	service(fixture->numbers, "web");
	assert_int_equal(numbers_commit(fixture->numbers), 0);
	service(fixture->numbers, "lost");
	state_open(fixture);
	assert_int_equal(service(fixture->numbers, "found"), 2);
}

static void test_commit_writes_only_changes(void **state)
{
	struct fixture *fixture = *state;
	char path[PATH_LEN];
	struct stat before, after;

	snprintf(path, sizeof(path), "%s/numbers.json", fixture->dir);
	service(fixture->numbers, "web");
	assert_int_equal(numbers_commit(fixture->numbers), 0);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(before.st_mode & 0777, 0600);
	service(fixture->numbers, "web");
	assert_int_equal(numbers_commit(fixture->numbers), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino == after.st_ino);
	service(fixture->numbers, "dns");
	assert_int_equal(numbers_commit(fixture->numbers), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino != after.st_ino);
	assert_int_equal(files_named(fixture, "numbers.json"), 1);
}

static void test_generations_never_go_back(void **state)
{
	struct fixture *fixture = *state;
	u64 generation, last = 0;

	for (int restart = 0; restart < 3; restart++) {
		for (int at = 0; at < 1500; at++) {
			assert_int_equal(numbers_next_generation(fixture->numbers, &generation), 0);
			assert_true(generation > last);
			assert_true(numbers_generation(fixture->numbers) == generation);
			last = generation;
		}
		state_open(fixture);
		assert_true(numbers_generation(fixture->numbers) >= last);
	}
}

static void test_failed_commit_is_told_and_repeated(void **state)
{
	struct fixture *fixture = *state;
	char path[PATH_LEN];
	u64 generation;

	/* A directory where the temporary file should be refuses root, too. */
	snprintf(path, sizeof(path), "%s/numbers.json.tmp", fixture->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	service(fixture->numbers, "web");
	assert_int_equal(numbers_commit(fixture->numbers), -EISDIR);
	assert_int_equal(numbers_commit(fixture->numbers), -EISDIR);
	assert_int_equal(numbers_next_generation(fixture->numbers, &generation), -EISDIR);
	assert_int_equal(numbers_next_generation(fixture->numbers, &generation), -EISDIR);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(numbers_commit(fixture->numbers), 0);
	state_open(fixture);
	assert_true(numbers_generation(fixture->numbers) >= generation);
	assert_int_equal(service(fixture->numbers, "dns"), 2);
}

static void test_second_opener_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct numbers *second;
	char message[256], pid[32];

	snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	assert_int_equal(numbers_open(fixture->dir, &second, message, sizeof(message)), -EBUSY);
	assert_null(second);
	assert_non_null(strstr(message, fixture->dir));
	assert_non_null(strstr(message, "in use by another shuntd"));
	assert_non_null(strstr(message, pid));
	numbers_close(fixture->numbers);
	fixture->numbers = NULL;
	assert_int_equal(numbers_open(fixture->dir, &second, message, sizeof(message)), 0);
	numbers_close(second);
}

static void test_missing_parent_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	struct numbers *numbers;
	char path[PATH_LEN], message[256];

	snprintf(path, sizeof(path), "%s/no/such", fixture->parent);
	assert_int_equal(numbers_open(path, &numbers, message, sizeof(message)), -ENOENT);
	assert_null(numbers);
	assert_non_null(strstr(message, path));
}

#define HEAD "{\"version\":1,\"incarnation\":\"00000000000000aa\",\"epoch\":1,\"generation\":2,"

static void test_unusable_files_are_set_aside(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		HEAD "\"services\":{}} trailing",
		HEAD "\"services\":{\"a\":{\"number\":1,\"counter\":0,\"backends\":{}},"
		     "\"a\":{\"number\":1,\"counter\":0,\"backends\":{}}}}",
		HEAD "\"services\":[]}",
		"{\"version\":2,\"incarnation\":\"00000000000000aa\",\"epoch\":1,\"generation\":2,"
		"\"services\":{}}",
		"{\"version\":1,\"incarnation\":\"0000000000000000\",\"epoch\":1,\"generation\":2,"
		"\"services\":{}}",
		"{\"version\":1,\"incarnation\":\"aa\",\"epoch\":1,\"generation\":2,"
		"\"services\":{}}",
		"{\"version\":1,\"incarnation\":\"00000000000000aa\",\"epoch\":-1,\"generation\":2,"
		"\"services\":{}}",
		"{\"version\":1,\"incarnation\":\"00000000000000aa\",\"epoch\":1,"
		"\"services\":{}}",
		HEAD "\"services\":{\"a\":{\"number\":1,\"counter\":0}}}",
		HEAD "\"services\":{\"a\":{\"number\":0,\"counter\":0,\"backends\":{}}}}",
		HEAD "\"services\":{\"a\":{\"number\":65536,\"counter\":0,\"backends\":{}}}}",
		HEAD "\"services\":{\"a\":{\"number\":4294967297,\"counter\":0,\"backends\":{}}}}",
		HEAD "\"services\":{\"a\":{\"number\":1,\"counter\":16777216,\"backends\":{}}}}",
		HEAD "\"services\":{\"a\":{\"number\":1.5,\"counter\":0,\"backends\":{}}}}",
		HEAD "\"services\":{\"a\":{\"number\":1,\"counter\":0,\"backends\":{},"
		     "\"retired\":\"x\"}}}",
		HEAD "\"services\":{\"a\":{\"number\":1,\"counter\":0,\"backends\":{}},"
		     "\"b\":{\"number\":1,\"counter\":1,\"backends\":{}}}}",
		HEAD "\"services\":{\"a\":{\"number\":1,\"counter\":0,\"backends\":"
		     "{\"10.0.0.1\":{\"number\":1,\"counter\":0}}}}}",
		HEAD "\"services\":{\"a\":{\"number\":1,\"counter\":0,\"backends\":"
		     "{\"10.0.0.1\":{\"number\":1,\"counter\":1},"
		     "\"10.0.0.2\":{\"number\":1,\"counter\":2}}}}}",
	};
	struct fixture *fixture = *state;

	for (size_t at = 0; at < sizeof(texts) / sizeof(texts[0]); at++) {
		numbers_close(fixture->numbers);
		fixture->numbers = NULL;
		directory_remove(fixture->dir);
		assert_int_equal(mkdir(fixture->dir, 0700), 0);
		file_write(fixture, texts[at]);
		state_open(fixture);
		assert_non_null(strstr(fixture->message, "numbers.json.bad-2"));
		assert_int_equal(files_named(fixture, "numbers.json.bad-2"), 1);
		assert_int_equal(files_named(fixture, "numbers.json"), 1);
		assert_true(numbers_incarnation(fixture->numbers) != 0xaa);
		assert_int_equal(numbers_epoch(fixture->numbers), 0);
		assert_int_equal(service(fixture->numbers, "b"), 1);
		assert_int_equal(numbers_commit(fixture->numbers), 0);
		u64 incarnation = numbers_incarnation(fixture->numbers);
		state_open(fixture);
		assert_string_equal(fixture->message, "");
		assert_true(numbers_incarnation(fixture->numbers) == incarnation);
	}
}

/* The counterpart of the table above: the shape that its rows break is a good one. */
static void test_a_written_file_is_read(void **state)
{
	struct fixture *fixture = *state;

	file_write(fixture, HEAD "\"services\":{\"web\":{\"number\":3,\"counter\":5,\"backends\":"
				 "{\"10.0.0.1\":{\"number\":9,\"counter\":1,\"retired\":2}}}}}");
	state_open(fixture);
	assert_string_equal(fixture->message, "");
	assert_true(numbers_incarnation(fixture->numbers) == 0xaa);
	assert_int_equal(service(fixture->numbers, "web"), 3);
	assert_int_equal(counter(fixture->numbers, "web", 0), 1);
	assert_int_equal(numbers_reclaim(fixture->numbers, 1), 0);
	assert_int_equal(backend(fixture->numbers, "web", 0), 9);
}

static void test_unreadable_is_not_corrupt(void **state)
{
	struct fixture *fixture = *state;
	char path[PATH_LEN];
	struct numbers *numbers;

	numbers_close(fixture->numbers);
	fixture->numbers = NULL;
	snprintf(path, sizeof(path), "%s/numbers.json", fixture->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(numbers_open(fixture->dir, &numbers, fixture->message,
				      sizeof(fixture->message)),
			 -EISDIR);
	assert_int_equal(files_named(fixture, "numbers.json.bad"), 0);
	assert_int_equal(rmdir(path), 0);
}

/* ---- crashes ---- */

/* What the child had on disk when it told so. */
struct told {
	u32 key;
	u16 number;
	u64 epoch;
};

/* Gives numbers for ever; tells each after its commit, until it is killed. */
static void child_commit_forever(const char *dir, int pipe_fd, u32 key)
{
	struct numbers *numbers;
	char message[256];

	if (numbers_open(dir, &numbers, message, sizeof(message)) != 0 ||
	    numbers_service(numbers, "web", &(u16){0}) != 0)
		_exit(1);
	for (;; key++) {
		struct addr address = backend_addr(key);
		struct told told = {.key = key};
		if (numbers_backend(numbers, "web", &address, &told.number) != 0 ||
		    numbers_next_epoch(numbers, &told.epoch) != 0 ||
		    write(pipe_fd, &told, sizeof(told)) != (ssize_t)sizeof(told))
			_exit(2);
	}
}

/* Lets a child commit for a while, kills it, and returns how much it told. */
static size_t crash_once(struct fixture *fixture, struct told *told, size_t max, u32 key,
			 long pause_us)
{
	struct timespec pause = {.tv_nsec = pause_us * 1000};
	size_t count = 0;
	int fds[2], child_status;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		child_commit_forever(fixture->dir, fds[1], key);
	close(fds[1]);
	nanosleep(&pause, NULL);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &child_status, 0), child);
	assert_true(WIFSIGNALED(child_status));
	while (count < max && read(fds[0], &told[count], sizeof(*told)) == (ssize_t)sizeof(*told))
		count++;
	close(fds[0]);
	return count;
}

static void test_kill_at_any_moment_loses_nothing(void **state)
{
	enum { TOLD_MAX = 20000 };
	static struct told told[TOLD_MAX];
	struct fixture *fixture = *state;
	size_t count = 0;
	unsigned seed = (unsigned)time(NULL);
	u64 end_ms = clock_ms() + 2500, incarnation;
	int crashes = 0;

	print_message("seed %u\n", seed);
	assert_int_equal(numbers_commit(fixture->numbers), 0);
	incarnation = numbers_incarnation(fixture->numbers);
	while (clock_ms() < end_ms && count < TOLD_MAX - 2000) {
		numbers_close(fixture->numbers); /* the child takes the lock */
		fixture->numbers = NULL;
		count += crash_once(fixture, told + count, TOLD_MAX - count,
				    count ? told[count - 1].key + 1 : 0,
				    500 + (long)rand_r(&seed) % 20000);
		crashes++;
		state_open(fixture);
		assert_string_equal(fixture->message, "");
		assert_true(numbers_incarnation(fixture->numbers) == incarnation);
		for (size_t at = 0; at < count; at++) {
			u32 index; /* known before it is asked for, which would give it anew */
			struct addr address = backend_addr(told[at].key);
			assert_int_equal(numbers_counter(fixture->numbers, "web", &address, &index),
					 0);
			assert_int_equal(backend(fixture->numbers, "web", told[at].key),
					 told[at].number);
		}
		if (count)
			assert_true(numbers_epoch(fixture->numbers) >= told[count - 1].epoch);
	}
	print_message("%zu commits, %d crashes\n", count, crashes);
	assert_true(crashes > 5);
	assert_true(count > 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(lowest_free_and_stable),
		TEST(unknown_is_refused),
		TEST(equal_sets_get_equal_numbers),
		TEST(one_named_twice_has_one_number),
		TEST(counters_are_global_and_reused),
		TEST(number_is_not_reused_before_the_sweep),
		TEST(returning_backend_has_its_old_number),
		TEST(services_retire_with_their_backends),
		TEST(a_full_service_is_fast_and_then_full),
		TEST(services_run_out),
		TEST(everything_comes_back),
		TEST(uncommitted_is_forgotten),
		TEST(commit_writes_only_changes),
		TEST(generations_never_go_back),
		TEST(failed_commit_is_told_and_repeated),
		TEST(second_opener_is_refused),
		TEST(missing_parent_is_an_error),
		TEST(unusable_files_are_set_aside),
		TEST(a_written_file_is_read),
		TEST(unreadable_is_not_corrupt),
		TEST(kill_at_any_moment_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
