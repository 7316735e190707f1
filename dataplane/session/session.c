/* SPDX-License-Identifier: BSD-2-Clause */
/* Either process may start first, and either may go. Without shuntd the workers forward on with
 * the arena that they have, and we call again every 200 ms; after a refusal, or an arena that we
 * can't read, every 2 s.
 *
 * An attachment is released once every worker has been seen at a newer one. They say so by a plain
 * store, so we look every 10 ms while one is waiting: they make no system call for us. Only when
 * all have come to the newest is shuntd given its report: until then they count on in the old one,
 * and what shuntd adds up would go back, or hold things twice.
 *
 * Where an arena's numbers are of another incarnation (shuntd lost its state file), the flow
 * tables have to be cleared, which takes too long for a worker and mustn't happen under its
 * hands: all first go over to the new arena without flows, then the tables are cleared here, then
 * they may use them.
 *
 * Before the workers have tables, and only then, the flow tables may be exchanged for those that
 * an ended dataplane left with shuntd; tables that are laid out otherwise are kept beside ours
 * until their last flow has timed out (flow_elder.h). Every report deposits ours there again, so a
 * shuntd that restarts has them as soon as it has us. */
#include "dataplane/session/session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/session/message.h"
#include "dataplane/state/clock.h"

#define RETRY_MS 200
#define RETRY_REFUSED_MS 2000
#define RELEASE_LOOK_MS 10

