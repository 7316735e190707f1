/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "controlplane/cli/cli.h"
#include "version.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *text;
} commands[] = {
	{"check", cli_check, "tell every error of a configuration file"},
	{"explain", cli_explain, "say which backend a packet gets, and why"},
	{"show", cli_show,
	 "show services, drops, status or the configuration of the running shuntd"},
	{"drain", cli_drain, "give a backend no new flows, and wait until it has none"},
	{"undrain", cli_drain, "give it new flows again"},
	{"reload", cli_reload, "make the running shuntd read its configuration again"},
	{"replay", cli_replay, "run a capture through an engine"},
	{"seed", cli_seed, "make a fleet seed"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	fprintf(out, "usage: shunt COMMAND [ARGUMENTS]\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].text);
	fprintf(out, "\n'shunt COMMAND --help' tells a command's arguments; 'shunt --version' the "
		     "version.\n");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return CLI_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("shunt %s (%s) arena ABI %d\n", SHUNT_VERSION, SHUNT_COMMIT, ARENA_ABI);
		return CLI_OK;
	}
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "shunt: there is no command '%s'\n\n", argv[1]);
	usage(stderr);
	return CLI_USAGE;
}
