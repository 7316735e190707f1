/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/session/start.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

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

int start_other(const char *program, const struct options *options)
{
	const char *slash = strrchr(program_invocation_name, '/');
	char *arguments[] = {
		(char *)(size_t)program,
		"--config",
		(char *)(size_t)options->config_path,
		"--run-dir",
		(char *)(size_t)options->run_dir,
		"--pin-dir",
		(char *)(size_t)options->pin_dir,
		options->no_flows ? "--no-flows" : NULL,
		NULL,
	};
	char path[PATH_MAX];

	if (slash) {
		snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - program_invocation_name),
			 program_invocation_name, program);
		execv(path, arguments);
	}
	execvp(program, arguments);
	message("cannot start %s (%s): install it beside this program, or say by `engine:` which is "
		"to forward",
		program, strerror(errno));
	return EX_UNAVAILABLE;
}
