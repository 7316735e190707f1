/* SPDX-License-Identifier: BSD-2-Clause */
/* In place of steering.c where shunt is built without BPF: DPDK's own program has to do. */
#include "dataplane/dpdk/dpdk.h"

#include "dataplane/dpdk/steering.h"

#include <sysexits.h>

#include "dataplane/session/message.h"

int steering_open(struct steering **steering, const struct config_dataplane *config,
		  struct ports *ports, const char *pin_dir)
{
	*steering = NULL;
	for (u32 i = 0; i < ports->count; i++)
		if (ports->list[i].kind->xdp_sockets)
			message("interface %s: DPDK's own XDP program gives shunt-dpdk all that "
				"comes by %s, and nobody when it is killed; shunt's own takes a "
				"build with BPF",
				ports->list[i].config->name, ports->list[i].kernel_name);
	return EX_OK;
}

int steering_join(struct steering *steering, struct workers *workers)
{
	return EX_OK;
}

void steering_session(struct steering *steering, struct session *session, bool no_flows)
{
}

int steering_epoll_fd(const struct steering *steering)
{
	return -1;
}

bool steering_run(struct steering *steering, struct session *session)
{
	return true;
}

void steering_stop(struct steering *steering)
{
}

void steering_end(struct steering *steering)
{
}

void steering_close(struct steering *steering)
{
}
