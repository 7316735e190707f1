/* SPDX-License-Identifier: BSD-2-Clause */
/* A filter behind the clsact qdisc, at a priority and handle of our own: that is how it is found
 * again. It outlives the process; the next one replaces it in one step. The qdisc goes with the last
 * filter if we made it, unless somebody else has put a filter there meanwhile. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/decap/attach.h"
#include "dataplane/session/message.h"

enum { FILTER_PRIORITY = 6080, FILTER_HANDLE = 1 };

#define HOOK_OF(name, index, point)                                                                \
	LIBBPF_OPTS(bpf_tc_hook, name, .ifindex = (int)(index), .attach_point = (point))
#define FILTER_OF(name, ...)                                                                       \
	LIBBPF_OPTS(bpf_tc_opts, name, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY,       \
		    ##__VA_ARGS__)

/* --- What is there -------------------------------------------------------------------- */

/* The program at our place: its number, 0 if there is none. */
static u32 filter_program(u32 ifindex)
{
	HOOK_OF(hook, ifindex, BPF_TC_INGRESS);
	FILTER_OF(filter);

	return bpf_tc_query(&hook, &filter) == 0 ? filter.prog_id : 0;
}

static bool program_id_is_ours(u32 id)
{
	int fd = bpf_prog_get_fd_by_id(id);
	bool ours = program_is(fd, ATTACH_TC_PROGRAM);

	if (fd >= 0)
		close(fd);
	return ours;
}

static int filter_message(const struct nlmsghdr *message, void *context)
{
	u32 *count = context;

	*count += message->nlmsg_type == RTM_NEWTFILTER;
	return MNL_CB_OK;
}

/* How many filters a side of clsact has; one that can't be asked has some. */
static u32 filters_count(u32 ifindex, u32 side)
{
	_Alignas(struct nlmsghdr) char buffer[8192];
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct tcmsg *filter = mnl_nlmsg_put_extra_header(request, sizeof(*filter));
	int status = MNL_CB_OK;
	u32 count = 0;

	request->nlmsg_type = RTM_GETTFILTER;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = 1;
	*filter = (struct tcmsg){.tcm_family = AF_UNSPEC,
				 .tcm_ifindex = (int)ifindex,
				 .tcm_parent = TC_H_MAKE(TC_H_CLSACT, side)};
	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		status = MNL_CB_ERROR;
	while (status == MNL_CB_OK) {
		ssize_t n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		status = n < 0 ? MNL_CB_ERROR
			       : mnl_cb_run(buffer, (size_t)n, 1, mnl_socket_get_portid(socket),
					    filter_message, &count);
	}
	if (socket)
		mnl_socket_close(socket);
	return status == MNL_CB_STOP ? count : 1;
}

int attach_tc_check(const struct attachment *attachment)
{
	u32 id = filter_program(attachment->ifindex);

	if (id == 0 || program_id_is_ours(id))
		return 0;
	message("interface %s: another program is at priority %d of tc ingress: remove it with "
		"'tc filter del dev %s ingress prio %d', or use --mode xdp",
		attachment->name, FILTER_PRIORITY, attachment->name, FILTER_PRIORITY);
	return -EBUSY;
}

/* --- Attaching ------------------------------------------------------------------------ */

static void clsact_remove(u32 ifindex)
{
	HOOK_OF(hook, ifindex, BPF_TC_INGRESS | BPF_TC_EGRESS);

	if (filters_count(ifindex, TC_H_MIN_INGRESS) == 0 &&
	    filters_count(ifindex, TC_H_MIN_EGRESS) == 0)
		(void)bpf_tc_hook_destroy(&hook);
}

int attach_tc(struct attachment *attachment, int program_fd)
{
	u32 old = filter_program(attachment->ifindex);
	int err;

	HOOK_OF(hook, attachment->ifindex, BPF_TC_INGRESS);
	FILTER_OF(filter, .prog_fd = program_fd, .flags = old != 0 ? BPF_TC_F_REPLACE : 0);
	err = bpf_tc_hook_create(&hook);
	attachment->replaced = old != 0;
	attachment->clsact_ours = err == 0 || old != 0;
	if (err == 0 || err == -EEXIST)
		err = bpf_tc_attach(&hook, &filter);
	if (err == 0) {
		attachment->program_id = filter.prog_id;
		return 0;
	}
	if (err == -EPERM)
		message("interface %s: no permission to attach to tc: run as root",
			attachment->name);
	else
		message("interface %s: tc ingress cannot be attached to (%s): does this kernel have "
			"the modules sch_ingress and cls_bpf? --mode tun needs neither",
			attachment->name, strerror(-err));
	if (attachment->clsact_ours)
		clsact_remove(attachment->ifindex);
	return err;
}

static bool filter_remove(u32 ifindex)
{
	HOOK_OF(hook, ifindex, BPF_TC_INGRESS);
	FILTER_OF(filter);

	return bpf_tc_detach(&hook, &filter) == 0;
}

/* --- Detaching ------------------------------------------------------------------------ */

void attach_tc_undo(struct attachment *attachment)
{
	if (filter_program(attachment->ifindex) != attachment->program_id)
		return;
	if (filter_remove(attachment->ifindex) && attachment->clsact_ours)
		clsact_remove(attachment->ifindex);
}

bool attach_tc_remove(u32 ifindex)
{
	u32 id = filter_program(ifindex);

	if (id == 0 || !program_id_is_ours(id) || !filter_remove(ifindex))
		return false;
	clsact_remove(ifindex);
	return true;
}
