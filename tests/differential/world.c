/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables, what changes them, and time. The configuration is changed in the model: numbers and
 * counters stay those of the file, as a control plane's stay with its backends. */
#include "tests/differential/world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define HOST_LOST "lost4"
#define START_MS 1000000

void world_fail(const struct world *world, const char *format, ...)
{
	va_list args;

	printf("frame %llu, generation %llu, %llu ms: ", (unsigned long long)world->frames,
	       (unsigned long long)world->generation, (unsigned long long)world->time_ms);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	exit(1);
}

static void must(const struct world *world, bool done, const char *what)
{
	if (!done)
		world_fail(world, "%s: %s", what, strerror(errno));
}

static void must_0(const struct world *world, int err, const char *what)
{
	errno = -err;
	must(world, err == 0, what);
}

/* --- Tables --------------------------------------------------------------------------- */

static struct config *config_open(const struct world *world, const char *path)
{
	struct config *config;

	if (config_load_or_tell(path, &config, stdout, "differential") != 0)
		world_fail(world, "no configuration");
	return config;
}

static bool named(const struct plan_service *service, const char *prefix)
{
	return strncmp(service->config->name, prefix, strlen(prefix)) == 0;
}

/* As a backend's service and number have it: over either port; some are special all the time. */
static void hop_normal(const struct plan_service *service, struct plan_backend *backend)
{
	struct plan_hop *hop = &backend->hop;

	hop->reachable = !named(service, HOST_LOST);
	hop->port = (u8)(backend->number % WORLD_PORTS);
	hop->mtu = named(service, "narrow") ? 600 : named(service, "jumbo") ? 9000 : 1500;
	hop->destination_mac[5] = (u8)backend->number;
}

static void hops_normal(struct plan *plan)
{
	for (size_t i = 0; i < plan->config->services_count; i++)
		for (size_t k = 0; k < plan->services[i].config->backends_count; k++)
			hop_normal(&plan->services[i], &plan->services[i].backends[k]);
}

static void plan_open(struct world *world)
{
	must_0(world, plan_create(world->config, world->config->fleet_seed, &world->plan), "plan");
	must_0(world, plan_number_offline(world->plan), "numbers");
	plan_hop_offline(world->plan);
	hops_normal(world->plan);
}

/* A larger one each time, with more counters. */
static void arena_open(struct world *world)
{
	u64 bytes = ARENA_HEADER_BYTES + (8 + world->epoch) * (tables_bytes(world->plan) + 65536);
	u32 counters = world->plan->counters_count + 1 + (u32)world->epoch;
	char text[256] = "";

	must_0(world,
	       arena_writer_create(bytes / 4096 * 4096, ++world->epoch, 1, counters,
				   &world->writer),
	       "arena");
	must_0(world, tables_builder_create(world->writer, world->history, &world->builder),
	       "tables");
	must_0(world,
	       arena_attach(arena_writer_fd(world->writer), &world->view, text, sizeof(text)),
	       "attaching to the arena");
}

static void engine_follow(struct world_engine *engine, const struct world *world,
			  const struct tables *tables)
{
	for (u32 i = 0; i < WORLD_WORKERS; i++) {
		engine->workers[i].env.tables = *tables;
		engine->workers[i].env.flow_buckets = world->stateless ? 0 : world->flow_buckets;
	}
}

void world_publish(struct world *world)
{
	struct tables tables;

	world_flush(world);
	for (size_t i = 0; i < world->config->services_count; i++)
		plan_service_judge(&world->plan->services[i]);
	arena_writer_reclaim(world->writer, world->generation);
	maglev_history_begin(world->history, world->writer, world->time_ms);
	must_0(world, tables_publish(world->builder, world->plan, ++world->generation), "tables");
	maglev_history_end(world->history, true);
	must_0(world, arena_tables(&world->view, arena_root_offset(&world->view), &tables), "root");
	kernel_count_up(&world->kernel, &world->kernel_report);
	must_0(world,
	       kernel_publish(&world->kernel, &world->view, &tables,
			      world->stateless ? 0 : world->flow_buckets),
	       "publishing to the kernel");
	engine_follow(&world->core, world, &tables);
	engine_follow(&world->burst, world, &tables);
	world->publications++;
}

void world_renew(struct world *world)
{
	struct arena_writer *writer = world->writer;
	struct tables_builder *builder = world->builder;
	struct arena_view view = world->view;

	world_flush(world);
	arena_open(world);
	world_publish(world);
	arena_detach(&view);
	tables_builder_destroy(builder);
	arena_writer_destroy(writer);
}

/* --- Changes -------------------------------------------------------------------------- */

static void service_restore(struct world *world, size_t i)
{
	struct config_service *config = &world->config->services[i];
	const struct config_service *original = &world->original->services[i];
	struct plan_service *service = &world->plan->services[i];

	config->backends_count = original->backends_count;
	for (size_t k = 0; k < config->backends_count; k++) {
		config->backends[k].state = original->backends[k].state;
		config->backends[k].weight = original->backends[k].weight;
		service->backends[k].up = true;
		hop_normal(service, &service->backends[k]);
	}
}

