/* SPDX-License-Identifier: BSD-2-Clause */
/* The program in the kernel and its maps, from the side of the process that looks after them:
 * loaded, mapped, pinned, filled. Interfaces are hook.h's. */
#ifndef SHUNT_KERNEL_KERNEL_H
#define SHUNT_KERNEL_KERNEL_H

#include "dataplane/session/attachment.h"
#include "dataplane/state/kernel.h"
#include "dataplane/kernel/chunks.h"

struct shunt_bpf;

/* What one generation has. */
struct kernel_slot {
	struct chunks arena; /* the arena's bytes, or more */
	struct chunks counts;
	u32 counters_count;
	u32 counts_serial; /* alike for slots with the same counters; 0: a process before made them */
};

struct kernel {
	struct shunt_bpf *skeleton;
	struct kernel_control *control;
	struct kernel_worker *workers;
	struct kernel_recent *recent;
	struct flow_tables flows;
	struct kernel_slot slots[KERNEL_SLOTS];
	const char *pin_dir; /* NULL: nothing is pinned */
	bool resumed;        /* the maps are those of a process before us */
	u32 counts_made;     /* the last of counts_serial */
	u8 *scratch;         /* every CPU's, as the kernel copies it out for kernel_run() */
};

struct kernel_layout {
	u32 workers_count;
	u32 ports_count;
	const struct kernel_port *ports;
	u64 flows; /* entries over all workers */
	u64 flow_timeout_ms;
};

/* What libbpf and libxdp say goes to standard error, or nowhere. */
void kernel_print(bool verbose);

/* Whether this kernel takes a program from this user. Returns 0, or -errno after a message. */
int kernel_probe(void) __attribute__((warn_unused_result));

/* Loads the program over the maps that are pinned, where they are laid out likewise, else over new
 * ones. Returns 0, or -errno after a message that says why. */
int kernel_open(struct kernel *kernel, const struct kernel_layout *layout, const char *pin_dir)
	__attribute__((warn_unused_result));

/* Ends what the process before has left of a worker's socket, which went with it: nothing is steered
 * there. Returns how many frames were in it, by now counted as lost. */
u64 kernel_worker_inherit(struct kernel *kernel, u32 worker);

/* Lets go; what is pinned or attached stays. */
void kernel_close(struct kernel *kernel);

/* Pins every map under the pin directory, in place of those of a layout before. Returns 0, or
 * -errno after a message. */
int kernel_pin(struct kernel *kernel) __attribute__((warn_unused_result));

/* Maps a map's values, to be read and written; NULL where that fails. */
void *kernel_map_memory(int fd, u64 bytes);

/* One of the maps that are pinned, or -errno; and the control structure of a program of this
 * version, or NULL, to be unmapped by munmap(). */
int kernel_pinned_map(const char *pin_dir, const char *name);
const struct kernel_control *kernel_pinned_control(const char *pin_dir);

/* Whether anything is pinned there. */
bool kernel_pinned(const char *pin_dir);

/* Removes what kernel_pin() made. Returns whether there was anything. */
bool kernel_unpin(const char *pin_dir);

/* Writes where its ports are, of which an interface may have come anew. Returns 0 or -errno. */
int kernel_ports_write(struct kernel *kernel, const struct kernel_port *ports, u32 ports_count)
	__attribute__((warn_unused_result));

/* Has it send nothing by a port until its ports are written anew. */
void kernel_port_mute(struct kernel *kernel, u32 port);

/* Publishes a generation: copies what it leads to, flips, and waits until no packet uses the one
 * before. Counters that it does not share with the one before that go: kernel_count_up() first.
 * Returns 0 or -errno: then the last one counts on. */
int kernel_publish(struct kernel *kernel, const struct arena_view *arena,
		   const struct tables *tables, u32 flow_buckets)
	__attribute__((warn_unused_result));

/* Waits until every packet has ended that began under what the control structure and the workers' said
 * before. */
void kernel_settle(struct kernel *kernel);

/* Adds to the report what the program has counted since the last time. */
void kernel_count_up(struct kernel *kernel, const struct report *report);

/* One frame for kernel_run(). */
struct kernel_frame {
	const u8 *in;
	u32 in_bytes;
	u32 ifindex; /* of the interface that it comes in by; 0: the loopback interface */
	u32 queue;
	u8 *out;       /* room for out_bytes */
	u32 out_bytes; /* afterwards: those that the program left, whatever becomes of them */
	u32 action;    /* afterwards: enum xdp_action, */
	bool sent;     /* and whether that sends it */
	struct kernel_result result;
};

/* Runs the program on a frame, on a CPU that this thread is pinned to. Returns 0; -EINVAL for a
 * frame that the kernel shows to no program; -errno. */
int kernel_run(struct kernel *kernel, u32 cpu, struct kernel_frame *frame)
	__attribute__((warn_unused_result));

int kernel_program_fd(const struct kernel *kernel);

#endif
