/* SPDX-License-Identifier: BSD-2-Clause */
/* libxdp puts programs beside each other on one interface by a dispatcher, which a kernel may refuse
 * (it needs BPF_PROG_TYPE_EXT); then ours is alone there. For the dispatcher it must load the program
 * as another type, so what is attached is a second copy over the same maps.
 *
 * A program of ours (owner.h) that runs already is left alone if it is the same code on the same
 * maps: a restart then changes nothing that packets could notice. */
#include "dataplane/xdp/hook.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "bpf/shunt.skel.h"
#include "dataplane/session/message.h"
#include "dataplane/xdp/owner.h"

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
static bool place_free(const struct hook *hook, const char *pin_dir)
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

/* --- Finding -------------------------------------------------------------------------- */

/* The kernel's name of an interface: its `device:` where that is one, else its `name:`. */
static bool name_find(struct hook *hook)
{
	const char *device = hook->config->device;
	const char *name = device[0] ? device : hook->config->name;

	if (strlen(name) < sizeof(hook->kernel_name) && if_nametoindex(name) != 0) {
		strcpy(hook->kernel_name, name);
		hook->ifindex = if_nametoindex(name);
		return true;
	}
	message("interface %s: the kernel has no interface `%s`; the engines xdp and af_xdp work on "
		"the kernel's own interfaces (`ip link`), by `name:` or `device:`",
		hook->config->name, name);
	return false;
}

static bool ethtool(int fd, const struct hook *hook, void *command)
{
	struct ifreq request = {.ifr_data = command};

	strcpy(request.ifr_name, hook->kernel_name);
	return ioctl(fd, SIOCETHTOOL, &request) == 0;
}

static u32 queues_find(int fd, const struct hook *hook)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	u32 count;

	if (!ethtool(fd, hook, &channels))
		return 1;
	count = channels.combined_count + channels.rx_count;
	return count == 0 ? 1 : count;
}

static bool lro_off(int fd, const struct hook *hook)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};

	if (!ethtool(fd, hook, &flags) || !(flags.data & ETH_FLAG_LRO))
		return true;
	message("interface %s: large receive offload is on, and would join packets before they "
		"can be forwarded: ethtool -K %s lro off",
		hook->config->name, hook->kernel_name);
	return false;
}

static bool station_find(int fd, struct hook *hook)
{
	static const u8 none[6];
	struct ifreq request = {0};

	strcpy(request.ifr_name, hook->kernel_name);
	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0) {
		message("interface %s: no MAC address to be read: %s", hook->config->name,
			strerror(errno));
		return false;
	}
	memcpy(hook->mac, request.ifr_hwaddr.sa_data, 6);
	if (memcmp(hook->config->mac, none, 6) != 0)
		memcpy(hook->mac, hook->config->mac, 6);
	if (ioctl(fd, SIOCGIFMTU, &request) < 0) {
		message("interface %s: no MTU to be read: %s", hook->config->name, strerror(errno));
		return false;
	}
	hook->mtu = hook->config->mtu              ? hook->config->mtu
		    : request.ifr_mtu > UINT16_MAX ? UINT16_MAX
						   : (u16)request.ifr_mtu;
	return true;
}

static bool hook_find(int fd, struct hook *hook, const char *pin_dir)
{
	bool good = name_find(hook);

	if (!good)
		return false;
	good = station_find(fd, hook);
	good &= lro_off(fd, hook);
	good &= place_free(hook, pin_dir);
	hook->queues_count = queues_find(fd, hook);
	return good;
}

/* Whether anything has changed that matters, as the interface went, came, or got another MAC or
 * MTU. */
static bool hook_follow(int fd, struct hook *hook)
{
	struct hook before = *hook;

	hook->ifindex = if_nametoindex(hook->kernel_name);
	if (!hook->ifindex) {
		if (before.ifindex)
			message("interface %s: %s is gone; waits for it to come back",
				hook->config->name, hook->kernel_name);
	} else if (!station_find(fd, hook)) {
		hook->ifindex = 0; /* gone meanwhile, which will be told */
	}
	if (hook->ifindex && queues_find(fd, hook) != hook->queues_count && !hook->queues_said) {
		hook->queues_said = true;
		message("interface %s: %s has another number of receive queues than %u now; a "
			"restart of shunt-xdp gives each of them a flow table of its own",
			hook->config->name, hook->kernel_name, hook->queues_count);
	}
	return hook->ifindex != before.ifindex || hook->mtu != before.mtu ||
	       memcmp(hook->mac, before.mac, 6) != 0;
}

bool hooks_follow(struct hooks *hooks)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool changed = false;

	for (u32 i = 0; fd >= 0 && i < hooks->count; i++)
		changed |= hook_follow(fd, &hooks->list[i]);
	if (fd >= 0)
		close(fd);
	return changed;
}

int hooks_watch(void)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

void hooks_watch_drain(int fd)
{
	u8 bytes[4096];

	/* What does not fit is cut, or lost: that something was told is all that matters. */
	while (recv(fd, bytes, sizeof(bytes), 0) >= 0 || errno == ENOBUFS || errno == EINTR)
		;
}

int hooks_find(struct hooks *hooks, const struct config_dataplane *config, const char *pin_dir)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	u32 workers_count = 0;
	bool good = fd >= 0;

	*hooks = (struct hooks){.count = (u32)config->interfaces_count};
	for (u32 i = 0; fd >= 0 && i < hooks->count; i++) {
		hooks->list[i].config = &config->interfaces[i];
		good &= hook_find(fd, &hooks->list[i], pin_dir);
		workers_count += hooks->list[i].queues_count;
	}
	if (fd >= 0)
		close(fd);
	if (workers_count > KERNEL_WORKERS_MAX) {
		message("the interfaces have %u receive queues together, and shunt takes %u at "
			"most: ethtool -L IF combined N",
			workers_count, KERNEL_WORKERS_MAX);
		good = false;
	}
	return good ? 0 : -ENODEV;
}

u32 hooks_ports(const struct hooks *hooks, struct kernel_port ports[static KERNEL_PORTS_MAX])
{
	u32 workers_count = 0;

	for (u32 i = 0; i < hooks->count; i++) {
		const struct hook *hook = &hooks->list[i];

		ports[i] = (struct kernel_port){
			.ifindex = hook->ifindex,
			.first_worker = workers_count,
			.queues_count = hook->queues_count,
			.station.answers = hook->config->answer == CONFIG_ANSWER_ARP,
		};
		memcpy(ports[i].station.mac, hook->mac, 6);
		workers_count += hook->queues_count;
	}
	return workers_count;
}

void hook_describe(const struct hook *hook, struct attach_port *out)
{
	*out = (struct attach_port){.mtu = hook->mtu};
	snprintf(out->name, sizeof(out->name), "%s", hook->config->name);
	snprintf(out->kernel_name, sizeof(out->kernel_name), "%s", hook->kernel_name);
	memcpy(out->mac, hook->mac, 6);
	memcpy(out->gateway_mac, hook->config->gateway_mac, 6);
	if (!hook->ifindex)
		snprintf(out->state, sizeof(out->state), "gone");
	else if (hook->on == hook->ifindex)
		snprintf(out->state, sizeof(out->state), "%s mode, %u queue%s, %s",
			 hook->generic ? "generic" : "native", hook->queues_count,
			 hook->queues_count == 1 ? "" : "s",
			 hook->beside ? "beside other programs" : "alone there");
	else
		snprintf(out->state, sizeof(out->state), "not attached");
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
