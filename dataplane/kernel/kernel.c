/* SPDX-License-Identifier: BSD-2-Clause */
/* A generation in the kernel is a copy, region by region, at the arena's own offsets: nothing is
 * relocated, and a reader of one can read the other. It lies in chunks (chunks.h), as many as the arena
 * needs.
 *
 * There is room for two. Before one is written again, no packet may be using it: an update of a map
 * of maps returns only when every packet that began before it has ended, so after a flip the map of
 * the new slot is set once more to what it is, and that update's return is the end of the old
 * generation (docs/adr/0015-kernel-engine.md). */
#include "dataplane/kernel/kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "bpf/shunt.skel.h"
#include "dataplane/session/message.h"
#include "dataplane/kernel/counts.h"
#include "dataplane/state/clock.h"

/* What outlives the process. */
static const char *const map_names[] = {"control", "workers", "recent", "flows",
					"arenas",  "counts",  "ports",  "sockets"};

#define MAPS_COUNT (sizeof(map_names) / sizeof(map_names[0]))

static struct bpf_map *map_of(const struct kernel *kernel, const char *name)
{
	return bpf_object__find_map_by_name(kernel->skeleton->obj, name);
}

void *kernel_map_memory(int fd, u64 bytes)
{
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return base == MAP_FAILED ? NULL : base;
}

/* --- Loading -------------------------------------------------------------------------- */

static void pin_path(const char *pin_dir, const char *name, char *out, size_t out_bytes)
{
	snprintf(out, out_bytes, "%s/%s", pin_dir, name);
}

