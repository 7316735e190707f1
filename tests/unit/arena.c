/* SPDX-License-Identifier: BSD-2-Clause */
/* The arena's reading side: what it refuses to attach, and that no root whatever leads a reader
 * outside. */
#include "dataplane/state/arena.h"

#include <errno.h>

#include "tests/unit/arena_help.h"
#include "tests/unit/cmocka_help.h"

static struct fixture *fixture;

static int set_up(void **state)
{
	fixture = fixture_new(0);
	return 0;
}

static int tear_down(void **state)
{
	fixture_free(fixture);
	return 0;
}

static void attaches_and_reads(void **state)
{
	struct arena_help help = arena_help_make(fixture);
	char message[256] = "";
	struct arena_view view;
	struct tables tables;

	arena_help_seal(&help, ARENA_SEALS_ALL);
	assert_int_equal(arena_attach(help.fd, &view, message, sizeof(message)), 0);
	assert_true(view.epoch == 3 && view.size_bytes == help.size_bytes);
	assert_int_equal(view.counters_count, ARENA_HELP_COUNTERS);
	assert_true(arena_root_offset(&view) == help.root_offset);
	assert_int_equal(arena_tables(&view, help.root_offset, &tables), 0);
	assert_true(tables.generation == 1);
	assert_int_equal(tables.buckets_count, FIXTURE_BUCKETS);
	assert_memory_equal(&tables.seed, &fixture->env.tables.seed, sizeof(tables.seed));
	assert_memory_equal(tables.backends, fixture->backends, sizeof(fixture->backends));
	assert_memory_equal(tables.buckets, fixture->buckets, sizeof(fixture->buckets));
	arena_detach(&view);
	assert_null(view.base);
	arena_detach(&view);
	arena_help_free(&help);
}

/* --- What is not attached ------------------------------------------------------------- */

enum field { MAGIC, ABI, MIN_READER, SIZE, ROOT_BYTES, SERVICE_BYTES, BACKEND_BYTES };

static void set_field(struct arena_header *header, enum field field, u64 value)
{
	switch (field) {
	case MAGIC:
		header->magic = value;
		break;
	case ABI:
		header->abi = (u32)value;
		break;
	case MIN_READER:
		header->min_reader = (u32)value;
		break;
	case SIZE:
		header->size_bytes = value;
		break;
	case ROOT_BYTES:
		header->root_bytes = (u32)value;
		break;
	case SERVICE_BYTES:
		header->service_bytes = (u32)value;
		break;
	case BACKEND_BYTES:
		header->backend_bytes = (u32)value;
		break;
	}
}

