/* SPDX-License-Identifier: BSD-2-Clause */
/* A check is always in one of three places: its timer runs, it waits for one of the probes that
 * may be under way at a time, or its probe is under way. The time to the next check counts from
 * the beginning of the last, so a slow answer doesn't make checks rarer.
 *
 * A reload makes the list of the checks that are to come beside the running one. Both may hold
 * the same check; a new one is started, and one that isn't wanted any more freed, only when the
 * new list takes over. */
#include "controlplane/health/checks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controlplane/health/health.h"
#include "controlplane/health/probe.h"
#include "controlplane/log.h"

#define RESULT_TEXT_MAX 96

struct check_key {
	struct addr vip, backend;
	u16 port;
	u8 vip_bits, protocol;
	u32 zero;
};

_Static_assert(sizeof(struct check_key) == 40, "compared as bytes: no padding");

struct check {
	struct check_key key;
	struct checks *owner;
	const struct config_service *service, *service_next; /* of the running plan, of the next */
	struct config_check rule;
	struct health health;
	struct probe probe;
	struct check *next_waiting;
	u64 timer;
	u64 due_ms;     /* when the next probe begins */
	u64 checked_ms; /* when the last result came */
	s64 since_s;
	bool started, waiting, wanted;
	char result[RESULT_TEXT_MAX], reason[CHECK_TEXT_MAX];
};

struct check_list {
	struct check **items; /* in the order of their keys */
	size_t count;
};

struct checks {
	struct loop *loop;
	u64 random;
	checks_changed_callback *changed;
	void *context;
	struct check_list running, next;
	struct check *waiting_first, *waiting_last;
	unsigned in_flight;
};

int checks_create(struct loop *loop, u64 random, checks_changed_callback *changed, void *context,
		  struct checks **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->loop = loop;
	(*out)->random = random;
	(*out)->changed = changed;
	(*out)->context = context;
	return 0;
}

/* --- Results ------------------------------------------------------------------------- */

static void result_format(const struct check *check, const struct probe_result *result,
			  char out[static RESULT_TEXT_MAX])
{
	switch (result->end) {
	case PROBE_CONNECTED:
		snprintf(out, RESULT_TEXT_MAX, "connected in %llu.%llu ms",
			 (unsigned long long)result->took_us / 1000,
			 (unsigned long long)result->took_us / 100 % 10);
		break;
	case PROBE_FAILED:
		snprintf(out, RESULT_TEXT_MAX, "connect: %s", strerror(result->error));
		break;
	case PROBE_TIMED_OUT:
		snprintf(out, RESULT_TEXT_MAX, "timeout after %llu ms",
			 (unsigned long long)check->rule.timeout_ms);
		break;
	case PROBE_UNTRIED:
		snprintf(out, RESULT_TEXT_MAX, "not tried: %s", strerror(result->error));
		break;
	}
}

static void reason_format(struct check *check)
{
	const struct health *health = &check->health;
	unsigned row = health->up ? health->passed : health->failed;

	if (health->up)
		snprintf(check->reason, sizeof(check->reason), "%u check%s passed", row,
			 row == 1 ? "" : "s in a row");
	else
		snprintf(check->reason, sizeof(check->reason), "%u check%s failed: %s", row,
			 row == 1 ? "" : "s in a row", check->result);
}

static void change_log(const struct check *check)
{
	char address[ADDR_TEXT_MAX];

	log_line("service %s: backend %s is %s: %s", check->service->name,
		 addr_format(&check->key.backend, address), check->health.up ? "up" : "down",
		 check->reason);
}

/* Returns whether the backend changed. */
static bool result_take(struct check *check, const struct probe_result *result)
{
	u64 now_ms = loop_now_ms(check->owner->loop);
	bool first = !check->health.known;
	bool changed;

	result_format(check, result, check->result);
	check->checked_ms = now_ms;
	if (result->end == PROBE_UNTRIED)
		return false; /* our own want is nobody's fault */
	changed = health_note(&check->health, check->rule.rise, check->rule.fall,
			      result->end == PROBE_CONNECTED, now_ms);
	if (changed || first)
		reason_format(check);
	if (changed) {
		check->since_s = time(NULL);
		change_log(check);
	}
	return changed;
}

