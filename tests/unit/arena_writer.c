/* SPDX-License-Identifier: BSD-2-Clause */
#include "cmocka_help.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "controlplane/arena_writer.h"

#define SIZE_BYTES (ARENA_HEADER_BYTES + 4096)

static int setup(void **state)
{
	struct arena_writer *writer;

	assert_int_equal(arena_writer_create(SIZE_BYTES, 7, 11, 100, &writer), 0);
	*state = writer;
	return 0;
}

static int teardown(void **state)
{
	arena_writer_destroy(*state);
	return 0;
}

/* Publishes a generation of one block of the given size and its root; returns the block. */
static u64 publish(struct arena_writer *writer, u64 bytes, u64 generation)
{
	u64 block = arena_writer_alloc(writer, bytes);
	u64 root = arena_writer_alloc(writer, sizeof(struct arena_root));

	assert_true(block != 0 && root != 0);
	arena_writer_publish(writer, root, generation);
	return block;
}

static void test_blocks_are_aligned_zeroed_and_apart(void **state)
{
	struct arena_writer *writer = *state;
	u64 a = arena_writer_alloc(writer, 1), b = arena_writer_alloc(writer, 100);

	assert_int_equal(a % 64, 0);
	assert_int_equal(b % 64, 0);
	assert_true(b >= a + 64);
	memset(arena_writer_at(writer, a), 0xff, 64);
	arena_writer_abandon(writer);
	assert_int_equal(arena_writer_alloc(writer, 64), a);
	assert_int_equal(*(u8 *)arena_writer_at(writer, a), 0);
}

static void test_full(void **state)
{
	struct arena_writer *writer = *state;
	u64 free_bytes = arena_writer_free_bytes(writer);

	assert_int_equal(free_bytes, 4096);
	assert_int_equal(arena_writer_alloc(writer, free_bytes + 1), 0);
	assert_true(arena_writer_alloc(writer, free_bytes) != 0);
	assert_int_equal(arena_writer_alloc(writer, 1), 0);
}

/* The rule that keeps readers safe: what generation g used is not written over before every
 * reader has been seen at a later one. */
static void test_space_returns_only_when_nobody_reads_it(void **state)
{
	struct arena_writer *writer = *state;
	u64 first = publish(writer, 1024, 1);
	u64 second;

	assert_int_equal(arena_writer_reclaim(writer, 1), 0);
	second = publish(writer, 1024, 2);
	assert_true(second != first);
	assert_int_equal(arena_writer_reclaim(writer, 0), 0);
	assert_int_equal(arena_writer_reclaim(writer, 1), 0); /* still read at 1 */
	assert_int_equal(arena_writer_reclaim(writer, 2), 2); /* block and root of 1 */
	assert_int_equal(arena_writer_alloc(writer, 1024), first);
}

static void test_kept_blocks_live_on(void **state)
{
	struct arena_writer *writer = *state;
	u64 block = publish(writer, 512, 1);
	u64 root = arena_writer_alloc(writer, sizeof(struct arena_root));

	memset(arena_writer_at(writer, block), 0x5a, 512);
	arena_writer_keep(writer, block);
	arena_writer_publish(writer, root, 2);
	assert_int_equal(arena_writer_reclaim(writer, 2), 1); /* only the first root */
	assert_true(arena_writer_alloc(writer, 512) != block);
	assert_int_equal(*(u8 *)arena_writer_at(writer, block), 0x5a);
}

static void test_abandon_frees_the_new_and_keeps_the_old(void **state)
{
	struct arena_writer *writer = *state;
	u64 block = publish(writer, 512, 1);
	u64 free_bytes = arena_writer_free_bytes(writer);

	assert_true(arena_writer_alloc(writer, 700) != 0);
	arena_writer_keep(writer, block);
	arena_writer_abandon(writer);
	assert_int_equal(arena_writer_free_bytes(writer), free_bytes);
	assert_true(arena_writer_alloc(writer, 512) != block);
	arena_writer_abandon(writer);
	/* The published generation goes on as if nothing had been tried. */
	publish(writer, 64, 2);
	assert_int_equal(arena_writer_reclaim(writer, 2), 2);
}

/* A dying block stays while a failed attempt comes in between. */
static void test_abandon_frees_nothing_that_is_read(void **state)
{
	struct arena_writer *writer = *state;
	u64 first = publish(writer, 512, 1);

	publish(writer, 512, 2);
	assert_true(arena_writer_alloc(writer, 64) != 0);
	arena_writer_abandon(writer);
	for (u64 block; (block = arena_writer_alloc(writer, 512)) != 0;)
		assert_true(block != first);
}

static void test_sealed_and_read_only(void **state)
{
	struct arena_writer *writer = *state;
	int fd = arena_writer_fd(writer);

	assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_true(ftruncate(fd, 4096) < 0);
	assert_true(write(fd, "x", 1) < 0);
	assert_true(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
	assert_int_equal(fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_test_between(test_blocks_are_aligned_zeroed_and_apart),
		unit_test_between(test_full),
		unit_test_between(test_space_returns_only_when_nobody_reads_it),
		unit_test_between(test_kept_blocks_live_on),
		unit_test_between(test_abandon_frees_the_new_and_keeps_the_old),
		unit_test_between(test_abandon_frees_nothing_that_is_read),
		unit_test_between(test_sealed_and_read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
