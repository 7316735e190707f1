/* SPDX-License-Identifier: BSD-2-Clause */
/* A reload builds a whole new state -- configuration, plan, texts -- beside the running one and
 * takes its place only once it is published, so a failure at any step leaves the running one as
 * it was. What a failed step has already done to the numbers is undone by assigning the running
 * plan anew.
 *
 * The loop waits for nothing but numbers_commit and drains_commit. The former's fsync has to be
 * over before a number is published; it comes with reloads that change numbers, with new arenas,
 * and once in about a thousand generations. The latter's has to be over before an operator is told
 * that a backend drains. */
#include "controlplane/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/assign.h"
#include "controlplane/drains.h"
#include "controlplane/flow_count.h"
#include "controlplane/health/checks.h"
#include "controlplane/hops.h"
#include "controlplane/log.h"

#define REPLAN_DELAY_MS 10 /* changes come in flocks */
#define REPLAN_RETRY_MS 1000
#define PENDING_TEXT_MAX 1024
#define DATAPLANES_BACK_MS 2000 /* by then those of the shuntd before have called, ten times */

struct control {
	struct control_options options;
	struct loop *loop;
	int run_dir_fd; /* holds its lock */
	struct numbers *numbers;
	struct totals *totals;
	struct publisher *publisher;
	struct netlink *netlink;
	struct sessions *sessions;
	struct checks *checks;
	struct drains *drains;
	struct flow_count *flow_count;
	u64 opened_ms;
	struct state running;
	struct config_dataplane attached; /* the section as the dataplane found it, starting */
	bool unpublished; /* the running plan holds what no dataplane has been told */
	u64 replan_timer, replan_due_ms; /* timer 0: none is due */
	u64 settle_timer;
	struct outcome last_reload;
};

/* --- Publishing ---------------------------------------------------------------------- */

static u64 now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000 + (u64)now.tv_nsec / 1000;
}

static size_t backends_count(const struct config *config)
{
	size_t count = 0;

	for (size_t i = 0; i < config->services_count; i++)
		count += config->services[i].backends_count;
	return count;
}

static void settle_due(void *context);

/* Slots that have changed settle by another generation, a few seconds later. */
static void settle_schedule(struct control *control)
{
	u64 due_ms = publisher_due_ms(control->publisher), now_ms = loop_now_ms(control->loop);

	loop_timer_cancel(control->loop, control->settle_timer);
	control->settle_timer = 0;
	if (due_ms != 0)
		control->settle_timer =
			loop_timer_add(control->loop, due_ms > now_ms ? due_ms - now_ms : 0, 0,
				       settle_due, control);
}

static void note_published(struct control *control, struct plan *plan, u64 generation)
{
	for (size_t i = 0; i < plan->config->services_count; i++) {
		struct plan_service *service = &plan->services[i];

		service->settling = publisher_settling(control->publisher, service->number);
	}
	plan_note_published(plan, generation);
}

static int state_publish(struct control *control, const struct state *state, u64 generation,
			 const char *why)
{
	u64 epoch = publisher_epoch(control->publisher), start_us = now_us(), took_us;
	int err = publisher_publish(control->publisher, state->plan, generation,
				    sessions_seen(control->sessions), loop_now_ms(control->loop));

	if (err)
		return err;
	settle_schedule(control);
	note_published(control, state->plan, generation);
	flow_count_kick(control->flow_count);
	took_us = now_us() - start_us;
	log_line("published generation %llu of epoch %llu (%s): services %zu, backends %zu, "
		 "%llu.%llu ms",
		 (unsigned long long)generation,
		 (unsigned long long)publisher_epoch(control->publisher), why,
		 state->config->services_count, backends_count(state->config),
		 (unsigned long long)took_us / 1000, (unsigned long long)took_us / 100 % 10);
	if (publisher_epoch(control->publisher) != epoch)
		sessions_offer(control->sessions, publisher_fd(control->publisher),
			       publisher_epoch(control->publisher));
	return 0;
}

static void replan_schedule(struct control *control, u64 delay_ms);

static int hops_find(struct control *control, struct state *state, struct hops_outcome *outcome)
{
	const struct attach_port *ports;
	size_t ports_count = sessions_ports(control->sessions, &ports);
	int err = hops_resolve(control->netlink, ports, ports_count, state->plan, &state->texts,
			       outcome);

	if (err || outcome->again)
		replan_schedule(control, REPLAN_RETRY_MS);
	return err;
}

