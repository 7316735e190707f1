/* SPDX-License-Identifier: BSD-2-Clause */
/* A kill -9 leaves the program on the interface, where it goes on; the next process takes it off
 * before it puts its own there. So that this is never a running neighbour's, a process holds a lock
 * for its interface: an abstract socket, which ends with the process and belongs to the network
 * namespace, as interfaces do.
 *
 * XDP goes through libxdp: beside others' programs where the kernel allows that, else alone. For tc
 * there is one place of ours, TC_PRIORITY; programs of others before and after it go on. */
#include "dataplane/decap/hook.h"

#include "dataplane/decap/message.h"
#include "dataplane/decap/program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "bpf/decap.skel.h"

enum { TC_HANDLE = 1, TC_PRIORITY = 100, ANSWER_BYTES = 16384 };

static const char xdp_name[] = "decap_xdp";
static const char tc_name[] = "decap_tc";

/* --- Finding -------------------------------------------------------------------------- */

/* 0, -EADDRINUSE where another process holds it, or another -errno. */
static int lock_take(struct hook *hook)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "shunt-decap/%d",
			   hook->ifindex);

	hook->lock_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (hook->lock_fd < 0)
		return -errno;
	if (bind(hook->lock_fd, (const struct sockaddr *)&name,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) < 0)
		return -errno;
	return 0;
}

int hook_open(struct hook *hook, const char *interface, bool is_xdp)
{
	int err;

	*hook = (struct hook){.interface = interface, .is_xdp = is_xdp, .lock_fd = -1};
	hook->ifindex = (int)if_nametoindex(interface);
	if (hook->ifindex == 0) {
		message("--interface %s: there is no such interface; `ip link` shows those there are",
			interface);
		return -ENODEV;
	}
	err = lock_take(hook);
	if (err)
		message(err == -EADDRINUSE ? "--interface %s: another shunt-decap serves it"
					   : "--interface %s: it cannot be locked",
			interface);
	return err;
}

/* --- tc ------------------------------------------------------------------------------- */

static struct bpf_tc_hook tc_hook(const struct hook *hook)
{
	return (struct bpf_tc_hook){
		.sz = sizeof(struct bpf_tc_hook),
		.ifindex = hook->ifindex,
		.attach_point = BPF_TC_INGRESS,
	};
}

/* What a loaded program is called. */
static bool program_is(u32 id, const char *name)
{
	struct bpf_prog_info info = {0};
	__u32 info_bytes = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);
	bool is = fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &info_bytes) == 0 &&
		  strcmp(info.name, name) == 0;

	if (fd >= 0)
		close(fd);
	return is;
}

/* Returns the number of the program at our place, 0 if there is none. */
static u32 tc_find(const struct hook *hook)
{
	struct bpf_tc_hook place = tc_hook(hook);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = TC_HANDLE, .priority = TC_PRIORITY);

	return bpf_tc_query(&place, &options) == 0 ? options.prog_id : 0;
}

static int tc_detach(const struct hook *hook)
{
	struct bpf_tc_hook place = tc_hook(hook);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = TC_HANDLE, .priority = TC_PRIORITY);

	return bpf_tc_detach(&place, &options);
}

static int tc_attach(struct hook *hook, struct decap_bpf *skeleton)
{
	struct bpf_tc_hook place = tc_hook(hook);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = TC_HANDLE, .priority = TC_PRIORITY,
		    .prog_fd = bpf_program__fd(skeleton->progs.decap_tc));
	int err;

	if (tc_find(hook) != 0)
		return -EEXIST;
	err = bpf_tc_hook_create(&place);
	hook->made_qdisc = err == 0;
	if (err && err != -EEXIST)
		return err;
	return bpf_tc_attach(&place, &options);
}

/* Whether a direction of the interface has a classifier; true also where it can't be told. */
static bool tc_used(int fd, int ifindex, u32 parent)
{
	struct {
		struct nlmsghdr header;
		struct tcmsg tc;
	} question = {
		.header = {.nlmsg_len = sizeof(question),
			   .nlmsg_type = RTM_GETTFILTER,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.tc = {.tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = parent},
	};
	union {
		struct nlmsghdr header;
		char bytes[ANSWER_BYTES];
	} answer;

	if (send(fd, &question, sizeof(question), 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer.header))
		return true;
	return answer.header.nlmsg_type != NLMSG_DONE;
}

/* Takes off the qdisc that this process made, unless somebody else uses it by now. */
static void qdisc_remove(const struct hook *hook)
{
	struct bpf_tc_hook place = tc_hook(hook);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	bool used = fd < 0 ||
		    tc_used(fd, hook->ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)) ||
		    tc_used(fd, hook->ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS));

	if (fd >= 0)
		close(fd);
	place.attach_point = (enum bpf_tc_attach_point)(BPF_TC_INGRESS | BPF_TC_EGRESS);
	if (!used)
		(void)bpf_tc_hook_destroy(&place);
}

