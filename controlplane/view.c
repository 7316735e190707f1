/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/view.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/explain.h"
#include "controlplane/frame_text.h"
#include "controlplane/health/checks.h"
#include "controlplane/verdict_json.h"
#include "version.h"

static json_t *mac_view(const u8 mac[static 6])
{
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
			    mac[5]);
}

/* --- Status -------------------------------------------------------------------------- */

static json_t *ports_view(const struct attach_message *hello)
{
	json_t *list = json_array();

	for (u32 i = 0; i < hello->ports_count; i++) {
		const struct attach_port *port = &hello->ports[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:i}", "name", port->name,
						      "kernel_name", port->kernel_name, "mac",
						      mac_view(port->mac), "mtu", port->mtu));
	}
	return list;
}

static json_t *dataplane_view(const struct session_view *session, u64 generation)
{
	const struct attach_message *hello = session->hello;
	const struct report *report = session->report;
	u64 seen = report ? session_generation(report) : 0;
	u64 heartbeat = 0, unplaced = 0, exceptions_lost = 0, kernel_sent = 0, kernel_lost = 0;

	for (u32 i = 0; report && i < report->workers_count; i++) {
		const struct report_worker *worker = report_worker(report, i);

		heartbeat += __atomic_load_n(&worker->heartbeat, __ATOMIC_RELAXED);
		unplaced += __atomic_load_n(&worker->flows_unplaced, __ATOMIC_RELAXED);
		exceptions_lost += __atomic_load_n(&worker->exceptions_lost, __ATOMIC_RELAXED);
		kernel_sent += __atomic_load_n(&worker->kernel_sent, __ATOMIC_RELAXED);
		kernel_lost += __atomic_load_n(&worker->kernel_lost, __ATOMIC_RELAXED);
	}
	return json_pack("{s:s, s:I, s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "engine",
			 hello->engine, "pid", (json_int_t)hello->pid, "version", hello->version,
			 "workers", (json_int_t)hello->workers_count, "ports", ports_view(hello),
			 "generation", (json_int_t)seen, "heartbeat_total", (json_int_t)heartbeat,
			 "flows_unplaced", (json_int_t)unplaced, "exceptions_lost",
			 (json_int_t)exceptions_lost, "kernel_sent", (json_int_t)kernel_sent,
			 "kernel_lost", (json_int_t)kernel_lost, "behind",
			 !session->current || seen < generation);
}

static json_t *dataplanes_view(const struct control *control)
{
	u64 generation = publisher_generation(control_publisher(control));
	struct session_view sessions[SESSIONS_MAX];
	size_t count = sessions_list(control_sessions(control), sessions);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, dataplane_view(&sessions[i], generation));
	return list;
}

/* --- Engines ------------------------------------------------------------------------- */

/* What moves packets under an engine. Its process, or what that has left in the kernel. */
static const char *carrier_of(const char *engine, const struct report *report)
{
	if (strcmp(engine, "xdp") == 0)
		return "the program in the kernel, also while shunt-xdp is away";
	if (strcmp(engine, "af_xdp") == 0)
		return "workers with AF_XDP sockets; what they have no room or time for, and all "
		       "while shunt-xdp is away, by the program in the kernel";
	if (report && __atomic_load_n(&report_worker(report, 0)->carrier, __ATOMIC_RELAXED) !=
			      REPORT_CARRIER_THREAD)
		return "DPDK's workers with AF_XDP sockets; what they have no room or time for, "
		       "and all while shunt-dpdk is away, by the program in the kernel";
	return "the workers of its process";
}

static json_t *engine_ports_view(const struct attach_message *hello)
{
	json_t *list = json_array();

	for (u32 i = 0; i < hello->ports_count; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s}", "name", hello->ports[i].name,
						"kernel_name", hello->ports[i].kernel_name, "state",
						hello->ports[i].state));
	return list;
}

static const char *name_at(const char *const *names, size_t count, u64 index)
{
	return index < count ? names[index] : "unknown";
}

