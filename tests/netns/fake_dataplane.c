/* SPDX-License-Identifier: BSD-2-Clause */
/* Plays a dataplane for the tests of shuntd: it attaches with real shared memory and reads the
 * tables as a worker would, but it lags, stays silent and misbehaves on command. What it holds is
 * hashed when it takes it and again before it lets go: shuntd must not write into it between.
 *
 * Commands come one a line on standard input; each is answered by one line, "ok ..." or "no ...".
 *
 *     hello KERNEL_NAME|- GATEWAY_MAC|- [ABI]   calls shuntd, for up to 5 s
 *     follow | stick | mute       takes every generation; none more; nor reports on an arena
 *     count VERDICT PACKETS       adds to a verdict's counter
 *     traffic COUNTER PACKETS BYTES
 *     swept GENERATION            says that the flow table is swept up to it
 *     garbage                     sends what no shuntd understands
 *     hangup
 *     state                       what it holds and has been told
 *
 * usage: fake_dataplane RUN_DIR */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/state/arena.h"
#include "dataplane/state/attach.h"
#include "dataplane/state/flow_table.h"
#include "dataplane/state/report.h"

#define TICK_MS 1
#define CALL_MS 5000
#define KERNEL_NAME_BYTES 16

enum mode { FOLLOW, STICK, MUTE };

struct fake {
	const char *run_dir;
	int socket;
	enum mode mode;
	struct arena_view newest; /* offered last */
	struct arena_view held;   /* that the tables are in */
	struct tables tables;     /* generation 0: none held */
	u64 held_root, held_hash;
	struct report report; /* on the newest */
	struct flow_tables flows;
	unsigned arenas, faults; /* offers; tables that were wrong, or changed while held */
	char refusal[ATTACH_TEXT_MAX];
};

/* --- Reading as a worker does --------------------------------------------------------- */

static u64 hash_bytes(u64 hash, const void *from, u64 bytes)
{
	const u8 *at = from;

	for (u64 i = 0; i < bytes; i++)
		hash = (hash ^ at[i]) * 0x100000001b3ull;
	return hash;
}

static u64 tables_hash(const struct tables *tables)
{
	u64 records = (u64)tables->buckets_count * SERVICE_BUCKET_KEYS;
	u64 hash = 0xcbf29ce484222325ull;

	hash = hash_bytes(hash, tables->buckets, tables->buckets_count * sizeof(*tables->buckets));
	hash = hash_bytes(hash, tables->services, records * sizeof(*tables->services));
	hash = hash_bytes(hash, tables->backends,
			  tables->backends_count * sizeof(*tables->backends));
	for (u64 i = 0; i < records; i++)
		hash = hash_bytes(hash, tables->arena + tables->services[i].maglev_offset,
				  tables->services[i].maglev_size * sizeof(u16));
	return hash;
}

static void held_check(struct fake *fake)
{
	if (fake->tables.generation != 0 && tables_hash(&fake->tables) != fake->held_hash)
		fake->faults++;
}

static void held_release(struct fake *fake)
{
	held_check(fake);
	if (fake->held.base != fake->newest.base)
		arena_detach(&fake->held);
	fake->tables.generation = 0;
}

static void tables_take(struct fake *fake)
{
	u64 root = fake->newest.base ? arena_root_offset(&fake->newest) : 0;

	if (root == 0 || (fake->tables.generation && fake->held.base == fake->newest.base &&
			  root == fake->held_root))
		return;
	held_release(fake);
	if (arena_tables(&fake->newest, root, &fake->tables) < 0) {
		fake->faults++;
		return;
	}
	fake->held = fake->newest;
	fake->held_root = root;
	fake->held_hash = tables_hash(&fake->tables);
	__atomic_store_n(&report_worker(&fake->report, 0)->generation, fake->tables.generation,
			 __ATOMIC_RELEASE);
}

static void tick(struct fake *fake)
{
	if (fake->report.header)
		report_worker(&fake->report, 0)->heartbeat++;
	if (fake->mode == FOLLOW && fake->report.header)
		tables_take(fake);
}

/* --- Talking to shuntd ---------------------------------------------------------------- */

static void hang_up(struct fake *fake)
{
	if (fake->socket >= 0)
		close(fake->socket);
	fake->socket = -1;
}

static void report_send(struct fake *fake, u32 counters_count)
{
	struct report old = fake->report;
	struct attach_message message;
	int fds[2];

	if (report_create(1, counters_count, fake->newest.epoch, &fake->report) < 0)
		exit(1);
	if (old.header) {
		report_carry_over(&old, &fake->report, 0);
		report_destroy(&old);
	}
	attach_prepare(&message, ATTACH_REPORT);
	message.epoch = fake->newest.epoch;
	fds[0] = fake->report.fd;
	fds[1] = flow_tables_deposit(&fake->flows);
	if (attach_send(fake->socket, &message, fds, 2) < 0)
		hang_up(fake);
	close(fds[1]);
}

static void take_arena(struct fake *fake, int fd)
{
	struct arena_view view;
	char text[256];

	if (arena_attach(fd, &view, text, sizeof(text)) < 0) {
		fake->faults++;
		return;
	}
	if (fake->newest.base != fake->held.base || fake->tables.generation == 0)
		arena_detach(&fake->newest);
	fake->newest = view;
	fake->arenas++;
	if (fake->mode != MUTE)
		report_send(fake, ((const struct arena_header *)view.base)->counters_count);
}