int kernel_pinned_map(const char *pin_dir, const char *name)
{
	char path[256];
	int fd;

	pin_path(pin_dir, name, path, sizeof(path));
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

const struct kernel_control *kernel_pinned_control(const char *pin_dir)
{
	struct bpf_map_info info = {0};
	__u32 info_bytes = sizeof(info);
	const struct kernel_control *control = MAP_FAILED;
	int fd = kernel_pinned_map(pin_dir, "control");

	if (fd < 0)
		return NULL;
	if (bpf_obj_get_info_by_fd(fd, &info, &info_bytes) == 0 &&
	    info.value_size == sizeof(*control))
		control = mmap(NULL, sizeof(*control), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (control == MAP_FAILED)
		return NULL;
	if (control->abi == KERNEL_ABI)
		return control;
	munmap((void *)(size_t)control, sizeof(*control));
	return NULL;
}

static bool layout_fits(const struct kernel_control *control, const struct kernel_layout *layout)
{
	return control->workers_count == layout->workers_count &&
	       control->flow_tables_buckets ==
		       flow_tables_buckets(layout->flows, layout->workers_count) &&
	       control->tick_ms == flow_tick_ms(layout->flow_timeout_ms);
}

/* Whether a map of this name is pinned, and holds what this version's program expects. */
static bool map_fits(const struct kernel *kernel, const char *pin_dir, const char *name)
{
	const struct bpf_map *wanted = map_of(kernel, name);
	struct bpf_map_info info = {0};
	__u32 info_bytes = sizeof(info);
	int fd = kernel_pinned_map(pin_dir, name);
	bool fits = fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &info_bytes) == 0 &&
		    info.type == bpf_map__type(wanted) &&
		    info.key_size == bpf_map__key_size(wanted) &&
		    info.value_size == bpf_map__value_size(wanted);

	if (fd >= 0)
		close(fd);
	return fits;
}

/* Whether everything that is pinned is there, and laid out as we want it. */
static bool pins_usable(const struct kernel *kernel, const char *pin_dir,
			const struct kernel_layout *layout)
{
	const struct kernel_control *control;
	bool fits;

	for (size_t i = 0; i < MAPS_COUNT; i++)
		if (!map_fits(kernel, pin_dir, map_names[i]))
			return false;
	control = kernel_pinned_control(pin_dir);
	fits = control && layout_fits(control, layout);
	if (control)
		munmap((void *)(size_t)control, sizeof(*control));
	return fits;
}

static int maps_reuse(struct kernel *kernel, const char *pin_dir)
{
	for (size_t i = 0; i < MAPS_COUNT; i++) {
		int fd = kernel_pinned_map(pin_dir, map_names[i]);
		int err;

		if (fd < 0)
			return fd;
		err = bpf_map__reuse_fd(map_of(kernel, map_names[i]), fd);
		close(fd);
		if (err)
			return err;
	}
	return 0;
}

static int maps_size(struct kernel *kernel, const struct kernel_layout *layout)
{
	u32 buckets = flow_tables_buckets(layout->flows, layout->workers_count);
	u64 lines = flow_tables_bytes(layout->workers_count, buckets) / KERNEL_LINE_BYTES + 1;
	int err;

	if (buckets == 0 || lines > UINT32_MAX)
		return -E2BIG;
	err = bpf_map__set_max_entries(kernel->skeleton->maps.flows, (u32)lines);
	return err ? err
		   : bpf_map__set_max_entries(kernel->skeleton->maps.recent, layout->workers_count);
}

static int maps_open(struct kernel *kernel, const struct kernel_layout *layout)
{
	u32 buckets = flow_tables_buckets(layout->flows, layout->workers_count);
	int flows_fd = dup(bpf_map__fd(kernel->skeleton->maps.flows));
	u64 tick = flow_tick_of(clock_now_ms(), flow_tick_ms(layout->flow_timeout_ms));
	int err;

	kernel->control = kernel_map_memory(bpf_map__fd(kernel->skeleton->maps.control),
					    sizeof(*kernel->control));
	kernel->workers = kernel_map_memory(bpf_map__fd(kernel->skeleton->maps.workers),
					    sizeof(*kernel->workers) * KERNEL_WORKERS_MAX);
	kernel->recent = kernel_map_memory(bpf_map__fd(kernel->skeleton->maps.recent),
					   sizeof(*kernel->recent) * layout->workers_count);
	if (flows_fd < 0 || !kernel->control || !kernel->workers || !kernel->recent)
		return -errno;
	err = flow_tables_open_kernel(flows_fd, layout->workers_count, buckets,
				      layout->flow_timeout_ms, tick, &kernel->flows);
	if (err)
		close(flows_fd);
	return err;
}

static void control_write(struct kernel *kernel, const struct kernel_layout *layout)
{
	struct kernel_control *control = kernel->control;

	if (!kernel->resumed) {
		control->abi = KERNEL_ABI;
		control->active = KERNEL_SLOTS;
		control->workers_count = layout->workers_count;
		control->flow_tables_buckets = kernel->flows.buckets_count;
		control->tick_ms = kernel->flows.tick_ms;
		snprintf(control->pin_dir, sizeof(control->pin_dir), "%s",
			 kernel->pin_dir ? kernel->pin_dir : "");
	}
}

u64 kernel_worker_inherit(struct kernel *kernel, u32 worker)
{
	struct kernel_worker *shared = &kernel->workers[worker];
	u64 lost = shared->steered - shared->taken;

	shared->steers = 0;
	shared->lost += lost;
	shared->taken = shared->credit = shared->steered;
	return lost;
}

/* The map has to hold the new interface before a packet is sent there; it refuses what takes no
 * frames from a program. */
int kernel_ports_write(struct kernel *kernel, const struct kernel_port *ports, u32 ports_count)
{
	int map_fd = bpf_map__fd(kernel->skeleton->maps.ports);

	for (u32 i = 0; i < ports_count; i++) {
		u32 ifindex = ports[i].ifindex;

		if (ifindex && bpf_map_update_elem(map_fd, &i, &ifindex, BPF_ANY) < 0)
			return -errno;
		if (!ifindex)
			bpf_map_delete_elem(map_fd, &i);
		kernel->control->ports[i] = ports[i];
	}
	__atomic_store_n(&kernel->control->ports_count, ports_count, __ATOMIC_RELEASE);
	return 0;
}

void kernel_port_mute(struct kernel *kernel, u32 port)
{
	bpf_map_delete_elem(bpf_map__fd(kernel->skeleton->maps.ports), &port);
}

static int arenas_fd(const struct kernel *kernel)
{
	return bpf_map__fd(kernel->skeleton->maps.arenas);
}

static int counts_fd(const struct kernel *kernel)
{
	return bpf_map__fd(kernel->skeleton->maps.counts);
}

/* What the process before us published: where it counts, and what is to be reused. */
static int slots_resume(struct kernel *kernel)
{
	int err = 0;

	for (u32 i = 0; i < KERNEL_SLOTS && !err; i++) {
		struct kernel_slot *slot = &kernel->slots[i];

		err = chunks_open(&chunks_of_arena, arenas_fd(kernel), i, &slot->arena);
		if (!err)
			err = chunks_open(&chunks_of_counts, counts_fd(kernel), i, &slot->counts);
		slot->counters_count = kernel->control->tables[i].counters_count;
	}
	return err;
}

static void load_tell(int err)
{
	if (err == -EPERM) /* the verifier says EACCES */
		message("the kernel refuses BPF to this user (%s): run as root, or with "
			"CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
			strerror(-err));
	else if (err == -ENOSYS || err == -EOPNOTSUPP)
		message("this kernel was built without BPF (%s): use `engine: dpdk`",
			strerror(-err));
	else if (err == -ENOMEM || err == -E2BIG)
		message("no memory for the kernel's flow tables: give the machine more, or lower "
			"`flows:`");
	else
		message("the kernel does not take the program (%s): shunt needs Linux 6.1 or "
			"later; run with --verbose to see what the verifier says",
			strerror(-err));
}

static int print_bpf(enum libbpf_print_level level, const char *format, va_list args)
{
	return vfprintf(stderr, format, args);
}

static int print_xdp(enum libxdp_print_level level, const char *format, va_list args)
{
	return vfprintf(stderr, format, args);
}

void kernel_print(bool verbose)
{
	libbpf_set_print(verbose ? print_bpf : NULL);
	libxdp_set_print(verbose ? print_xdp : NULL);
}

int kernel_probe(void)
{
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "shunt_probe", "Dual BSD/GPL", pass, 2, NULL);
	int err = fd < 0 ? -errno : 0;

	if (err)
		load_tell(err);
	else
		close(fd);
	return err;
}

