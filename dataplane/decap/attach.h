/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the programs are attached: XDP or tc's clsact, on interfaces of the host. */
#ifndef SHUNT_DECAP_ATTACH_H
#define SHUNT_DECAP_ATTACH_H

#include "dataplane/decap/kernel.h"

struct xdp_program; /* of libxdp */

struct attachment {
	char name[DEVICE_NAME_LEN];
	u32 ifindex;
	bool attached;
	bool generic;     /* XDP: the driver takes none, the kernel's own mode serves */
	bool beside;      /* XDP: in libxdp's dispatcher, with others' programs */
	bool replaced;    /* in the place of one that an ended shunt-decap has left */
	bool clsact_ours; /* tc: the qdisc is there for us */
	int program_fd;   /* XDP: what is attached */
	u32 program_id;   /* tc: the same */
};

struct attachments {
	struct attachment list[OPTIONS_INTERFACES_MAX];
	u32 count;
	struct decap_bpf *copy;      /* XDP: what libxdp has loaded */
	struct xdp_program *program; /* its program */
};

/* Finds the interfaces and everything about them that would be in the way, which is said; nothing
 * has been changed. Returns 0 or -errno. */
int attachments_check(struct attachments *attachments, const struct options *options)
	__attribute__((warn_unused_result));

/* Attaches to all of them, or, after a message, to none. */
int attachments_open(struct attachments *attachments, const struct kernel *kernel,
		     enum mode_kind kind) __attribute__((warn_unused_result));

/* Takes away what attachments_open() made, unless another shunt-decap has taken its place. */
void attachments_close(struct attachments *attachments, enum mode_kind kind);

/* Takes programs away that an earlier shunt-decap has left. Returns how many there were, or -errno
 * after a message. */
int attachments_remove(const struct options *options) __attribute__((warn_unused_result));

/* Whether a loaded program has this name, as the kernel knows it. */
bool program_is(int fd, const char *name);

/* attach_xdp.c */
#define ATTACH_XDP_PROGRAM "shunt_decap_xdp"
int attach_xdp_check(const struct attachment *attachment) __attribute__((warn_unused_result));
int attach_xdp_prepare(struct attachments *attachments, const struct kernel *kernel)
	__attribute__((warn_unused_result));
int attach_xdp(const struct attachments *attachments, struct attachment *attachment)
	__attribute__((warn_unused_result));
void attach_xdp_undo(const struct attachments *attachments, struct attachment *attachment);
bool attach_xdp_remove(u32 ifindex);

/* attach_tc.c */
#define ATTACH_TC_PROGRAM "shunt_decap_tc"
int attach_tc_check(const struct attachment *attachment) __attribute__((warn_unused_result));
int attach_tc(struct attachment *attachment, int program_fd) __attribute__((warn_unused_result));
void attach_tc_undo(struct attachment *attachment);
bool attach_tc_remove(u32 ifindex);

#endif