/* Says a complaint unless it was the last one. */
__attribute__((format(printf, 2, 3))) static void complain(struct session *session,
							   const char *format, ...)
{
	char text[sizeof(session->said)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (message_is_new(session->said, sizeof(session->said), text))
		message("%s", text);
}

static void hang_up(struct session *session, u64 retry_ms)
{
	if (session->socket >= 0)
		close(session->socket); /* leaves the epoll set by itself */
	session->socket = -1;
	session->unanswered = false; /* whoever calls next is sent an arena anew */
	session->answered = false;
	session->retry_at_ms = clock_now_ms() + retry_ms;
}

/* --- Attachments ---------------------------------------------------------------------- */

static void release_older(struct attachment *attachment)
{
	struct attachment *older = attachment->older;

	attachment->older = NULL;
	while (older) {
		struct attachment *next = older->older;

		attachment_destroy(older);
		older = next;
	}
}

/* Whether the flow tables are still to be cleared for the newest attachment. */
static bool flows_pending(const struct session *session)
{
	return session->flows && session->newest->flow_buckets == 0;
}

/* Frees what the workers have left behind, and lets them use flows that were cleared for them. */
static void release(struct session *session)
{
	struct attachment *newest = session->newest;
	struct attachment *oldest = session->engine->oldest(session->context, newest);
	struct flow_tables *flows = session->flows;

	if (!oldest)
		return;
	release_older(oldest);
	if (!flows_pending(session) || !session->engine->all_at(session->context, newest))
		return;
	flow_tables_adopt(flows, newest->incarnation);
	__atomic_store_n(&newest->flow_buckets, flows->buckets_count, __ATOMIC_RELEASE);
}

/* Unmaps a predecessor's flow tables when nobody looks into them any more. */
static void elder_release(struct session *session)
{
	if (!session->elder.buckets || session->engine->uses_elder(session->context))
		return;
	flow_elder_release(&session->elder);
	message("the flows of the dataplane before it are taken over or have timed out");
}

/* When that is to be looked at. */
static u64 elder_delay_ms(const struct session *session)
{
	u64 tick = flow_tick_of(clock_now_ms(), session->flows->tick_ms);
	u64 over = session->elder.last_tick + FLOW_TIMEOUT_TICKS + 1;

	return (tick < over ? over - tick : 0) * session->flows->tick_ms + RELEASE_LOOK_MS;
}

static bool release_pending(const struct session *session)
{
	return session->newest &&
	       (session->newest->older || session->unanswered || flows_pending(session));
}

/* Answers with the report of an arena that every worker has gone over to, flows and all. */
static void answer(struct session *session)
{
	struct attach_message report;
	int err;

	if (!session->unanswered || session->socket < 0 ||
	    !session->engine->all_at(session->context, session->newest) || flows_pending(session))
		return;
	session->unanswered = false;
	attach_prepare(&report, ATTACH_REPORT);
	session->engine->describe(session->context, &report);
	snprintf(report.text, sizeof(report.text), "%s", session->why);
	err = attachment_answer(session->socket, &report, session->newest, session->flows);
	session->answered = err == 0;
	if (!err)
		return;
	complain(session, "cannot answer shuntd: %s", strerror(-err));
	hang_up(session, RETRY_REFUSED_MS);
}

static bool stale(const struct session *session, const struct attachment *attachment)
{
	return session->newest && session->newest->incarnation == attachment->incarnation &&
	       attachment->arena.epoch < session->newest->arena.epoch;
}

/* What became of a predecessor's flow tables. */
static void flows_tell(const struct session *session)
{
	const struct flow_elder *elder = &session->elder;

	if (!elder->buckets)
		message("goes on with the flows of the dataplane before it");
	else
		message("takes over the flows of the dataplane before it one by one, as their "
			"packets come, for one `flow_timeout:`; its tables were %u of %u buckets, "
			"not %u of %u",
			elder->workers_count, elder->buckets_count, session->flows->workers_count,
			session->flows->buckets_count);
}

/* Before the workers have tables: takes over what a predecessor deposited, if shuntd sends it. */
static void flows_settle(struct session *session, u64 incarnation, int deposit_fd)
{
	struct flow_elder *elder = &session->elder;
	char text[200] = "shuntd has numbered the backends anew";
	int err = 0;

	if (!session->flows || session->flows_settled)
		return;
	session->flows_settled = true;
	if (deposit_fd >= 0)
		err = flow_tables_inherit(session->flows, deposit_fd,
					  flow_tick_of(clock_now_ms(), session->flows->tick_ms),
					  elder, text, sizeof(text));
	if (elder->buckets && elder->incarnation != incarnation) {
		flow_elder_release(elder);
		err = -EINVAL;
	}
	if (err)
		message("starts without the flows of the dataplane before it: %s", text);
	else if (deposit_fd >= 0)
		flows_tell(session);
	session->engine->use_flows(session->context, session->flows, elder->buckets ? elder : NULL);
}

/* Whether the attachment may use the flow table from its first burst on. */
static void flows_adopt(struct session *session, struct attachment *attachment)
{
	struct flow_tables *flows = session->flows;

	if (!flows)
		return;
	if (!session->newest && !session->flows_in_use)
		flow_tables_adopt(flows, attachment->incarnation); /* nobody uses it yet */
	if (flows->header->incarnation == attachment->incarnation)
		attachment->flow_buckets = flows->buckets_count;
}

static void take_arena(struct session *session, const struct attach_message *offer, int arena_fd,
		       int deposit_fd)
{
	struct attachment *attachment;
	char text[400];
	int err;

	if (attachment_create(arena_fd, session->workers_count, &attachment, text, sizeof(text)) <
	    0) {
		complain(session, "%s", text);
		hang_up(session, RETRY_REFUSED_MS);
		return;
	}
	if (stale(session, attachment)) {
		complain(session,
			 "shuntd offers the arena of epoch %llu, older than epoch %llu "
			 "that is in use: is a second shuntd running?",
			 (unsigned long long)attachment->arena.epoch,
			 (unsigned long long)session->newest->arena.epoch);
		attachment_destroy(attachment);
		hang_up(session, RETRY_REFUSED_MS);
		return;
	}
	flows_settle(session, attachment->incarnation, deposit_fd);
	flows_adopt(session, attachment);
	attachment->older = session->newest;
	session->newest = attachment;
	session->said[0] = '\0';
	message("has the arena of epoch %llu from shuntd (pid %u)",
		(unsigned long long)attachment->arena.epoch, offer->pid);
	session->unanswered = true;
	err = session->engine->hand(session->context, attachment);
	if (err)
		complain(session, "a worker does not start: %s", strerror(-err));
}

/* --- Messages ------------------------------------------------------------------------- */

static void hello_write(const struct session *session, struct attach_message *hello)
{
	attach_prepare(hello, ATTACH_HELLO);
	hello->epoch = session->newest ? session->newest->arena.epoch : 0;
	hello->workers_count = session->workers_count;
	snprintf(hello->engine, sizeof(hello->engine), "%s", session->engine->name);
	session->engine->describe(session->context, hello);
	if (session->flows && !session->flows_settled)
		hello->flags |= ATTACH_WANTS_FLOWS;
}

static void call(struct session *session)
{
	struct attach_message hello;
	struct epoll_event event = {.events = EPOLLIN};
	char path[256];
	int err;

	snprintf(path, sizeof(path), "%s/dataplane.sock", session->run_dir);
	session->socket = attach_connect(path);
	err = session->socket < 0 ? session->socket : 0;
	if (err == 0 && epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, session->socket, &event) < 0)
		err = -errno;
	if (err == 0) {
		hello_write(session, &hello);
		err = attach_send(session->socket, &hello, NULL, 0);
	}
	if (err == 0)
		return;
	if (!session->newest || (err != -ENOENT && err != -ECONNREFUSED))
		complain(session, "waits for shuntd at %s (%s)", path, strerror(-err));
	hang_up(session, RETRY_MS);
}

