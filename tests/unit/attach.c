/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket between a dataplane and shuntd: what arrives is whole or refused, and no descriptor
 * that came along is ever forgotten. */
#include "dataplane/state/attach.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/state/arena.h"
#include "tests/unit/cmocka_help.h"
#include "tests/unit/frames.h"

static u32 open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	u32 count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

/* Two connected ends, and how many descriptors are open besides. */
struct pair {
	int ends[2];
	u32 descriptors;
};

static struct pair pair_new(void)
{
	struct pair pair;

	frame_require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.ends) == 0);
	pair.descriptors = open_descriptors();
	return pair;
}

static void pair_free(struct pair *pair)
{
	assert_int_equal(open_descriptors(), pair->descriptors);
	close(pair->ends[0]);
	close(pair->ends[1]);
}

static void close_all(const int fds[static ATTACH_FDS_MAX])
{
	for (u32 i = 0; i < ATTACH_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Sends any bytes with any descriptors, as no honest peer would. */
static void send_raw(int socket, const void *bytes, size_t len, const int *fds, size_t fds_count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = (void *)(size_t)bytes, .iov_len = len};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	memset(&control, 0, sizeof(control));
	if (fds_count) {
		struct cmsghdr *cmsg;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(fds_count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(fds_count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, fds_count * sizeof(int));
	}
	assert_int_equal(sendmsg(socket, &header, 0), len);
}

static void messages_carry_descriptors(void **state)
{
	for (size_t count = 0; count <= ATTACH_FDS_MAX; count++) {
		struct pair pair = pair_new();
		struct attach_message out, in;
		int fds[ATTACH_FDS_MAX] = {pair.ends[0], pair.ends[1]};
		int got[ATTACH_FDS_MAX];

		attach_prepare(&out, ATTACH_REPORT);
		out.epoch = 77;
		strcpy(out.engine, "dpdk");
		assert_int_equal(attach_send(pair.ends[0], &out, fds, count), 0);
		assert_int_equal(attach_receive(pair.ends[1], &in, got), 0);
		assert_memory_equal(&in, &out, sizeof(in));
		assert_int_equal(in.kind, ATTACH_REPORT);
		assert_int_equal(in.arena_abi, ARENA_ABI);
		assert_int_equal(in.pid, getpid());
		for (size_t i = 0; i < ATTACH_FDS_MAX; i++) {
			struct stat sent, received;

			assert_int_equal(got[i] >= 0, i < count);
			if (i >= count)
				continue;
			assert_int_equal(fstat(fds[i], &sent) | fstat(got[i], &received), 0);
			assert_true(sent.st_ino == received.st_ino);
			assert_true(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
		}
		close_all(got);
		pair_free(&pair);
	}
}

static void malformed_messages_leave_nothing_open(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		u64 magic;
		u32 ports;
		size_t fds;
		int err;
	} cases[] = {
		{"wrong magic", sizeof(struct attach_message), 1, 0, 2, -EPROTO},
		{"too many ports", sizeof(struct attach_message), ATTACH_MAGIC, 17, 1, -EPROTO},
		{"every port", sizeof(struct attach_message), ATTACH_MAGIC, 0xffffffff, 1, -EPROTO},
		{"short", sizeof(struct attach_message) - 1, ATTACH_MAGIC, 0, 2, -EPROTO},
		{"one byte", 1, ATTACH_MAGIC, 0, 2, -EPROTO},
		{"long", sizeof(struct attach_message) + 1, ATTACH_MAGIC, 0, 2, -EPROTO},
		{"three descriptors", sizeof(struct attach_message), ATTACH_MAGIC, 0, 3, -EPROTO},
		{"sixteen descriptors", sizeof(struct attach_message), ATTACH_MAGIC, 0, 16,
		 -EPROTO},
		{"sixteen with nonsense", 5, 0, 0, 16, -EPROTO},
		{"empty", 0, 0, 0, 0, -ECONNRESET},
		{"empty with descriptors", 0, 0, 0, 2, -ECONNRESET},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct pair pair = pair_new();
		struct {
			struct attach_message message;
			char more[8];
		} out;
		struct attach_message in;
		int fds[16], got[ATTACH_FDS_MAX] = {7, 7};

		memset(&out, 0, sizeof(out));
		attach_prepare(&out.message, ATTACH_HELLO);
		out.message.magic = cases[i].magic;
		out.message.ports_count = cases[i].ports;
		for (size_t k = 0; k < 16; k++)
			fds[k] = pair.ends[0];
		send_raw(pair.ends[0], &out, cases[i].len, fds, cases[i].fds);
		if (attach_receive(pair.ends[1], &in, got) != cases[i].err)
			fail_msg("%s", cases[i].name);
		assert_true(got[0] == -1 && got[1] == -1);
		if (open_descriptors() != pair.descriptors)
			fail_msg("%s: descriptors stay open", cases[i].name);
		pair_free(&pair);
	}
}

static void strings_without_end_get_one(void **state)
{
	struct pair pair = pair_new();
	struct attach_message out, in;
	int got[ATTACH_FDS_MAX];

	memset(&out, 'x', sizeof(out));
	out.magic = ATTACH_MAGIC;
	out.ports_count = ATTACH_PORTS_MAX;
	assert_int_equal(attach_send(pair.ends[0], &out, NULL, 0), 0);
	assert_int_equal(attach_receive(pair.ends[1], &in, got), 0);
	assert_int_equal(strlen(in.engine), sizeof(in.engine) - 1);
	assert_int_equal(strlen(in.version), sizeof(in.version) - 1);
	assert_int_equal(strlen(in.text), sizeof(in.text) - 1);
	for (u32 i = 0; i < ATTACH_PORTS_MAX; i++) {
		assert_int_equal(strlen(in.ports[i].name), sizeof(in.ports[i].name) - 1);
		assert_int_equal(strlen(in.ports[i].kernel_name),
				 sizeof(in.ports[i].kernel_name) - 1);
	}
	pair_free(&pair);
}

static void silence_and_hanging_up_differ(void **state)
{
	struct pair pair = pair_new();
	struct attach_message message;
	int got[ATTACH_FDS_MAX];

	assert_int_equal(attach_receive(pair.ends[1], &message, got), -EAGAIN);
	close(pair.ends[0]);
	assert_int_equal(attach_receive(pair.ends[1], &message, got), -ECONNRESET);
	attach_prepare(&message, ATTACH_HELLO);
	assert_int_equal(attach_send(pair.ends[1], &message, NULL, 0), -EPIPE);
	close(pair.ends[1]);
}

/* Messages stay apart, in order. */
static void several_messages_queue(void **state)
{
	struct pair pair = pair_new();
	struct attach_message message;
	int got[ATTACH_FDS_MAX];

	for (u32 i = 0; i < 5; i++) {
		attach_prepare(&message, ATTACH_ARENA);
		message.epoch = i;
		assert_int_equal(attach_send(pair.ends[0], &message, &pair.ends[0], i % 2), 0);
	}
	for (u32 i = 0; i < 5; i++) {
		assert_int_equal(attach_receive(pair.ends[1], &message, got), 0);
		assert_true(message.epoch == i);
		assert_int_equal(got[0] >= 0, i % 2);
		close_all(got);
	}
	pair_free(&pair);
}

static void ends_meet_at_a_path(void **state)
{
	u32 descriptors = open_descriptors();
	char folder[] = P_tmpdir "/attach-XXXXXX", path[64], far[200];
	struct attach_message out, in;
	int listening, caller, called, got[ATTACH_FDS_MAX];
	struct stat stat_path;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	assert_int_equal(attach_connect(path), -ENOENT);
	listening = attach_listen(path);
	assert_true(listening >= 0);
	assert_int_equal(stat(path, &stat_path), 0);
	assert_int_equal(stat_path.st_mode & 077, 0);
	caller = attach_connect(path);
	assert_true(caller >= 0);
	assert_true(fcntl(caller, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(caller, F_GETFD) & FD_CLOEXEC);
	called = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	attach_prepare(&out, ATTACH_HELLO);
	assert_int_equal(attach_send(caller, &out, NULL, 0), 0);
	assert_int_equal(attach_receive(called, &in, got), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	close(called);
	close(caller);
	close(listening);
	assert_int_equal(attach_connect(path), -ECONNREFUSED); /* nobody listens any more */
	listening = attach_listen(path);                       /* what the dead left is replaced */
	assert_true(listening >= 0);
	close(listening);
	memset(far, 'f', sizeof(far) - 1);
	far[sizeof(far) - 1] = '\0';
	assert_int_equal(attach_connect(far), -ENAMETOOLONG);
	assert_int_equal(attach_listen(far), -ENAMETOOLONG);
	assert_int_equal(attach_listen("/nonexistent/socket"), -ENOENT);
	unlink(path);
	rmdir(folder);
	assert_int_equal(open_descriptors(), descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_carry_descriptors),
		cmocka_unit_test(malformed_messages_leave_nothing_open),
		cmocka_unit_test(strings_without_end_get_one),
		cmocka_unit_test(silence_and_hanging_up_differ),
		cmocka_unit_test(several_messages_queue),
		cmocka_unit_test(ends_meet_at_a_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
