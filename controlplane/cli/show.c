/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/cli/show_drops.h"
#include "controlplane/json_read.h"

static void usage(FILE *out)
{
	fprintf(out,
		"usage: shunt show [services|workers|engine|status|config] [--json] [--run-dir DIR]\n"
		"       shunt show drops [REASON...] [--explain] [--all] [--json] [--run-dir DIR]\n\n"
		"Shows what the running shuntd and its dataplanes do. 'services' is the default;\n"
		"'drops' lists every verdict that was given, and what it means, with REASON or\n"
		"--explain also what to do about it, with --all those never given too; 'workers'\n"
		"what each core has done since its dataplane began; 'engine' what carries the\n"
		"traffic now, on each interface, and why.\n");
}

/* Why it is down, and since when. */
static void show_health(const json_t *health)
{
	if (strcmp(string_of(health, "state"), "down") == 0)
		printf("  down since %s: %s", string_of(health, "since"),
		       string_of(health, "reason"));
}

/* Who drains it, and how many flows are on their way out. */
static void show_drain(const json_t *backend)
{
	const json_t *drain = json_object_get(backend, "drain");
	const json_t *flows = json_object_get(backend, "flows");

	if (json_is_object(drain))
		printf("  drained by %s since %s",
		       strcmp(string_of(drain, "by"), "file") == 0 ? "the file" : "an operator",
		       string_of(drain, "since"));
	if (json_is_integer(flows) && !json_is_true(json_object_get(backend, "eligible")))
		printf("  %lld flow%s left", integer_of(backend, "flows"),
		       integer_of(backend, "flows") == 1 ? "" : "s");
	else if (json_is_object(drain))
		printf("  flows not counted yet");
}

static void show_backend(const json_t *backend)
{
	bool reachable = json_is_true(json_object_get(backend, "reachable"));

	printf("  -> %-39s %7lld %-12s %8lld %12lld %15lld%s%s", string_of(backend, "address"),
	       integer_of(backend, "weight"), string_of(backend, "state"),
	       integer_of(backend, "slots"), integer_of(backend, "packets"),
	       integer_of(backend, "bytes"),
	       reachable ? "" : "  unreachable: ", reachable ? "" : string_of(backend, "reason"));
	show_health(json_object_get(backend, "health"));
	show_drain(backend);
	putchar('\n');
}

static void show_services(const json_t *services)
{
	const json_t *service, *backend;
	size_t i, k;

	printf("%-44s %-12s %-8s %12s %15s\n", "Service", "Name", "Encap", "Packets", "Bytes");
	printf("  -> %-39s %7s %-12s %8s %12s %15s\n", "Backend", "Weight", "State", "Slots",
	       "Packets", "Bytes");
	json_array_foreach(services, i, service)
	{
		const json_t *port = json_object_get(service, "port");
		char text[128], number[16];

		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(port));
		snprintf(text, sizeof(text),
			 strchr(string_of(service, "vip"), ':') ? "%s [%s]:%s" : "%s %s:%s",
			 string_of(service, "protocol"), string_of(service, "vip"),
			 json_is_integer(port) && json_integer_value(port) ? number : "any");
		printf("%-44s %-12s %-8s %12lld %15lld\n", text, string_of(service, "name"),
		       string_of(service, "encapsulation"), integer_of(service, "packets"),
		       integer_of(service, "bytes"));
		if (json_is_true(json_object_get(service, "fail_open")))
			printf("  every backend is down, so all of them get new flows "
			       "(all_down: forward)\n");
		json_array_foreach(json_object_get(service, "backends"), k, backend)
			show_backend(backend);
	}
}

static void show_workers(const json_t *workers)
{
	const json_t *worker;
	size_t i;

	printf("%-8s %6s %6s %14s %14s %16s %11s\n", "Pid", "Worker", "Core", "Packets", "Dropped",
	       "Bursts", "Generation");
	json_array_foreach(workers, i, worker)
	{
		printf("%-8lld %6lld %6lld %14lld %14lld %16lld %11lld\n",
		       integer_of(worker, "pid"), integer_of(worker, "worker"),
		       integer_of(worker, "core"), integer_of(worker, "packets"),
		       integer_of(worker, "dropped"), integer_of(worker, "heartbeat"),
		       integer_of(worker, "generation"));
	}
}

