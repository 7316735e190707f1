/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/decap/options.h"

#include "dataplane/session/message.h"
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
	"usage: shunt-decap --mode tun [--device NAME] [--mtu BYTES] [OPTIONS]\n"
	"       shunt-decap --mode xdp|tc --interface NAME [--interface NAME]... [OPTIONS]\n"
	"       shunt-decap --mode xdp|tc --interface NAME --detach\n"
	"\n"
	"Takes IPIP and GUE encapsulation off on a backend and hands the inner packets to\n"
	"the host, without a kernel tunnel module.\n"
	"\n"
	"  --mode MODE      xdp: in the kernel, before it looks at a packet; needs root\n"
	"                   tc: in the kernel, a little later; works on any interface\n"
	"                   tun: through a TUN device; works where BPF is not allowed\n"
	"  --interface NAME where wrapped packets arrive (xdp, tc); may be repeated\n"
	"  --detach         only take away what a killed shunt-decap has left (xdp, tc)\n"
	"  --device NAME    name of the TUN device to create (shunt0)\n"
	"  --mtu BYTES      MTU of that device, 1280 to 65535 (1500)\n"
	"\n"
	"options of every mode:\n"
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
	OPTION_DETACH,
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
	{"detach", no_argument, NULL, OPTION_DETACH},
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

static bool mode_accept(const char *text, enum mode_kind *mode)
{
	if (strcmp(text, "tun") == 0)
		*mode = MODE_TUN;
	else if (strcmp(text, "xdp") == 0)
		*mode = MODE_XDP;
	else if (strcmp(text, "tc") == 0)
		*mode = MODE_TC;
	else
		message("--mode %s is unknown: use --mode xdp, tc or tun", text);
	return *mode != MODE_NONE;
}

/* A '%' would make the kernel choose a number, and the name unknown to whoever started us. */
static bool device_accept(const char *option, const char *name, char device[static DEVICE_NAME_LEN])
{
	size_t len = strlen(name);

	if (len == 0 || len >= DEVICE_NAME_LEN || strpbrk(name, "/:% \t\n") || name[0] == '.') {
		message("%s %s: a device name has 1 to 15 characters, none of them / : %% or "
			"a space, and does not begin with a dot",
			option, name);
		return false;
	}
	memcpy(device, name, len + 1);
	return true;
}

static bool interface_accept(const char *name, struct options *options)
{
	if (options->interfaces_count == OPTIONS_INTERFACES_MAX) {
		message("--interface may be given at most %d times", OPTIONS_INTERFACES_MAX);
		return false;
	}
	for (u32 i = 0; i < options->interfaces_count; i++) {
		if (strcmp(options->interfaces[i], name) == 0) {
			message("--interface %s is given twice", name);
			return false;
		}
	}
	return device_accept("--interface", name, options->interfaces[options->interfaces_count++]);
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
		return interface_accept(argument, options);
	case OPTION_DETACH:
		options->detach = true;
		return true;
	case OPTION_DEVICE:
		return device_accept("--device", argument, options->device);
	case OPTION_MTU:
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

/* Whether the options make sense together; `given` has a bit for each key. */
static bool options_agree(const struct options *options, u32 given)
{
	bool tun = options->mode == MODE_TUN;

	if (options->mode == MODE_NONE)
		message("--mode is missing: use --mode xdp, tc or tun");
	else if (tun && (given & (1u << OPTION_INTERFACE | 1u << OPTION_DETACH)))
		message("--interface and --detach are for --mode xdp and tc: --mode tun receives "
			"from every interface, and leaves nothing behind");
	else if (!tun && (given & (1u << OPTION_DEVICE | 1u << OPTION_MTU)))
		message("--device and --mtu are for --mode tun: the other modes make no device");
	else if (!tun && options->interfaces_count == 0)
		message("--interface is missing: name the interface where wrapped packets arrive");
	else
		return true;
	return false;
}

enum options_outcome options_parse(int argc, char **argv, struct options *options)
{
	u32 given = 0;
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
		given |= 1u << key;
	}
	if (optind < argc) {
		message("unexpected argument '%s'", argv[optind]);
		return usage_error();
	}
	return options_agree(options, given) ? OPTIONS_RUN : usage_error();
}