static void refuses_a_wrong_header(void **state)
{
	static const struct {
		enum field field;
		u64 value;
		int err;
		const char *says;
	} cases[] = {
		{MAGIC, 0, -EINVAL, "not a shunt arena"},
		{MAGIC, ARENA_MAGIC ^ 1, -EINVAL, "not a shunt arena"},
		{ABI, 0, -EPROTO, "ABI 0"},
		{MIN_READER, ARENA_ABI + 1, -EPROTO, "readers from 3 on"},
		{SIZE, 1, -EINVAL, "says 1"},
		{SIZE, 1 << 30, -EINVAL, "65536 bytes long but says 1073741824"},
		{ROOT_BYTES, 127, -EPROTO, "differ in size"},
		{SERVICE_BYTES, 128, -EPROTO, "differ in size"},
		{BACKEND_BYTES, 0, -EPROTO, "differ in size"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena_help help = arena_help_make(fixture);
		char message[256] = "";
		struct arena_view view = {0};

		set_field(arena_help_header(&help), cases[i].field, cases[i].value);
		arena_help_seal(&help, ARENA_SEALS_ALL);
		assert_int_equal(arena_attach(help.fd, &view, message, sizeof(message)),
				 cases[i].err);
		if (!strstr(message, cases[i].says))
			fail_msg("\"%s\" does not say \"%s\"", message, cases[i].says);
		assert_null(view.base);
		arena_help_free(&help);
	}
}

static void another_abi_is_named_with_ours(void **state)
{
	struct arena_help help = arena_help_make(fixture);
	char message[256] = "";
	struct arena_view view;

	arena_help_header(&help)->abi = 77;
	arena_help_header(&help)->min_reader = 70;
	arena_help_seal(&help, ARENA_SEALS_ALL);
	assert_int_equal(arena_attach(help.fd, &view, message, sizeof(message)), -EPROTO);
	assert_non_null(strstr(message, "ABI 77"));
	assert_non_null(strstr(message, "reads ABI 2"));
	arena_help_free(&help);
}

/* A newer writer that still writes for old readers is read. */
static void a_newer_writer_may_be_readable(void **state)
{
	struct arena_help help = arena_help_make(fixture);
	char message[256] = "";
	struct arena_view view;

	arena_help_header(&help)->abi = ARENA_ABI + 1;
	arena_help_header(&help)->min_reader = ARENA_ABI;
	arena_help_seal(&help, ARENA_SEALS_ALL);
	assert_int_equal(arena_attach(help.fd, &view, message, sizeof(message)), 0);
	arena_detach(&view);
	arena_help_free(&help);
}

static void refuses_what_may_change_size_or_hands(void **state)
{
	static const int seals[] = {0, F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_GROW,
				    F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE,
				    F_SEAL_GROW | F_SEAL_FUTURE_WRITE};

	for (size_t i = 0; i < ARRAY_LEN(seals); i++) {
		struct arena_help help = arena_help_make(fixture);
		char message[256] = "";
		struct arena_view view;

		arena_help_seal(&help, seals[i]);
		assert_int_equal(arena_attach(help.fd, &view, message, sizeof(message)), -EINVAL);
		assert_non_null(strstr(message, "not sealed"));
		arena_help_free(&help);
	}
}

static void refuses_a_short_file_and_no_file(void **state)
{
	static const off_t sizes[] = {0, 1, ARENA_HEADER_BYTES - 1};
	char message[256] = "";
	struct arena_view view;
	int pipe_fds[2];

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		int fd = memfd_create("short", MFD_CLOEXEC | MFD_ALLOW_SEALING);

		assert_int_equal(ftruncate(fd, sizes[i]), 0);
		assert_int_equal(fcntl(fd, F_ADD_SEALS, ARENA_SEALS_ALL), 0);
		assert_int_equal(arena_attach(fd, &view, message, sizeof(message)), -EINVAL);
		assert_non_null(strstr(message, "shorter than its header"));
		close(fd);
	}
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(arena_attach(pipe_fds[0], &view, message, sizeof(message)), -EINVAL);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_int_equal(arena_attach(-1, &view, message, sizeof(message)), -EBADF);
}

/* --- Roots ---------------------------------------------------------------------------- */

/* A copy in a block of exactly the arena's size, for the sanitizer to watch. */
struct watched {
	struct arena_help help;
	struct arena_view view;
};

static struct watched watched_new(void)
{
	struct watched watched;
	struct arena_help made = arena_help_make(fixture);

	watched.help = made;
	watched.help.base = aligned_alloc(4096, made.size_bytes);
	memcpy(watched.help.base, made.base, made.size_bytes);
	watched.view = (struct arena_view){
		.base = watched.help.base,
		.size_bytes = made.size_bytes,
		.counters_count = ARENA_HELP_COUNTERS,
	};
	arena_help_free(&made);
	return watched;
}

static void root_offsets_stay_inside(void **state)
{
	struct watched watched = watched_new();
	const u64 size = watched.view.size_bytes;
	const u64 offsets[] = {0,
			       1,
			       64,
			       ARENA_HEADER_BYTES - 1,
			       size - 127,
			       size - 1,
			       size,
			       size + 1,
			       ~0ull,
			       ~0ull - 63,
			       1ull << 63,
			       watched.help.root_offset + 1,
			       watched.help.root_offset + 64};
	struct tables tables, before;

	memset(&before, 0x11, sizeof(before));
	tables = before;
	for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
		assert_int_equal(arena_tables(&watched.view, offsets[i], &tables), -EINVAL);
		assert_memory_equal(&tables, &before, sizeof(tables));
	}
	assert_int_equal(arena_tables(&watched.view, watched.help.root_offset, &tables), 0);
	free(watched.help.base);
}

