/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/kernel/steered.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_xdp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bpf/shunt.skel.h"
#include "dataplane/session/message.h"

#define FREED_MS 1000 /* so long may the kernel take to free a socket of one who was killed */
#define FREED_LOOK_MS 20

/* --- Sockets -------------------------------------------------------------------------- */

bool steered_copies(int fd)
{
	struct xdp_options options = {0};
	socklen_t bytes = sizeof(options);

	return getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &bytes) < 0 ||
	       !(options.flags & XDP_OPTIONS_ZEROCOPY);
}

bool steered_retry(int err, u32 *waited_ms)
{
	const struct timespec pause = {.tv_nsec = FREED_LOOK_MS * 1000000};

	if (err != -EBUSY || *waited_ms >= FREED_MS)
		return false;
	*waited_ms += FREED_LOOK_MS;
	nanosleep(&pause, NULL);
	return true;
}

const char *steered_hint(int err)
{
	switch (-err) {
	case EAFNOSUPPORT:
		return "this kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS): use `engine: xdp`";
	case ENOBUFS:
	case ENOMEM:
		return "the limit for locked memory is too low (ulimit -l, LimitMEMLOCK=), or "
		       "memory is short: raise it, give --buffers less, or use `engine: xdp`";
	case EBUSY:
		return "another program's AF_XDP socket is there: end that, or use `engine: xdp`";
	case EPERM:
	case EACCES:
		return "run as root, or with CAP_NET_RAW";
	default:
		return "the device takes no AF_XDP socket: use `engine: xdp`";
	}
}

u64 steered_starved(const struct steered *steered)
{
	struct xdp_statistics statistics = {0};
	socklen_t bytes = sizeof(statistics);

	if (getsockopt(steered->fd, SOL_XDP, XDP_STATISTICS, &statistics, &bytes) < 0)
		return 0;
	return statistics.rx_dropped + statistics.rx_ring_full +
	       (steered->zero_copy ? statistics.rx_fill_ring_empty_descs : 0);
}

/* --- The program's side --------------------------------------------------------------- */

int steered_join(struct steered *steered, const struct kernel *kernel, u32 reserve)
{
	int map_fd = bpf_map__fd(kernel->skeleton->maps.sockets);
	struct kernel_worker *shared = &kernel->workers[steered->worker];

	steered->shared = shared;
	shared->reserve = reserve;
	shared->resume = reserve + steered->ring_size / 4;
	shared->bytes_max = steered->bytes_max;
	if (bpf_map_update_elem(map_fd, &steered->worker, &steered->fd, BPF_ANY) < 0)
		return -errno;
	return 0;
}

struct env steered_env(const struct kernel *kernel, u32 worker)
{
	const struct flow_tables *flows = &kernel->flows;
	struct env env = {
		.flows = flow_tables_of(flows, worker),
		.flow_owners = flow_tables_owners(flows, worker),
		.recent = &kernel->recent[worker].recent,
	};

	if (flows->workers_count > 1)
		env.siblings = (struct flow_others){
			.buckets = flow_tables_of(flows, 0),
			.workers_count = flows->workers_count,
			.buckets_count = flows->buckets_count,
		};
	return env;
}

bool steered_to(const struct steered *steered)
{
	return !steered->hook->generic && steered->hook->on == steered->ifindex;
}

void steered_steer(const struct steered *steered, bool on)
{
	__atomic_store_n(&steered->shared->steers, on && steered_to(steered), __ATOMIC_RELEASE);
}

/* --- What is said --------------------------------------------------------------------- */

void steered_describe(const struct steered *steered, struct attach_port *out)
{
	size_t used = strlen(out->state);

	if (steered_to(steered))
		snprintf(out->state + used, sizeof(out->state) - used, "%s",
			 steered->zero_copy ? ", zero-copy" : ", copy");
}

static u64 clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
}

/* Whether the program forwards its packets by itself, and why. What it will find with the
 * next packet counts, not what it found with the last one. */
static enum kernel_why why_now(const struct steered *steered)
{
	const volatile struct kernel_worker *shared = steered->shared;
	u64 room = shared->credit - shared->steered;
	u64 beat_ms = shared->heartbeat_ms;

	if (clock_ns(CLOCK_MONOTONIC_COARSE) / 1000000 > beat_ms + KERNEL_HEARTBEAT_MS)
		return KERNEL_WHY_STALLED;
	if (shared->resume_at_ns == 0)
		return room > shared->reserve ? KERNEL_WHY_NOT : KERNEL_WHY_NO_ROOM;
	if (room < shared->resume || clock_ns(CLOCK_MONOTONIC) < shared->resume_at_ns)
		return (enum kernel_why)shared->why;
	return KERNEL_WHY_NOT;
}

void steered_tell(const struct steered *steered, u64 starved, struct report_worker *to)
{
	static const u64 reasons[] = {
		[KERNEL_WHY_NOT] = REPORT_WHY_SETTLED,
		[KERNEL_WHY_NO_ROOM] = REPORT_WHY_NO_ROOM,
		[KERNEL_WHY_STALLED] = REPORT_WHY_STALLED,
	};
	enum kernel_why why = why_now(steered);

	to->why = steered->hook->generic                  ? REPORT_WHY_GENERIC
		  : steered->hook->on != steered->ifindex ? REPORT_WHY_GONE
							  : reasons[why];
	if (to->why != REPORT_WHY_SETTLED)
		to->carrier = REPORT_CARRIER_KERNEL;
	else
		to->carrier = steered->zero_copy ? REPORT_CARRIER_ZERO_COPY : REPORT_CARRIER_COPY;
	to->steered = steered->shared->steered;
	to->fallen_back = steered->shared->fallen_back;
	to->falls = steered->shared->falls;
	to->starved = starved;
	to->lost = steered->shared->lost;
}
