/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/kernel/pins.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "dataplane/session/message.h"
#include "dataplane/state/kernel.h"

bool pins_possible(const char *dir)
{
	struct statfs info;
	char parent[KERNEL_PIN_DIR_MAX];

	snprintf(parent, sizeof(parent), "%s", dir);
	return statfs(access(dir, F_OK) == 0 ? dir : dirname(parent), &info) == 0 &&
	       info.f_type == BPF_FS_MAGIC;
}

int pins_lock(const char *dir)
{
	int fd;

	if (!pins_possible(dir) || (mkdir(dir, 0700) < 0 && errno != EEXIST)) {
		message("cannot keep tables in %s, which has to be in a BPF file system: mount one (mount "
			"-t bpf bpf /sys/fs/bpf), or name a folder of one with --pin-dir",
			dir);
		return -1;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (errno == EWOULDBLOCK)
		message("another process looks after the tables in %s: end it first, or name "
			"another folder with --pin-dir",
			dir);
	else
		message("cannot use %s: %s", dir, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}