int kernel_open(struct kernel *kernel, const struct kernel_layout *layout, const char *pin_dir)
{
	int err = -ENOMEM;

	*kernel = (struct kernel){.pin_dir = pin_dir, .flows = {.fd = -1}};
	kernel->skeleton = shunt_bpf__open();
	if (!kernel->skeleton)
		goto tell;
	kernel->resumed = pin_dir && pins_usable(kernel, pin_dir, layout);
	err = kernel->resumed ? maps_reuse(kernel, pin_dir) : maps_size(kernel, layout);
	if (!err)
		err = shunt_bpf__load(kernel->skeleton);
	if (!err)
		err = maps_open(kernel, layout);
	if (!err && kernel->resumed)
		err = slots_resume(kernel);
	if (err)
		goto tell;
	control_write(kernel, layout);
	err = kernel_ports_write(kernel, layout->ports, layout->ports_count);
	if (err)
		goto tell;
	return 0;
tell:
	load_tell(err);
	kernel_close(kernel);
	return err;
}

void kernel_close(struct kernel *kernel)
{
	u32 workers_count = kernel->flows.workers_count;

	for (u32 i = 0; i < KERNEL_SLOTS; i++) {
		chunks_close(&chunks_of_arena, &kernel->slots[i].arena);
		chunks_close(&chunks_of_counts, &kernel->slots[i].counts);
	}
	flow_tables_destroy(&kernel->flows);
	if (kernel->control)
		munmap(kernel->control, sizeof(*kernel->control));
	if (kernel->workers)
		munmap(kernel->workers, sizeof(*kernel->workers) * KERNEL_WORKERS_MAX);
	if (kernel->recent)
		munmap(kernel->recent, sizeof(*kernel->recent) * workers_count);
	shunt_bpf__destroy(kernel->skeleton);
	free(kernel->scratch);
	kernel->scratch = NULL;
	kernel->skeleton = NULL;
	kernel->control = NULL;
	kernel->workers = NULL;
	kernel->recent = NULL;
}

/* --- Pins ----------------------------------------------------------------------------- */

bool kernel_pinned(const char *pin_dir)
{
	char path[256];

	pin_path(pin_dir, "control", path, sizeof(path));
	return access(path, F_OK) == 0;
}