static void a_torn_root_is_refused(void **state)
{
	struct watched watched = watched_new();
	u8 *root = (u8 *)arena_help_root(&watched.help);
	struct tables tables;

	for (u32 i = 0; i < sizeof(struct arena_root); i++) {
		root[i] ^= 0x40;
		assert_int_equal(arena_tables(&watched.view, watched.help.root_offset, &tables),
				 -EINVAL);
		root[i] ^= 0x40;
	}
	assert_int_equal(arena_tables(&watched.view, watched.help.root_offset, &tables), 0);
	free(watched.help.base);
}

static void prefixes_are_of_their_family(void **state)
{
	static const struct {
		u8 v6, host_bits;
		int err;
	} cases[] = {{0, 31, 0}, {0, 32, -EINVAL}, {1, 127, 0}, {1, 128, -EINVAL}};
	struct watched watched = watched_new();
	struct arena_root *root = arena_help_root(&watched.help);
	struct tables tables;

	for (u32 i = 0; i < ARRAY_LEN(cases); i++) {
		u8 *last = &root->prefixes[cases[i].v6][SERVICE_PREFIXES_MAX - 1];

		*last = cases[i].host_bits;
		arena_help_sign(&watched.help);
		assert_int_equal(arena_tables(&watched.view, watched.help.root_offset, &tables),
				 cases[i].err);
		if (cases[i].err == 0)
			assert_memory_equal(tables.prefixes, root->prefixes,
					    sizeof(tables.prefixes));
		*last = 0;
	}
	free(watched.help.base);
}

/* Values that an offset or count is wrong with, and some that are right. */
static u64 random_value(struct random *random, u64 size)
{
	switch (random_below(random, 7)) {
	case 0:
		return random_next(random);
	case 1:
		return ~0ull - random_below(random, 200);
	case 2:
		return size - random_below(random, 5000);
	case 3:
		return size / (1 + random_below(random, 200));
	case 4:
		return random_below(random, 64);
	case 5:
		return ARENA_HEADER_BYTES + random_below(random, 800) * 64;
	default:
		return random_below(random, 70000);
	}
}

static void spoil_root(struct random *random, struct arena_root *root, u64 size)
{
	u64 value = random_value(random, size);

	switch (random_below(random, 6)) {
	case 0:
		root->buckets_offset = value;
		break;
	case 1:
		root->services_offset = value;
		break;
	case 2:
		root->backends_offset = value;
		break;
	case 3:
		root->buckets_count = (u32)value;
		break;
	case 4:
		root->backends_count = (u32)value;
		break;
	default:
		root->highest_service_number = (u32)value;
	}
}

static void spoil_service(struct random *random, struct service *service, u64 size)
{
	u64 value = random_value(random, size);

	switch (random_below(random, 8)) {
	case 0:
		service->maglev_offset = value;
		break;
	case 6:
		service->previous_offset = value;
		break;
	case 1:
		service->maglev_size = (u32)value;
		break;
	case 2:
		service->backends_first = (u32)value;
		break;
	case 3:
		service->backends_count = (u32)value;
		break;
	case 4:
		service->counter = (u32)value;
		break;
	case 5:
		service->number = (u16)value;
		break;
	default:
		service->kind = (u8)random_below(random, 5);
	}
}

