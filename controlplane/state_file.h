/* SPDX-License-Identifier: BSD-2-Clause */
/* Files of the state directory: read whole, replaced whole, and set aside where they cannot be
 * understood. Who uses the directory holds its lock (numbers_open). */
#ifndef SHUNT_CONTROLPLANE_STATE_FILE_H
#define SHUNT_CONTROLPLANE_STATE_FILE_H

#include "dataplane/core/base.h"

#define STATE_FILE_NAME_MAX 64

/* Reads a file whole; the caller frees *text. Returns 0, -ENOENT, other -errno. */
int state_file_read(int dir_fd, const char *name, char **text, size_t *len_bytes)
	__attribute__((warn_unused_result));

/* Replaces a file: temporary file, fsync, rename, fsync of the directory. A crash at any moment
 * leaves the old file or the new one, and what it returns 0 for is on disk. */
int state_file_replace(int dir_fd, const char *name, const char *text)
	__attribute__((warn_unused_result));

/* Gives a file that is of no use a name of its own, for the operator: NAME.bad-TIME. */
int state_file_set_aside(int dir_fd, const char *name, char aside[static STATE_FILE_NAME_MAX])
	__attribute__((warn_unused_result));

#endif
