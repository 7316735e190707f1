/* SPDX-License-Identifier: BSD-2-Clause */
/* What a reader still uses must not be written over, so every way in which a session can end
 * counts. A dataplane that hangs up has ended, or has let go of the arena. One that we hang up on
 * -- it sent what we don't understand -- reads on: until it calls again nothing is reclaimed in
 * the arena that it holds, which is replaced once it is full, and no number is given anew.
 *
 * Flow tables belong to one session, or to none: what a session leaves is the deposit, and it
 * passes to the next one that wants it, from which it comes back when that one goes. They are
 * neither mapped nor looked into here; flow_count.c does, to count.
 *
 * A session is freed in its own callback alone. Where sending to it fails anywhere else, its
 * socket is only shut down, and the loop then calls back for the hang-up. */
#include "controlplane/session.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "controlplane/log.h"
#include "dataplane/state/arena.h"
#include "dataplane/state/memory.h"

#define MESSAGES_A_TURN 16

struct session {
	struct sessions *owner;
	int fd;
	bool greeted, reported; /* ever */
	struct attach_message hello;
	u64 offered_epoch;           /* that was sent; 0: none */
	const struct report *report; /* the totals' own */
	int flows_fd;                /* its flow tables; -1: none */
};

struct sessions {
	struct loop *loop;
	struct totals *totals;
	sessions_greeted_callback *greeted;
	void *context;
	char path[108];
	int fd;
	struct session *list[SESSIONS_MAX];
	size_t count;
	int arena_fd;
	int deposit_fd;  /* flow tables of a dataplane that has gone; -1: none */
	u64 epoch;       /* of the arena on offer */
	u64 stray_epoch; /* of an arena with a reader that we no longer hear; 0: none */
	u32 stray_pid;   /* that reader; 0: there are several */
	u32 last_pid;
	struct attach_port ports[ATTACH_PORTS_MAX];
	size_t ports_count;
};

/* --- What is said to a dataplane ------------------------------------------------------ */

static void session_refuse(const struct session *session, const char *text)
{
	struct attach_message refusal;

	attach_prepare(&refusal, ATTACH_REFUSED);
	snprintf(refusal.text, sizeof(refusal.text), "%s", text);
	log_line("refused a dataplane (pid %u): %s", session->hello.pid, text);
	(void)!attach_send(session->fd, &refusal, NULL, 0); /* it is hung up on in any case */
}

