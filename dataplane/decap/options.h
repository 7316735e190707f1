/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of shunt-decap. */
#ifndef SHUNT_DECAP_OPTIONS_H
#define SHUNT_DECAP_OPTIONS_H

#include "dataplane/decap/decap.h"

enum { DEVICE_NAME_LEN = 16 }; /* with the terminating zero, as the kernel's IFNAMSIZ */
enum { OPTIONS_INTERFACES_MAX = 16 };

/* How inner packets reach the host. */
enum mode_kind {
	MODE_NONE,
	MODE_TUN, /* through a device that we make */
	MODE_XDP, /* by a program in the kernel, in place of the wrapped ones */
	MODE_TC,
};

enum options_outcome {
	OPTIONS_RUN,
	OPTIONS_DONE,  /* --help or --version was answered */
	OPTIONS_USAGE, /* what is wrong was said on standard error */
};

struct options {
	enum mode_kind mode;
	char device[DEVICE_NAME_LEN]; /* tun: its name and MTU */
	u32 mtu;
	char interfaces[OPTIONS_INTERFACES_MAX][DEVICE_NAME_LEN]; /* xdp, tc */
	u32 interfaces_count;
	bool detach; /* xdp, tc: only take away what an earlier one has left */
	u16 gue_port;
	const char *stats_path; /* NULL without --stats; points into argv */
	struct decap_policy policy;
};

enum options_outcome options_parse(int argc, char **argv, struct options *options)
	__attribute__((warn_unused_result));

#endif