bool kernel_unpin(const char *pin_dir)
{
	bool any = false;

	for (size_t i = 0; i < MAPS_COUNT; i++) {
		char path[256];

		pin_path(pin_dir, map_names[i], path, sizeof(path));
		any |= unlink(path) == 0;
	}
	return any;
}

int kernel_pin(struct kernel *kernel)
{
	int err = 0;

	if (!kernel->pin_dir || kernel->resumed)
		return 0;
	kernel_unpin(kernel->pin_dir);
	for (size_t i = 0; i < MAPS_COUNT && !err; i++) {
		char path[256];

		pin_path(kernel->pin_dir, map_names[i], path, sizeof(path));
		err = bpf_obj_pin(bpf_map__fd(map_of(kernel, map_names[i])), path) < 0 ? -errno : 0;
	}
	if (err)
		message("cannot keep the tables in %s (%s): mount a BPF file system there "
			"(mount -t bpf bpf /sys/fs/bpf), or name another folder of one with "
			"--pin-dir",
			kernel->pin_dir, strerror(-err));
	return err;
}

/* --- Generations ---------------------------------------------------------------------- */

static int counts_make(struct kernel *kernel, u32 at, u32 counters_count)
{
	u64 bytes = 2ull * kernel->control->workers_count * kernel_counts_stride(counters_count) *
		    sizeof(struct kernel_count);
	struct chunks *counts = &kernel->slots[at].counts;
	int err = chunks_drop(&chunks_of_counts, counts_fd(kernel), at, counts);

	return err ? err : chunks_grow(&chunks_of_counts, counts_fd(kernel), at, bytes, counts);
}

/* The same counters as the other slot's, where there are as many; else new ones. Each update of a map
 * of maps waits for every packet under way, so there is none where nothing changes. */
static int counts_room(struct kernel *kernel, u32 at, u32 counters_count)
{
	struct kernel_slot *slot = &kernel->slots[at];
	u32 other_at = (at + 1) % KERNEL_SLOTS;
	struct kernel_slot *other = &kernel->slots[other_at];
	bool shared = other->counts.base && other->counters_count == counters_count;
	int err;

	if (shared && slot->counts_serial && slot->counts_serial == other->counts_serial)
		return 0;
	if (!shared || !other->counts_serial)
		kernel->counts_made++;
	if (shared && !other->counts_serial)
		other->counts_serial = kernel->counts_made;
	slot->counts_serial = 0;
	err = shared ? chunks_share(&chunks_of_counts, counts_fd(kernel), other_at, at,
				    &slot->counts)
		     : counts_make(kernel, at, counters_count);
	if (err)
		return err;
	slot->counters_count = counters_count;
	slot->counts_serial = shared ? other->counts_serial : kernel->counts_made;
	return 0;
}

static void region_copy(struct kernel_slot *slot, const struct arena_view *arena, u64 offset,
			u64 bytes)
{
	memcpy(slot->arena.base + offset, arena->base + offset, bytes);
}

static u64 offset_of(const struct arena_view *arena, const void *at)
{
	return (u64)((const u8 *)at - arena->base);
}

/* Copies what the root leads to. arena_tables() has made sure that it lies inside. */
static void tables_copy(struct kernel_slot *slot, const struct arena_view *arena,
			const struct tables *tables)
{
	u64 services_count = (u64)tables->buckets_count * SERVICE_BUCKET_KEYS;

	region_copy(slot, arena, offset_of(arena, tables->buckets),
		    tables->buckets_count * sizeof(tables->buckets[0]));
	region_copy(slot, arena, offset_of(arena, tables->services),
		    services_count * sizeof(tables->services[0]));
	region_copy(slot, arena, offset_of(arena, tables->backends),
		    tables->backends_count * sizeof(tables->backends[0]));
	for (u64 i = 0; i < services_count; i++) {
		const struct service *service = &tables->services[i];
		u64 bytes = service->maglev_size * sizeof(u16);

		region_copy(slot, arena, service->maglev_offset, bytes);
		if (service->previous_offset != service->maglev_offset)
			region_copy(slot, arena, service->previous_offset, bytes);
	}
}