/* --- Running ------------------------------------------------------------------------- */

static void check_due(void *context);
static void waiting_serve(struct checks *checks);

static void waiting_add(struct check *check)
{
	struct checks *checks = check->owner;

	check->waiting = true;
	check->next_waiting = NULL;
	if (checks->waiting_last)
		checks->waiting_last->next_waiting = check;
	else
		checks->waiting_first = check;
	checks->waiting_last = check;
}

static void waiting_remove(struct check *check)
{
	struct checks *checks = check->owner;
	struct check **at = &checks->waiting_first, *before = NULL;

	if (!check->waiting)
		return;
	while (*at != check) {
		before = *at;
		at = &before->next_waiting;
	}
	*at = check->next_waiting;
	if (checks->waiting_last == check)
		checks->waiting_last = before;
	check->waiting = false;
}

/* Without memory for a timer it waits for a probe instead: it comes early, but it comes. */
static void check_schedule(struct check *check, u64 delay_ms)
{
	check->timer = loop_timer_add(check->owner->loop, delay_ms, 0, check_due, check);
	if (!check->timer)
		waiting_add(check);
}

static void check_done(void *context, const struct probe_result *result)
{
	struct check *check = context;
	struct checks *checks = check->owner;
	u64 now_ms = loop_now_ms(checks->loop);
	bool changed = result_take(check, result);

	checks->in_flight--;
	check_schedule(check, check->due_ms > now_ms ? check->due_ms - now_ms : 0);
	waiting_serve(checks);
	if (changed)
		checks->changed(checks->context);
}

static int check_begin(struct check *check)
{
	struct checks *checks = check->owner;
	int err = probe_start(&check->probe, checks->loop, &check->key.backend, check->rule.port,
			      check->rule.timeout_ms, check_done, check);

	if (err)
		return err;
	checks->in_flight++;
	check->due_ms = loop_now_ms(checks->loop) +
			health_next_delay_ms(&checks->random, check->rule.interval_ms);
	return 0;
}

/* In the order in which they came. */
static void waiting_serve(struct checks *checks)
{
	while (checks->waiting_first && checks->in_flight < CHECKS_IN_FLIGHT_MAX) {
		struct check *check = checks->waiting_first;

		waiting_remove(check);
		if (check_begin(check) == 0)
			continue;
		waiting_add(check);
		return;
	}
}

static void check_due(void *context)
{
	struct check *check = context;

	check->timer = 0;
	waiting_add(check);
	waiting_serve(check->owner);
}

static void check_stop(struct check *check)
{
	loop_timer_cancel(check->owner->loop, check->timer);
	check->timer = 0;
	waiting_remove(check);
	check->owner->in_flight -= check->probe.active;
	probe_cancel(&check->probe);
}

static void check_restart(struct check *check)
{
	struct checks *checks = check->owner;

	check_stop(check);
	check->started = true;
	check_schedule(check, health_first_delay_ms(&checks->random, check->rule.interval_ms));
}

static void check_free(struct check *check)
{
	check_stop(check);
	free(check);
}

/* --- Following the plan -------------------------------------------------------------- */

static struct check_key key_of(const struct config_service *service,
			       const struct config_backend *backend)
{
	return (struct check_key){
		.vip = service->vip.addr,
		.backend = backend->address,
		.port = service->port,
		.vip_bits = service->vip.bits,
		.protocol = service->protocol,
	};
}

static int by_key(const void *a, const void *b)
{
	const struct check *const *x = a, *const *y = b;

	return memcmp(&(*x)->key, &(*y)->key, sizeof((*x)->key));
}

static struct check *list_find(const struct check_list *list, const struct check_key *key)
{
	struct check wanted = {.key = *key}, *at = &wanted;
	struct check **found = list->count == 0 ? NULL
						: bsearch(&at, list->items, list->count,
							  sizeof(*list->items), by_key);

	return found ? *found : NULL;
}

static struct check *check_create(struct checks *checks, const struct check_key *key)
{
	struct check *check = calloc(1, sizeof(*check));

