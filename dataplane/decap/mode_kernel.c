/* SPDX-License-Identifier: BSD-2-Clause */
/* --mode xdp and tc: the programs do the work, and this process follows the host's addresses and
 * reads counters. The lists are filled before anything is attached, so no packet meets a program
 * that doesn't know yet; what is detached at the end is what was attached here. */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <string.h>
#include <xdp/libxdp.h>

#include "dataplane/decap/attach.h"
#include "dataplane/decap/kernel.h"
#include "dataplane/decap/local.h"
#include "dataplane/session/message.h"
#include "dataplane/decap/mode.h"

static struct {
	const struct options *options;
	struct counters *counters;
	struct kernel kernel;
	struct attachments attachments;
	struct local *local;
} state;

static int print_nothing(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return 0;
}

static int print_nothing_either(enum libxdp_print_level level, const char *format,
				va_list arguments)
{
	return 0;
}

/* What the libraries would say is in their words; ours say what to do. */
static void libraries_hush(void)
{
	libbpf_set_print(print_nothing);
	libxdp_set_print(print_nothing_either);
}

static bool refresh(void)
{
	int err = kernel_local_refresh(&state.kernel);

	if (err != 0)
		message("cannot read the addresses of this host: %s", strerror(-err));
	return err == 0;
}

/* Of a prefix it is fine that the host has some addresses only. */
static void vips_check(const struct prefix_list *vips)
{
	char text[INET6_ADDRSTRLEN];

	for (u32 i = 0; i < vips->count; i++) {
		const struct prefix *vip = &vips->entries[i];

		if (vip->len_bits < 128 || kernel_local_covers(&state.kernel, vip))
			continue;
		inet_ntop(vip->is_v4 ? AF_INET : AF_INET6, vip->addr.bytes + (vip->is_v4 ? 12 : 0),
			  text, sizeof(text));
		message("--vip %s is no address of this host, which drops packets to it until "
			"'ip address add %s dev lo'",
			text, text);
	}
}

static int open_all(const struct options *options, struct counters *counters)
{
	int err;

	libraries_hush();
	state.options = options;
	state.counters = counters;
	err = attachments_check(&state.attachments, options);
	if (err == 0)
		err = kernel_open(&state.kernel, options);
	if (err != 0)
		return err;
	err = local_open(&state.local);
	if (err != 0)
		goto close_kernel;
	err = refresh() ? attachments_open(&state.attachments, &state.kernel, options->mode) : -EIO;
	if (err == 0) {
		vips_check(&options->policy.vips);
		return 0;
	}
	local_close(state.local);
close_kernel:
	kernel_close(&state.kernel);
	return err;
}

static int fd_of(u32 i)
{
	return i == 0 ? local_fd(state.local) : -1;
}

static bool interfaces_remain(void)
{
	char name[IF_NAMESIZE];

	for (u32 i = 0; i < state.attachments.count; i++) {
		const struct attachment *attachment = &state.attachments.list[i];

		if (if_indextoname(attachment->ifindex, name))
			continue;
		message("interface %s is gone: start shunt-decap again once it is back",
			attachment->name);
		return false;
	}
	return true;
}

/* A list that can't be read now stays as it was; the next change reads it again. */
static bool ready(u32 i)
{
	if (!local_changed(state.local))
		return true;
	(void)refresh();
	return interfaces_remain();
}

static void count(void)
{
	int err = kernel_counters_read(&state.kernel, state.counters);

	if (err != 0)
		message("cannot read the counters: %s", strerror(-err));
}

static void announce(const struct options *options)
{
	message("ready: IPIP and GUE (UDP port %u) are unwrapped by %s", options->gue_port,
		options->mode == MODE_XDP ? "XDP" : "tc");
}

/* To detach; libxdp has to find its dispatcher's programs by their numbers for that. */
static const int *capabilities(void)
{
	static const int alone[] = {CAP_NET_ADMIN, CAP_BPF, -1};
	static const int beside[] = {CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, -1};

	for (u32 i = 0; i < state.attachments.count; i++) {
		if (state.attachments.list[i].beside)
			return beside;
	}
	return alone;
}

static void close_all(void)
{
	attachments_close(&state.attachments, state.options->mode);
	local_close(state.local);
	kernel_close(&state.kernel);
}

int mode_kernel_detach(const struct options *options)
{
	int removed;

	libraries_hush();
	removed = attachments_remove(options);
	return removed < 0 ? removed : 0;
}

const struct mode mode_kernel = {
	.open = open_all,
	.fd = fd_of,
	.ready = ready,
	.count = count,
	.announce = announce,
	.capabilities = capabilities,
	.close = close_all,
};
