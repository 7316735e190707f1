/* SPDX-License-Identifier: BSD-2-Clause */
/* The frame runs through the core as every frame does; what is told of it is read afterwards from
 * what the core noted and wrote, and nothing is worked out a second time. */
#include "controlplane/explain.h"

#include <stdlib.h>
#include <string.h>

#include "controlplane/explain_private.h"
#include "controlplane/frame_text.h"
#include "controlplane/verdict_json.h"

#define HEADROOM 128

/* --- Whose it is ---------------------------------------------------------------------- */

static const struct plan_service *plan_service_of(const struct plan *plan, u16 number)
{
	for (size_t i = 0; i < plan->config->services_count; i++)
		if (plan->services[i].number == number)
			return &plan->services[i];
	return NULL;
}

static const struct plan_backend *plan_backend_of(const struct plan_service *service, u16 number)
{
	for (size_t i = 0; service && i < service->config->backends_count; i++)
		if (service->backends[i].number == number)
			return &service->backends[i];
	return NULL;
}

/* What speaks against the backend that was chosen, or nothing. */
static void say_backend(json_t *why, const struct plan_backend *backend)
{
	if (!backend->up)
		explain_say(
			why,
			"its check says that it is down, but nobody else is up either: then all "
			"get new flows (all_down: forward)");
	if (!backend->hop.reachable && backend->hop.reason)
		explain_say(why, "there is no next hop to it: %s", backend->hop.reason);
}

static void say_pick(json_t *why, const struct explained *explained,
		     const struct plan_service *service, u32 slot)
{
	const struct single *single = explained->single;
	u16 number = env_maglev(explained->view->env, single->service->maglev_offset, slot);
	size_t eligible = 0;

	for (size_t i = 0; i < service->config->backends_count; i++)
		eligible += plan_backend_eligible(&service->backends[i]);
	explain_say(why, "service %s hashes by %s: hash 0x%016llx, slot %u of %u",
		    service->config->name, config_hash_name(service->config->hash),
		    (unsigned long long)single->key.hash, slot, service->config->table_size);
	if (number == 0)
		explain_say(why, "the slot is empty: none of %zu backends takes new flows",
			    service->config->backends_count);
	else
		explain_say(
			why,
			"the slot belongs to backend number %u; %zu of %zu backends take new flows",
			number, eligible, service->config->backends_count);
	if (explained->verdict == VERDICT_FLOW)
		explain_say(why, "its flow is known: the flow's entry names backend number %u",
			    single->backend_number);
	else
		explain_say(
			why,
			"a flow that is already known keeps the backend that its flow entry names");
}

static void service_add(json_t *out, const struct explained *explained, json_t *why)
{
	const struct single *single = explained->single;
	const struct plan_service *service;
	const struct plan_backend *backend;
	u32 slot;

	if (!single->service)
		return;
	service = plan_service_of(explained->view->plan, single->service->number);
	backend = plan_backend_of(service, single->backend_number);
	slot = maglev_slot(single->key.hash, single->service->maglev_size);
	json_object_set_new(out, "slot", json_integer(slot));
	json_object_set_new(out, "table_size", json_integer(single->service->maglev_size));
	json_object_set_new(out, "hash",
			    json_sprintf("0x%016llx", (unsigned long long)single->key.hash));
	if (service) {
		json_object_set_new(out, "service", json_string(service->config->name));
		say_pick(why, explained, service, slot);
	}
	if (backend) {
		json_object_set_new(out, "backend", explain_address(&backend->config->address));
		json_object_set_new(out, "backend_number", json_integer(single->backend_number));
		say_backend(why, backend);
	}
}

/* --- What goes out -------------------------------------------------------------------- */

static const char *encapsulation_of(const struct backend *backend)
{
	return backend->flags & BACKEND_L2 ? "l2" : backend->flags & BACKEND_GUE ? "gue" : "ipip";
}

/* What stands between the Ethernet header and the packet. */
static void outer_add(json_t *out, const struct backend *backend,
		      const struct ethernet_header *ethernet)
{
	const struct ipv4_header *v4 = (const struct ipv4_header *)(ethernet + 1);
	const struct ipv6_header *v6 = (const struct ipv6_header *)(ethernet + 1);
	bool outer_v6 = backend->flags & BACKEND_OUTER_V6;
	const struct udp_header *udp = outer_v6 ? (const struct udp_header *)(v6 + 1)
						: (const struct udp_header *)(v4 + 1);
	struct addr source, destination;

	if (outer_v6) {
		memcpy(source.bytes, v6->source, 16);
		memcpy(destination.bytes, v6->destination, 16);
		json_object_set_new(out, "flow_label",
				    json_integer(be32_to_cpu(v6->version_class_label) & 0xfffff));
	} else {
		source = addr_from_v4(v4->source);
		destination = addr_from_v4(v4->destination);
	}
	json_object_set_new(out, "source", explain_address(&source));
	json_object_set_new(out, "destination", explain_address(&destination));
	json_object_set_new(out, "protocol",
			    json_integer(outer_v6 ? v6->next_header : v4->protocol));
	if (backend->flags & BACKEND_GUE) {
		json_object_set_new(out, "udp_source_port",
				    json_integer(be16_to_cpu(udp->source_port)));
		json_object_set_new(out, "udp_destination_port",
				    json_integer(be16_to_cpu(udp->destination_port)));
	}
}