static void take_message(struct session *session, const struct attach_message *in,
			 int fds[static ATTACH_FDS_MAX])
{
	if (in->kind == ATTACH_ARENA && fds[0] >= 0) {
		take_arena(session, in, fds[0], fds[1]);
	} else if (in->kind == ATTACH_REFUSED) {
		complain(session, "shuntd refuses this dataplane: %s", in->text);
		hang_up(session, RETRY_REFUSED_MS);
	} else {
		complain(session,
			 "shuntd (version %s) sends a message that this program does not "
			 "know; run the same version of both",
			 in->version);
		hang_up(session, RETRY_REFUSED_MS);
	}
	for (size_t i = 0; i < ATTACH_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void listen_to(struct session *session)
{
	struct attach_message in;
	int fds[ATTACH_FDS_MAX];

	while (session->socket >= 0) {
		int err = attach_receive(session->socket, &in, fds);

		if (err == -EAGAIN)
			return;
		if (err == 0) {
			take_message(session, &in, fds);
			continue;
		}
		if (err == -EPROTO) {
			complain(session, "shuntd sends messages of another format; run the same "
					  "version of both");
			hang_up(session, RETRY_REFUSED_MS);
			continue;
		}
		if (session->newest)
			complain(session, "shuntd is gone; forwards on with the tables it left");
		hang_up(session, RETRY_MS);
	}
}

/* --- Life ----------------------------------------------------------------------------- */

static void timer_arm(struct session *session)
{
	struct itimerspec when = {0};
	u64 now = clock_now_ms();
	u64 delay_ms = 0;

	if (session->socket < 0)
		delay_ms = session->retry_at_ms > now ? session->retry_at_ms - now : 1;
	if (release_pending(session) && (delay_ms == 0 || delay_ms > RELEASE_LOOK_MS))
		delay_ms = RELEASE_LOOK_MS;
	if (session->elder.buckets && (delay_ms == 0 || delay_ms > elder_delay_ms(session)))
		delay_ms = elder_delay_ms(session);
	when.it_value.tv_sec = (time_t)(delay_ms / 1000);
	when.it_value.tv_nsec = (long)(delay_ms % 1000) * 1000000;
	timerfd_settime(session->timer_fd, 0, &when, NULL);
}

void session_run(struct session *session)
{
	if (session->socket < 0 && clock_now_ms() >= session->retry_at_ms)
		call(session);
	listen_to(session);
	release(session);
	answer(session);
	elder_release(session);
	timer_arm(session); /* also takes its readiness away */
}

void session_recall(struct session *session)
{
	hang_up(session, 0);
	session_run(session);
}

/* A second REPORT on the same arena brings the same memory once more. */
void session_retell(struct session *session)
{
	session->unanswered |= session->answered;
	session_run(session);
}

int session_open(struct session *session)
{
	struct epoll_event event = {.events = EPOLLIN};
	int err;

	session->socket = -1;
	session->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (session->epoll_fd < 0)
		return -errno;
	session->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (session->timer_fd >= 0 &&
	    epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, session->timer_fd, &event) == 0)
		return 0;
	err = -errno;
	if (session->timer_fd >= 0)
		close(session->timer_fd);
	close(session->epoll_fd);
	return err;
}

void session_close(struct session *session)
{
	hang_up(session, 0);
	close(session->timer_fd);
	close(session->epoll_fd);
	flow_elder_release(&session->elder);
	if (!session->newest)
		return;
	release_older(session->newest);
	attachment_destroy(session->newest);
	session->newest = NULL;
}
