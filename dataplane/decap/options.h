/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line of shunt-decap. */
#ifndef SHUNT_DECAP_OPTIONS_H
#define SHUNT_DECAP_OPTIONS_H

#include "dataplane/decap/decap.h"

enum { DEVICE_NAME_LEN = 16 }; /* with the terminating zero, as the kernel's IFNAMSIZ */

enum options_outcome {
	OPTIONS_RUN,
	OPTIONS_DONE,  /* --help or --version was answered */
	OPTIONS_USAGE, /* what is wrong was said on standard error */
};

enum mode { MODE_NONE, MODE_TUN, MODE_XDP, MODE_TC };

struct options {
	enum mode mode;
	const char *interface; /* modes xdp and tc; points into argv */
	bool device_given;     /* --device or --mtu: mode tun only */
	char device[DEVICE_NAME_LEN];
	u32 mtu;
	u16 gue_port;
	const char *stats_path; /* NULL without --stats; points into argv */
	struct decap_policy policy;
};

enum options_outcome options_parse(int argc, char **argv, struct options *options)
	__attribute__((warn_unused_result));

#endif