/* What carries one worker's traffic now, and why not what is meant to. */
static json_t *carrier_view(const struct report_worker *worker, u32 number)
{
	static const char *const carriers[] = {
		[REPORT_CARRIER_THREAD] = "thread",
		[REPORT_CARRIER_KERNEL] = "kernel",
		[REPORT_CARRIER_COPY] = "socket, copy",
		[REPORT_CARRIER_ZERO_COPY] = "socket, zero-copy",
	};
	static const char *const reasons[] = {
		[REPORT_WHY_SETTLED] = "",
		[REPORT_WHY_NO_ROOM] = "the socket's worker is slow, and its buffers are full",
		[REPORT_WHY_STALLED] = "the socket's worker gives no sign of life",
		[REPORT_WHY_GONE] =
			("the interface has gone since; a restart of the dataplane makes sockets "
			 "on a new one"),
		[REPORT_WHY_GENERIC] = "the driver takes no XDP program in native mode",
	};
	u64 carrier = __atomic_load_n(&worker->carrier, __ATOMIC_RELAXED);
	u64 why = __atomic_load_n(&worker->why, __ATOMIC_RELAXED);

	return json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "worker", (json_int_t)number,
			 "by", name_at(carriers, 4, carrier), "why", name_at(reasons, 5, why),
			 "steered", (json_int_t)__atomic_load_n(&worker->steered, __ATOMIC_RELAXED),
			 "fallen_back",
			 (json_int_t)__atomic_load_n(&worker->fallen_back, __ATOMIC_RELAXED),
			 "falls", (json_int_t)__atomic_load_n(&worker->falls, __ATOMIC_RELAXED),
			 "lost", (json_int_t)__atomic_load_n(&worker->lost, __ATOMIC_RELAXED),
			 "starved",
			 (json_int_t)__atomic_load_n(&worker->starved, __ATOMIC_RELAXED));
}

static json_t *carriers_view(const struct report *report)
{
	json_t *list = json_array();

	for (u32 i = 0; report && i < report->workers_count; i++)
		json_array_append_new(list, carrier_view(report_worker(report, i), i));
	return list;
}

json_t *view_engines(const struct control *control)
{
	struct session_view sessions[SESSIONS_MAX];
	size_t count = sessions_list(control_sessions(control), sessions);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct attach_message *hello = sessions[i].hello;

		json_array_append_new(list, json_pack("{s:s, s:I, s:b, s:s, s:s, s:o, s:o}",
						      "engine", hello->engine, "pid",
						      (json_int_t)hello->pid, "forwards",
						      sessions[i].report != NULL, "carried_by",
						      carrier_of(hello->engine, sessions[i].report),
						      "why", hello->text, "interfaces",
						      engine_ports_view(hello), "workers",
						      carriers_view(sessions[i].report)));
	}
	return list;
}

/* --- Workers ------------------------------------------------------------------------- */

/* What its report says of one worker, all counted since its dataplane began. */
static json_t *worker_view(const struct session_view *session, u32 number)
{
	const struct report_worker *worker = report_worker(session->report, number);
	u64 packets = 0, dropped = 0;

	for (u32 i = 0; i < VERDICT_COUNT; i++) {
		u64 counted = __atomic_load_n(&worker->verdicts[i], __ATOMIC_RELAXED);

		packets += counted;
		if (verdict_action((enum verdict)i) == ACTION_DROP)
			dropped += counted;
	}
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "pid",
			 (json_int_t)session->hello->pid, "worker", (json_int_t)number, "core",
			 (json_int_t)__atomic_load_n(&worker->core, __ATOMIC_RELAXED), "packets",
			 (json_int_t)packets, "dropped", (json_int_t)dropped, "flows_unplaced",
			 (json_int_t)__atomic_load_n(&worker->flows_unplaced, __ATOMIC_RELAXED),
			 "heartbeat",
			 (json_int_t)__atomic_load_n(&worker->heartbeat, __ATOMIC_RELAXED),
			 "generation",
			 (json_int_t)__atomic_load_n(&worker->generation, __ATOMIC_ACQUIRE));
}

json_t *view_workers(const struct control *control)
{
	struct session_view sessions[SESSIONS_MAX];
	size_t count = sessions_list(control_sessions(control), sessions);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		const struct report *report = sessions[i].report;

		for (u32 k = 0; report && k < report->workers_count; k++)
			json_array_append_new(list, worker_view(&sessions[i], k));
	}
	return list;
}

