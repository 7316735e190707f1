/* SPDX-License-Identifier: BSD-2-Clause */
/* The TUN device through which inner packets reach the host. */
#ifndef SHUNT_DECAP_TUN_H
#define SHUNT_DECAP_TUN_H

#include "dataplane/core/base.h"

struct tun {
	int fd;    /* non-blocking; closing it removes the device */
	u32 index; /* the interface's number */
};

/* Creates device `name`, which must not exist, and brings it up ready to deliver. Returns 0 or
 * -errno; what is missing and how to mend it has then been said on standard error. */
int tun_open(struct tun *tun, const char *name, u32 mtu) __attribute__((warn_unused_result));

void tun_close(struct tun *tun);

/* Discards what the host sent into the device, one batch of it; returns how many packets, or
 * -errno when the device is gone. */
int tun_discard(const struct tun *tun) __attribute__((warn_unused_result));

#endif
