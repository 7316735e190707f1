/* SPDX-License-Identifier: BSD-2-Clause */
/* Which addresses are this host's own, and when that or its interfaces change. */
#ifndef SHUNT_DECAP_LOCAL_H
#define SHUNT_DECAP_LOCAL_H

#include "dataplane/core/addr.h"

/* A prefix whose packets the host takes for its own; len_bits as in struct prefix. */
typedef int local_callback(void *context, const struct addr *addr, bool is_v4, u32 len_bits);

struct local;

/* Begins to follow changes. Returns 0 or -errno after a message. */
int local_open(struct local **local) __attribute__((warn_unused_result));

void local_close(struct local *local);

/* Readable when something may have changed. */
int local_fd(const struct local *local);

/* Reads what has come in. Returns whether the list has to be read anew, or an interface has gone. */
bool local_changed(struct local *local);

/* Calls back for every entry; ends with 0, -errno, or what the callback returned other than 0. */
int local_read(local_callback *callback, void *context) __attribute__((warn_unused_result));

#endif