static void listen_to(struct fake *fake)
{
	struct attach_message message;
	int fds[ATTACH_FDS_MAX];
	int err;

	while (fake->socket >= 0 &&
	       (err = attach_receive(fake->socket, &message, fds)) != -EAGAIN) {
		if (err) {
			hang_up(fake);
			return;
		}
		if (message.kind == ATTACH_ARENA)
			take_arena(fake, fds[0]);
		else if (message.kind == ATTACH_REFUSED)
			snprintf(fake->refusal, sizeof(fake->refusal), "%s", message.text);
		for (size_t i = 0; i < ATTACH_FDS_MAX; i++)
			if (fds[i] >= 0)
				close(fds[i]);
	}
}

static bool mac_read(const char *text, u8 mac[static 6])
{
	return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
		      &mac[4], &mac[5]) == 6;
}

static bool hello(struct fake *fake, const char kernel_name[static KERNEL_NAME_BYTES],
		  const char *gateway, unsigned abi)
{
	struct attach_message message;
	char path[256];

	hang_up(fake);
	snprintf(path, sizeof(path), "%s/dataplane.sock", fake->run_dir);
	for (int waited_ms = 0; waited_ms < CALL_MS && fake->socket < 0; waited_ms += 10) {
		fake->socket = attach_connect(path);
		if (fake->socket < 0)
			usleep(10000);
	}
	attach_prepare(&message, ATTACH_HELLO);
	message.arena_abi = abi;
	message.workers_count = 1;
	message.ports_count = 1;
	message.epoch = fake->newest.epoch;
	strcpy(message.engine, "fake");
	strcpy(message.ports[0].name, "uplink0");
	if (strcmp(kernel_name, "-") != 0)
		memcpy(message.ports[0].kernel_name, kernel_name, KERNEL_NAME_BYTES);
	mac_read("02:00:00:00:00:01", message.ports[0].mac);
	mac_read(gateway, message.ports[0].gateway_mac);
	message.ports[0].mtu = 1500;
	return fake->socket >= 0 && attach_send(fake->socket, &message, NULL, 0) == 0;
}

static bool garbage(struct fake *fake)
{
	struct attach_message message;

	attach_prepare(&message, ATTACH_HELLO);
	message.magic++;
	return attach_send(fake->socket, &message, NULL, 0) == 0;
}

/* --- Commands ------------------------------------------------------------------------- */

static bool count(struct fake *fake, unsigned at, unsigned long long packets,
		  unsigned long long bytes, bool traffic)
{
	struct report_worker *worker;

	if (!fake->report.header || at >= (traffic ? fake->report.counters_count : VERDICT_COUNT))
		return false;
	worker = report_worker(&fake->report, 0);
	if (traffic) {
		worker->traffic[at].packets += packets;
		worker->traffic[at].bytes += bytes;
	} else {
		worker->verdicts[at] += packets;
	}
	return true;
}

static void state_print(struct fake *fake)
{
	held_check(fake);
	printf("ok attached=%d epoch=%llu held_epoch=%llu generation=%llu arenas=%u faults=%u "
	       "refusal=%s\n",
	       fake->socket >= 0, (unsigned long long)fake->newest.epoch,
	       (unsigned long long)(fake->tables.generation ? fake->held.epoch : 0),
	       (unsigned long long)fake->tables.generation, fake->arenas, fake->faults,
	       fake->refusal);
}

static bool command(struct fake *fake, const char *line)
{
	char a[KERNEL_NAME_BYTES] = "", b[32];
	unsigned at, abi = ARENA_ABI;
	unsigned long long packets, bytes;

	if (sscanf(line, "hello %15s %31s %u", a, b, &abi) >= 2)
		return hello(fake, a, b, abi);
	if (strcmp(line, "follow") == 0)
		return (fake->mode = FOLLOW) == FOLLOW;
	if (strcmp(line, "stick") == 0)
		return (fake->mode = STICK) == STICK;
	if (strcmp(line, "mute") == 0)
		return (fake->mode = MUTE) == MUTE;
	if (sscanf(line, "count %u %llu", &at, &packets) == 2)
		return count(fake, at, packets, 0, false);
	if (sscanf(line, "traffic %u %llu %llu", &at, &packets, &bytes) == 3)
		return count(fake, at, packets, bytes, true);
	if (sscanf(line, "swept %llu", &packets) == 1 && fake->report.header) {
		report_worker(&fake->report, 0)->swept_generation = packets;
		return true;
	}
	if (strcmp(line, "garbage") == 0)
		return garbage(fake);
	if (strcmp(line, "hangup") == 0) {
		hang_up(fake);
		return true;
	}
	return false;
}

static void commands_read(struct fake *fake)
{
	char line[256];

	if (!fgets(line, sizeof(line), stdin))
		exit(0);
	line[strcspn(line, "\n")] = '\0';
	listen_to(fake);
	tick(fake);
	if (strcmp(line, "state") == 0)
		state_print(fake);
	else
		printf("%s %s\n", command(fake, line) ? "ok" : "no", line);
}

int main(int argc, char **argv)
{
	struct fake fake = {.socket = -1, .report.fd = -1};

	if (argc != 2 || flow_tables_create(1000, 1, 60000, &fake.flows) < 0)
		return 64;
	fake.run_dir = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0); /* poll() must see what is left */
	for (;;) {
		struct pollfd fds[] = {{.fd = 0, .events = POLLIN},
				       {.fd = fake.socket, .events = POLLIN}};

		poll(fds, 2, TICK_MS);
		listen_to(&fake);
		tick(&fake);
		if (fds[0].revents)
			commands_read(&fake);
	}
}