/* Finds the running plan's next hops again, asks the checks who is healthy, and publishes the plan
 * where anything has changed. why: NULL where only these two can be the reason. */
static void replan(struct control *control, const char *why)
{
	struct hops_outcome outcome;
	u64 generation;
	int err = hops_find(control, &control->running, &outcome);
	bool judged = checks_judge(control->running.plan);

	if (!err && !outcome.changed && !judged && !control->unpublished)
		return;
	if (!why)
		why = judged && !err && !outcome.changed ? "health" : "next hops";
	control->unpublished = true;
	if (!err)
		err = numbers_next_generation(control->numbers, &generation);
	if (!err)
		err = state_publish(control, &control->running, generation, why);
	control->unpublished = err != 0;
	if (err) {
		log_line("cannot publish what has changed, and tries again in a second: %s",
			 strerror(-err));
		replan_schedule(control, REPLAN_RETRY_MS);
	} else if (outcome.changed && outcome.unreachable > 0) {
		log_line("%zu of %zu backends have no next hop; 'shunt show' says why",
			 outcome.unreachable, backends_count(control->running.config));
	}
}

static void replan_due(void *context)
{
	struct control *control = context;

	control->replan_timer = 0;
	replan(control, NULL);
}

static void replan_schedule(struct control *control, u64 delay_ms)
{
	u64 due_ms = loop_now_ms(control->loop) + delay_ms;

	if (control->replan_timer && control->replan_due_ms <= due_ms)
		return; /* what comes in a stream must not put it off for ever */
	loop_timer_cancel(control->loop, control->replan_timer);
	control->replan_timer = loop_timer_add(control->loop, delay_ms, 0, replan_due, control);
	control->replan_due_ms = due_ms;
}

static void settle_due(void *context)
{
	struct control *control = context;

	control->settle_timer = 0;
	control->unpublished = true;
	replan(control, "settled");
}

static void kernel_changed(void *context)
{
	replan_schedule(context, REPLAN_DELAY_MS);
}

static void health_changed(void *context)
{
	replan_schedule(context, REPLAN_DELAY_MS);
}

/* A dataplane that is new has read the file that stands now, or one much like it. */
static void dataplane_greeted(void *context, bool newcomer)
{
	struct control *control = context;

	if (newcomer)
		control->attached = control->running.config->dataplane;
	replan(control, "interfaces");
}

/* --- Draining ------------------------------------------------------------------------- */

int control_drain(struct control *control, const struct plan_service *service,
		  const struct addr *address, bool drained)
{
	const struct plan *plan = control->running.plan;
	s64 now_s = time(NULL);
	int err = 0;

	for (size_t i = 0; i < plan->config->services_count && !err; i++) {
		const struct plan_service *one = &plan->services[i];

		if ((!service || service == one) && plan_backend_find(one, address))
			err = drains_set(control->drains, one->config, address, drained, now_s);
	}
	if (!err)
		err = drains_commit(control->drains);
	if (err)
		return err;
	control->unpublished |= drains_apply(control->drains, control->running.plan);
	replan(control, drained ? "drain" : "undrain");
	return 0;
}

/* Drops what the configuration that now runs no longer has. Where that can't be kept, the next
 * reload, or a restart, does it. */
static void drains_settle(struct control *control)
{
	int err = drains_follow(control->drains, control->running.config, time(NULL));

	if (!err)
		err = drains_commit(control->drains);
	if (err)
		log_line("cannot keep in %s since when backends drain: %s",
			 control->options.state_dir, strerror(-err));
	drains_apply(control->drains, control->running.plan);
}

/* Whether the flows of any backend are on their way out. */
static bool any_closed(const struct plan *plan)
{
	for (size_t i = 0; i < plan->config->services_count; i++)
		for (size_t k = 0; k < plan->services[i].config->backends_count; k++)
			if (!plan_backend_eligible(&plan->services[i].backends[k]))
				return true;
	return false;
}

static enum flow_count_task ask_flows(void *context, struct flow_count_job *job)
{
	struct control *control = context;

	if (!any_closed(control->running.plan))
		return FLOW_COUNT_NOTHING;
	job->plan = control->running.plan;
	job->generation = publisher_generation(control->publisher);
	if (loop_now_ms(control->loop) - control->opened_ms < DATAPLANES_BACK_MS ||
	    !sessions_flows(control->sessions, job->generation, job->flows, &job->flows_count))
		return FLOW_COUNT_LATER;
	return FLOW_COUNT_NOW;
}

