/* SPDX-License-Identifier: BSD-2-Clause */
/* What is attached stays when the process is killed, and goes on with the lists that it has: a
 * backend whose decapsulator has crashed still serves. (A BPF link would take the program away with
 * the process, and libxdp and Debian 12's tc make none.) So whoever starts next has to know such a
 * program, by its name, and takes its place in one step. */
#include "dataplane/decap/attach.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <xdp/libxdp.h>

#include "bpf/decap.skel.h"
#include "dataplane/session/message.h"

bool program_is(int fd, const char *name)
{
	struct bpf_prog_info info = {};
	__u32 info_bytes = sizeof(info);

	return fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &info_bytes) == 0 &&
	       strcmp(info.name, name) == 0;
}

static int setting_read(const char *name)
{
	char path[128];
	FILE *stream;
	int value;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", name);
	stream = fopen(path, "re");
	if (!stream)
		return 0;
	if (fscanf(stream, "%d", &value) != 1)
		value = 0;
	fclose(stream);
	return value;
}

/* The kernel takes the larger of the interface's setting and `all`; 1 is the strict check. It isn't
 * ours to change: the interface has other traffic. */
static void reverse_path_warn(const char *name)
{
	int all = setting_read("all"), own = setting_read(name);

	if ((all > own ? all : own) == 1)
		message("interface %s: its reverse path filter is strict, so packets of IPv4 clients "
			"that are reached by another interface will be dropped: run "
			"'sysctl -w net/ipv4/conf/%s/rp_filter=2'",
			name, name);
}

static int attachment_find(struct attachment *attachment, const char *name)
{
	*attachment = (struct attachment){.ifindex = if_nametoindex(name), .program_fd = -1};
	snprintf(attachment->name, sizeof(attachment->name), "%s", name);
	if (attachment->ifindex != 0)
		return 0;
	message("interface %s does not exist: name one of 'ip link' with --interface", name);
	return -ENODEV;
}

int attachments_check(struct attachments *attachments, const struct options *options)
{
	int err = 0;

	*attachments = (struct attachments){.count = options->interfaces_count};
	for (u32 i = 0; i < attachments->count && err == 0; i++) {
		struct attachment *attachment = &attachments->list[i];

		err = attachment_find(attachment, options->interfaces[i]);
		if (err == 0)
			err = options->mode == MODE_XDP ? attach_xdp_check(attachment)
							: attach_tc_check(attachment);
		if (err == 0)
			reverse_path_warn(attachment->name);
	}
	return err;
}

static void attachment_describe(const struct attachment *attachment, enum mode_kind kind)
{
	const char *replaced = attachment->replaced ? ", in place of an earlier shunt-decap's" : "";

	if (kind == MODE_TC)
		message("interface %s: attached to tc ingress%s", attachment->name, replaced);
	else
		message("interface %s: attached to XDP, %s mode, %s%s", attachment->name,
			attachment->generic ? "generic" : "native",
			attachment->beside ? "beside others in libxdp's dispatcher" : "alone",
			replaced);
}

int attachments_open(struct attachments *attachments, const struct kernel *kernel,
		     enum mode_kind kind)
{
	int err = kind == MODE_XDP ? attach_xdp_prepare(attachments, kernel) : 0;

	for (u32 i = 0; i < attachments->count && err == 0; i++) {
		struct attachment *attachment = &attachments->list[i];

		err = kind == MODE_XDP ? attach_xdp(attachments, attachment)
				       : attach_tc(attachment, kernel_program_fd(kernel, MODE_TC));
		attachment->attached = err == 0;
		if (err == 0)
			attachment_describe(attachment, kind);
	}
	if (err != 0)
		attachments_close(attachments, kind);
	return err;
}

void attachments_close(struct attachments *attachments, enum mode_kind kind)
{
	for (u32 i = 0; i < attachments->count; i++) {
		struct attachment *attachment = &attachments->list[i];

		if (attachment->attached && kind == MODE_XDP)
			attach_xdp_undo(attachments, attachment);
		else if (attachment->attached)
			attach_tc_undo(attachment);
		attachment->attached = false;
	}
	if (attachments->program)
		xdp_program__close(attachments->program);
	decap_bpf__destroy(attachments->copy);
	attachments->program = NULL;
	attachments->copy = NULL;
}

int attachments_remove(const struct options *options)
{
	int removed = 0;

	for (u32 i = 0; i < options->interfaces_count; i++) {
		struct attachment attachment;
		int err = attachment_find(&attachment, options->interfaces[i]);

		if (err != 0)
			return err;
		if (options->mode == MODE_XDP ? attach_xdp_remove(attachment.ifindex)
					      : attach_tc_remove(attachment.ifindex)) {
			message("interface %s: detached", attachment.name);
			removed++;
		} else {
			message("interface %s: no program of shunt-decap --mode %s is there",
				attachment.name, options->mode == MODE_XDP ? "xdp" : "tc");
		}
	}
	return removed;
}
