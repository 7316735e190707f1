/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/decap/options.h"

#include "dataplane/decap/message.h"
#include "version.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	GUE_PORT_DEFAULT = 6080, /* IANA: gue */
	MTU_DEFAULT = 1500,
	MTU_MIN = 1280, /* below it the kernel takes IPv6 off the device (RFC 8200 section 5) */
	MTU_MAX = 65535,
};

static const char usage[] =
	"usage: shunt-decap --mode xdp|tc --interface NAME [--gue-port PORT]\n"
	"                   [--from PREFIX]... [--vip PREFIX]... [--stats FILE]\n"
	"       shunt-decap --mode tun [--device NAME] [--mtu BYTES] [--gue-port PORT]\n"
	"                   [--from PREFIX]... [--vip PREFIX]... [--stats FILE]\n"
	"\n"
	"Takes IPIP and GUE encapsulation off on a backend and hands the inner packets to\n"
	"the host, without a kernel tunnel module.\n"
	"\n"
	"  --mode MODE      xdp: a program in the kernel, at an interface's driver\n"
	"                   tc: the same, at an interface's ingress\n"
	"                   tun: through a TUN device; needs no BPF\n"
	"  --interface NAME where the packets arrive, for xdp and tc\n"
	"  --device NAME    name of the TUN device to create, for tun (shunt0)\n"
	"  --mtu BYTES      MTU of that device, 1280 to 65535 (1500)\n"
	"  --gue-port PORT  UDP port of GUE (6080)\n"
	"  --from PREFIX    accept outer sources in PREFIX only; may be repeated\n"
	"  --vip PREFIX     accept inner destinations in PREFIX only; may be repeated\n"
	"  --stats FILE     also write the counters to FILE\n"
	"  --help           show this text\n"
	"  --version        show the version\n"
	"\n"
	"SIGUSR1 prints the counters; SIGTERM and SIGINT print them and end the program.\n";

static const char version[] = "shunt-decap " SHUNT_VERSION " (" SHUNT_COMMIT ")\n";

enum option_key {
	OPTION_MODE = 1,
	OPTION_INTERFACE,
	OPTION_DEVICE,
	OPTION_GUE_PORT,
	OPTION_MTU,
	OPTION_FROM,
	OPTION_VIP,
	OPTION_STATS,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{"mode", required_argument, NULL, OPTION_MODE},
	{"interface", required_argument, NULL, OPTION_INTERFACE},
	{"device", required_argument, NULL, OPTION_DEVICE},
	{"gue-port", required_argument, NULL, OPTION_GUE_PORT},
	{"mtu", required_argument, NULL, OPTION_MTU},
	{"from", required_argument, NULL, OPTION_FROM},
	{"vip", required_argument, NULL, OPTION_VIP},
	{"stats", required_argument, NULL, OPTION_STATS},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{},
};

static bool mode_accept(const char *text, enum mode *mode)
{
	static const char *const names[] = {
		[MODE_TUN] = "tun", [MODE_XDP] = "xdp", [MODE_TC] = "tc"};

	for (*mode = MODE_TUN; *mode <= MODE_TC; (*mode)++)
		if (strcmp(text, names[*mode]) == 0)
			return true;
	message("--mode %s is unknown: use --mode xdp, --mode tc or --mode tun", text);
	return false;
}

/* A '%' would make the kernel choose a number, and the name unknown to whoever started us. */
static bool device_accept(const char *name, char device[static DEVICE_NAME_LEN])
{
	size_t len = strlen(name);

	if (len == 0 || len >= DEVICE_NAME_LEN || strpbrk(name, "/:% \t\n") || name[0] == '.') {
		message("--device %s: a device name has 1 to 15 characters, none of them / : %% or "
			"a space, and does not begin with a dot",
			name);
		return false;
	}
	memcpy(device, name, len + 1);
	return true;
}

static bool number_accept(const char *option, const char *text, u32 min, u32 max, u32 *number)
{
	size_t digits = strspn(text, "0123456789");

	if (digits > 0 && digits <= 5 && text[digits] == '\0') {
		*number = (u32)strtoul(text, NULL, 10);
		if (*number >= min && *number <= max)
			return true;
	}
	message("%s %s: expected a number from %u to %u", option, text, min, max);
	return false;
}

static bool prefix_accept(const char *option, const char *text, struct prefix_list *list)
{
	struct prefix prefix;
	int status = prefix_parse(text, &prefix);

	if (status == 0)
		status = prefix_list_add(list, &prefix);
	if (status == -EINVAL)
		message("%s %s: expected an address or a prefix, such as 192.0.2.0/24", option,
			text);
	if (status == -EDOM)
		message("%s %s: address bits are set beyond the prefix length", option, text);
	if (status == -ENOSPC)
		message("%s may be given at most %d times", option, PREFIX_LIST_MAX);
	return status == 0;
}

static bool option_apply(enum option_key key, const char *argument, struct options *options)
{
	u32 port;

	switch (key) {
	case OPTION_MODE:
		return mode_accept(argument, &options->mode);
	case OPTION_INTERFACE:
		options->interface = argument;
		return true;
	case OPTION_DEVICE:
		options->device_given = true;
		return device_accept(argument, options->device);
	case OPTION_MTU:
		options->device_given = true;
		return number_accept("--mtu", argument, MTU_MIN, MTU_MAX, &options->mtu);
	case OPTION_GUE_PORT:
		if (!number_accept("--gue-port", argument, 1, 65535, &port))
			return false;
		options->gue_port = (u16)port;
		return true;
	case OPTION_FROM:
		return prefix_accept("--from", argument, &options->policy.from);
	case OPTION_VIP:
		return prefix_accept("--vip", argument, &options->policy.vips);
	case OPTION_STATS:
		options->stats_path = argument;
		return true;
	default:
		return false;
	}
}

static enum options_outcome usage_error(void)
{
	message("try 'shunt-decap --help'");
	return OPTIONS_USAGE;
}

/* Whether the options belong together. */
static bool options_fit(const struct options *options)
{
	bool in_kernel = options->mode == MODE_XDP || options->mode == MODE_TC;

	if (options->mode == MODE_NONE)
		message("--mode is missing: use --mode xdp, --mode tc or --mode tun");
	else if (in_kernel && !options->interface)
		message("--interface is missing: name the interface where the packets arrive");
	else if (in_kernel && options->device_given)
		message("--device and --mtu are for --mode tun: the other modes make no device");
	else if (!in_kernel && options->interface)
		message("--interface is for the modes xdp and tc: --mode tun receives from all");
	else
		return true;
	return false;
}

enum options_outcome options_parse(int argc, char **argv, struct options *options)
{
	int key;

	*options = (struct options){
		.device = "shunt0",
		.mtu = MTU_DEFAULT,
		.gue_port = GUE_PORT_DEFAULT,
	};
	while ((key = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (key == OPTION_HELP || key == OPTION_VERSION) {
			fputs(key == OPTION_HELP ? usage : version, stdout);
			return OPTIONS_DONE;
		}
		if (key == '?')
			return usage_error();
		if (!option_apply(key, optarg, options))
			return OPTIONS_USAGE;
	}
	if (optind < argc) {
		message("unexpected argument '%s'", argv[optind]);
		return usage_error();
	}
	return options_fit(options) ? OPTIONS_RUN : usage_error();
}
