/* SPDX-License-Identifier: BSD-2-Clause */
/* An entry of the list of local addresses holds the number of the reading that found it last. So a
 * new reading writes over what stays, adds what is new, and then what has another number goes: the
 * list is never short of an address that the host has. */
#include "dataplane/decap/kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/decap.skel.h"
#include "dataplane/decap/kernel_maps.h"
#include "dataplane/decap/local.h"
#include "dataplane/session/message.h"

static int list_fill(const struct bpf_map *map, const struct prefix_list *list)
{
	for (u32 i = 0; i < list->count; i++) {
		const struct prefix *prefix = &list->entries[i];
		struct list_key key = list_key_of(&prefix->addr, prefix->is_v4, prefix->len_bits);
		u32 value = 0;

		if (bpf_map_update_elem(bpf_map__fd(map), &key, &value, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

static void load_explain(int err)
{
	if (err == -EPERM)
		message("no permission to load BPF programs: run as root outside of user namespaces "
			"(CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed), or use --mode tun");
	else if (err == -ENOSYS)
		message("this kernel has no BPF: use --mode tun");
	else
		message("this kernel does not load the BPF program (%s), it takes Linux 6.1 or newer: "
			"use --mode tun",
			strerror(-err));
}

int kernel_open(struct kernel *kernel, const struct options *options)
{
	struct decap_bpf *skeleton = decap_bpf__open();
	int err;

	*kernel = (struct kernel){.skeleton = skeleton};
	if (!skeleton) {
		err = -errno;
		load_explain(err);
		return err;
	}
	skeleton->rodata->gue_port = BE16(options->gue_port);
	skeleton->rodata->from_given = options->policy.from.count > 0;
	skeleton->rodata->vips_given = options->policy.vips.count > 0;
	bpf_program__set_autoload(skeleton->progs.shunt_decap_xdp, options->mode == MODE_XDP);
	bpf_program__set_autoload(skeleton->progs.shunt_decap_tc, options->mode == MODE_TC);
	err = decap_bpf__load(skeleton);
	if (err == 0)
		err = list_fill(skeleton->maps.decap_from, &options->policy.from);
	if (err == 0)
		err = list_fill(skeleton->maps.decap_vips, &options->policy.vips);
	if (err != 0) {
		load_explain(err);
		kernel_close(kernel);
	}
	return err;
}

void kernel_close(struct kernel *kernel)
{
	decap_bpf__destroy(kernel->skeleton);
	kernel->skeleton = NULL;
}

int kernel_program_fd(const struct kernel *kernel, enum mode_kind kind)
{
	return bpf_program__fd(kind == MODE_XDP ? kernel->skeleton->progs.shunt_decap_xdp
						: kernel->skeleton->progs.shunt_decap_tc);
}

struct decap_bpf *kernel_copy_open(const struct kernel *kernel)
{
	struct decap_bpf *copy = decap_bpf__open();
	struct bpf_map *map, *same;

	if (!copy)
		return NULL;
	bpf_program__set_autoload(copy->progs.shunt_decap_tc, false);
	bpf_object__for_each_map(map, kernel->skeleton->obj)
	{
		same = bpf_object__find_map_by_name(copy->obj, bpf_map__name(map));
		if (!same || bpf_map__reuse_fd(same, bpf_map__fd(map)) < 0) {
			decap_bpf__destroy(copy);
			return NULL;
		}
	}
	return copy;
}

/* --- Local addresses ------------------------------------------------------------------ */

static int local_note(void *context, const struct addr *addr, bool is_v4, u32 len_bits)
{
	struct kernel *kernel = context;
	struct list_key key = list_key_of(addr, is_v4, len_bits);
	int fd = bpf_map__fd(kernel->skeleton->maps.decap_local);

	if (bpf_map_update_elem(fd, &key, &kernel->generation, BPF_ANY) == 0)
		return 0;
	if (errno != ENOSPC)
		return -errno;
	if (!kernel->full)
		message("this host has more than %d addresses and local prefixes: packets to the rest "
			"are dropped (drop_inner_not_local)",
			LIST_LOCAL_MAX);
	kernel->full = true;
	return 0;
}

/* Removes what the last reading has not found. The kernel begins anew where a key to go on from is
 * gone, so a key is removed when the next one is known. */
static void local_sweep(const struct kernel *kernel)
{
	int fd = bpf_map__fd(kernel->skeleton->maps.decap_local);
	struct list_key key, next;
	bool more = bpf_map_get_next_key(fd, NULL, &key) == 0;

	while (more) {
		u32 generation;
		bool stale = bpf_map_lookup_elem(fd, &key, &generation) == 0 &&
			     generation != kernel->generation;

		more = bpf_map_get_next_key(fd, &key, &next) == 0;
		if (stale)
			bpf_map_delete_elem(fd, &key);
		key = next;
	}
}

int kernel_local_refresh(struct kernel *kernel)
{
	int err;

	kernel->generation++;
	err = local_read(local_note, kernel);
	if (err == 0)
		local_sweep(kernel);
	return err;
}

bool kernel_local_covers(const struct kernel *kernel, const struct prefix *prefix)
{
	struct list_key key = list_key_of(&prefix->addr, prefix->is_v4, prefix->len_bits);
	u32 generation;

	return bpf_map_lookup_elem(bpf_map__fd(kernel->skeleton->maps.decap_local), &key,
				   &generation) == 0;
}

/* --- Counters ------------------------------------------------------------------------- */

int kernel_counters_read(const struct kernel *kernel, struct counters *counters)
{
	int fd = bpf_map__fd(kernel->skeleton->maps.decap_counts),
	    cpus = libbpf_num_possible_cpus();
	struct counters *parts;
	u32 zero = 0;
	int err = 0;

	if (cpus < 0)
		return cpus;
	parts = calloc((size_t)cpus, sizeof(*parts));
	if (!parts)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, parts) < 0)
		err = -errno;
	*counters = (struct counters){};
	for (int cpu = 0; err == 0 && cpu < cpus; cpu++) {
		for (u32 i = 0; i < DECAP_VERDICT_COUNT; i++)
			counters->verdicts[i] += parts[cpu].verdicts[i];
		for (u32 i = 0; i < DECAP_NOTE_COUNT; i++)
			counters->notes[i] += parts[cpu].notes[i];
	}
	free(parts);
	return err;
}
