/* SPDX-License-Identifier: BSD-2-Clause */
/* An operator's drains: what is on disk, what becomes of it with the configuration, and what of a
 * file that is broken. */
#include "controlplane/drains.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/cmocka_help.h"

#define HEAD "version: 1\nfleet_seed: \"000102030405060708090a0b0c0d0e0f\"\nservices:\n"
#define WEB "  - { name: web, vip: 203.0.113.10, protocol: tcp, port: 443, backends: ["
#define DNS "  - { name: dns, vip: '2001:db8::10', protocol: udp, port: any, backends: ["
#define A "{ address: 10.0.1.1 }, "
#define B "{ address: '2001:db8:1::1' }"
#define END "] }\n"

enum { NOW_S = 1764286800, LATER_S = NOW_S + 60 };

struct fixture {
	char folder[64], message[512];
	struct drains *drains;
	struct config *config;
	struct plan *plan;
	struct addr a, b;
};

static void configure(struct fixture *fixture, const char *text)
{
	static const u8 seed[16];
	struct config_errors errors;

	plan_destroy(fixture->plan);
	config_free(fixture->config);
	assert_int_equal(config_parse(text, strlen(text), &fixture->config, &errors), 0);
	config_errors_free(&errors);
	assert_int_equal(plan_create(fixture->config, seed, &fixture->plan), 0);
}

static int open_drains(struct fixture *fixture)
{
	drains_close(fixture->drains);
	fixture->drains = NULL;
	return drains_open(fixture->folder, &fixture->drains, fixture->message,
			   sizeof(fixture->message));
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->folder, P_tmpdir "/drains-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	assert_int_equal(addr_parse("10.0.1.1", &fixture->a), 0);
	assert_int_equal(addr_parse("2001:db8:1::1", &fixture->b), 0);
	configure(fixture, HEAD WEB A B END DNS A B END);
	assert_int_equal(open_drains(fixture), 0);
	assert_string_equal(fixture->message, "");
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	DIR *folder = opendir(fixture->folder);
	struct dirent *entry;

	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			assert_int_equal(unlinkat(dirfd(folder), entry->d_name, 0), 0);
	closedir(folder);
	rmdir(fixture->folder);
	drains_close(fixture->drains);
	plan_destroy(fixture->plan);
	config_free(fixture->config);
	free(fixture);
	return 0;
}

static int set(struct fixture *fixture, u32 service, const struct addr *address, bool drained,
	       s64 now_s)
{
	return drains_set(fixture->drains, &fixture->config->services[service], address, drained,
			  now_s);
}

static int follow(struct fixture *fixture, s64 now_s)
{
	int err = drains_follow(fixture->drains, fixture->config, now_s);

	return err ? err : drains_commit(fixture->drains);
}

static struct plan_drain drain_of(struct fixture *fixture, u32 service, u32 backend)
{
	drains_apply(fixture->drains, fixture->plan);
	return fixture->plan->services[service].backends[backend].drain;
}

static bool drained(struct fixture *fixture, u32 service, u32 backend)
{
	return drain_of(fixture, service, backend).operator_since_s != 0;
}

static void path_of(const struct fixture *fixture, const char *name, char path[static 128])
{
	snprintf(path, 128, "%s/%s", fixture->folder, name);
}