/* Whether the dataplane has not yet read what it was sent. */
static bool unread(const struct session *session)
{
	int bytes = 0;

	return ioctl(session->fd, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

/* Whether the dataplane is to get the deposited flow tables with its first arena. */
static bool inherits(const struct session *session)
{
	const struct sessions *sessions = session->owner;

	if (!(session->hello.flags & ATTACH_WANTS_FLOWS) || session->offered_epoch != 0)
		return false;
	if (sessions->deposit_fd >= 0)
		return true;
	for (size_t i = 0; i < sessions->count; i++)
		if (sessions->list[i] != session && sessions->list[i]->flows_fd >= 0) {
			log_line("the dataplane with pid %u starts without flows: those of pid %u "
				 "are in use",
				 session->hello.pid, sessions->list[i]->hello.pid);
			break;
		}
	return false;
}

/* Sends the arena that is on offer unless the session has it. A stopped dataplane would keep
 * every arena alive that it was ever sent: it gets the newest one when it answers the last. */
static void session_offer(struct session *session)
{
	struct sessions *sessions = session->owner;
	struct attach_message offer;
	int fds[2] = {sessions->arena_fd, sessions->deposit_fd};
	bool heir;
	int err;

	if (!session->greeted || sessions->epoch == 0 ||
	    session->offered_epoch == sessions->epoch || unread(session))
		return;
	attach_prepare(&offer, ATTACH_ARENA);
	offer.epoch = sessions->epoch;
	heir = inherits(session);
	err = attach_send(session->fd, &offer, fds, heir ? 2 : 1);
	if (err) {
		log_line("cannot hand the arena to the dataplane with pid %u: %s",
			 session->hello.pid, strerror(-err));
		shutdown(session->fd, SHUT_RDWR);
		return;
	}
	session->offered_epoch = sessions->epoch;
	if (!heir)
		return;
	session->flows_fd = sessions->deposit_fd;
	sessions->deposit_fd = -1;
	log_line("handed the flow tables of the dataplane before it to the one with pid %u",
		 session->hello.pid);
}

/* --- Coming and going ---------------------------------------------------------------- */

/* The newest deposit alone is kept; what is the kernel's stays there without us, and goes with its
 * program. */
static void deposit(struct sessions *sessions, int flows_fd)
{
	if (memory_is_map(flows_fd)) {
		close(flows_fd);
		return;
	}
	if (sessions->deposit_fd >= 0)
		close(sessions->deposit_fd);
	sessions->deposit_fd = flows_fd;
}

static void session_close(struct session *session)
{
	struct sessions *sessions = session->owner;
	size_t at = 0;

	while (sessions->list[at] != session)
		at++;
	sessions->list[at] = sessions->list[--sessions->count];
	loop_remove(sessions->loop, session->fd);
	close(session->fd);
	if (session->flows_fd >= 0)
		deposit(sessions, session->flows_fd);
	if (session->report)
		totals_leave(sessions->totals, session->report);
	free(session);
}

/* Hangs up on a dataplane that may go on reading the arena it was given. */
static void session_cut(struct session *session)
{
	struct sessions *sessions = session->owner;

	if (session->offered_epoch) {
		sessions->stray_pid = sessions->stray_epoch ? 0 : session->hello.pid;
		sessions->stray_epoch = session->offered_epoch;
	}
	session_close(session);
}

/* --- What a dataplane says ------------------------------------------------------------ */

static void text_clean(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static void hello_clean(struct attach_message *hello)
{
	text_clean(hello->engine);
	text_clean(hello->version);
	for (u32 i = 0; i < hello->ports_count; i++) {
		text_clean(hello->ports[i].name);
		text_clean(hello->ports[i].kernel_name);
		text_clean(hello->ports[i].state);
	}
	text_clean(hello->text);
}

/* Outer headers hold one set of interfaces: all dataplanes have to share it. */
static void ports_learn(struct sessions *sessions, const struct attach_message *hello)
{
	size_t bytes = hello->ports_count * sizeof(hello->ports[0]);

	if (sessions->count > 1 && sessions->ports_count > 0 &&
	    (sessions->ports_count != hello->ports_count ||
	     memcmp(sessions->ports, hello->ports, bytes) != 0))
		log_line("the dataplane with pid %u has other interfaces than the one before it, "
			 "and next hops now follow its interfaces",
			 hello->pid);
	memcpy(sessions->ports, hello->ports, bytes);
	sessions->ports_count = hello->ports_count;
}

static bool take_hello(struct session *session, const struct attach_message *message)
{
	struct sessions *sessions = session->owner;
	bool newcomer = message->pid != sessions->last_pid;
	char text[ATTACH_TEXT_MAX];

	session->hello = *message;
	hello_clean(&session->hello);
	if (session->greeted) {
		session_refuse(session, "a second HELLO on one connection");
		return false;
	}
	if (message->arena_abi != ARENA_ABI) {
		snprintf(text, sizeof(text),
			 "shuntd %s writes arena ABI %u, this dataplane (%s) reads arena ABI %u; "
			 "run the same version of both",
			 SHUNT_VERSION, ARENA_ABI, session->hello.version, message->arena_abi);
		session_refuse(session, text);
		return false;
	}
	ports_learn(sessions, &session->hello);
	if (sessions->stray_pid == message->pid)
		sessions->stray_epoch = 0;
	sessions->last_pid = message->pid;
	session->greeted = true;
	log_line("dataplane %s %s (pid %u) attached with %u interface%s", session->hello.engine,
		 session->hello.version, message->pid, message->ports_count,
		 message->ports_count == 1 ? "" : "s");
	sessions->greeted(sessions->context, newcomer);
	session_offer(session);
	return true;
}

/* How its ports carry traffic is known only now that it has tables. */
static void state_learn(struct session *session, const struct attach_message *message)
{
	struct attach_message *hello = &session->hello;

	memcpy(hello->text, message->text, sizeof(hello->text));
	for (u32 i = 0; i < hello->ports_count && i < message->ports_count; i++)
		memcpy(hello->ports[i].state, message->ports[i].state,
		       sizeof(hello->ports[i].state));
	hello_clean(hello);
}

/* Takes the descriptors that it keeps out of fds. */
static bool take_report(struct session *session, const struct attach_message *message, int *fds)
{
	struct sessions *sessions = session->owner;
	const struct report *joined;
	struct report report;
	char text[ATTACH_TEXT_MAX] = "the report cannot be mapped";

	if (!session->greeted || fds[0] < 0) {
		session_refuse(session, "a REPORT without HELLO or without its descriptor");
		return false;
	}
	if (message->epoch != sessions->epoch) {
		session_offer(session); /* unless the newer one is on its way */
		return true;
	}
	if (report_attach(fds[0], &report, text, sizeof(text)) < 0) {
		session_refuse(session, text);
		return false;
	}
	joined = report.epoch != message->epoch ? NULL
						: totals_join(sessions->totals, session->hello.pid,
							      session->report, &report);
	if (!joined) {
		session_refuse(session, report.epoch != message->epoch
						? "a report on another arena than it says"
						: "out of memory for the report");
		report_destroy(&report);
		return false;
	}
	session->report = joined;
	state_learn(session, message);
	if (fds[1] >= 0) {
		if (session->flows_fd >= 0)
			close(session->flows_fd);
		session->flows_fd = fds[1];
		fds[1] = -1;
	}
	if (!session->reported)
		log_line("the dataplane with pid %u uses the arena of epoch %llu",
			 session->hello.pid, (unsigned long long)message->epoch);
	session->reported = true;
	return true;
}

static bool take_message(struct session *session, const struct attach_message *message, int *fds)
{
	switch (message->kind) {
	case ATTACH_HELLO:
		return take_hello(session, message);
	case ATTACH_REPORT:
		return take_report(session, message, fds);
	default:
		session_refuse(session, "a message that shuntd does not take");
		return false;
	}
}

/* One message. Returns 0 while the session goes on; after an error it is gone. */
static int session_read(struct session *session)
{
	struct attach_message message;
	int fds[ATTACH_FDS_MAX];
	int err = attach_receive(session->fd, &message, fds);
	bool goes_on;

	if (err == -EAGAIN)
		return err;
	if (err == -EPROTO) {
		session_refuse(session,
			       "a message of another format; run the same version of both");
		session_cut(session);
		return err;
	}
	if (err) {
		if (session->greeted)
			log_line("the dataplane with pid %u has gone", session->hello.pid);
		session_close(session);
		return err;
	}
	goes_on = take_message(session, &message, fds);
	for (size_t i = 0; i < ATTACH_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (goes_on)
		return 0;
	session_cut(session);
	return -EPROTO;
}

static void session_ready(void *context, int fd, u32 events)
{
	struct session *session = context;

	for (int i = 0; i < MESSAGES_A_TURN; i++)
		if (session_read(session) != 0)
			return;
}

static void session_accept(struct sessions *sessions, int fd)
{
	struct session *session = calloc(1, sizeof(*session));

	if (session) {
		*session = (struct session){.owner = sessions, .fd = fd, .flows_fd = -1};
		if (sessions->count == SESSIONS_MAX)
			session_refuse(session, "too many dataplanes are attached");
		else if (loop_add(sessions->loop, fd, EPOLLIN, session_ready, session) == 0) {
			sessions->list[sessions->count++] = session;
			return;
		}
	}
	free(session);
	close(fd);
}

static void listener_ready(void *context, int listener, u32 events)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		session_accept(context, fd);
}

/* --- The whole ------------------------------------------------------------------------ */

int sessions_open(struct loop *loop, const char *path, struct totals *totals,
		  sessions_greeted_callback *greeted, void *context, struct sessions **out)
{
	struct sessions *sessions = calloc(1, sizeof(*sessions));
	int err;

	if (!sessions)
		return -ENOMEM;
	*sessions = (struct sessions){
		.loop = loop,
		.totals = totals,
		.greeted = greeted,
		.context = context,
		.arena_fd = -1,
		.deposit_fd = -1,
	};
	err = sessions->fd = attach_listen(path);
	if (err < 0)
		goto free_sessions;
	snprintf(sessions->path, sizeof(sessions->path), "%s", path);
	err = loop_add(loop, sessions->fd, EPOLLIN, listener_ready, sessions);
	if (err)
		goto close_listener;
	*out = sessions;
	return 0;
close_listener:
	close(sessions->fd);
	unlink(sessions->path);
free_sessions:
	free(sessions);
	return err;
}

void sessions_close(struct sessions *sessions)
{
	if (!sessions)
		return;
	while (sessions->count > 0)
		session_close(sessions->list[0]);
	if (sessions->deposit_fd >= 0)
		close(sessions->deposit_fd);
	loop_remove(sessions->loop, sessions->fd);
	close(sessions->fd);
	unlink(sessions->path);
	free(sessions);
}

void sessions_offer(struct sessions *sessions, int arena_fd, u64 epoch)
{
	sessions->arena_fd = arena_fd;
	sessions->epoch = epoch;
	for (size_t i = 0; i < sessions->count; i++)
		session_offer(sessions->list[i]);
}

u64 session_generation(const struct report *report)
{
	u64 lowest = UINT64_MAX;

	for (u32 i = 0; i < report->workers_count; i++) {
		const u64 *generation = &report_worker(report, i)->generation;
		u64 now =
			__atomic_load_n(generation, __ATOMIC_ACQUIRE); /* all its reads are over */

		if (now < lowest)
			lowest = now;
	}
	return lowest;
}

static bool report_current(const struct session *session)
{
	return session->report && session->report->epoch == session->owner->epoch;
}

u64 sessions_seen(const struct sessions *sessions)
{
	u64 lowest = UINT64_MAX;

	if (sessions->stray_epoch && sessions->stray_epoch == sessions->epoch)
		return 0;
	for (size_t i = 0; i < sessions->count; i++) {
		const struct session *session = sessions->list[i];
		u64 seen;

		if (session->offered_epoch != sessions->epoch)
			continue; /* holds another arena, or none */
		seen = report_current(session) ? session_generation(session->report) : 0;
		if (seen < lowest)
			lowest = seen;
	}
	return lowest;
}

bool sessions_swept(const struct sessions *sessions, u64 *generation)
{
	bool any = false;

	*generation = UINT64_MAX;
	if (sessions->stray_epoch)
		return false;
	for (size_t i = 0; i < sessions->count; i++) {
		const struct session *session = sessions->list[i];

		if (!session->greeted)
			continue;
		if (!report_current(session))
			return false;
		any = true;
		for (u32 k = 0; k < session->report->workers_count; k++) {
			u64 swept = __atomic_load_n(
				&report_worker(session->report, k)->swept_generation,
				__ATOMIC_ACQUIRE);

			if (swept < *generation)
				*generation = swept;
		}
	}
	return any;
}

bool sessions_flows(const struct sessions *sessions, u64 generation,
		    struct session_flows list[static SESSION_FLOWS_MAX], size_t *count)
{
	bool any = sessions->deposit_fd >= 0;

	*count = 0;
	if (sessions->stray_epoch)
		return false;
	for (size_t i = 0; i < sessions->count; i++) {
		const struct session *session = sessions->list[i];

		if (!session->greeted)
			continue;
		if (!report_current(session) || session_generation(session->report) < generation)
			return false;
		any = true;
		if (session->flows_fd >= 0)
			list[(*count)++] =
				(struct session_flows){.fd = session->flows_fd, .live = true};
	}
	if (sessions->deposit_fd >= 0)
		list[(*count)++] = (struct session_flows){.fd = sessions->deposit_fd};
	return any;
}

size_t sessions_ports(const struct sessions *sessions, const struct attach_port **ports)
{
	*ports = sessions->ports;
	return sessions->ports_count;
}

size_t sessions_list(const struct sessions *sessions, struct session_view list[static SESSIONS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < sessions->count; i++) {
		const struct session *session = sessions->list[i];

		if (!session->greeted)
			continue;
		list[count++] = (struct session_view){
			.hello = &session->hello,
			.report = session->report,
			.current = report_current(session),
		};
	}
	return count;
}