/* A worker with a socket: what has its traffic at the moment. */
static void show_carrier(const json_t *worker)
{
	const char *why = string_of(worker, "why");

	printf("worker %-5lld %s%s%s; steered %lld, fallen back %lld in %lld times, lost %lld, "
	       "starved %lld\n",
	       integer_of(worker, "worker"), string_of(worker, "by"), *why ? ": " : "", why,
	       integer_of(worker, "steered"), integer_of(worker, "fallen_back"),
	       integer_of(worker, "falls"), integer_of(worker, "lost"),
	       integer_of(worker, "starved"));
}

static bool may_have_socket(const json_t *engine, const json_t *worker)
{
	const char *name = string_of(engine, "engine");

	return strcmp(name, "af_xdp") == 0 ||
	       (strcmp(name, "dpdk") == 0 && strcmp(string_of(worker, "by"), "thread") != 0);
}

static void show_engines(const json_t *engines)
{
	const json_t *engine, *interface, *worker;
	size_t i, k;

	if (json_array_size(engines) == 0)
		printf("no dataplane is attached; a program that one has left in the kernel "
		       "forwards on by itself\n");
	json_array_foreach(engines, i, engine)
	{
		printf("engine       %s, pid %lld%s\n", string_of(engine, "engine"),
		       integer_of(engine, "pid"),
		       json_is_true(json_object_get(engine, "forwards")) ? ""
									 : ", has no tables yet");
		printf("carried by   %s\n", string_of(engine, "carried_by"));
		if (*string_of(engine, "why"))
			printf("because of   %s\n", string_of(engine, "why"));
		json_array_foreach(json_object_get(engine, "interfaces"), k, interface)
			printf("interface    %s%s%s%s%s\n", string_of(interface, "name"),
			       *string_of(interface, "kernel_name") ? ", the kernel's " : "",
			       string_of(interface, "kernel_name"),
			       *string_of(interface, "state") ? ": " : "",
			       string_of(interface, "state"));
		json_array_foreach(json_object_get(engine, "workers"), k, worker)
		{
			if (may_have_socket(engine, worker))
				show_carrier(worker);
			else if (integer_of(worker, "lost") > 0)
				printf("worker %-5lld %s; lost %lld that were in sockets of killed "
				       "processes\n",
				       integer_of(worker, "worker"), string_of(worker, "by"),
				       integer_of(worker, "lost"));
		}
	}
}

static void show_dataplane(const json_t *dataplane)
{
	const json_t *port;
	size_t i;

	printf("dataplane    %s %s, pid %lld, %lld worker%s, generation %lld%s\n",
	       string_of(dataplane, "engine"), string_of(dataplane, "version"),
	       integer_of(dataplane, "pid"), integer_of(dataplane, "workers"),
	       integer_of(dataplane, "workers") == 1 ? "" : "s",
	       integer_of(dataplane, "generation"),
	       json_is_true(json_object_get(dataplane, "behind")) ? " (behind)" : "");
	if (integer_of(dataplane, "flows_unplaced"))
		printf("  flows      %lld found no room and were forwarded statelessly; raise `flows`\n",
		       integer_of(dataplane, "flows_unplaced"));
	if (integer_of(dataplane, "exceptions_lost") || integer_of(dataplane, "kernel_lost"))
		printf("  kernel     %lld packets for it and %lld frames from it found no room and "
		       "were lost\n",
		       integer_of(dataplane, "exceptions_lost"),
		       integer_of(dataplane, "kernel_lost"));
	json_array_foreach(json_object_get(dataplane, "ports"), i, port)
		printf("  port       %s, %s, MTU %lld%s%s\n", string_of(port, "name"),
		       string_of(port, "mac"), integer_of(port, "mtu"),
		       *string_of(port, "kernel_name") ? ", the kernel's " : "",
		       string_of(port, "kernel_name"));
}

static void show_status(const json_t *answer)
{
	const json_t *arena = json_object_get(answer, "arena");
	const json_t *pending = json_object_get(answer, "pending_restart_keys");
	const json_t *item;
	size_t i;

	printf("shuntd       %s (%s), pid %lld\n", string_of(answer, "version"),
	       string_of(answer, "commit"), integer_of(answer, "pid"));
	printf("config       %s\n", string_of(answer, "config_file"));
	printf("generation   %lld of epoch %lld%s\n", integer_of(answer, "generation"),
	       integer_of(answer, "epoch"),
	       json_is_true(json_object_get(answer, "settling"))
		       ? ", with slots that changed in the last seconds"
		       : "");
	printf("arena        %lld bytes, %lld free, %s pages\n", integer_of(arena, "bytes"),
	       integer_of(arena, "free_bytes"),
	       json_is_true(json_object_get(arena, "huge")) ? "2 MiB" : "4 KiB");
	json_array_foreach(json_object_get(answer, "dataplanes"), i, item) show_dataplane(item);
	json_array_foreach(pending, i, item)
		printf("pending      %s changed; it takes effect when the dataplane restarts\n",
		       json_string_value(item));
}