/* --- Reloading ------------------------------------------------------------------------ */

static int state_go_live(struct control *control, struct state *next, struct outcome *outcome)
{
	struct hops_outcome hops;
	u64 swept, generation;
	int err;

	if (sessions_swept(control->sessions, &swept))
		numbers_reclaim(control->numbers, swept);
	err = assign_numbers(control->numbers, control->totals, next->plan, &generation);
	if (err)
		return outcome_fail(outcome, err, "cannot keep the numbers in %s: %s",
				    control->options.state_dir, strerror(-err));
	err = hops_find(control, next, &hops);
	if (!err)
		err = state_publish(control, next, generation, "configuration");
	if (err)
		return outcome_fail(
			outcome, err, "cannot publish the configuration: %s%s", strerror(-err),
			err == -EINVAL ? " (a service's table has no place for so many backends)"
				       : "");
	control->unpublished = false;
	return 0;
}

static int state_apply(struct control *control, struct state *next, struct outcome *outcome)
{
	int err;

	drains_apply(control->drains, next->plan);
	err = checks_prepare(control->checks, next->plan);
	if (err)
		return outcome_fail(outcome, err, "out of memory for the checks");
	err = state_go_live(control, next, outcome);
	if (err)
		checks_abandon(control->checks);
	else
		checks_commit(control->checks);
	return err;
}

/* Gives the running plan its numbers back after another one failed with them. */
static void state_restore(struct control *control)
{
	struct hops_outcome hops;
	u64 generation;
	int err = assign_numbers(control->numbers, control->totals, control->running.plan,
				 &generation);

	if (err)
		log_line("cannot keep the numbers in %s: %s", control->options.state_dir,
			 strerror(-err));
	if (hops_find(control, &control->running, &hops) == 0 && hops.changed) {
		control->unpublished = true;
		replan_schedule(control, REPLAN_RETRY_MS);
	}
}

static void pending_log(struct control *control, const char *before)
{
	char keys[PENDING_TEXT_MAX];
	char *rest = keys, *key;

	if (control_pending_keys(control, keys, sizeof(keys)) == 0 || strcmp(keys, before) == 0)
		return;
	while ((key = strsep(&rest, " ")))
		log_line("%s changed; it takes effect when shunt-dpdk restarts", key);
}

const struct outcome *control_reload(struct control *control)
{
	struct outcome *outcome = &control->last_reload;
	char pending[PENDING_TEXT_MAX];
	struct state next = {0};
	int err;

	control_pending_keys(control, pending, sizeof(pending));
	outcome_free(outcome);
	err = state_load(control->options.config_file, &next, outcome);
	if (!err) {
		err = state_apply(control, &next, outcome);
		if (err)
			state_restore(control);
	}
	if (err) {
		state_free(&next);
		log_line("the configuration stays as it was");
		return outcome;
	}
	if (memcmp(next.plan->fleet_seed, control->running.plan->fleet_seed,
		   sizeof(next.plan->fleet_seed)) != 0)
		log_line("warning: the fleet seed has changed, and with it the backend of every "
			 "flow that no flow table knows");
	state_free(&control->running);
	control->running = next;
	drains_settle(control);
	pending_log(control, pending);
	return outcome;
}

/* --- Life ----------------------------------------------------------------------------- */

int control_create(const struct control_options *options, struct control **out,
		   struct outcome *outcome)
{
	struct control *control = calloc(1, sizeof(*control));
	int err;

	*outcome = (struct outcome){0};
	if (!control)
		return outcome_fail(outcome, -ENOMEM, "out of memory");
	control->options = *options;
	control->run_dir_fd = -1;
	err = state_load(options->config_file, &control->running, outcome);
	if (err) {
		control_destroy(control);
		return err;
	}
	control->attached = control->running.config->dataplane;
	*out = control;
	return 0;
}

