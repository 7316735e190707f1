/* SPDX-License-Identifier: BSD-2-Clause */
/* libxdp puts programs beside each other on one interface by a dispatcher, which a kernel may refuse
 * (it needs BPF_PROG_TYPE_EXT); then ours is alone there. For the dispatcher it must load the program
 * as another type, so what is attached is a second copy over the same maps.
 *
 * A program of ours is known by the control map that it uses. One that runs already is left alone if
 * it is the same code: a restart then changes nothing that packets could notice. */
#include "dataplane/xdp/hook.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
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

#include "bpf/shunt.skel.h"
#include "dataplane/session/message.h"

#define PROGRAM_NAME "shunt_xdp"
#define MAPS_MAX 64

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
	hook->mtu = hook->config->mtu ? hook->config->mtu : (u16)request.ifr_mtu;
	return true;
}

static bool hook_find(int fd, struct hook *hook)
{
	bool good = name_find(hook);

	if (!good)
		return false;
	good = station_find(fd, hook);
	good &= lro_off(fd, hook);
	hook->queues_count = queues_find(fd, hook);
	return good;
}

int hooks_find(struct hooks *hooks, const struct config_dataplane *config)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	u32 workers_count = 0;
	bool good = fd >= 0;

	*hooks = (struct hooks){.count = (u32)config->interfaces_count};
	for (u32 i = 0; fd >= 0 && i < hooks->count; i++) {
		hooks->list[i].config = &config->interfaces[i];
		good &= hook_find(fd, &hooks->list[i]);
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
}

/* --- Programs that are there ---------------------------------------------------------- */

/* Whether a program uses a map; its tag, if so. */
static bool program_uses(int fd, u32 map_id, u8 tag[static BPF_TAG_SIZE])
{
	u32 map_ids[MAPS_MAX];
	struct bpf_prog_info info = {
		.nr_map_ids = MAPS_MAX,
		.map_ids = (u64)(size_t)map_ids,
	};
	__u32 info_bytes = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &info_bytes) < 0)
		return false;
	for (u32 i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++) {
		if (map_ids[i] != map_id)
			continue;
		memcpy(tag, info.tag, BPF_TAG_SIZE);
		return true;
	}
	return false;
}

/* The program of ours on an interface, or NULL; *all is to be closed after it. */
static struct xdp_program *ours_find(u32 ifindex, u32 map_id, struct xdp_multiprog **all,
				     u8 tag[static BPF_TAG_SIZE])
{
	struct xdp_program *program = NULL;

	*all = xdp_multiprog__get_from_ifindex((int)ifindex);
	if (libxdp_get_error(*all)) {
		*all = NULL;
		return NULL;
	}
	if (xdp_multiprog__is_legacy(*all)) {
		program = xdp_multiprog__main_prog(*all);
		return program && program_uses(xdp_program__fd(program), map_id, tag) ? program
										      : NULL;
	}
	while ((program = xdp_multiprog__next_prog(program, *all)))
		if (program_uses(xdp_program__fd(program), map_id, tag))
			return program;
	return NULL;
}

bool hook_detach(u32 ifindex, u32 control_map_id)
{
	u8 tag[BPF_TAG_SIZE];
	struct xdp_multiprog *all;
	struct xdp_program *ours = ours_find(ifindex, control_map_id, &all, tag);
	bool gone = false;

	if (ours && xdp_multiprog__is_legacy(all)) {
		LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = xdp_program__fd(ours));

		gone = bpf_xdp_detach((int)ifindex, XDP_FLAGS_REPLACE, &options) == 0;
	} else if (ours) {
		gone = xdp_program__detach(ours, (int)ifindex, xdp_multiprog__attach_mode(all),
					   0) == 0;
	}
	xdp_multiprog__close(all);
	return gone;
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

static u32 map_id_of(const struct kernel *kernel, u8 tag[static BPF_TAG_SIZE])
{
	struct bpf_map_info map = {0};
	struct bpf_prog_info program = {0};
	__u32 map_bytes = sizeof(map), program_bytes = sizeof(program);

	bpf_obj_get_info_by_fd(bpf_map__fd(kernel->skeleton->maps.control), &map, &map_bytes);
	bpf_obj_get_info_by_fd(kernel_program_fd(kernel), &program, &program_bytes);
	memcpy(tag, program.tag, BPF_TAG_SIZE);
	return map.id;
}

static int hook_attach(struct hook *hook, const struct kernel *kernel, struct xdp_program *program)
{
	u8 ours_tag[BPF_TAG_SIZE], new_tag[BPF_TAG_SIZE];
	u32 map_id = map_id_of(kernel, new_tag);
	struct xdp_multiprog *all;
	struct xdp_program *ours = ours_find(hook->ifindex, map_id, &all, ours_tag);
	bool alone = all && xdp_multiprog__is_legacy(all);
	int err = 0;

	if (ours)
		hook->generic = xdp_multiprog__attach_mode(all) == XDP_MODE_SKB;
	if (!ours) {
		err = attach_new(hook, program);
	} else if (memcmp(ours_tag, new_tag, BPF_TAG_SIZE) != 0) {
		if (alone)
			err = attach_instead(hook, xdp_program__fd(ours), kernel_program_fd(kernel),
					     hook->generic);
		else
			err = xdp_program__detach(ours, (int)hook->ifindex,
						  xdp_multiprog__attach_mode(all), 0);
		if (!err && !alone)
			err = attach_new(hook, program);
	}
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
	u8 tag[BPF_TAG_SIZE];
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
		err = hook_attach(&hooks->list[i], kernel, program);
		if (err)
			message("interface %s: the program cannot be attached to %s (%s): %s",
				hooks->list[i].config->name, hooks->list[i].kernel_name,
				strerror(-err), attach_hint(err));
	}
	for (u32 i = 0; err && !kernel->resumed && i < hooks->count; i++)
		hook_detach(hooks->list[i].ifindex, map_id_of(kernel, tag));
	xdp_program__close(program);
	shunt_bpf__destroy(copy);
	return err;
}