static const struct view {
	const char *name;
	const char *path;
	void (*print)(const json_t *answer);
} views[] = {
	{"services", "/v1/services", show_services},
	{"workers", "/v1/workers", show_workers},
	{"engine", "/v1/engine", show_engines},
	{"status", "/v1/status", show_status},
};

static int show_config(const char *run_dir, bool json)
{
	char *text = client_text(run_dir, "/v1/config");
	json_t *out;

	if (!text)
		return CLI_UNAVAILABLE;
	if (json) {
		out = json_pack("{s:s}", "config", text);
		json_dumpf(out, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(out);
	} else {
		fputs(text, stdout);
	}
	free(text);
	return CLI_OK;
}

static int show_view(const char *name, const char *run_dir, bool json)
{
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		json_t *answer;

		if (strcmp(name, views[i].name) != 0)
			continue;
		answer = client_request(run_dir, "GET", views[i].path);
		if (!answer)
			return CLI_UNAVAILABLE;
		if (json) {
			json_dumpf(answer, stdout, JSON_INDENT(2));
			putchar('\n');
		} else {
			views[i].print(answer);
		}
		json_decref(answer);
		return CLI_OK;
	}
	if (strcmp(name, "config") == 0)
		return show_config(run_dir, json);
	fprintf(stderr, "shunt: there is no view '%s'\n", name);
	usage(stderr);
	return CLI_USAGE;
}

struct show_options {
	const char *run_dir;
	bool json;
	bool explain, all; /* of the drops */
};

/* Reads the options; returns whether the command may go on, else *code is final. */
static bool read_options(int argc, char **argv, void (*help)(FILE *out),
			 struct show_options *options, int *code)
{
	static const struct option known[] = {{"json", no_argument, NULL, 'j'},
					      {"run-dir", required_argument, NULL, 'r'},
					      {"explain", no_argument, NULL, 'e'},
					      {"all", no_argument, NULL, 'a'},
					      {"help", no_argument, NULL, 'h'},
					      {0}};
	int option;

	*options = (struct show_options){.run_dir = CLI_RUN_DIR};
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'j') {
			options->json = true;
		} else if (option == 'r') {
			options->run_dir = optarg;
		} else if (option == 'e' && help == usage) {
			options->explain = true;
		} else if (option == 'a' && help == usage) {
			options->all = true;
		} else {
			help(option == 'h' ? stdout : stderr);
			*code = option == 'h' ? CLI_OK : CLI_USAGE;
			return false;
		}
	}
	return true;
}

int cli_show(int argc, char **argv)
{
	struct show_options options;
	const char *view;
	bool drops;
	int code;

	if (!read_options(argc, argv, usage, &options, &code))
		return code;
	view = optind < argc ? argv[optind] : "services";
	drops = strcmp(view, "drops") == 0;
	if (!drops && (argc - optind > 1 || options.explain || options.all)) {
		usage(stderr);
		return CLI_USAGE;
	}
	if (drops)
		return show_drops(options.run_dir, argv + optind + 1, argc - optind - 1,
				  options.explain, options.all, options.json);
	return show_view(view, options.run_dir, options.json);
}

static void reload_usage(FILE *out)
{
	fprintf(out, "usage: shunt reload [--json] [--run-dir DIR]\n\n"
		     "Makes shuntd read its configuration again; a bad file changes nothing.\n");
}

int cli_reload(int argc, char **argv)
{
	struct show_options options;
	json_t *answer;
	int code;

	if (!read_options(argc, argv, reload_usage, &options, &code))
		return code;
	answer = client_request(options.run_dir, "POST", "/v1/reload");
	if (!answer)
		return CLI_UNAVAILABLE;
	code = json_is_false(json_object_get(answer, "valid")) ? CLI_INVALID : CLI_OK;
	if (options.json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		puts(code == CLI_OK ? "reloaded"
				    : "refused: the file has errors; 'shunt check' shows them");
	}
	json_decref(answer);
	return code;
}