/* The lock keeps a shuntd with another state directory from taking our sockets away. */
static int run_dir_open(struct control *control)
{
	const char *dir = control->options.run_dir;
	int err = 0;

	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		err = -errno;
	if (!err)
		control->run_dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!err && (control->run_dir_fd < 0 || access(dir, W_OK) != 0))
		err = -errno;
	if (err) {
		log_line("cannot use the run directory %s (%s); make it with 'mkdir -p %s', or "
			 "name another one with --run-dir",
			 dir, strerror(-err), dir);
		return err;
	}
	if (flock(control->run_dir_fd, LOCK_EX | LOCK_NB) != 0) {
		err = -errno;
		log_line("another shuntd has the run directory %s; end it, or name another one "
			 "with --run-dir",
			 dir);
	}
	return err;
}

static int state_dir_open(struct control *control)
{
	char message[512];
	int err = numbers_open(control->options.state_dir, &control->numbers, message,
			       sizeof(message));

	if (err == -EBUSY)
		log_line("%s; end it, or name another one with --state-dir", message);
	else if (err)
		log_line("%s; make it writable, or name another one with --state-dir", message);
	else if (message[0])
		log_line("%s", message);
	if (err)
		return err;
	err = drains_open(control->options.state_dir, &control->drains, message, sizeof(message));
	if (message[0])
		log_line("%s", message);
	return err;
}

static int parts_open(struct control *control)
{
	u64 random = now_us();
	int err = totals_create(&control->totals);

	/* Balancers must not check in step; this is no secret. */
	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
	if (!err)
		err = publisher_create(control->numbers, &control->publisher);
	if (!err)
		err = checks_create(control->loop, random, health_changed, control,
				    &control->checks);
	if (!err)
		err = flow_count_create(control->loop, ask_flows, control, &control->flow_count);
	if (err) {
		log_line("out of memory");
		return err;
	}
	err = netlink_open(control->loop, kernel_changed, control, &control->netlink);
	if (err)
		log_line("cannot read the kernel's links and neighbours: %s", strerror(-err));
	return err;
}

static int listen_for_dataplanes(struct control *control)
{
	char path[512];
	int err;

	snprintf(path, sizeof(path), "%s/dataplane.sock", control->options.run_dir);
	err = sessions_open(control->loop, path, control->totals, dataplane_greeted, control,
			    &control->sessions);
	if (err)
		log_line("cannot listen at %s: %s%s", path, strerror(-err),
			 err == -ENAMETOOLONG ? "; name a shorter --run-dir" : "");
	return err;
}

int control_open(struct control *control, struct loop *loop)
{
	struct outcome outcome = {0};
	int err;

	control->loop = loop;
	control->opened_ms = loop_now_ms(loop);
	err = run_dir_open(control);
	if (!err)
		err = state_dir_open(control);
	if (!err)
		err = parts_open(control);
	if (!err)
		err = listen_for_dataplanes(control);
	if (!err)
		err = state_apply(control, &control->running, &outcome);
	if (!err)
		drains_settle(control);
	outcome_free(&outcome);
	return err;
}

void control_destroy(struct control *control)
{
	if (!control)
		return;
	if (control->loop) {
		loop_timer_cancel(control->loop, control->replan_timer);
		loop_timer_cancel(control->loop, control->settle_timer);
	}
	flow_count_destroy(control->flow_count);
	checks_destroy(control->checks);
	sessions_close(control->sessions);
	netlink_close(control->netlink);
	publisher_destroy(control->publisher);
	totals_destroy(control->totals);
	drains_close(control->drains);
	numbers_close(control->numbers);
	outcome_free(&control->last_reload);
	state_free(&control->running);
	if (control->run_dir_fd >= 0)
		close(control->run_dir_fd);
	free(control);
}

/* --- What the views show -------------------------------------------------------------- */

const struct control_options *control_options(const struct control *control)
{
	return &control->options;
}

const struct outcome *control_last_reload(const struct control *control)
{
	return &control->last_reload;
}

const struct plan *control_plan(const struct control *control)
{
	return control->running.plan;
}

const struct publisher *control_publisher(const struct control *control)
{
	return control->publisher;
}

const struct sessions *control_sessions(const struct control *control)
{
	return control->sessions;
}

const struct totals *control_totals(const struct control *control)
{
	return control->totals;
}

bool control_published(const struct control *control)
{
	return !control->unpublished;
}

bool control_flows(const struct control *control, const struct plan_service *service,
		   const struct plan_backend *backend, u64 *flows)
{
	return flow_count_of(control->flow_count, service, backend, flows);
}

size_t control_pending_keys(const struct control *control, char *out, size_t out_bytes)
{
	return config_dataplane_diff(&control->attached, &control->running.config->dataplane, out,
				     out_bytes);
}