/* --- The rest of the status ---------------------------------------------------------- */

static json_t *pending_view(const struct control *control)
{
	json_t *list = json_array();
	char keys[1024] = "";
	char *rest = keys, *key;

	if (control_pending_keys(control, keys, sizeof(keys)) > 0)
		while ((key = strsep(&rest, " ")))
			json_array_append_new(list, json_string(key));
	return list;
}

static json_t *errors_view(const struct outcome *outcome)
{
	json_t *list = json_array();

	for (size_t i = 0; i < outcome->errors.count; i++) {
		const struct config_error *error = &outcome->errors.list[i];

		json_array_append_new(list,
				      json_pack("{s:I, s:I, s:s}", "line", (json_int_t)error->line,
						"column", (json_int_t)error->column, "text",
						error->text));
	}
	return list;
}

json_t *view_status(const struct control *control)
{
	const struct publisher *publisher = control_publisher(control);
	json_t *arena =
		json_pack("{s:I, s:I, s:b}", "bytes", (json_int_t)publisher_bytes(publisher),
			  "free_bytes", (json_int_t)publisher_free_bytes(publisher), "huge",
			  publisher_huge(publisher));

	return json_pack("{s:s, s:s, s:i, s:s, s:o, s:I, s:I, s:b, s:o, s:o, s:o}", "version",
			 SHUNT_VERSION, "commit", SHUNT_COMMIT, "pid", (int)getpid(), "config_file",
			 control_options(control)->config_file, "config_errors_last_reload",
			 errors_view(control_last_reload(control)), "generation",
			 (json_int_t)publisher_generation(publisher), "epoch",
			 (json_int_t)publisher_epoch(publisher), "settling",
			 publisher_due_ms(publisher) != 0, "arena", arena, "dataplanes",
			 dataplanes_view(control), "pending_restart_keys", pending_view(control));
}

json_t *view_reload(const struct control *control, const struct outcome *outcome)
{
	u64 generation = publisher_generation(control_publisher(control));
	json_t *view = json_pack("{s:b, s:I, s:o, s:o}", "valid", outcome->error == 0, "generation",
				 (json_int_t)generation, "errors", errors_view(outcome),
				 "pending_restart_keys", pending_view(control));

	if (view && outcome->error)
		json_object_set_new(view, "error", json_string(outcome->text));
	if (view && outcome->report) /* quoted lines of a file that may not be UTF-8 */
		json_object_set_new(view, "report", json_string(outcome->report));
	return view;
}

/* --- Services ------------------------------------------------------------------------ */

static const struct service *service_find(const struct tables *tables,
					  const struct config_service *config)
{
	bool v6 = !addr_is_v4(&config->vip.addr);
	u64 key = service_key(v6, &config->vip.addr, 128u - config->vip.bits, BE16(config->port),
			      config->protocol);
	u32 bucket = service_bucket_index(key, tables->buckets_count);
	u32 place = service_bucket_find(&tables->buckets[bucket], key);

	if (place == SERVICE_BUCKET_KEYS)
		return NULL;
	return &tables->services[bucket * SERVICE_BUCKET_KEYS + place];
}

static json_t *next_hop_view(const struct plan_hop *hop, const struct attach_port *ports,
			     size_t ports_count)
{
	if (!hop->reachable)
		return json_null();
	return json_pack("{s:o, s:s, s:i}", "mac", mac_view(hop->destination_mac), "port",
			 hop->port < ports_count ? ports[hop->port].name : "", "mtu", hop->mtu);
}

static json_t *time_view(s64 epoch_s)
{
	time_t seconds = epoch_s;
	char text[32] = "";
	struct tm utc;

	if (gmtime_r(&seconds, &utc))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	return json_string(text);
}

static json_t *health_view(const struct plan_backend *backend)
{
	struct check_view check;

	if (!backend->check)
		return json_null();
	check = check_view(backend->check);
	return json_pack("{s:s, s:o, s:s, s:s?, s:o, s:I, s:I}", "state", check.up ? "up" : "down",
			 "since", time_view(check.since_s), "reason", check.reason, "last_result",
			 check.last_result, "last_check_ms_ago",
			 check.last_result ? json_integer((json_int_t)check.last_check_ago_ms)
					   : json_null(),
			 "rise_count", (json_int_t)check.passed, "fall_count",
			 (json_int_t)check.failed);
}