/* Signed like any other, but leading anywhere. */
static void no_root_leads_outside(void **state)
{
	struct random random = random_start("arena");
	u32 accepted = 0, refused = 0;
	u64 sum = 0;

	for (u32 round = 0; round < 6000; round++) {
		struct watched watched = watched_new();
		struct arena_root *root = arena_help_root(&watched.help);
		struct service *services =
			(struct service *)(watched.help.base + root->services_offset);
		struct backend *backends =
			(struct backend *)(watched.help.base + root->backends_offset);
		struct tables tables;

		for (u32 i = random_below(&random, 4); i > 0; i--)
			spoil_root(&random, root, watched.view.size_bytes);
		for (u32 i = random_below(&random, 3); i > 0; i--)
			spoil_service(&random, &services[random_below(&random, FIXTURE_SERVICES)],
				      watched.view.size_bytes);
		if (random_one_in(&random, 8))
			backends[random_below(&random, FIXTURE_BACKENDS)].counter =
				(u32)random_value(&random, watched.view.size_bytes);
		arena_help_sign(&watched.help);
		if (arena_tables(&watched.view, watched.help.root_offset, &tables) == 0) {
			sum += arena_help_follow(&tables);
			accepted++;
		} else {
			refused++;
		}
		free(watched.help.base);
	}
	printf("arena: %u roots accepted and followed, %u refused (%llu)\n", accepted, refused,
	       (unsigned long long)sum);
	assert_true(accepted > 500 && refused > 500);
}

/* A key that leads to a record of no service finds nobody instead of anything. */
static void an_idle_record_leads_nowhere(void **state)
{
	static const u8 kinds[] = {SERVICE_EMPTY, SERVICE_VIP_ONLY, 3, 255};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct watched watched = watched_new();
		const struct arena_root *root = arena_help_root(&watched.help);
		struct service *services =
			(struct service *)(watched.help.base + root->services_offset);
		struct tables tables;

		for (u32 k = 0; k < FIXTURE_SERVICES; k++) {
			if (services[k].kind != SERVICE_ACTIVE)
				continue;
			services[k].kind = kinds[i];
			services[k].maglev_offset = watched.view.size_bytes - 1;
			break;
		}
		assert_int_equal(arena_tables(&watched.view, watched.help.root_offset, &tables),
				 -EINVAL);
		free(watched.help.base);
	}
}

/* A Maglev table may end with the arena, and not one slot later. */
static void a_maglev_table_ends_inside(void **state)
{
	for (u32 over = 0; over < 2; over++) {
		struct watched watched = watched_new();
		const struct arena_root *root = arena_help_root(&watched.help);
		struct service *service =
			(struct service *)(watched.help.base + root->services_offset);
		struct tables tables;

		while (service->kind != SERVICE_ACTIVE)
			service++;
		service->maglev_offset =
			watched.view.size_bytes - (service->maglev_size - over) * sizeof(u16);
		assert_int_equal(arena_tables(&watched.view, watched.help.root_offset, &tables),
				 over ? -EINVAL : 0);
		free(watched.help.base);
	}
}

static void tables_lie_on_cache_lines(void **state)
{
	for (u32 which = 0; which < 3; which++) {
		struct watched watched = watched_new();
		struct arena_root *root = arena_help_root(&watched.help);
		u64 *offsets[] = {&root->buckets_offset, &root->services_offset,
				  &root->backends_offset};
		struct tables tables;

		*offsets[which] += 8;
		arena_help_sign(&watched.help);
		assert_int_equal(arena_tables(&watched.view, watched.help.root_offset, &tables),
				 -EINVAL);
		free(watched.help.base);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attaches_and_reads),
		cmocka_unit_test(refuses_a_wrong_header),
		cmocka_unit_test(another_abi_is_named_with_ours),
		cmocka_unit_test(a_newer_writer_may_be_readable),
		cmocka_unit_test(refuses_what_may_change_size_or_hands),
		cmocka_unit_test(refuses_a_short_file_and_no_file),
		cmocka_unit_test(root_offsets_stay_inside),
		cmocka_unit_test(a_maglev_table_ends_inside),
		cmocka_unit_test(a_torn_root_is_refused),
		cmocka_unit_test(prefixes_are_of_their_family),
		cmocka_unit_test(no_root_leads_outside),
		cmocka_unit_test(an_idle_record_leads_nowhere),
		cmocka_unit_test(tables_lie_on_cache_lines),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
