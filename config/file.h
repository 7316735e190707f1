/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHUNT_CONFIG_FILE_H
#define SHUNT_CONFIG_FILE_H

#include <stddef.h>
#include <sys/stat.h>

/* Reads a whole file of at most max_bytes into *text (NUL-terminated, caller frees).
 * Does not wait for a FIFO's first writer. Returns 0 or -errno; -EFBIG where the file is longer. */
int file_read(const char *path, size_t max_bytes, char **text, size_t *len_bytes,
	      struct stat *status) __attribute__((warn_unused_result));

#endif