/* The highest number comes or goes. */
static void backend_remove(struct world *world, size_t i)
{
	struct config_service *config = &world->config->services[i];
	size_t all = world->original->services[i].backends_count;

	config->backends_count = config->backends_count == all ? all - 1 : all;
}

static void hop_change(struct random *random, struct plan_hop *hop)
{
	static const u16 mtus[] = {600, 1400, 1500, 1500, 9000};

	if (random_one_in(random, 4))
		hop->reachable ^= true;
	else if (random_one_in(random, 2))
		hop->port ^= 1;
	else
		hop->mtu = mtus[random_below(random, ARRAY_LEN(mtus))];
}

/* Of a service that is not special. */
static void service_change(struct world *world, struct random *random, size_t i)
{
	struct config_service *config = &world->config->services[i];
	size_t k = random_below(random, (u32)config->backends_count);
	struct config_backend *backend = &config->backends[k];
	struct plan_backend *planned = &world->plan->services[i].backends[k];

	switch (random_below(random, 6)) {
	case 0:
	case 1:
		backend->state = (enum config_backend_state)random_below(random, 3);
		break;
	case 2:
		backend->weight = random_below(random, 12);
		break;
	case 3:
		backend_remove(world, i);
		break;
	case 4:
		planned->up ^= true;
		break;
	default:
		hop_change(random, &planned->hop);
	}
}

void world_disturb(struct world *world, struct random *random, u32 changes)
{
	u32 services_count = (u32)world->config->services_count;

	for (; changes > 0; changes--) {
		size_t i = random_below(random, services_count);

		if (world->original->services[i].backends_count > 3)
			service_change(world, random, i);
	}
	for (size_t i = 0; i < services_count; i++)
		if (random_one_in(random, 6))
			service_restore(world, i);
	if (random_one_in(random, 20))
		world_renew(world);
	else
		world_publish(world);
}

void world_change(struct world *world, struct random *random)
{
	if (random_one_in(random, 8))
		world->config->defaults.unmatched ^= CONFIG_UNMATCHED_PASS;
	world->stateless = random_one_in(random, 40);
	world_disturb(world, random, 1 + random_below(random, 4));
}

bool world_has(const struct world *world, u16 service_number, u16 backend_number)
{
	const struct config_service *service = &world->config->services[service_number - 1];

	return backend_number > 0 && backend_number <= service->backends_count &&
	       service->backends[backend_number - 1].state != CONFIG_STATE_MAINTENANCE;
}

/* --- Time ----------------------------------------------------------------------------- */

static void engine_pass(struct world_engine *engine, u64 time_ms)
{
	for (u32 i = 0; i < WORLD_WORKERS; i++)
		replay_clock_advance(&engine->workers[i].clock, &engine->workers[i].env, time_ms);
}

/* shunt-xdp sweeps the kernel's flow tables; the program's clock is told. */
static void kernel_pass(struct world *world)
{
	struct kernel *kernel = &world->kernel;

	for (u32 i = 0; i < WORLD_WORKERS; i++) {
		struct env env = {
			.flows = flow_tables_of(&kernel->flows, i),
			.flow_buckets = world->stateless ? 0 : world->flow_buckets,
		};

		env.tick = (u8)kernel->workers[i].tick;
		replay_clock_advance(&world->kernel_clocks[i], &env, world->time_ms);
		kernel->workers[i].tick = env.tick;
		kernel->control->fixed_ms = env.now_ms;
	}
}

void world_pass(struct world *world, u64 ms)
{
	u64 due_ms = maglev_history_due_ms(world->history);

	world_flush(world);
	world->time_ms += ms;
	engine_pass(&world->core, world->time_ms);
	engine_pass(&world->burst, world->time_ms);
	kernel_pass(world);
	if (due_ms && world->time_ms >= due_ms)
		world_publish(world);
}

/* --- Opening -------------------------------------------------------------------------- */

/* One queue of a device, which is there as long as the process. */
static void tap_queue(const struct world *world, const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	must(world, fd >= 0, "/dev/net/tun");
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	must(world, ioctl(fd, TUNSETIFF, &request) == 0, "a TAP device's queue");
}

/* The second port takes every station's frames, and answers for nobody. */
static void ports_open(struct world *world)
{
	for (u32 i = 0; i < WORLD_PORTS; i++) {
		char name[IF_NAMESIZE];

		snprintf(name, sizeof(name), "diff%u", i);
		for (u32 k = 0; k < WORLD_QUEUES; k++)
			tap_queue(world, name);
		world->ports[i] = (struct kernel_port){
			.ifindex = if_nametoindex(name),
			.first_worker = i * WORLD_QUEUES,
			.queues_count = WORLD_QUEUES,
			.station = {.mac = {2, 0, 0, 0, 0, (u8)(1 + 2 * i)},
				    .any_mac = i > 0,
				    .answers = i == 0},
		};
	}
}

