/* SPDX-License-Identifier: BSD-2-Clause */
/* The sockets that encapsulated packets arrive on, and the batch that moves them into the
 * device. */
#ifndef SHUNT_DECAP_RECEIVE_H
#define SHUNT_DECAP_RECEIVE_H

#include "dataplane/decap/counters.h"
#include "dataplane/decap/decap.h"
#include "dataplane/decap/tun.h"

enum { RECEIVE_SOURCES = 6 }; /* protocol 4, protocol 41 and GUE, each by IPv4 and IPv6 */

struct receiver;

/* Opens all sources; one of IPv6 is left out, with a message, on a host without IPv6. The
 * borrowed arguments must outlive the receiver. Returns 0 or -errno; what is missing has then
 * been said on standard error. */
int receiver_open(struct receiver **receiver, u16 gue_port, const struct decap_policy *policy,
		  const struct tun *tun, struct counters *counters)
	__attribute__((warn_unused_result));

void receiver_close(struct receiver *receiver);

/* The descriptor to wait on, or -1 for a source that was left out. */
int receiver_fd(const struct receiver *receiver, u32 source);

/* Handles at most one batch from a readable source. Never blocks. */
void receiver_run(struct receiver *receiver, u32 source);

#endif