/* --- XDP ------------------------------------------------------------------------------ */

/* The program of an earlier process, or NULL; *all is to be closed after it. */
static struct xdp_program *xdp_find(const struct hook *hook, struct xdp_multiprog **all)
{
	struct xdp_program *program = NULL;

	*all = xdp_multiprog__get_from_ifindex(hook->ifindex);
	if (libxdp_get_error(*all)) {
		*all = NULL;
		return NULL;
	}
	if (xdp_multiprog__is_legacy(*all)) {
		program = xdp_multiprog__main_prog(*all);
		return program && strcmp(xdp_program__name(program), xdp_name) == 0 ? program
										    : NULL;
	}
	while ((program = xdp_multiprog__next_prog(program, *all)))
		if (strcmp(xdp_program__name(program), xdp_name) == 0)
			return program;
	return NULL;
}

/* Takes a program of ours off, whoever put it there. */
static void xdp_detach(const struct hook *hook)
{
	struct xdp_multiprog *all;
	struct xdp_program *ours = xdp_find(hook, &all);

	if (ours && xdp_multiprog__is_legacy(all)) {
		LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = xdp_program__fd(ours));

		(void)bpf_xdp_detach(hook->ifindex, XDP_FLAGS_REPLACE, &options);
	} else if (ours) {
		(void)xdp_program__detach(ours, hook->ifindex, xdp_multiprog__attach_mode(all), 0);
	}
	if (all)
		xdp_multiprog__close(all);
}

static int xdp_attach(struct hook *hook, struct decap_bpf *skeleton)
{
	int err;

	DECLARE_LIBXDP_OPTS(xdp_program_opts, options, .obj = skeleton->obj, .prog_name = xdp_name);
	hook->program = xdp_program__create(&options);
	err = (int)libxdp_get_error(hook->program);
	if (err) {
		hook->program = NULL;
		return err;
	}
	err = xdp_program__attach(hook->program, hook->ifindex, XDP_MODE_NATIVE, 0);
	if (!err || err == -EBUSY || err == -EEXIST || err == -EPERM)
		return err;
	message("--interface %s: the driver takes no XDP program in native mode (%s), often because "
		"the MTU is too large for one; the kernel's generic mode serves instead, which is "
		"no faster than --mode tc",
		hook->interface, strerror(-err));
	return xdp_program__attach(hook->program, hook->ifindex, XDP_MODE_SKB, 0);
}

/* --- Both ----------------------------------------------------------------------------- */

static void attach_tell(const struct hook *hook, int err)
{
	const char *mode = hook->is_xdp ? "xdp" : "tc";

	if (err == -EPERM || err == -EACCES)
		message("the kernel refuses BPF to this user (%s): run as root, or with CAP_BPF, "
			"CAP_NET_ADMIN and CAP_SYS_ADMIN; --mode tun needs no BPF",
			strerror(-err));
	else if (err == -EBUSY || err == -EEXIST)
		message(hook->is_xdp ? "--interface %s: another XDP program is there, and this "
				       "kernel runs only one: take it off (ip link set dev %s xdp "
				       "off), or use --mode tc"
				     : "--interface %s: another classifier is at priority 100 of "
				       "ingress: take it off (tc filter del dev %s ingress prio "
				       "100), or use --mode xdp",
			hook->interface, hook->interface);
	else
		message("--interface %s: the program cannot be attached in mode %s (%s): it needs "
			"Linux 6.1 or later with BPF%s; --mode tun needs none",
			hook->interface, mode, strerror(-err),
			hook->is_xdp ? "" : " and the clsact qdisc");
}

int hook_attach(struct hook *hook, struct decap_bpf *skeleton)
{
	int err = 0;

	bpf_program__set_autoload(skeleton->progs.decap_xdp, hook->is_xdp);
	bpf_program__set_autoload(skeleton->progs.decap_tc, !hook->is_xdp);
	if (!hook->is_xdp)
		err = bpf_object__load(skeleton->obj);
	if (!err) {
		xdp_detach(hook);
		if (program_is(tc_find(hook), tc_name))
			(void)tc_detach(hook);
		err = hook->is_xdp ? xdp_attach(hook, skeleton) : tc_attach(hook, skeleton);
	}
	hook->is_attached = err == 0;
	if (err)
		attach_tell(hook, err);
	return err;
}

void hook_close(struct hook *hook)
{
	if (hook->is_attached && hook->is_xdp)
		xdp_detach(hook);
	else if (hook->is_attached)
		(void)tc_detach(hook);
	if (hook->made_qdisc)
		qdisc_remove(hook);
	if (hook->program)
		xdp_program__close(hook->program);
	if (hook->lock_fd >= 0)
		close(hook->lock_fd);
}