	if (!check)
		return NULL;
	check->owner = checks;
	check->key = *key;
	check->since_s = time(NULL);
	health_start(&check->health, loop_now_ms(checks->loop));
	snprintf(check->reason, sizeof(check->reason), "not checked yet");
	return check;
}

static size_t checked_backends(const struct plan *plan)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->config->services_count; i++)
		if (plan->config->services[i].check.type != CONFIG_CHECK_NONE)
			count += plan->config->services[i].backends_count;
	return count;
}

static int service_prepare(struct checks *checks, struct plan_service *service)
{
	if (service->config->check.type == CONFIG_CHECK_NONE)
		return 0;
	for (size_t i = 0; i < service->config->backends_count; i++) {
		struct plan_backend *backend = &service->backends[i];
		struct check_key key = key_of(service->config, backend->config);
		struct check *check = list_find(&checks->running, &key);

		if (!check)
			check = check_create(checks, &key);
		if (!check)
			return -ENOMEM;
		check->wanted = true;
		check->service_next = service->config;
		backend->check = check;
		checks->next.items[checks->next.count++] = check;
	}
	return 0;
}

int checks_prepare(struct checks *checks, struct plan *plan)
{
	int err = 0;

	checks->next.items = calloc(checked_backends(plan) + 1, sizeof(*checks->next.items));
	if (!checks->next.items)
		return -ENOMEM;
	for (size_t i = 0; i < plan->config->services_count && !err; i++)
		err = service_prepare(checks, &plan->services[i]);
	if (err) {
		checks_abandon(checks);
		return err;
	}
	qsort(checks->next.items, checks->next.count, sizeof(*checks->next.items), by_key);
	checks_judge(plan);
	return 0;
}

/* The service's own port, where the check names none. */
static struct config_check rule_of(const struct config_service *service)
{
	struct config_check rule = service->check;

	if (rule.port == 0)
		rule.port = service->port;
	return rule;
}

static void check_take_over(struct check *check)
{
	struct config_check rule = rule_of(check->service_next);
	bool other = rule.port != check->rule.port || rule.interval_ms != check->rule.interval_ms ||
		     rule.timeout_ms != check->rule.timeout_ms;

	check->service = check->service_next;
	check->rule = rule;
	check->wanted = false;
	if (!check->started || other)
		check_restart(check);
}

void checks_commit(struct checks *checks)
{
	struct check_list old = checks->running;

	for (size_t i = 0; i < old.count; i++)
		if (!old.items[i]->wanted)
			check_free(old.items[i]);
	free(old.items);
	checks->running = checks->next;
	checks->next = (struct check_list){0};
	for (size_t i = 0; i < checks->running.count; i++)
		check_take_over(checks->running.items[i]);
	waiting_serve(checks);
}

void checks_abandon(struct checks *checks)
{
	for (size_t i = 0; i < checks->next.count; i++) {
		checks->next.items[i]->wanted = false;
		if (!checks->next.items[i]->started)
			check_free(checks->next.items[i]);
	}
	free(checks->next.items);
	checks->next = (struct check_list){0};
}

void checks_destroy(struct checks *checks)
{
	if (!checks)
		return;
	checks_abandon(checks);
	for (size_t i = 0; i < checks->running.count; i++)
		check_free(checks->running.items[i]);
	free(checks->running.items);
	free(checks);
}

/* --- What is made of it --------------------------------------------------------------- */

bool checks_judge(struct plan *plan)
{
	bool changed = false;

	for (size_t i = 0; i < plan->config->services_count; i++) {
		struct plan_service *service = &plan->services[i];

		for (size_t k = 0; k < service->config->backends_count; k++) {
			struct plan_backend *backend = &service->backends[k];

			backend->up = !backend->check || backend->check->health.up;
		}
		changed |= plan_service_judge(service);
	}
	return changed;
}

struct check_view check_view(const struct check *check)
{
	return (struct check_view){
		.up = check->health.up,
		.passed = check->health.passed,
		.failed = check->health.failed,
		.since_s = check->since_s,
		.reason = check->reason,
		.last_result = check->result[0] ? check->result : NULL,
		.last_check_ago_ms = loop_now_ms(check->owner->loop) - check->checked_ms,
	};
}