/* Reads the headers back from the bytes that the encapsulator wrote. */
static json_t *outer_json(const struct single *single)
{
	const struct ethernet_header *ethernet = (const struct ethernet_header *)single->frame;
	const struct backend *backend = single->backend;
	json_t *out = json_object();

	if (!(backend->flags & BACKEND_L2))
		outer_add(out, backend, ethernet);
	json_object_set_new(out, "source_mac", explain_mac(ethernet->source));
	json_object_set_new(out, "destination_mac", explain_mac(ethernet->destination));
	json_object_set_new(out, "overhead", json_integer(encap_overhead(backend)));
	json_object_set_new(out, "mtu", json_integer(backend->mtu));
	json_object_set_new(out, "largest_packet",
			    json_integer(backend->mtu - encap_overhead(backend)));
	return out;
}

/* The MTU that the error in the frame tells. */
static u32 reply_mtu(const struct single *single)
{
	const u8 *l3 = single->frame + single->packet.l3_offset;
	bool v6 = single->packet.flags & PACKET_V6;
	const struct icmp_header *icmp =
		(const struct icmp_header *)(l3 + (v6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES));

	return be32_to_cpu(icmp->rest);
}

/* What the sender gets back, read from the bytes that were written. */
static json_t *reply_json(const struct explained *explained, json_t *why)
{
	const struct single *single = explained->single;
	bool v6 = single->packet.flags & PACKET_V6;
	const struct ethernet_header *ethernet = (const struct ethernet_header *)single->frame;
	const char *name = explained->verdict == VERDICT_ECHO        ? "echo reply"
			   : explained->verdict == VERDICT_ARP       ? "ARP reply"
			   : explained->verdict == VERDICT_NEIGHBOUR ? "neighbour advertisement"
			   : v6                                      ? "packet too big"
								     : "fragmentation needed";
	json_t *out =
		json_pack("{s:s, s:o, s:i}", "type", name, "to_mac",
			  explain_mac(ethernet->destination), "bytes", (int)single->frame_bytes);

	if (explained->verdict == VERDICT_ECHO || explained->verdict == VERDICT_PATH_MTU)
		json_object_set_new(out, "to", explain_address(&single->packet.source));
	if (explained->verdict == VERDICT_PATH_MTU) {
		json_object_set_new(out, "mtu", json_integer(reply_mtu(single)));
		explain_say(why,
			    "its sender is told to send at most %u bytes, at most once in %d ms",
			    reply_mtu(single), REPLY_PAUSE_MS);
	}
	return out;
}

static void sent_add(json_t *out, const struct explained *explained, json_t *why)
{
	const struct single *single = explained->single;
	enum action action = verdict_action(explained->verdict);

	if (action == ACTION_FORWARD) {
		json_object_set_new(out, "encapsulation",
				    json_string(encapsulation_of(single->backend)));
		json_object_set_new(out, "outer", outer_json(single));
	}
	json_object_set_new(out, "reply",
			    action == ACTION_REPLY ? reply_json(explained, why) : json_null());
}

/* --- All of it ------------------------------------------------------------------------ */

static json_t *explain_run(const struct explain_view *view, const char *title,
			   struct single *single)
{
	const struct station anyone = {.any_mac = true};
	json_t *out = json_object(), *why = json_array();
	json_t *seen = explain_seen(single->frame, single->frame_bytes);
	struct explained explained = {
		.view = view,
		.single = single,
		.seen = seen,
		.frame_bytes = single->frame_bytes,
	};

	explained.verdict = single_run(view->env, view->station ? view->station : &anyone, single);
	json_object_set_new(out, "packet", json_string(title));
	json_object_set_new(out, "service", json_null());
	json_object_set_new(out, "backend", json_null());
	json_object_set_new(out, "seen", seen);
	explain_why(&explained, why);
	service_add(out, &explained, why);
	sent_add(out, &explained, why);
	json_object_set_new(out, "verdict",
			    json_string(action_name(verdict_action(explained.verdict))));
	verdict_json_add(out, explained.verdict);
	json_object_set_new(out, "why", why);
	return out;
}

json_t *explain_frame(const struct explain_view *view, const char *title, const u8 *frame,
		      u32 frame_bytes)
{
	u8 *room = malloc(HEADROOM + frame_bytes);
	struct single single = {
		.frame_bytes = frame_bytes,
		.headroom_bytes = HEADROOM,
	};
	json_t *out;

	if (!room)
		return NULL;
	single.frame = room + HEADROOM;
	memcpy(single.frame, frame, frame_bytes);
	out = explain_run(view, title, &single);
	free(room);
	return out;
}

json_t *explain_text(const struct env *env, const struct plan *plan, const char *text,
		     char *message, size_t message_bytes)
{
	const struct explain_view view = {.env = env, .plan = plan};
	u8 frame[FRAME_OF_FLOW_MAX];
	int frame_bytes = frame_from_flow(text, frame, message, message_bytes);
	json_t *out;

	if (frame_bytes < 0)
		return NULL;
	out = explain_frame(&view, text, frame, (u32)frame_bytes);
	if (!out)
		snprintf(message, message_bytes, "out of memory");
	else
		json_object_del(out, "seen"); /* nobody has seen it */
	return out;
}
