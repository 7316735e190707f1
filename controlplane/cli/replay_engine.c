/* SPDX-License-Identifier: BSD-2-Clause */
/* Replay by an engine: the real shunt-dpdk on a net_pcap device, or the real program in the kernel
 * under shunt-xdp, with this process in shuntd's place at the other end of its socket. The engine
 * traces what became of each frame and writes what it sent to a scratch file, from which frames are
 * told in the order of the trace, under their own time stamps (net_pcap writes the present ones). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "controlplane/cli/replay.h"
#include "dataplane/state/attach.h"
#include "dataplane/state/beside.h"

#define ATTACH_TIMEOUT_MS 30000

struct child {
	pid_t pid;
	int session;      /* our end of the attach socket */
	int trace;        /* our end of the trace pipe */
	char scratch[64]; /* what the engine sent */
	const char *program;
};

static void exec_engine(const char *program, char *const arguments[])
{
	beside_exec(program, arguments);
	fprintf(stderr, "shunt: cannot start %s: %s; is it installed?\n", program, strerror(errno));
	_exit(CLI_UNAVAILABLE);
}

static void run_child(const struct replay *replay, const struct child *child, int session,
		      int trace)
{
	char session_text[16], trace_text[16];

	snprintf(session_text, sizeof(session_text), "%d", session);
	snprintf(trace_text, sizeof(trace_text), "%d", trace);
	char *arguments[] = {(char *)(size_t)child->program,
			     "--replay",
			     "-f",
			     (char *)(size_t)replay->file,
			     "--attach-fd",
			     session_text,
			     "--trace-fd",
			     trace_text,
			     "--in",
			     (char *)(size_t)replay->in,
			     "--out",
			     (char *)(size_t)child->scratch,
			     NULL};

	exec_engine(child->program, arguments);
}

static int make_scratch(struct child *child)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	if (!dir || strlen(dir) > 40)
		dir = "/tmp";
	snprintf(child->scratch, sizeof(child->scratch), "%s/shunt-replay-XXXXXX", dir);
	fd = mkstemp(child->scratch);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int start(const struct replay *replay, struct child *child)
{
	int session[2], trace[2];
	int err = make_scratch(child);

	if (err)
		return err;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, session) < 0)
		return -errno;
	if (pipe(trace) < 0)
		return -errno;
	child->pid = fork();
	if (child->pid < 0)
		return -errno;
	if (child->pid == 0) {
		close(session[0]);
		close(trace[0]);
		run_child(replay, child, session[1], trace[1]);
	}
	close(session[1]);
	close(trace[1]);
	child->session = session[0];
	child->trace = trace[0];
	return 0;
}

