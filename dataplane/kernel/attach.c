/* SPDX-License-Identifier: BSD-2-Clause */
/* libxdp puts programs beside each other on one interface by a dispatcher, which a kernel may refuse
 * (it needs BPF_PROG_TYPE_EXT); then ours is alone there. For the dispatcher it must load the program
 * as another type, so what is attached is a second copy over the same maps.
 *
 * A program of ours (owner.h) that runs already is left alone if it is the same code on the same
 * maps: a restart then changes nothing that packets could notice. */
#include "dataplane/kernel/hook.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <string.h>
#include <xdp/libxdp.h>

#include "bpf/shunt.skel.h"
#include "dataplane/session/message.h"
#include "dataplane/kernel/owner.h"

#define PROGRAM_NAME "shunt_xdp"

/* --- Programs that are there ---------------------------------------------------------- */

/* The program of ours on an interface, or NULL; *all is to be closed after it, and NULL where there
 * is no program at all. */
static struct xdp_program *ours_find(u32 ifindex, const char *pin_dir, struct xdp_multiprog **all,
				     struct owner_mark *mark)
{
	struct xdp_program *program = NULL;

	*all = xdp_multiprog__get_from_ifindex((int)ifindex);
	if (libxdp_get_error(*all)) {
		*all = NULL;
		return NULL;
	}
	if (xdp_multiprog__is_legacy(*all)) {
		program = xdp_multiprog__main_prog(*all);
		return program && owner_is(xdp_program__fd(program), pin_dir, mark) ? program
										    : NULL;
	}
	while ((program = xdp_multiprog__next_prog(program, *all)))
		if (owner_is(xdp_program__fd(program), pin_dir, mark))
			return program;
	return NULL;
}

bool hook_detach(u32 ifindex, const char *pin_dir)
{
	struct owner_mark mark;
	struct xdp_multiprog *all;
	struct xdp_program *ours = ours_find(ifindex, pin_dir, &all, &mark);
	bool gone = false;

	if (ours && xdp_multiprog__is_legacy(all)) {
		LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = xdp_program__fd(ours));

		gone = bpf_xdp_detach((int)ifindex, XDP_FLAGS_REPLACE, &options) == 0;
	} else if (ours) {
		gone = xdp_program__detach(ours, (int)ifindex, xdp_multiprog__attach_mode(all),
					   0) == 0;
	}
	if (all)
		xdp_multiprog__close(all);
	return gone;
}

bool hooks_detach_others(const struct hooks *hooks, const char *pin_dir)
{
	struct if_nameindex *list = if_nameindex();
	bool any = false;

	for (const struct if_nameindex *at = list; at && at->if_index; at++) {
		bool keep = false;

		for (u32 i = 0; hooks && i < hooks->count; i++)
			keep |= hooks->list[i].ifindex == at->if_index;
		if (!keep)
			any |= hook_detach(at->if_index, pin_dir);
	}
	if_freenameindex(list);
	return any;
}

/* Whether nobody else's program is alone there, which nothing can be put beside. */
bool hook_place_free(const struct hook *hook, const char *pin_dir)
{
	struct owner_mark mark;
	struct xdp_multiprog *all;
	struct xdp_program *ours = ours_find(hook->ifindex, pin_dir, &all, &mark);
	bool taken = all && !ours && xdp_multiprog__is_legacy(all);

	if (all)
		xdp_multiprog__close(all);
	if (taken)
		message("interface %s: another XDP program is on %s, alone: take it off (ip link set "
			"dev %s xdp off), or load it through libxdp (xdp-loader) where the kernel "
			"can run several",
			hook->config->name, hook->kernel_name, hook->kernel_name);
	return !taken;
}

/* --- Attaching ------------------------------------------------------------------------ */

/* A second copy of the program, not loaded yet, over the same maps. */
static struct shunt_bpf *copy_open(const struct kernel *kernel)
{
	struct shunt_bpf *copy = shunt_bpf__open();
	struct bpf_map *map, *same;

	if (!copy)
		return NULL;
	bpf_object__for_each_map(map, kernel->skeleton->obj)
	{
		if (bpf_map__is_internal(map))
			continue;
		same = bpf_object__find_map_by_name(copy->obj, bpf_map__name(map));
		if (!same || bpf_map__reuse_fd(same, bpf_map__fd(map)) < 0) {
			shunt_bpf__destroy(copy);
			return NULL;
		}
	}
	return copy;
}