static void root_write(struct kernel_tables *root, const struct arena_view *arena,
		       const struct tables *tables)
{
	*root = (struct kernel_tables){
		.seed = tables->seed,
		.generation = tables->generation,
		.buckets_line = (u32)(offset_of(arena, tables->buckets) / KERNEL_LINE_BYTES),
		.services_line = (u32)(offset_of(arena, tables->services) / KERNEL_LINE_BYTES),
		.backends_line = (u32)(offset_of(arena, tables->backends) / KERNEL_LINE_BYTES),
		.buckets_count = tables->buckets_count,
		.backends_count = tables->backends_count,
		.unmatched_pass = tables->unmatched_pass,
		.counters_count = arena->counters_count,
	};
	memcpy(root->prefixes, tables->prefixes, sizeof(root->prefixes));
}

void kernel_settle(struct kernel *kernel)
{
	if (kernel->control->active < KERNEL_SLOTS)
		(void)!chunks_grace(&chunks_of_arena, arenas_fd(kernel), kernel->control->active);
}

int kernel_publish(struct kernel *kernel, const struct arena_view *arena,
		   const struct tables *tables, u32 flow_buckets)
{
	struct kernel_control *control = kernel->control;
	u32 at = control->active == 0 ? 1 : 0;
	int err = chunks_grow(&chunks_of_arena, arenas_fd(kernel), at, arena->size_bytes,
			      &kernel->slots[at].arena);

	if (!err)
		err = counts_room(kernel, at, arena->counters_count);
	if (err)
		return err;
	tables_copy(&kernel->slots[at], arena, tables);
	root_write(&control->tables[at], arena, tables);
	__atomic_store_n(&control->flow_buckets, flow_buckets, __ATOMIC_RELEASE);
	__atomic_store_n(&control->active, at, __ATOMIC_RELEASE);
	return chunks_grace(&chunks_of_arena, arenas_fd(kernel), at);
}

/* --- Counters ------------------------------------------------------------------------- */

/* Of both slots, which mostly share their counters: the second time there is nothing to add. */
void kernel_count_up(struct kernel *kernel, const struct report *report)
{
	for (u32 i = 0; i < KERNEL_SLOTS; i++)
		if (kernel->slots[i].counts.base)
			counts_up((struct kernel_count *)kernel->slots[i].counts.base,
				  kernel->control->workers_count, kernel->slots[i].counters_count,
				  report);
}

/* --- For replays ---------------------------------------------------------------------- */

int kernel_program_fd(const struct kernel *kernel)
{
	return bpf_program__fd(kernel->skeleton->progs.shunt_xdp);
}

static u32 scratch_bytes(const struct kernel *kernel)
{
	return (bpf_map__value_size(kernel->skeleton->maps.scratch) + 7) / 8 * 8;
}

static int scratch_make(struct kernel *kernel)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus <= 0)
		return cpus < 0 ? cpus : -EINVAL;
	kernel->scratch = calloc((size_t)cpus, scratch_bytes(kernel));
	return kernel->scratch ? 0 : -ENOMEM;
}

static int last_result(struct kernel *kernel, u32 cpu, struct kernel_result *result)
{
	u32 zero = 0;

	if (bpf_map_lookup_elem(bpf_map__fd(kernel->skeleton->maps.scratch), &zero,
				kernel->scratch) < 0)
		return -errno;
	memcpy(result, kernel->scratch + (size_t)cpu * scratch_bytes(kernel), sizeof(*result));
	return 0;
}

int kernel_run(struct kernel *kernel, u32 cpu, struct kernel_frame *frame)
{
	struct xdp_md from = {
		.data_end = frame->in_bytes,
		.ingress_ifindex = frame->ifindex,
		.rx_queue_index = frame->queue,
	};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame->in, .data_size_in = frame->in_bytes,
		    .data_out = frame->out, .data_size_out = frame->out_bytes, .repeat = 1);
	int err = kernel->scratch ? 0 : scratch_make(kernel);

	if (err)
		return err;
	if (frame->ifindex) {
		run.ctx_in = &from;
		run.ctx_size_in = sizeof(from);
	}
	if (bpf_prog_test_run_opts(kernel_program_fd(kernel), &run) < 0)
		return -errno;
	frame->action = run.retval;
	frame->sent = run.retval == XDP_TX || run.retval == XDP_REDIRECT;
	frame->out_bytes = run.data_size_out;
	return last_result(kernel, cpu, &frame->result);
}
