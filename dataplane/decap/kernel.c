/* SPDX-License-Identifier: BSD-2-Clause */
/* The program takes for its own only what is sent to an address of this host, so those addresses are
 * what it learns last: a program that isn't filled yet, or a process that has ended too early, leaves
 * every packet alone. */
#include "dataplane/decap/kernel.h"

#include "dataplane/decap/addresses.h"
#include "dataplane/decap/hook.h"
#include "dataplane/decap/message.h"
#include "dataplane/decap/program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "bpf/decap.skel.h"

struct kernel {
	struct hook hook;
	struct decap_bpf *skeleton;
	struct decap_counts *counts; /* one for each CPU that may be */
	u32 cpus_count;
	int watch_fd;
	struct addr addresses[DECAP_ADDRESSES_MAX];
	u32 addresses_count;
};

_Static_assert((int)DECAP_PREFIXES_MAX == (int)PREFIX_LIST_MAX, "room for all");

/* --- Filling -------------------------------------------------------------------------- */

static int prefixes_fill(const struct bpf_map *map, const struct prefix_list *list)
{
	u8 one = 1;

	for (u32 i = 0; i < list->count; i++) {
		const struct prefix *prefix = &list->entries[i];
		struct decap_prefix_key key = {
			.len_bits = DECAP_FAMILY_BITS + prefix->len_bits,
			.family = prefix->is_v4 ? 4 : 6,
		};

		memcpy(key.bytes, prefix->addr.bytes, sizeof(key.bytes));
		if (bpf_map_update_elem(bpf_map__fd(map), &key, &one, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

static bool addresses_hold(const struct addr *list, u32 count, const struct addr *addr)
{
	for (u32 i = 0; i < count; i++)
		if (addr_equal(&list[i], addr))
			return true;
	return false;
}

static int addresses_fill(struct kernel *kernel)
{
	static struct addr now[DECAP_ADDRESSES_MAX];
	int map = bpf_map__fd(kernel->skeleton->maps.addresses);
	int count = addresses_list(now, DECAP_ADDRESSES_MAX);
	u8 one = 1;

	if (count < 0)
		return count;
	if (count == DECAP_ADDRESSES_MAX)
		message("this host has %d addresses or more: what is sent to further ones is left "
			"as it is",
			DECAP_ADDRESSES_MAX);
	for (u32 i = 0; i < kernel->addresses_count; i++)
		if (!addresses_hold(now, (u32)count, &kernel->addresses[i]))
			(void)bpf_map_delete_elem(map, &kernel->addresses[i]);
	for (u32 i = 0; i < (u32)count; i++)
		if (bpf_map_update_elem(map, &now[i], &one, BPF_ANY) < 0)
			return -errno;
	memcpy(kernel->addresses, now, (u32)count * sizeof(now[0]));
	kernel->addresses_count = (u32)count;
	return 0;
}

static int maps_fill(struct kernel *kernel, const struct decap_policy *policy)
{
	int err = prefixes_fill(kernel->skeleton->maps.from, &policy->from);

	if (!err)
		err = prefixes_fill(kernel->skeleton->maps.vips, &policy->vips);
	if (!err)
		err = addresses_fill(kernel);
	if (err)
		message("the program's tables cannot be filled: %s", strerror(-err));
	return err;
}

/* --- The host ------------------------------------------------------------------------- */

static int setting_read(const char *interface, const char *name)
{
	char path[128];
	FILE *stream;
	int value;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/%s", interface, name);
	stream = fopen(path, "re");
	if (!stream)
		return 0;
	if (fscanf(stream, "%d", &value) != 1)
		value = 0;
	fclose(stream);
	return value;
}

/* The kernel takes the larger of both. The setting stays the host's: the interface is not ours. */
static void reverse_path_check(const char *interface)
{
	int all = setting_read("all", "rp_filter"), own = setting_read(interface, "rp_filter");

	if ((all > own ? all : own) == 1)
		message("rp_filter of %s is 1 (strict): the host will discard the packets of clients "
			"that it doesn't reach through %s, unless you set it to 2: "
			"sysctl -w net.ipv4.conf.%s.rp_filter=2",
			interface, interface, interface);
}

/* --- Open and close ------------------------------------------------------------------- */

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return 0;
}

static int xdp_quiet(enum libxdp_print_level level, const char *format, va_list arguments)
{
	return 0;
}

static struct decap_bpf *skeleton_open(const struct options *options)
{
	struct decap_bpf *skeleton = decap_bpf__open();

	if (!skeleton)
		return NULL;
	*(struct decap_settings *)&skeleton->rodata->settings = (struct decap_settings){
		.gue_port = BE16(options->gue_port),
		.from_any = options->policy.from.count == 0,
		.vips_any = options->policy.vips.count == 0,
	};
	return skeleton;
}

static int memory_take(struct kernel **result, const struct options *options)
{
	struct kernel *kernel = calloc(1, sizeof(*kernel));
	int cpus_count = libbpf_num_possible_cpus();

	*result = kernel;
	if (!kernel || cpus_count <= 0)
		return -ENOMEM;
	kernel->cpus_count = (u32)cpus_count;
	kernel->watch_fd = -1;
	kernel->hook.lock_fd = -1;
	kernel->counts = calloc(kernel->cpus_count, sizeof(*kernel->counts));
	kernel->skeleton = skeleton_open(options);
	return kernel->counts && kernel->skeleton ? 0 : -ENOMEM;
}

static int watch_open(struct kernel *kernel)
{
	kernel->watch_fd = addresses_watch();
	if (kernel->watch_fd >= 0)
		return 0;
	message("the host's addresses cannot be followed: %s", strerror(-kernel->watch_fd));
	return kernel->watch_fd;
}

int kernel_open(struct kernel **result, const struct options *options)
{
	struct kernel *kernel;
	int err;

	libbpf_set_print(quiet);
	libxdp_set_print(xdp_quiet);
	err = memory_take(&kernel, options);
	if (err)
		message("not enough memory to open the program for the kernel");
	if (!err)
		err = hook_open(&kernel->hook, options->interface, options->mode == MODE_XDP);
	/* Watching begins before the first list, so that no change falls between both. */
	if (!err)
		err = watch_open(kernel);
	if (!err)
		err = hook_attach(&kernel->hook, kernel->skeleton);
	if (!err)
		err = maps_fill(kernel, &options->policy);
	if (err) {
		kernel_close(kernel);
		return err;
	}
	reverse_path_check(options->interface);
	*result = kernel;
	return 0;
}

void kernel_close(struct kernel *kernel)
{
	if (!kernel)
		return;
	hook_close(&kernel->hook);
	if (kernel->watch_fd >= 0)
		close(kernel->watch_fd);
	decap_bpf__destroy(kernel->skeleton);
	free(kernel->counts);
	free(kernel);
}

/* --- While it runs -------------------------------------------------------------------- */

int kernel_fd(const struct kernel *kernel)
{
	return kernel->watch_fd;
}

bool kernel_refresh(struct kernel *kernel)
{
	int err;

	addresses_drain(kernel->watch_fd);
	if ((int)if_nametoindex(kernel->hook.interface) != kernel->hook.ifindex) {
		message("interface %s is gone: start shunt-decap again once it is back",
			kernel->hook.interface);
		return false;
	}
	err = addresses_fill(kernel);
	if (err)
		message("the host's addresses could not be read again: %s", strerror(-err));
	return true;
}

void kernel_count(const struct kernel *kernel, struct counters *counters)
{
	u32 zero = 0;

	*counters = (struct counters){};
	if (bpf_map_lookup_elem(bpf_map__fd(kernel->skeleton->maps.counts), &zero, kernel->counts) <
	    0)
		return;
	for (u32 cpu = 0; cpu < kernel->cpus_count; cpu++) {
		for (u32 i = 0; i < DECAP_VERDICT_COUNT; i++)
			counters->verdicts[i] += kernel->counts[cpu].verdicts[i];
		for (u32 i = 0; i < DECAP_NOTE_COUNT; i++)
			counters->notes[i] += kernel->counts[cpu].notes[i];
	}
}