/* Waits for one message of the given kind; the descriptors it brings are of no use here. */
static int expect(int socket, enum attach_kind kind, struct attach_message *message)
{
	struct pollfd poll_fd = {.fd = socket, .events = POLLIN};
	int fds[ATTACH_FDS_MAX];
	int err;

	if (poll(&poll_fd, 1, ATTACH_TIMEOUT_MS) != 1)
		return -ETIMEDOUT;
	err = attach_receive(socket, message, fds);
	if (err)
		return err;
	for (size_t i = 0; i < ATTACH_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return message->kind == (u32)kind ? 0 : -EPROTO;
}

/* Plays shuntd's part: hello, arena, report. */
static int attach(const struct replay *replay, const struct child *child)
{
	struct attach_message message;
	int fd = arena_writer_fd(replay->offline->writer);
	int err = expect(child->session, ATTACH_HELLO, &message);

	if (err)
		return err;
	attach_prepare(&message, ATTACH_ARENA);
	message.epoch = arena_writer_epoch(replay->offline->writer);
	err = attach_send(child->session, &message, &fd, 1);
	if (err)
		return err;
	return expect(child->session, ATTACH_REPORT, &message);
}

static bool read_record(FILE *trace, struct replay_record *record)
{
	return fread(record, sizeof(*record), 1, trace) == 1;
}

/* The trace is read to its end first: the scratch file is whole only when the child has gone. */
static struct replay_record *read_trace(int fd, size_t *count)
{
	FILE *trace = fdopen(fd, "r");
	struct replay_record *list = NULL;
	struct replay_record record;
	size_t room = 0;

	*count = 0;
	while (trace && read_record(trace, &record)) {
		if (*count == room) {
			struct replay_record *grown;

			room = room ? room * 2 : 1024;
			grown = reallocarray(list, room, sizeof(*list));
			if (!grown)
				break;
			list = grown;
		}
		list[(*count)++] = record;
	}
	if (trace)
		fclose(trace);
	return list;
}

/* When each frame of the capture came. Returns `count` times, or NULL. */
static struct timeval *read_times(pcap_t *in, size_t count)
{
	struct timeval *times = calloc(count + 1, sizeof(*times));
	struct pcap_pkthdr *header;
	const u8 *bytes;

	for (size_t i = 0; times && i < count; i++) {
		if (pcap_next_ex(in, &header, &bytes) != 1) {
			free(times);
			return NULL;
		}
		times[i] = header->ts;
	}
	return times;
}

/* A frame that was held went out when the one came that it waited for. */
static const struct timeval *time_of(const struct timeval *times, size_t count,
				     const struct replay_record *record)
{
	u32 n = record->released_by == REPLAY_NOT_HELD ? record->n : record->released_by;

	return record->n < count && n < count ? &times[n] : NULL;
}

static int tell_records(struct replay *replay, const struct replay_record *records, size_t count,
			const struct timeval *times, pcap_t *sent)
{
	struct pcap_pkthdr *header;
	const u8 *bytes;

	for (size_t i = 0; i < count; i++) {
		const struct timeval *time = time_of(times, count, &records[i]);

		if (!time ||
		    (records[i].sent && (!sent || pcap_next_ex(sent, &header, &bytes) != 1)))
			return CLI_UNAVAILABLE;
		replay_tell(replay, &records[i], time, records[i].sent ? bytes : NULL,
			    records[i].sent ? header->caplen : 0);
	}
	return CLI_OK;
}

/* Walks trace, capture and scratch file together. */
static int tell_all(struct replay *replay, const struct child *child,
		    const struct replay_record *records, size_t count)
{
	char message[PCAP_ERRBUF_SIZE];
	pcap_t *in = replay_open(replay->in);
	pcap_t *sent = pcap_open_offline(child->scratch, message);
	struct timeval *times = in ? read_times(in, count) : NULL;
	struct pcap_pkthdr *header;
	const u8 *bytes;
	int code = times ? tell_records(replay, records, count, times, sent) : CLI_UNAVAILABLE;
	int got = in && code == CLI_OK ? pcap_next_ex(in, &header, &bytes) : PCAP_ERROR_BREAK;

	if (in && (got == 1 || code != CLI_OK)) {
		fprintf(stderr, "shunt: %s's trace, the capture and what was sent do not match\n",
			child->program);
		code = CLI_UNAVAILABLE;
	} else if (got == PCAP_ERROR) {
		code = replay_broke_off(replay, in, (u32)count);
	}
	free(times);
	if (sent)
		pcap_close(sent);
	if (in)
		pcap_close(in);
	return in ? code : CLI_NO_INPUT;
}

static int finish(struct child *child, int code)
{
	int status = 0;

	if (child->session >= 0)
		close(child->session);
	if (child->pid > 0 && waitpid(child->pid, &status, 0) == child->pid &&
	    (!WIFEXITED(status) || WEXITSTATUS(status) != 0) && code == CLI_OK) {
		fprintf(stderr, "shunt: %s failed\n", child->program);
		code = CLI_UNAVAILABLE;
	}
	return code;
}

int replay_by_engine(struct replay *replay, const char *program)
{
	struct child child = {.pid = -1, .session = -1, .trace = -1, .program = program};
	struct replay_record *records = NULL;
	size_t count = 0;
	pcap_t *readable = replay_open(replay->in);
	int code = CLI_UNAVAILABLE;
	int err;

	if (!readable)
		return CLI_NO_INPUT;
	pcap_close(readable);
	err = start(replay, &child);
	if (!err)
		err = attach(replay, &child);
	if (err) {
		fprintf(stderr, "shunt: no replay by %s: %s\n", program, strerror(-err));
	} else {
		records = read_trace(child.trace, &count);
		child.trace = -1;
		code = CLI_OK;
	}
	if (child.trace >= 0)
		close(child.trace);
	code = finish(&child, code);
	if (code == CLI_OK)
		code = tell_all(replay, &child, records, count);
	free(records);
	if (child.scratch[0])
		unlink(child.scratch);
	return code;
}
