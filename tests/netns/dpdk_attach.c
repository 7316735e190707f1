/* SPDX-License-Identifier: BSD-2-Clause */
/* Plays shuntd for the tests of a dataplane: real tables of a configuration file, but whatever is
 * to go wrong goes wrong on command. Commands come one a line on standard input and each is
 * answered by one line; what the dataplane does on its own is told by lines of its own.
 *
 *     mode offer|refuse|abi      what the next HELLO gets (offer; abi: an arena of ABI 99)
 *     arena EPOCH INCARNATION    makes the next arena so; sends it if a dataplane is there
 *     publish GENERATION         publishes a generation in the present arena
 *     report                     what the dataplane reports, and how many flows it knows
 *     hangup                     closes the connection
 *
 * Flow tables that a dataplane deposited are handed to the next one that wants them.
 *
 * usage: dpdk_attach RUN_DIR CONFIG */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controlplane/arena_writer.h"
#include "controlplane/plan.h"
#include "controlplane/tables.h"
#include "dataplane/state/attach.h"
#include "dataplane/state/flow_table.h"
#include "dataplane/state/report.h"

struct stand_in {
	struct config *config;
	struct plan *plan;
	struct arena_writer *writer; /* earlier ones stay mapped: the dataplane may read them */
	struct tables_builder *builder;
	u64 epoch, incarnation; /* of the next arena */
	char mode[16];
	int listener, socket;
	struct report report;
	const struct flow_table_header *flows;
	int deposit; /* its flow tables; -1: none yet */
};

