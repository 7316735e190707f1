/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/session/start.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sysexits.h>

#include "dataplane/session/message.h"

int start_config(const char *path, struct config **config)
{
	int err = config_load_or_tell(path, config, stderr, message_program);

	return err == 0 ? EX_OK : err == -EINVAL ? EX_DATAERR : EX_NOINPUT;
}

int start_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -1;
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}