/* What its operator says goes before what its check says: that holds in any case. */
static const char *state_name(const struct plan_backend *backend)
{
	enum config_backend_state state = plan_backend_state(backend);

	return state == CONFIG_STATE_UP && !backend->up ? "down" : config_state_name(state);
}

json_t *view_drain(const struct plan_backend *backend)
{
	bool by_file = backend->config->state == CONFIG_STATE_DRAIN;
	s64 operator_since_s = backend->drain.operator_since_s;
	s64 since_s = by_file ? backend->drain.file_since_s : operator_since_s;

	if (!by_file && !operator_since_s)
		return json_null();
	return json_pack("{s:s, s:o, s:b}", "by", by_file ? "file" : "operator", "since",
			 since_s ? time_view(since_s) : json_null(), "by_operator_too",
			 by_file && operator_since_s);
}

json_t *view_flows(const struct control *control, const struct plan_service *service,
		   const struct plan_backend *backend)
{
	u64 flows;

	if (!control_flows(control, service, backend, &flows))
		return json_null();
	return json_integer((json_int_t)flows);
}

static json_t *backend_view(const struct control *control, const struct plan_service *service,
			    const struct plan_backend *backend, u32 slots)
{
	struct report_traffic traffic = totals_traffic(control_totals(control), backend->counter);
	const struct attach_port *ports;
	size_t ports_count = sessions_ports(control_sessions(control), &ports);
	char address[ADDR_TEXT_MAX];

	return json_pack("{s:s, s:I, s:s, s:o, s:o, s:b, s:i, s:I, s:f, s:I, s:I, s:b, s:s*, s:o, "
			 "s:o}",
			 "address", addr_format(&backend->config->address, address), "weight",
			 (json_int_t)backend->config->weight, "state", state_name(backend), "drain",
			 view_drain(backend), "flows", view_flows(control, service, backend),
			 "eligible", plan_backend_eligible(backend), "number", backend->number,
			 "slots", (json_int_t)slots, "share",
			 (double)slots / service->config->table_size, "packets",
			 (json_int_t)traffic.packets, "bytes", (json_int_t)traffic.bytes,
			 "reachable", backend->hop.reachable, "reason",
			 backend->hop.reachable ? NULL : backend->hop.reason, "next_hop",
			 next_hop_view(&backend->hop, ports, ports_count), "health",
			 health_view(backend));
}

static json_t *service_view(const struct control *control, const struct plan_service *service,
			    const struct tables *tables)
{
	const struct config_service *config = service->config;
	struct report_traffic traffic = totals_traffic(control_totals(control), service->counter);
	const struct service *record = service_find(tables, config);
	json_t *backends = json_array();
	char vip[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < config->backends_count; i++) {
		const struct plan_backend *backend = &service->backends[i];
		u32 slots = record ? publisher_slots(control_publisher(control), record,
						     backend->number)
				   : 0;

		json_array_append_new(backends, backend_view(control, service, backend, slots));
	}
	return json_pack("{s:s, s:s, s:s, s:i, s:s, s:I, s:i, s:I, s:I, s:b, s:o}", "name",
			 config->name, "vip", prefix_format(&config->vip, vip), "protocol",
			 config->protocol == CONFIG_PROTOCOL_TCP ? "tcp" : "udp", "port",
			 config->port, "encapsulation",
			 config_encapsulation_name(config->encapsulation), "table_size",
			 (json_int_t)config->table_size, "number", service->number, "packets",
			 (json_int_t)traffic.packets, "bytes", (json_int_t)traffic.bytes,
			 "fail_open", service->fail_open, "backends", backends);
}

json_t *view_services(const struct control *control)
{
	const struct plan *plan = control_plan(control);
	json_t *list = json_array();
	struct tables tables;

	if (publisher_tables(control_publisher(control), &tables) < 0) {
		json_decref(list);
		list = NULL;
	}
	for (size_t i = 0; list && i < plan->config->services_count; i++)
		json_array_append_new(list, service_view(control, &plan->services[i], &tables));
	return list;
}