static const char *attach_hint(int err)
{
	switch (-err) {
	case EBUSY:
	case EEXIST:
		return "another XDP program is there, and this kernel runs only one: take it off "
		       "(ip link set dev IF xdp off)";
	case ERANGE:
	case EINVAL:
	case EOPNOTSUPP:
		return "neither the driver nor the kernel takes XDP there: use another interface, "
		       "or `engine: dpdk`";
	case EPERM:
		return "run as root, or with CAP_NET_ADMIN";
	default:
		return "`dmesg` may say more";
	}
}

static int attach_new(struct hook *hook, struct xdp_program *program)
{
	int err = xdp_program__attach(program, (int)hook->ifindex, XDP_MODE_NATIVE, 0);

	if (err == -EBUSY || err == -EEXIST || err == -EPERM)
		return err;
	if (err) {
		message("interface %s: the driver of %s takes no XDP program in native mode (%s), "
			"often because its MTU of %u is too large for one; the kernel's generic "
			"mode serves instead, which is slower",
			hook->config->name, hook->kernel_name, strerror(-err), hook->mtu);
		err = xdp_program__attach(program, (int)hook->ifindex, XDP_MODE_SKB, 0);
		hook->generic = err == 0;
	}
	return err;
}

/* Puts our program in the place of one of ours that is alone there. */
static int attach_instead(const struct hook *hook, int old_fd, int new_fd, bool generic)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = old_fd);

	return bpf_xdp_attach((int)hook->ifindex, new_fd,
			      XDP_FLAGS_REPLACE |
				      (generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE),
			      &options);
}

/* Whether the program there is the one that would be put there. */
static bool same_program(const struct owner_mark *mark, const struct kernel *kernel)
{
	struct owner_mark own;

	return owner_is(kernel_program_fd(kernel), kernel->pin_dir, &own) &&
	       own.control_id == mark->control_id && memcmp(own.tag, mark->tag, BPF_TAG_SIZE) == 0;
}

/* In place of a program of ours that is other code, or on other maps. Beside others it comes first
 * and the old one goes then: a packet in between may see both, but never none. */
static int replace(struct hook *hook, const struct kernel *kernel, struct xdp_program *program,
		   struct xdp_program *ours, struct xdp_multiprog *all)
{
	int err;

	if (xdp_multiprog__is_legacy(all))
		return attach_instead(hook, xdp_program__fd(ours), kernel_program_fd(kernel),
				      hook->generic);
	err = attach_new(hook, program);
	return err ? err
		   : xdp_program__detach(ours, (int)hook->ifindex, xdp_multiprog__attach_mode(all),
					 0);
}

static int hook_attach(struct hook *hook, const struct kernel *kernel, struct xdp_program *program)
{
	struct owner_mark mark;
	struct xdp_multiprog *all;
	struct xdp_program *ours = ours_find(hook->ifindex, kernel->pin_dir, &all, &mark);
	int err = 0;

	hook->fresh = !ours;
	if (ours)
		hook->generic = xdp_multiprog__attach_mode(all) == XDP_MODE_SKB;
	if (!ours)
		err = attach_new(hook, program);
	else if (!same_program(&mark, kernel))
		err = replace(hook, kernel, program, ours, all);
	if (all)
		xdp_multiprog__close(all);
	all = xdp_multiprog__get_from_ifindex((int)hook->ifindex);
	if (!libxdp_get_error(all)) {
		hook->beside = !xdp_multiprog__is_legacy(all);
		xdp_multiprog__close(all);
	}
	return err;
}

int hooks_attach(struct hooks *hooks, const struct kernel *kernel)
{
	struct shunt_bpf *copy = copy_open(kernel);
	struct xdp_program *program;
	int err = 0;

	DECLARE_LIBXDP_OPTS(xdp_program_opts, options, .obj = copy ? copy->obj : NULL,
			    .prog_name = PROGRAM_NAME);
	program = copy ? xdp_program__create(&options) : NULL;
	if (!copy || libxdp_get_error(program)) {
		message("the program cannot be prepared a second time: out of memory?");
		shunt_bpf__destroy(copy);
		return -ENOMEM;
	}
	for (u32 i = 0; i < hooks->count && !err; i++) {
		if (!hooks->list[i].ifindex)
			continue;
		err = hook_attach(&hooks->list[i], kernel, program);
		if (err)
			message("interface %s: the program cannot be attached to %s (%s): %s",
				hooks->list[i].config->name, hooks->list[i].kernel_name,
				strerror(-err), attach_hint(err));
	}
	for (u32 i = 0; i < hooks->count; i++) {
		if (!err)
			hooks->list[i].on = hooks->list[i].ifindex;
		else if (hooks->list[i].fresh)
			hook_detach(hooks->list[i].ifindex, kernel->pin_dir);
	}
	xdp_program__close(program);
	shunt_bpf__destroy(copy);
	return err;
}
