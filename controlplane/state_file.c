/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int bytes_read(int fd, char *bytes, size_t size, size_t *len)
{
	*len = 0;
	while (*len < size) {
		ssize_t got = read(fd, bytes + *len, size - *len);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			break;
		*len += got > 0 ? (size_t)got : 0;
	}
	return 0;
}

int state_file_read(int dir_fd, const char *name, char **text, size_t *len_bytes)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC), err = -ENOMEM;
	struct stat info;

	*text = NULL;
	*len_bytes = 0;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &info) != 0) {
		err = -errno;
		goto close_file;
	}
	*text = malloc((size_t)info.st_size + 1);
	if (*text)
		err = bytes_read(fd, *text, (size_t)info.st_size, len_bytes);
	if (err) {
		free(*text);
		*text = NULL;
	}
close_file:
	close(fd);
	return err;
}

static int bytes_write(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t written = write(fd, bytes, len);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			bytes += written;
			len -= (size_t)written;
		}
	}
	return 0;
}

int state_file_replace(int dir_fd, const char *name, const char *text)
{
	char temporary[STATE_FILE_NAME_MAX];
	int status, fd;

	snprintf(temporary, sizeof(temporary), "%s.tmp", name);
	fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	status = bytes_write(fd, text, strlen(text));
	if (status == 0 && fsync(fd) != 0)
		status = -errno;
	if (close(fd) != 0 && status == 0)
		status = -errno;
	if (status == 0 && renameat(dir_fd, temporary, dir_fd, name) != 0)
		status = -errno;
	if (status) {
		(void)unlinkat(dir_fd, temporary, 0);
		return status;
	}
	return fsync(dir_fd) == 0 ? 0 : -errno;
}

int state_file_set_aside(int dir_fd, const char *name, char aside[static STATE_FILE_NAME_MAX])
{
	time_t now = time(NULL);
	char stamp[32];
	struct tm utc;

	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
	snprintf(aside, STATE_FILE_NAME_MAX, "%s.bad-%s", name, stamp);
	return renameat(dir_fd, name, dir_fd, aside) == 0 ? 0 : -errno;
}