/* --- The rest ------------------------------------------------------------------------ */

json_t *view_drops(const struct control *control)
{
	static const char *const names[VERDICT_COUNT] = {
#define VIEW_NAME(id, action, reason, text, advice, engines) #id,
		VERDICTS(VIEW_NAME)
#undef VIEW_NAME
	};
	const struct totals *totals = control_totals(control);
	json_t *list = json_array();

	for (u32 i = 0; i < VERDICT_COUNT; i++) {
		enum verdict verdict = (enum verdict)i;

		json_t *row = json_pack("{s:s, s:s, s:I}", "name", names[i], "action",
					action_name(verdict_action(verdict)), "packets",
					(json_int_t)totals_verdict(totals, verdict));

		verdict_json_add(row, verdict);
		json_array_append_new(list, row);
	}
	return json_pack("{s:o}", "verdicts", list);
}

char *view_config(const struct control *control)
{
	struct config shown = *control_plan(control)->config;
	static char hidden[] = "(stands in the file; not shown)";
	char *text = NULL;
	size_t text_bytes;
	FILE *out = open_memstream(&text, &text_bytes);
	int err;

	if (!out)
		return NULL;
	/* The seed is for who may read the file, not for who may ask. */
	if (shown.fleet_seed_given) {
		shown.fleet_seed_given = false;
		shown.fleet_seed_file = hidden;
	}
	err = config_render(&shown, out);
	fclose(out);
	if (err) {
		free(text);
		return NULL;
	}
	return text;
}

static bool published_env(const struct control *control, struct env *env, char *message,
			  size_t message_bytes)
{
	*env = (struct env){.flow_buckets = 0};
	if (publisher_tables(control_publisher(control), &env->tables) == 0)
		return true;
	snprintf(message, message_bytes, "no tables are published");
	return false;
}

json_t *view_explain(const struct control *control, const char *packet, char *message,
		     size_t message_bytes)
{
	struct env env;

	if (!published_env(control, &env, message, message_bytes))
		return NULL;
	return explain_text(&env, control_plan(control), packet, message, message_bytes);
}

/* The port that a frame is sent to, or else the first; without any port, every frame is for us. */
static struct station station_for(const struct control *control, const u8 *frame, u32 frame_bytes)
{
	const struct config_dataplane *dataplane = &control_plan(control)->config->dataplane;
	const struct attach_port *ports, *port;
	size_t count = sessions_ports(control_sessions(control), &ports);
	struct station station = {.any_mac = count == 0};

	if (count == 0)
		return station;
	port = &ports[0];
	for (size_t i = 1; i < count; i++)
		if (frame_bytes >= 6 && memcmp(frame, ports[i].mac, 6) == 0)
			port = &ports[i];
	memcpy(station.mac, port->mac, sizeof(station.mac));
	for (size_t i = 0; i < dataplane->interfaces_count; i++)
		if (strcmp(dataplane->interfaces[i].name, port->name) == 0)
			station.answers = dataplane->interfaces[i].answer == CONFIG_ANSWER_ARP;
	return station;
}

json_t *view_explain_frame(const struct control *control, const char *hex, u32 frame_max,
			   char *message, size_t message_bytes)
{
	u8 *frame = malloc(frame_max);
	struct explain_view view = {.plan = control_plan(control)};
	json_t *out = NULL;
	struct station station;
	struct env env;
	char title[64];
	int frame_bytes;

	if (!frame) {
		snprintf(message, message_bytes, "out of memory");
		return NULL;
	}
	frame_bytes = frame_from_hex(hex, frame, frame_max, message, message_bytes);
	if (frame_bytes >= 0 && published_env(control, &env, message, message_bytes)) {
		station = station_for(control, frame, (u32)frame_bytes);
		view.env = &env;
		view.station = &station;
		snprintf(title, sizeof(title), "frame of %d bytes", frame_bytes);
		out = explain_frame(&view, title, frame, (u32)frame_bytes);
		if (!out)
			snprintf(message, message_bytes, "out of memory");
	}
	free(frame);
	return out;
}