__attribute__((noreturn)) static void fail(const char *what, int err)
{
	fprintf(stderr, "dpdk_attach: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void must(const char *what, int err)
{
	if (err)
		fail(what, err);
}

/* The dataplane's first port is the way to every backend. */
static void hops_set(struct stand_in *in, const struct attach_port *port)
{
	for (size_t i = 0; i < in->config->services_count; i++) {
		struct plan_service *service = &in->plan->services[i];

		for (size_t k = 0; k < service->config->backends_count; k++)
			memcpy(service->backends[k].hop.source_mac, port->mac, 6);
	}
}

static void arena_make(struct stand_in *in)
{
	must("arena",
	     arena_writer_create(tables_bytes(in->plan) * 4 + ARENA_HEADER_BYTES, in->epoch,
				 in->incarnation, in->plan->counters_count + 1, &in->writer));
	must("builder", tables_builder_create(in->writer, NULL, &in->builder));
	must("tables", tables_publish(in->builder, in->plan, 1));
}

static void arena_send(struct stand_in *in, bool with_flows)
{
	int fds[2] = {arena_writer_fd(in->writer), in->deposit};
	struct attach_message offer;

	attach_prepare(&offer, ATTACH_ARENA);
	offer.epoch = arena_writer_epoch(in->writer);
	must("send", attach_send(in->socket, &offer, fds, with_flows && in->deposit >= 0 ? 2 : 1));
}

static void hello_answer(struct stand_in *in, const struct attach_message *hello)
{
	struct attach_message refusal;

	hops_set(in, &hello->ports[0]);

	if (strcmp(in->mode, "refuse") == 0) {
		attach_prepare(&refusal, ATTACH_REFUSED);
		strcpy(refusal.text, "not today");
		must("refuse", attach_send(in->socket, &refusal, NULL, 0));
		return;
	}
	if (strcmp(in->mode, "abi") == 0) {
		struct arena_header *header;

		arena_make(in);
		header = arena_writer_at(in->writer, 0);
		header->abi = header->min_reader = 99;
	}
	if (!in->writer)
		arena_make(in);
	arena_send(in, hello->flags & ATTACH_WANTS_FLOWS);
}

static void hello_tell(const struct attach_message *hello)
{
	printf("hello engine=%s workers=%u epoch=%llu", hello->engine, hello->workers_count,
	       (unsigned long long)hello->epoch);
	for (u32 i = 0; i < hello->ports_count; i++) {
		const struct attach_port *port = &hello->ports[i];
		const u8 *mac = port->mac;

		printf(" port=%s/%s/%02x:%02x:%02x:%02x:%02x:%02x/%u", port->name,
		       port->kernel_name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
		       port->mtu);
	}
	puts("");
}

/* A report that others can write would be a hole; flow tables are of use to the next dataplane
 * only if it can. */
static bool writable(int fd)
{
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return false;
	munmap(map, 4096);
	return true;
}

/* None from an engine that forwards statelessly. */
static void flows_take(struct stand_in *in, int fd)
{
	struct stat stat;
	void *flows;

	in->flows = NULL;
	if (fd < 0)
		return;
	must("flows", fstat(fd, &stat));
	flows = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (flows == MAP_FAILED)
		fail("flows", -errno);
	in->flows = flows;
	if (in->deposit >= 0)
		close(in->deposit);
	in->deposit = dup(fd);
}

static void report_take(struct stand_in *in, const struct attach_message *message, int fds[2])
{
	char text[200] = "";

	must("report", report_attach(fds[0], &in->report, text, sizeof(text)));
	flows_take(in, fds[1]);
	printf("attached epoch=%llu writable=%d heritable=%d\n", (unsigned long long)message->epoch,
	       writable(fds[0]), writable(fds[1]));
}

static u64 flows_count(const struct flow_table_header *header)
{
	const struct flow_bucket *buckets =
		(const struct flow_bucket *)((const u8 *)header + FLOW_TABLE_HEADER_BYTES);
	u64 count = 0;

	for (u64 i = 0; header && i < (u64)header->workers_count * header->buckets_count; i++)
		for (u32 k = 0; k < FLOW_BUCKET_ENTRIES; k++)
			count += buckets[i].entries[k] != 0;
	return count;
}

/* What all workers have together. */
struct totals {
	u64 heartbeat, refused, packets, bytes, verdicts[VERDICT_COUNT];
	u64 generation, swept; /* the lowest */
};

static struct totals report_sum(const struct report *report)
{
	struct totals sum = {.generation = ~0ull, .swept = ~0ull};

	for (u32 k = 0; k < report->workers_count; k++) {
		const struct report_worker *worker = report_worker(report, k);

		sum.heartbeat += worker->heartbeat;
		sum.refused += worker->roots_refused;
		if (worker->generation < sum.generation)
			sum.generation = worker->generation;
		if (worker->swept_generation < sum.swept)
			sum.swept = worker->swept_generation;
		for (u32 i = 0; i < report->counters_count; i++) {
			sum.packets += worker->traffic[i].packets;
			sum.bytes += worker->traffic[i].bytes;
		}
		for (u32 i = 0; i < VERDICT_COUNT; i++)
			sum.verdicts[i] += worker->verdicts[i];
	}
	return sum;
}

static u64 forwarded(const struct report_worker *worker)
{
	return worker->verdicts[VERDICT_FLOW] + worker->verdicts[VERDICT_MAGLEV];
}

static void report_tell(const struct stand_in *in)
{
	struct totals sum;

	if (!in->report.header) {
		puts("report none");
		return;
	}
	sum = report_sum(&in->report);
	printf("report epoch=%llu heartbeat=%llu generation=%llu swept=%llu refused=%llu flows=%llu "
	       "packets=%llu bytes=%llu",
	       (unsigned long long)in->report.epoch, (unsigned long long)sum.heartbeat,
	       (unsigned long long)sum.generation, (unsigned long long)sum.swept,
	       (unsigned long long)sum.refused, (unsigned long long)flows_count(in->flows),
	       (unsigned long long)sum.packets, (unsigned long long)sum.bytes);
	for (u32 k = 0; k < in->report.workers_count; k++)
		printf(" worker%u=%llu core%u=%llu", k,
		       (unsigned long long)forwarded(report_worker(&in->report, k)), k,
		       (unsigned long long)report_worker(&in->report, k)->core);
	for (u32 i = 0; i < VERDICT_COUNT; i++)
		if (sum.verdicts[i])
			printf(" %s=%llu", verdict_reason(i), (unsigned long long)sum.verdicts[i]);
	puts("");
}

static void connection_close(struct stand_in *in)
{
	close(in->socket);
	in->socket = -1;
}

static void socket_serve(struct stand_in *in)
{
	struct attach_message message;
	int fds[ATTACH_FDS_MAX];
	int err = attach_receive(in->socket, &message, fds);

	if (err == -EAGAIN)
		return;
	if (err) {
		puts("gone");
		connection_close(in);
	} else if (message.kind == ATTACH_HELLO) {
		hello_tell(&message);
		hello_answer(in, &message);
	} else {
		report_take(in, &message, fds);
	}
	for (size_t i = 0; !err && i < ATTACH_FDS_MAX; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void command_run(struct stand_in *in, const char *line)
{
	unsigned long long a, b;

	if (sscanf(line, "mode %15s", in->mode) == 1) {
		puts("ok");
	} else if (sscanf(line, "arena %llu %llu", &a, &b) == 2) {
		in->epoch = a;
		in->incarnation = b;
		in->writer = NULL;
		if (in->socket >= 0) {
			arena_make(in);
			arena_send(in, false);
		}
		puts("ok");
	} else if (sscanf(line, "publish %llu", &a) == 1) {
		must("publish", tables_publish(in->builder, in->plan, a));
		puts("ok");
	} else if (sscanf(line, "close %llu %llu", &a, &b) == 2) {
		in->plan->services[0].backends[a].healthy = false;
		must("publish", tables_publish(in->builder, in->plan, b));
		puts("ok");
	} else if (strcmp(line, "report\n") == 0) {
		report_tell(in);
	} else if (strcmp(line, "hangup\n") == 0) {
		connection_close(in);
		puts("ok");
	} else {
		puts("unknown");
	}
}

static void serve(struct stand_in *in)
{
	char line[128];

	for (;;) {
		struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
				       {.fd = in->listener, .events = POLLIN},
				       {.fd = in->socket, .events = POLLIN}};

		if (poll(fds, 3, -1) < 0)
			fail("poll", -errno);
		if (fds[2].revents)
			socket_serve(in);
		if (fds[1].revents && in->socket < 0)
			in->socket =
				accept4(in->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fds[0].revents && !fgets(line, sizeof(line), stdin))
			return;
		if (fds[0].revents)
			command_run(in, line);
	}
}

int main(int argc, char **argv)
{
	struct stand_in in = {
		.mode = "offer", .socket = -1, .deposit = -1, .epoch = 1, .incarnation = 1};
	char path[200], text[200] = "";
	struct config_errors errors;
	bool world_readable;
	size_t len_bytes;
	u8 seed[16];
	char *file;

	if (argc != 3)
		return 64;
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	must("config", config_load(argv[2], &in.config, &errors, &file, &len_bytes));
	must("seed", config_seed_load(in.config, seed, &world_readable, text, sizeof(text)));
	must("plan", plan_create(in.config, seed, &in.plan));
	must("numbers", plan_number_offline(in.plan));
	plan_hop_offline(in.plan);
	snprintf(path, sizeof(path), "%s/dataplane.sock", argv[1]);
	in.listener = attach_listen(path);
	if (in.listener < 0)
		fail(path, in.listener);
	serve(&in);
	unlink(path);
	return 0;
}