static void kernel_prepare(struct world *world)
{
	const struct kernel_layout layout = {
		.workers_count = WORLD_WORKERS,
		.ports_count = WORLD_PORTS,
		.ports = world->ports,
		.flows = 1,
		.flow_timeout_ms = world->config->dataplane.flow_timeout_ms,
	};
	cpu_set_t cpus;

	must_0(world, kernel_open(&world->kernel, &layout, NULL), "the program");
	world->kernel.control->fixed = 1;
	for (u32 i = 0; i < WORLD_WORKERS; i++)
		world->kernel.workers[i].tick_ends_ms = UINT64_MAX;
	world->cpu = (u32)sched_getcpu();
	CPU_ZERO(&cpus);
	CPU_SET(world->cpu, &cpus);
	must(world, sched_setaffinity(0, sizeof(cpus), &cpus) == 0, "staying on one CPU");
}

static void refused_or_on(void)
{
	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, NULL) == 1)
		return;
	printf("the kernel refuses BPF to this user; root may load it\n");
	exit(WORLD_SKIP);
}

static void engine_flows(struct world_engine *engine, u32 flow_buckets)
{
	size_t all = (size_t)flow_buckets * WORLD_WORKERS;

	free(engine->buckets);
	free(engine->owners);
	engine->buckets = aligned_alloc(64, all * sizeof(struct flow_bucket));
	engine->owners = calloc(all, sizeof(struct flow_owners));
	frame_require(engine->buckets && engine->owners);
	memset(engine->buckets, 0, all * sizeof(struct flow_bucket));
	for (u32 i = 0; i < WORLD_WORKERS; i++) {
		struct env *env = &engine->workers[i].env;

		env->flows = engine->buckets + (size_t)i * flow_buckets;
		env->flow_owners = engine->owners + (size_t)i * flow_buckets;
		env->siblings = (struct flow_others){engine->buckets, WORLD_WORKERS, flow_buckets};
	}
}

void world_flows(struct world *world, u32 flow_buckets)
{
	struct flow_tables *flows = &world->kernel.flows;
	size_t all = (size_t)flows->buckets_count * WORLD_WORKERS;

	world_flush(world);
	frame_require(flow_buckets <= flows->buckets_count);
	world->flow_buckets = flow_buckets;
	memset(flows->buckets, 0, all * sizeof(struct flow_bucket));
	memset(flows->owners, 0, all * sizeof(struct flow_owners));
	engine_flows(&world->core, flow_buckets);
	engine_flows(&world->burst, flow_buckets);
	world_publish(world);
}

static void engine_open(struct world *world, struct world_engine *engine)
{
	must_0(world,
	       report_create(WORLD_WORKERS, 2 * world->plan->counters_count + 4096, 1,
			     &engine->report),
	       "a report");
	for (u32 i = 0; i < WORLD_WORKERS; i++) {
		engine->workers[i].env.recent = &engine->workers[i].recent;
		engine->workers[i].clock.tick_ms = world->kernel.flows.tick_ms;
	}
}

static void pending_open(struct world *world)
{
	struct world_pending *pending = &world->pending;

	pending->room = calloc(BURST_MAX, sizeof(*pending->room));
	pending->out = calloc(BURST_MAX, sizeof(*pending->out));
	frame_require(pending->room && pending->out);
}

void world_open(struct world *world, const char *config_path, u32 flow_buckets)
{
	memset(world, 0, sizeof(*world));
	refused_or_on();
	must(world, unshare(CLONE_NEWNET) == 0, "a network namespace");
	world->config = config_open(world, config_path);
	world->original = config_open(world, config_path);
	plan_open(world);
	must_0(world, maglev_history_create(&world->history), "history");
	ports_open(world);
	kernel_prepare(world);
	engine_open(world, &world->core);
	engine_open(world, &world->burst);
	must_0(world,
	       report_create(WORLD_WORKERS, world->core.report.counters_count, 1,
			     &world->kernel_report),
	       "a report");
	for (u32 i = 0; i < WORLD_WORKERS; i++)
		world->kernel_clocks[i].tick_ms = world->kernel.flows.tick_ms;
	pending_open(world);
	arena_open(world);
	world_flows(world, flow_buckets);
	world_pass(world, START_MS);
}

static void engine_close(struct world_engine *engine)
{
	free(engine->buckets);
	free(engine->owners);
	report_destroy(&engine->report);
}

void world_close(struct world *world)
{
	kernel_close(&world->kernel);
	engine_close(&world->core);
	engine_close(&world->burst);
	report_destroy(&world->kernel_report);
	arena_detach(&world->view);
	tables_builder_destroy(world->builder);
	arena_writer_destroy(world->writer);
	maglev_history_destroy(world->history);
	plan_destroy(world->plan);
	config_free(world->config);
	config_free(world->original);
	free(world->pending.room);
	free(world->pending.out);
}
