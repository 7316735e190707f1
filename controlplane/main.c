/* SPDX-License-Identifier: BSD-2-Clause */
/* shuntd: the control plane as one process in the foreground, one thread, one event loop. It can
 * be killed and started again at any time: dataplanes forward on without it. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "controlplane/api.h"
#include "controlplane/log.h"
#include "dataplane/state/arena.h"
#include "version.h"

static const char usage[] =
	"usage: shuntd -f FILE [--run-dir DIR] [--state-dir DIR]\n"
	"\n"
	"Plans the load balancer's tables from FILE and publishes them to the dataplanes that\n"
	"attach to it. Stays in the foreground and logs to standard error.\n"
	"\n"
	"  -f FILE          the configuration; see shunt(8) for 'shunt check'\n"
	"  --run-dir DIR    where its sockets are (/run/shunt)\n"
	"  --state-dir DIR  where it keeps numbers between runs (/var/lib/shunt)\n"
	"  --help           show this text\n"
	"  --version        show version, commit and arena ABI\n"
	"\n"
	"SIGHUP reads the file again; SIGTERM and SIGINT end the program.\n";

enum option_key { OPTION_RUN_DIR = 1, OPTION_STATE_DIR, OPTION_HELP, OPTION_VERSION };

static const struct option long_options[] = {
	{"run-dir", required_argument, NULL, OPTION_RUN_DIR},
	{"state-dir", required_argument, NULL, OPTION_STATE_DIR},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{},
};

/* Returns whether to go on, else *status is final. */
static bool options_read(int argc, char **argv, struct control_options *options, int *status)
{
	int key;

	*status = EX_USAGE;
	while ((key = getopt_long(argc, argv, "f:", long_options, NULL)) != -1) {
		if (key == 'f') {
			options->config_file = optarg;
		} else if (key == OPTION_RUN_DIR) {
			options->run_dir = optarg;
		} else if (key == OPTION_STATE_DIR) {
			options->state_dir = optarg;
		} else if (key == OPTION_HELP) {
			fputs(usage, stdout);
			*status = EX_OK;
			return false;
		} else if (key == OPTION_VERSION) {
			printf("shuntd %s (%s) arena ABI %d\n", SHUNT_VERSION, SHUNT_COMMIT,
			       ARENA_ABI);
			*status = EX_OK;
			return false;
		} else {
			log_line("try 'shuntd --help'");
			return false;
		}
	}
	if (optind < argc)
		log_line("unexpected argument '%s'; try 'shuntd --help'", argv[optind]);
	else if (!options->config_file)
		log_line("-f FILE is missing; try 'shuntd --help'");
	return optind == argc && options->config_file;
}

struct program {
	struct loop *loop;
	struct control *control;
	struct api *api;
};

static void on_hangup(void *context, int signo)
{
	struct program *program = context;

	(void)control_reload(program->control); /* it logs what came of it */
}

static void on_end(void *context, int signo)
{
	struct program *program = context;

	log_line("ends on %s; dataplanes forward on", signo == SIGINT ? "SIGINT" : "SIGTERM");
	loop_stop(program->loop);
}

static int api_listen(struct program *program, const char *run_dir)
{
	char path[512];
	int err;

	snprintf(path, sizeof(path), "%s/api.sock", run_dir);
	err = api_open(program->loop, program->control, path, &program->api);
	if (err)
		log_line("cannot listen at %s: %s", path, strerror(-err));
	return err;
}

static int signals_take(struct program *program)
{
	int err = loop_signal(program->loop, SIGHUP, on_hangup, program);

	if (!err)
		err = loop_signal(program->loop, SIGTERM, on_end, program);
	if (!err)
		err = loop_signal(program->loop, SIGINT, on_end, program);
	signal(SIGPIPE, SIG_IGN); /* whoever reads the log may go away */
	return err;
}

/* Everything between a good configuration and the end. */
static int serve(struct program *program, const struct control_options *options)
{
	int err = loop_create(&program->loop);

	if (!err)
		err = signals_take(program);
	if (err) {
		log_line("cannot make the event loop: %s", strerror(-err));
		return EX_OSERR;
	}
	if (control_open(program->control, program->loop) < 0 ||
	    api_listen(program, options->run_dir) < 0)
		return EX_UNAVAILABLE;
	log_line("serves %s; sockets are in %s", options->config_file, options->run_dir);
	err = loop_run(program->loop);
	if (err)
		log_line("the event loop failed: %s", strerror(-err));
	return err ? EX_OSERR : EX_OK;
}

int main(int argc, char **argv)
{
	struct control_options options = {
		.run_dir = "/run/shunt",
		.state_dir = "/var/lib/shunt",
	};
	struct outcome outcome;
	struct program program = {0};
	int status, err;

	if (!options_read(argc, argv, &options, &status))
		return status;
	err = control_create(&options, &program.control, &outcome);
	outcome_free(&outcome);
	if (err)
		return err == -EINVAL ? EX_DATAERR : err == -ENOMEM ? EX_OSERR : EX_NOINPUT;
	status = serve(&program, &options);
	api_close(program.api);
	control_destroy(program.control);
	loop_destroy(program.loop);
	return status;
}
