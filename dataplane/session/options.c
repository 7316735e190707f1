/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/session/options.h"

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/session/message.h"
#include "dataplane/state/arena.h"
#include "version.h"

void options_default(struct options *options)
{
	*options = (struct options){
		.run_dir = OPTIONS_RUN_DIR,
		.pin_dir = OPTIONS_PIN_DIR,
		.attach_fd = -1,
		.trace_fd = -1,
	};
}

static enum options_outcome descriptor_parse(const char *text, int *fd)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < 0 || value > 1 << 20) {
		message("`%s` is not the number of a descriptor", text);
		return OPTIONS_WRONG;
	}
	*fd = (int)value;
	return OPTIONS_RUN;
}

enum options_outcome option_take(int option, struct options *options, const char *help)
{
	switch (option) {
	case 'f':
		options->config_path = optarg;
		return OPTIONS_RUN;
	case OPTION_RUN_DIR:
		options->run_dir = optarg;
		return OPTIONS_RUN;
	case OPTION_PIN_DIR:
		options->pin_dir = optarg;
		return OPTIONS_RUN;
	case OPTION_NO_FLOWS:
		options->no_flows = true;
		return OPTIONS_RUN;
	case OPTION_REPLAY:
		options->replay = true;
		return OPTIONS_RUN;
	case OPTION_IN:
		options->in_path = optarg;
		return OPTIONS_RUN;
	case OPTION_OUT:
		options->out_path = optarg;
		return OPTIONS_RUN;
	case OPTION_ATTACH_FD:
		return descriptor_parse(optarg, &options->attach_fd);
	case OPTION_TRACE_FD:
		return descriptor_parse(optarg, &options->trace_fd);
	case 'h':
		fputs(help, stdout);
		return OPTIONS_DONE;
	case 'V':
		printf("%s %s (%s) arena ABI %u\n", message_program, SHUNT_VERSION, SHUNT_COMMIT,
		       ARENA_ABI);
		return OPTIONS_DONE;
	default:
		return OPTIONS_WRONG; /* getopt has said it */
	}
}

const char *options_fault(int argc, const struct options *options)
{
	bool any = options->in_path || options->out_path || options->attach_fd >= 0 ||
		   options->trace_fd >= 0;
	bool all = options->in_path && options->out_path && options->attach_fd >= 0 &&
		   options->trace_fd >= 0;

	if (optind < argc)
		return "takes options only, no arguments";
	if (!options->config_path)
		return "-f FILE is missing: which configuration?";
	if (options->replay && !all)
		return "--replay needs --in, --out, --attach-fd and --trace-fd";
	if (options->replay && options->no_flows)
		return "--no-flows does not go with --replay";
	if (!options->replay && any)
		return "--in, --out, --attach-fd and --trace-fd belong to --replay";
	return NULL;
}
