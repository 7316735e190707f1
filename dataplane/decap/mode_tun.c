/* SPDX-License-Identifier: BSD-2-Clause */
/* Everything that needs a privilege (the device, raw sockets, large socket buffers) happens
 * before the first packet; then every capability is given up, since what follows reads bytes
 * from the network. Closing the device's descriptor removes the device and needs none, so no way
 * of ending the process leaves it behind, not even a kill. */
#include <string.h>

#include "dataplane/session/message.h"
#include "dataplane/decap/mode.h"
#include "dataplane/decap/receive.h"

static struct {
	const struct options *options;
	struct counters *counters;
	struct tun tun;
	struct receiver *receiver;
} state;

enum { FD_DEVICE = RECEIVE_SOURCES };

_Static_assert((int)FD_DEVICE < (int)MODE_FDS_MAX, "one more than sources");

static int open_all(const struct options *options, struct counters *counters)
{
	int err = tun_open(&state.tun, options->device, options->mtu);

	if (err != 0)
		return err;
	state.options = options;
	state.counters = counters;
	err = receiver_open(&state.receiver, options->gue_port, &options->policy, &state.tun,
			    counters);
	if (err != 0)
		tun_close(&state.tun);
	return err;
}

static int fd_of(u32 i)
{
	if (i == FD_DEVICE)
		return state.tun.fd;
	return i < RECEIVE_SOURCES ? receiver_fd(state.receiver, i) : -1;
}

/* Returns false once the device is gone: somebody removed it. */
static bool device_handle(void)
{
	int count = tun_discard(&state.tun);

	if (count >= 0) {
		state.counters->notes[NOTE_DEVICE_READ] += (u64)count;
		return true;
	}
	message("device %s is gone: start shunt-decap again to have it back",
		state.options->device);
	return false;
}

static bool ready(u32 i)
{
	if (i == FD_DEVICE)
		return device_handle();
	receiver_run(state.receiver, i);
	return true;
}

static void count(void)
{
	/* Counted as they come. */
}

static void announce(const struct options *options)
{
	message("ready: IPIP and GUE (UDP port %u) go to device %s", options->gue_port,
		options->device);
}

static const int *capabilities(void)
{
	static const int none[] = {-1};

	return none;
}

static void close_all(void)
{
	receiver_close(state.receiver);
	tun_close(&state.tun);
}

const struct mode mode_tun = {
	.open = open_all,
	.fd = fd_of,
	.ready = ready,
	.count = count,
	.announce = announce,
	.capabilities = capabilities,
	.close = close_all,
};