static void file_write(const struct fixture *fixture, const char *text)
{
	char path[128];
	FILE *file;

	path_of(fixture, "drains.json", path);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* --- Holding -------------------------------------------------------------------------- */

static void a_drain_outlives_the_process(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(set(fixture, 0, &fixture->a, true, NOW_S), 0);
	assert_false(drained(fixture, 0, 0)); /* nothing holds before it is on disk */
	assert_int_equal(drains_commit(fixture->drains), 0);
	assert_int_equal(open_drains(fixture), 0);
	assert_string_equal(fixture->message, "");
	assert_int_equal(drain_of(fixture, 0, 0).operator_since_s, NOW_S);
	assert_false(drained(fixture, 0, 1) || drained(fixture, 1, 0) || drained(fixture, 1, 1));

	/* Said again, it is the same drain. */
	assert_int_equal(set(fixture, 0, &fixture->a, true, LATER_S), 0);
	assert_int_equal(set(fixture, 1, &fixture->b, true, LATER_S), 0);
	assert_int_equal(drains_commit(fixture->drains), 0);
	assert_int_equal(open_drains(fixture), 0);
	assert_int_equal(drain_of(fixture, 0, 0).operator_since_s, NOW_S);
	assert_int_equal(drain_of(fixture, 1, 1).operator_since_s, LATER_S);

	assert_int_equal(set(fixture, 0, &fixture->a, false, LATER_S), 0);
	assert_int_equal(drains_commit(fixture->drains), 0);
	assert_int_equal(open_drains(fixture), 0);
	assert_false(drained(fixture, 0, 0));
	assert_true(drained(fixture, 1, 1));
}

static void what_cannot_be_kept_does_not_hold(void **state)
{
	struct fixture *fixture = *state;
	char path[128];

	assert_int_equal(set(fixture, 0, &fixture->a, true, NOW_S), 0);
	assert_int_equal(drains_commit(fixture->drains), 0);
	path_of(fixture, "drains.json.tmp", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(set(fixture, 1, &fixture->b, true, NOW_S), 0);
	assert_int_equal(set(fixture, 0, &fixture->a, false, NOW_S), 0);
	assert_int_equal(drains_commit(fixture->drains), -EISDIR);
	assert_true(drained(fixture, 0, 0));
	assert_false(drained(fixture, 1, 1));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(drains_commit(fixture->drains), 0); /* and is not made up for */
	assert_int_equal(open_drains(fixture), 0);
	assert_true(drained(fixture, 0, 0));
	assert_false(drained(fixture, 1, 1));
}

static void eligibility_follows(void **state)
{
	struct fixture *fixture = *state;
	struct plan_backend *backend = &fixture->plan->services[0].backends[0];

	assert_false(drains_apply(fixture->drains, fixture->plan));
	assert_int_equal(set(fixture, 0, &fixture->a, true, NOW_S), 0);
	assert_int_equal(drains_commit(fixture->drains), 0);
	assert_true(drains_apply(fixture->drains, fixture->plan));
	assert_false(plan_backend_eligible(backend));
	assert_int_equal(plan_backend_state(backend), CONFIG_STATE_DRAIN);
	fixture->plan->services[0].settling = true;
	plan_note_published(fixture->plan, 4);
	assert_int_equal(backend->closed_generation, 0); /* a handshake may still be under way */
	fixture->plan->services[0].settling = false;
	plan_note_published(fixture->plan, 5);
	plan_note_published(fixture->plan, 6);
	assert_int_equal(backend->closed_generation, 5);
	assert_int_equal(fixture->plan->services[0].backends[1].closed_generation, 0);
	assert_int_equal(set(fixture, 0, &fixture->a, false, NOW_S), 0);
	assert_int_equal(drains_commit(fixture->drains), 0);
	assert_true(drains_apply(fixture->drains, fixture->plan));
	plan_note_published(fixture->plan, 7);
	assert_int_equal(backend->closed_generation, 0);
}

/* --- With the configuration ----------------------------------------------------------- */

static void a_removed_backend_is_forgotten(void **state)
{
	struct fixture *fixture = *state;

	for (u32 i = 0; i < 2; i++) {
		assert_int_equal(set(fixture, i, &fixture->a, true, NOW_S), 0);
		assert_int_equal(set(fixture, i, &fixture->b, true, NOW_S), 0);
	}
	assert_int_equal(drains_commit(fixture->drains), 0);
	/* Another order, another name; without one backend, without one service. */
	configure(fixture, HEAD "  - { name: other, vip: 203.0.113.10, protocol: tcp, port: 443, "
				"backends: [" B END);
	assert_int_equal(follow(fixture, LATER_S), 0);
	assert_int_equal(open_drains(fixture), 0);
	configure(fixture, HEAD WEB A B END DNS A B END);
	assert_int_equal(drain_of(fixture, 0, 1).operator_since_s, NOW_S);
	assert_false(drained(fixture, 0, 0) || drained(fixture, 1, 0) || drained(fixture, 1, 1));
}

static void the_file_drains_since_it_says_so(void **state)
{
	static const char draining[] = HEAD WEB
		"{ address: 10.0.1.1, state: drain }, { address: '2001:db8:1::1' }" END DNS A B END;
	struct fixture *fixture = *state;

	assert_int_equal(set(fixture, 0, &fixture->a, true, NOW_S), 0);
	assert_int_equal(drains_commit(fixture->drains), 0);
	configure(fixture, draining);
	assert_int_equal(follow(fixture, LATER_S), 0);
	assert_int_equal(follow(fixture, LATER_S + 60), 0);
	assert_int_equal(open_drains(fixture), 0);
	assert_int_equal(drain_of(fixture, 0, 0).file_since_s, LATER_S);
	assert_int_equal(drain_of(fixture, 0, 0).operator_since_s, NOW_S);
	assert_int_equal(drain_of(fixture, 0, 1).file_since_s, 0);
	assert_int_equal(set(fixture, 0, &fixture->a, false, LATER_S), 0);
	assert_int_equal(drains_commit(fixture->drains), 0);
	assert_int_equal(drain_of(fixture, 0, 0).file_since_s, LATER_S);
	assert_int_equal(plan_backend_state(&fixture->plan->services[0].backends[0]),
			 CONFIG_STATE_DRAIN);
	configure(fixture, HEAD WEB A B END);
	assert_int_equal(follow(fixture, LATER_S), 0);
	assert_int_equal(drain_of(fixture, 0, 0).file_since_s, 0);
}

/* --- Broken files --------------------------------------------------------------------- */

#define ENTRY(address, entry)                                                                      \
	"{\"version\": 1, \"services\": {\"203.0.113.10/128 tcp 443\": {\"" address "\": " entry   \
	"}}}"

static void a_broken_file_is_set_aside(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{\"version\": 1}",
		"{\"version\": 2, \"services\": {}}",
		"{\"version\": 1, \"services\": []}",
		"{\"version\": 1, \"services\": {\"a\": []}}",
		"{\"version\": 1, \"services\": {}} x",
		"{\"version\": 1, \"services\": {}, \"services\": {}}",
		ENTRY("10.0.1.1", "{}"),
		ENTRY("10.0.1.1", "7"),
		ENTRY("10.0.1.1", "{\"operator\": 0}"),
		ENTRY("10.0.1.1", "{\"operator\": -5}"),
		ENTRY("10.0.1.1", "{\"operator\": \"1\"}"),
		ENTRY("10.0.1.1", "{\"operator\": 1, \"other\": 1}"),
		ENTRY("10.0.1", "{\"operator\": 1}"),
		ENTRY("2001:db8:0::1", "{\"operator\": 1}"),
	};
	struct fixture *fixture = *state;
	char path[128];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		file_write(fixture, texts[i]);
		assert_int_equal(open_drains(fixture), 0);
		if (!strstr(fixture->message, "set aside as drains.json.bad-"))
			fail_msg("'%s': '%s'", texts[i], fixture->message);
		assert_false(drained(fixture, 0, 0));
		path_of(fixture, "drains.json", path);
		assert_int_equal(access(path, F_OK), -1);
	}
	file_write(fixture, ENTRY("10.0.1.1", "{\"operator\": 1}"));
	assert_int_equal(open_drains(fixture), 0);
	assert_string_equal(fixture->message, "");
	assert_true(drained(fixture, 0, 0));
}

/* Not being able to read is no reason to begin anew. */
static void an_unreadable_file_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	char path[128];

	path_of(fixture, "drains.json", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(open_drains(fixture), -EISDIR);
	assert_non_null(strstr(fixture->message, "cannot read drains.json"));
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_drain_outlives_the_process, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_kept_does_not_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(eligibility_follows, setup, teardown),
		cmocka_unit_test_setup_teardown(a_removed_backend_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(the_file_drains_since_it_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broken_file_is_set_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(an_unreadable_file_is_an_error, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
