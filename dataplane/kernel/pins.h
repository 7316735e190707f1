/* SPDX-License-Identifier: BSD-2-Clause */
/* The pin directory, whose lock the one process holds that looks after the tables there. */
#ifndef SHUNT_KERNEL_PINS_H
#define SHUNT_KERNEL_PINS_H

#include "dataplane/core/base.h"

/* Whether the folder is, or would be made, in a BPF file system. */
bool pins_possible(const char *dir);

/* Makes the folder and takes its lock, which the process's end gives back. Returns a descriptor, or -1
 * after a message. */
int pins_lock(const char *dir) __attribute__((warn_unused_result));

#endif
