/* SPDX-License-Identifier: BSD-2-Clause */
/* DPDK's driver has libxdp put a default program on the interface, which redirects every packet into
 * the sockets, and when it closes the device it takes away whatever program is there. It offers no way
 * to be told otherwise, but it calls libxdp and libbpf by name: this program has functions of those
 * names, which the dynamic linker finds first. They hand on to the real ones, and change two things on
 * the one interface that is guarded: a socket is asked for without a program, and the program stays.
 *
 * That the driver has really come by here is made sure of: a socket that was not seen has no
 * descriptor for the program's map (steering.c). */
#include "dataplane/dpdk/xsk.h"

#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/if_link.h>
#include <string.h>
#include <xdp/xsk.h>

#include "dataplane/kernel/steered.h"
#include "dataplane/session/message.h"

static struct {
	const char *kernel_name; /* NULL: no interface is guarded */
	u32 ifindex;
	struct xsk_socket *sockets[KERNEL_WORKERS_MAX];
} guard;

void xsk_guard(const char *kernel_name, u32 ifindex)
{
	guard.kernel_name = kernel_name;
	guard.ifindex = ifindex;
}

int xsk_guarded(u32 queue)
{
	return queue < KERNEL_WORKERS_MAX && guard.sockets[queue]
		       ? xsk_socket__fd(guard.sockets[queue])
		       : -1;
}

/* --- libxdp's and libbpf's ------------------------------------------------------------ */

typedef int socket_create(struct xsk_socket **socket, const char *kernel_name, __u32 queue,
			  struct xsk_umem *umem, struct xsk_ring_cons *rx, struct xsk_ring_prod *tx,
			  const struct xsk_socket_config *config);
typedef int xdp_detach(int ifindex, __u32 flags, const struct bpf_xdp_attach_opts *options);

int xsk_socket__create(struct xsk_socket **socket, const char *kernel_name, __u32 queue,
		       struct xsk_umem *umem, struct xsk_ring_cons *rx, struct xsk_ring_prod *tx,
		       const struct xsk_socket_config *config)
{
	socket_create *real = (socket_create *)dlsym(RTLD_NEXT, "xsk_socket__create");
	struct xsk_socket_config own;
	u32 waited_ms = 0;
	int err;

	if (!real)
		return -ENOSYS;
	if (!guard.kernel_name || strcmp(kernel_name, guard.kernel_name) != 0 ||
	    queue >= KERNEL_WORKERS_MAX)
		return real(socket, kernel_name, queue, umem, rx, tx, config);
	own = *config;
	own.libxdp_flags |= XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
	do
		err = real(socket, kernel_name, queue, umem, rx, tx, &own);
	while (steered_retry(err, &waited_ms));
	if (err)
		message("queue %u of %s has no AF_XDP socket (%s): %s", queue, kernel_name,
			strerror(-err), steered_hint(err));
	else
		guard.sockets[queue] = *socket;
	return err;
}

/* Ours to detach is a program that is named: hook_detach(). */
int bpf_xdp_detach(int ifindex, __u32 flags, const struct bpf_xdp_attach_opts *options)
{
	xdp_detach *real = (xdp_detach *)dlsym(RTLD_NEXT, "bpf_xdp_detach");

	if (guard.kernel_name && (u32)ifindex == guard.ifindex && !(flags & XDP_FLAGS_REPLACE))
		return 0;
	return real ? real(ifindex, flags, options) : -ENOSYS;
}
