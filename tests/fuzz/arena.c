/* SPDX-License-Identifier: BSD-2-Clause */
/* What another process hands over: an arena with any bytes in it, and any message on the socket.
 *
 * Input: one byte that says which of three, then
 *   0  patches of a good arena: two bytes of offset, one of length (1 to 8), the bytes; the root is
 *      signed again, as shuntd itself would, and everything that it leads to is followed
 *   1  the same, unsigned, in a sealed file that is attached
 *   2  one byte with the number of descriptors, then patches of a good message; a patch beyond its
 *      end cuts it off at its length instead */
#include <errno.h>
#include <sys/socket.h>

#include "dataplane/state/attach.h"

#include "tests/unit/arena_help.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes patches over `bytes`. Returns the first offset beyond them, or len. */
static size_t patch(u8 *bytes, size_t len, const uint8_t *data, size_t size)
{
	while (size >= 4) {
		size_t at = get16(data), count = 1 + data[2] % 8u;

		data += 3;
		size -= 3;
		count = count < size ? count : size;
		if (at + count > len)
			return at % (len + 1);
		memcpy(bytes + at, data, count);
		data += count;
		size -= count;
	}
	return len;
}

/* In a block of exactly its size, for the sanitizer to watch. */
static void fuzz_root(const struct fixture *fixture, const uint8_t *data, size_t size)
{
	static struct arena_help help;
	static u8 *good;
	struct arena_view view = {.counters_count = ARENA_HELP_COUNTERS};
	struct tables tables;

	if (!good) {
		struct arena_help made = arena_help_make(fixture);

		good = malloc(made.size_bytes);
		help = made;
		help.base = aligned_alloc(4096, made.size_bytes);
		frame_require(good && help.base);
		memcpy(good, made.base, made.size_bytes);
		arena_help_free(&made);
	}
	memcpy(help.base, good, help.size_bytes);
	patch(help.base, help.size_bytes, data, size);
	arena_help_sign(&help);
	view.base = help.base;
	view.size_bytes = help.size_bytes;
	if (arena_tables(&view, help.root_offset, &tables) == 0)
		(void)arena_help_follow(&tables);
}

static void fuzz_file(const struct fixture *fixture, const uint8_t *data, size_t size)
{
	struct arena_help help = arena_help_make(fixture);
	char message[256] = "";
	struct arena_view view = {0};
	struct tables tables;
	int err;

	patch(help.base, help.size_bytes, data, size);
	arena_help_seal(&help, ARENA_SEALS_ALL);
	err = arena_attach(help.fd, &view, message, sizeof(message));
	frame_require(err ? view.base == NULL && message[0] : view.size_bytes == help.size_bytes);
	if (err == 0 && view.counters_count <= ARENA_HELP_COUNTERS &&
	    arena_tables(&view, arena_root_offset(&view), &tables) == 0)
		(void)arena_help_follow(&tables);
	arena_detach(&view);
	arena_help_free(&help);
}

static void send_with_descriptors(int socket, const void *bytes, size_t len, u32 count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = {0};
	int fds[4] = {socket, socket, socket, socket};
	struct iovec iov = {.iov_base = (void *)(size_t)bytes, .iov_len = len};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count) {
		struct cmsghdr *cmsg;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
	}
	frame_require(sendmsg(socket, &header, 0) == (ssize_t)len);
}

/* The descriptor that is free next: the same before and after, or one has leaked. */
static int next_descriptor(void)
{
	int fd = dup(0);

	frame_require(fd >= 0);
	close(fd);
	return fd;
}

static bool terminated(const char *text, size_t room)
{
	return memchr(text, '\0', room) != NULL;
}

static void check_message(const struct attach_message *message)
{
	frame_require(message->magic == ATTACH_MAGIC);
	frame_require(message->ports_count <= ATTACH_PORTS_MAX);
	frame_require(terminated(message->engine, sizeof(message->engine)) &&
		      terminated(message->version, sizeof(message->version)) &&
		      terminated(message->text, sizeof(message->text)));
	for (u32 i = 0; i < ATTACH_PORTS_MAX; i++)
		frame_require(terminated(message->ports[i].name, sizeof(message->ports[i].name)) &&
			      terminated(message->ports[i].kernel_name,
					 sizeof(message->ports[i].kernel_name)));
}

static void fuzz_message(const uint8_t *data, size_t size)
{
	static int ends[2];
	struct attach_message sent, message;
	int fds[ATTACH_FDS_MAX], free_before, err;
	u32 count = data[0] % 5;
	size_t len;

	if (!ends[1])
		frame_require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	free_before = next_descriptor();
	attach_prepare(&sent, ATTACH_HELLO);
	sent.ports_count = 2;
	len = patch((u8 *)&sent, sizeof(sent), data + 1, size - 1);
	send_with_descriptors(ends[0], &sent, len, count);
	err = attach_receive(ends[1], &message, fds);
	if (err == 0)
		check_message(&message);
	frame_require(err == 0 ? count <= ATTACH_FDS_MAX && len == sizeof(sent)
			       : err == -EPROTO || err == -ECONNRESET);
	for (u32 i = 0; i < ATTACH_FDS_MAX; i++) {
		frame_require((fds[i] >= 0) == (err == 0 && i < count));
		if (fds[i] >= 0)
			close(fds[i]);
	}
	frame_require(next_descriptor() == free_before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fixture *fixture;

	if (!fixture)
		fixture = fixture_new(0);
	if (size < 2)
		return 0;
	if (data[0] % 3 == 0)
		fuzz_root(fixture, data + 1, size - 1);
	else if (data[0] % 3 == 1)
		fuzz_file(fixture, data + 1, size - 1);
	else
		fuzz_message(data + 1, size - 1);
	return 0;
}
