/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "controlplane/cli/cli.h"

static void usage(FILE *out)
{
	fprintf(out,
		"usage: shunt seed [FILE]\n\n"
		"Makes a fleet seed: 32 hex digits from the kernel's random numbers, written to\n"
		"the new FILE, which only its owner may read, or to the standard output. Every\n"
		"balancer of a fleet needs the same seed; who knows it can choose flows that\n"
		"collide.\n");
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t length = strlen(text);

	if (fd < 0 && errno == EEXIST) {
		fprintf(stderr,
			"shunt: %s exists; a new seed would move every flow, so remove it first if "
			"that is meant\n",
			path);
		return CLI_UNAVAILABLE;
	}
	if (fd < 0 || write(fd, text, length) != (ssize_t)length || fsync(fd) < 0) {
		fprintf(stderr, "shunt: cannot write %s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return CLI_UNAVAILABLE;
	}
	close(fd);
	return CLI_OK;
}

int cli_seed(int argc, char **argv)
{
	char text[34];
	u8 seed[16];

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		return CLI_OK;
	}
	if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed)) {
		fprintf(stderr, "shunt: the kernel gave no random numbers: %s\n", strerror(errno));
		return CLI_UNAVAILABLE;
	}
	for (size_t i = 0; i < sizeof(seed); i++)
		snprintf(text + 2 * i, 3, "%02x", seed[i]);
	strcat(text, "\n");
	if (argc == 2)
		return write_file(argv[1], text);
	fputs(text, stdout);
	return CLI_OK;
}
