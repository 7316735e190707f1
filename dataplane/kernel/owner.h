/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose a program in the kernel is. Several shunt-xdp may run on one machine, each with a pin
 * directory of its own; the name of that is written into the control map, so that a program is
 * known for ours even where a crash has left no pin of it, or those of another layout. */
#ifndef SHUNT_KERNEL_OWNER_H
#define SHUNT_KERNEL_OWNER_H

#include <bpf/bpf.h>

#include "dataplane/core/base.h"

/* What tells two programs of ours apart. */
struct owner_mark {
	u8 tag[BPF_TAG_SIZE]; /* of its code */
	u32 control_id;       /* of its control map */
};

/* Whether the program behind a descriptor is a shunt's of this pin directory; its mark, if so. */
bool owner_is(int program_fd, const char *pin_dir, struct owner_mark *mark);

#endif
