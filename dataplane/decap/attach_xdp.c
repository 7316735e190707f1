/* SPDX-License-Identifier: BSD-2-Clause */
/* libxdp runs several programs on one interface by a dispatcher, which a kernel may refuse (it needs
 * BPF_PROG_TYPE_EXT); then ours is alone there. For the dispatcher the program is loaded as another
 * type, so libxdp gets a copy of it over the same maps. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "bpf/decap.skel.h"
#include "dataplane/decap/attach.h"
#include "dataplane/session/message.h"

/* --- What is there -------------------------------------------------------------------- */

static bool lro_is_on(const char *name)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	struct ifreq request = {.ifr_data = (void *)&flags};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool on;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	on = fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0 && (flags.data & ETH_FLAG_LRO);
	if (fd >= 0)
		close(fd);
	return on;
}

/* All programs of an interface, to be closed, or NULL. */
static struct xdp_multiprog *programs_of(u32 ifindex)
{
	struct xdp_multiprog *all = xdp_multiprog__get_from_ifindex((int)ifindex);

	return libxdp_get_error(all) ? NULL : all;
}

/* The one among them that a shunt-decap has attached, or NULL. */
static struct xdp_program *ours_among(struct xdp_multiprog *all)
{
	struct xdp_program *program = NULL;

	if (all && xdp_multiprog__is_legacy(all)) {
		program = xdp_multiprog__main_prog(all);
		return program && program_is(xdp_program__fd(program), ATTACH_XDP_PROGRAM) ? program
											   : NULL;
	}
	while (all && (program = xdp_multiprog__next_prog(program, all))) {
		if (program_is(xdp_program__fd(program), ATTACH_XDP_PROGRAM))
			return program;
	}
	return NULL;
}

int attach_xdp_check(const struct attachment *attachment)
{
	struct xdp_multiprog *all = programs_of(attachment->ifindex);
	bool others = all && xdp_multiprog__is_legacy(all) && !ours_among(all);

	xdp_multiprog__close(all);
	if (others) {
		message("interface %s: another XDP program is attached, and leaves no room beside "
			"it: take it off with 'ip link set dev %s xdp off', or use --mode tc",
			attachment->name, attachment->name);
		return -EBUSY;
	}
	if (lro_is_on(attachment->name)) {
		message("interface %s: large receive offload is on, and would join packets before "
			"XDP sees them: run 'ethtool -K %s lro off', or use --mode tc",
			attachment->name, attachment->name);
		return -EOPNOTSUPP;
	}
	return 0;
}

/* --- Attaching ------------------------------------------------------------------------ */

int attach_xdp_prepare(struct attachments *attachments, const struct kernel *kernel)
{
	struct xdp_program *program;

	attachments->copy = kernel_copy_open(kernel);
	DECLARE_LIBXDP_OPTS(xdp_program_opts, options,
			    .obj = attachments->copy ? attachments->copy->obj : NULL,
			    .prog_name = ATTACH_XDP_PROGRAM);
	program = attachments->copy ? xdp_program__create(&options) : NULL;
	if (!program || libxdp_get_error(program)) {
		message("the XDP program cannot be prepared: out of memory?");
		return -ENOMEM;
	}
	attachments->program = program;
	for (u32 i = 0; i < attachments->count; i++)
		attachments->list[i].program_fd = kernel_program_fd(kernel, MODE_XDP);
	return 0;
}

static void attach_explain(const struct attachment *attachment, int err)
{
	const char *name = attachment->name;

	if (err == -EBUSY || err == -EEXIST)
		message("interface %s: another XDP program is attached, and leaves no room beside "
			"it: take it off with 'ip link set dev %s xdp off', or use --mode tc",
			name, name);
	else if (err == -EPERM || err == -EACCES)
		message("interface %s: no permission to attach XDP: run as root", name);
	else
		message("interface %s: XDP cannot be attached (%s): use --mode tc", name,
			strerror(-err));
}

static int attach_new(const struct attachments *attachments, struct attachment *attachment)
{
	struct xdp_program *program = attachments->program;
	int err = xdp_program__attach(program, (int)attachment->ifindex, XDP_MODE_NATIVE, 0);

	if (err == 0 || err == -EBUSY || err == -EEXIST || err == -EPERM)
		return err;
	message("interface %s: its driver takes no XDP program in native mode (%s), often because "
		"the MTU is too large for one; the kernel's generic mode serves instead, which is "
		"slower",
		attachment->name, strerror(-err));
	err = xdp_program__attach(program, (int)attachment->ifindex, XDP_MODE_SKB, 0);
	attachment->generic = err == 0;
	return err;
}

static u32 mode_flags(bool generic)
{
	return XDP_FLAGS_REPLACE | (generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
}

/* Ours is alone there: the new one takes its place, and no packet meets none of them. */
static int attach_instead(struct attachment *attachment, int old_fd)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = old_fd);

	return bpf_xdp_attach((int)attachment->ifindex, attachment->program_fd,
			      mode_flags(attachment->generic), &options);
}

/* Beside others the new one comes first and the old one goes then: what one of them has unwrapped
 * is nothing to the other. */
static int attach_beside(const struct attachments *attachments, struct attachment *attachment,
			 struct xdp_multiprog *all, struct xdp_program *old)
{
	int err = attach_new(attachments, attachment);

	if (err == 0 && old)
		(void)xdp_program__detach(old, (int)attachment->ifindex,
					  xdp_multiprog__attach_mode(all), 0);
	return err;
}

int attach_xdp(const struct attachments *attachments, struct attachment *attachment)
{
	struct xdp_multiprog *all = programs_of(attachment->ifindex);
	struct xdp_program *old = ours_among(all);
	bool alone = all && xdp_multiprog__is_legacy(all);
	int err;

	attachment->replaced = old != NULL;
	if (old && alone) {
		attachment->generic = xdp_multiprog__attach_mode(all) == XDP_MODE_SKB;
		err = attach_instead(attachment, xdp_program__fd(old));
	} else {
		err = attach_beside(attachments, attachment, all, old);
		if (err == 0)
			attachment->program_fd = xdp_program__fd(attachments->program);
	}
	xdp_multiprog__close(all);
	if (err != 0) {
		attach_explain(attachment, err);
		return err;
	}
	all = programs_of(attachment->ifindex);
	attachment->beside = all && !xdp_multiprog__is_legacy(all);
	xdp_multiprog__close(all);
	return 0;
}

/* --- Detaching ------------------------------------------------------------------------ */

void attach_xdp_undo(const struct attachments *attachments, struct attachment *attachment)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = attachment->program_fd);

	if (attachment->beside)
		(void)xdp_program__detach(attachments->program, (int)attachment->ifindex,
					  attachment->generic ? XDP_MODE_SKB : XDP_MODE_NATIVE, 0);
	else /* refused where another program is there now */
		(void)bpf_xdp_detach((int)attachment->ifindex, mode_flags(attachment->generic),
				     &options);
}

bool attach_xdp_remove(u32 ifindex)
{
	struct xdp_multiprog *all = programs_of(ifindex);
	struct xdp_program *ours = ours_among(all);
	bool removed = false;

	if (ours && xdp_multiprog__is_legacy(all)) {
		LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = xdp_program__fd(ours));

		removed =
			bpf_xdp_detach((int)ifindex,
				       mode_flags(xdp_multiprog__attach_mode(all) == XDP_MODE_SKB),
				       &options) == 0;
	} else if (ours) {
		removed = xdp_program__detach(ours, (int)ifindex, xdp_multiprog__attach_mode(all),
					      0) == 0;
	}
	xdp_multiprog__close(all);
	return removed;
}
