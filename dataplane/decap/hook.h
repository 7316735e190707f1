/* SPDX-License-Identifier: BSD-2-Clause */
/* An interface, and the program on it. */
#ifndef SHUNT_DECAP_HOOK_H
#define SHUNT_DECAP_HOOK_H

#include "dataplane/core/base.h"

struct decap_bpf; /* the skeleton of bpf/decap.bpf.c */
struct xdp_program;

struct hook {
	const char *interface;
	int ifindex;
	int lock_fd; /* held while this process serves the interface */
	bool is_xdp;
	bool is_attached;
	bool made_qdisc;
	struct xdp_program *program;
};

/* Finds the interface and keeps other processes of ours off it. Returns 0, or -errno after a
 * message. */
int hook_open(struct hook *hook, const char *interface, bool is_xdp)
	__attribute__((warn_unused_result));

/* Loads the program that is wanted out of `skeleton`, which is open and not loaded, and attaches it in
 * place of what a killed process has left there. Returns 0, or -errno after a message. */
int hook_attach(struct hook *hook, struct decap_bpf *skeleton) __attribute__((warn_unused_result));

void hook_close(struct hook *hook);

#endif
