/* SPDX-License-Identifier: BSD-2-Clause */
#include "controlplane/explain.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/forward.h"

#define TEXT_MAX 256

/* --- Reading the packet -------------------------------------------------------------- */

/* Splits "ADDRESS:PORT" or "[ADDRESS]:PORT". */
static bool read_endpoint(char *text, struct addr *addr, be16 *port)
{
	char *colon = strrchr(text, ':');
	char *end;
	unsigned long number;

	if (!colon || colon[1] == '\0')
		return false;
	*colon = '\0';
	number = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || number > 65535 || colon[1] < '0' || colon[1] > '9')
		return false;
	*port = BE16(number);
	if (text[0] == '[' && colon > text + 1 && colon[-1] == ']') {
		colon[-1] = '\0';
		text++;
	}
	return addr_parse(text, addr) == 0;
}

static bool read_packet(const char *text, struct packet *packet)
{
	char copy[TEXT_MAX];
	char *rest = copy, *word[4] = {0};

	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	for (size_t i = 0; i < 4 && rest; i++) {
		rest += strspn(rest, " \t");
		word[i] = *rest ? strsep(&rest, " \t\n") : NULL;
	}
	if (!word[2] || word[3])
		return false;
	memset(packet, 0, sizeof(*packet));
	if (strcmp(word[0], "tcp") == 0)
		packet->protocol = PROTOCOL_TCP;
	else if (strcmp(word[0], "udp") == 0)
		packet->protocol = PROTOCOL_UDP;
	else
		return false;
	return read_endpoint(word[1], &packet->source, &packet->source_port) &&
	       read_endpoint(word[2], &packet->destination, &packet->destination_port);
}

/* What the parser would have noted of the smallest such packet. */
static void complete_packet(struct packet *packet)
{
	bool v6 = !addr_is_v4(&packet->destination);
	bool tcp = packet->protocol == PROTOCOL_TCP;

	packet->flags = (u16)(PACKET_DF | (v6 ? PACKET_V6 : 0) | (tcp ? PACKET_OPENING : 0));
	packet->l3_offset = ETHERNET_HEADER_BYTES;
	packet->l4_offset = v6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES;
	packet->l3_len = packet->l4_offset + (u32)(tcp ? TCP_HEADER_BYTES : UDP_HEADER_BYTES);
	if (v6 ? parse_martian_v6(&packet->source) : parse_martian_v4(addr_v4(&packet->source)))
		packet->flags |= PACKET_MARTIAN;
	if (addr_equal(&packet->source, &packet->destination))
		packet->flags |= PACKET_LAND;
}

/* --- Telling the answer -------------------------------------------------------------- */

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

static json_t *address_json(const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	return json_string(addr_format(addr, text));
}

static json_t *mac_json(const u8 mac[static 6])
{
	return json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
			    mac[5]);
}

static const char *encapsulation_of(const struct backend *backend)
{
	return backend->flags & BACKEND_L2 ? "l2" : backend->flags & BACKEND_GUE ? "gue" : "ipip";
}

/* What stands between the Ethernet header and the packet. */
static void outer_add(json_t *out, const struct backend *backend,
		      const struct ethernet_header *ethernet, u32 entropy)
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
		json_object_set_new(out, "flow_label", json_integer(entropy & 0xfffff));
	} else {
		source = addr_from_v4(v4->source);
		destination = addr_from_v4(v4->destination);
	}
	json_object_set_new(out, "source", address_json(&source));
	json_object_set_new(out, "destination", address_json(&destination));
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
static json_t *outer_json(const struct backend *backend, const struct packet *packet, u32 entropy)
{
	u8 frame[ETHERNET_HEADER_BYTES + ENCAP_OVERHEAD_MAX];
	const struct ethernet_header *ethernet = (const struct ethernet_header *)frame;
	json_t *out = json_object();

	encap_write(frame, backend, packet, entropy);
	if (!(backend->flags & BACKEND_L2))
		outer_add(out, backend, ethernet, entropy);
	json_object_set_new(out, "source_mac", mac_json(ethernet->source));
	json_object_set_new(out, "destination_mac", mac_json(ethernet->destination));
	json_object_set_new(out, "overhead", json_integer(encap_overhead(backend)));
	json_object_set_new(out, "mtu", json_integer(backend->mtu));
	json_object_set_new(out, "largest_packet",
			    json_integer(backend->mtu - encap_overhead(backend)));
	return out;
}

static void say(json_t *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(json_t *why, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	json_array_append_new(why, json_string(text));
}

/* What speaks against the backend that was chosen, or nothing. */
static void say_backend(json_t *why, const struct plan_backend *backend)
{
	if (!backend->up)
		say(why, "its check says that it is down, but nobody else is up either: then all "
			 "get new flows (all_down: forward)");
	if (!backend->hop.reachable && backend->hop.reason)
		say(why, "there is no next hop to it: %s", backend->hop.reason);
}

static void say_pick(json_t *why, const struct plan_service *service, const struct flow_key *key,
		     u32 slot, u16 number)
{
	size_t eligible = 0;

	for (size_t i = 0; i < service->config->backends_count; i++)
		eligible += plan_backend_eligible(&service->backends[i]);
	say(why, "service %s hashes by %s: hash 0x%016llx, slot %u of %u", service->config->name,
	    config_hash_name(service->config->hash), (unsigned long long)key->hash, slot,
	    service->config->table_size);
	if (number == 0)
		say(why, "the slot is empty: none of %zu backends takes new flows",
		    service->config->backends_count);
	else
		say(why,
		    "the slot belongs to backend number %u; %zu of %zu backends take new flows",
		    number, eligible, service->config->backends_count);
	say(why, "a flow that is already known keeps the backend that its flow entry names");
}

/* Why this service: where its VIP is a prefix, others may have come into question. */
static void say_vip(json_t *why, const struct config_service *service)
{
	char vip[PREFIX_TEXT_MAX];

	if (service->vip.bits == 128)
		return;
	say(why, "%s is the longest prefix with a service for this protocol and port",
	    prefix_format(&service->vip, vip));
}

static enum verdict explain_flow(const struct env *env, const struct plan *plan,
				 const struct packet *packet, u32 index, json_t *out, json_t *why)
{
	const struct service *service = env_service(env, index);
	const struct plan_service *planned = plan_service_of(plan, service->number);
	const struct plan_backend *backend_planned;
	const struct backend *backend;
	struct forward_choice choice;
	enum verdict verdict, fits;
	struct flow_key key;
	u32 slot;

	flow_key_of(service, packet, env_seed(env), &key);
	slot = maglev_slot(key.hash, service->maglev_size);
	verdict = forward_pick(env, service, packet, &key, (struct flow_hit){NULL, 0}, &choice);
	json_object_set_new(out, "slot", json_integer(slot));
	json_object_set_new(out, "table_size", json_integer(service->maglev_size));
	json_object_set_new(out, "hash", json_sprintf("0x%016llx", (unsigned long long)key.hash));
	if (planned) {
		json_object_set_new(out, "service", json_string(planned->config->name));
		say_vip(why, planned->config);
		say_pick(why, planned, &key, slot, choice.number);
	}
	backend_planned = plan_backend_of(planned, choice.number);
	if (backend_planned) {
		json_object_set_new(out, "backend",
				    address_json(&backend_planned->config->address));
		json_object_set_new(out, "backend_number", json_integer(choice.number));
		say_backend(why, backend_planned);
	}
	if (verdict_action(verdict) != ACTION_FORWARD)
		return verdict;
	backend = env_backend(env, service, choice.number);
	if (!backend)
		return VERDICT_NO_BACKEND;
	fits = forward_fits(backend, packet);
	if (fits != VERDICT_UNDECIDED)
		return fits;
	json_object_set_new(out, "encapsulation", json_string(encapsulation_of(backend)));
	json_object_set_new(out, "outer", outer_json(backend, packet, key.entropy));
	return verdict;
}

json_t *explain_text(const struct env *env, const struct plan *plan, const char *text,
		     char *message, size_t message_bytes)
{
	json_t *out = json_object(), *why = json_array();
	struct packet packet;
	enum verdict verdict;
	u32 index;

	if (!read_packet(text, &packet) ||
	    addr_is_v4(&packet.source) != addr_is_v4(&packet.destination)) {
		snprintf(message, message_bytes,
			 "cannot read '%.100s'; write it as 'tcp SOURCE:PORT DESTINATION:PORT', an "
			 "IPv6 address in [brackets]",
			 text);
		json_decref(out);
		json_decref(why);
		return NULL;
	}
	complete_packet(&packet);
	json_object_set_new(out, "packet", json_string(text));
	json_object_set_new(out, "service", json_null());
	json_object_set_new(out, "backend", json_null());
	verdict = forward_service(env, &packet, &index);
	if (verdict == VERDICT_UNDECIDED)
		verdict = explain_flow(env, plan, &packet, index, out, why);
	json_object_set_new(out, "verdict", json_string(action_name(verdict_action(verdict))));
	json_object_set_new(out, "reason", json_string(verdict_reason(verdict)));
	json_object_set_new(out, "text", json_string(verdict_text(verdict)));
	json_object_set_new(out, "why", why);
	return out;
}

static const char *string_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static long long integer_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_outer(const json_t *explanation, const json_t *outer, FILE *out)
{
	fprintf(out, "  outer     %s", string_of(explanation, "encapsulation"));
	if (json_object_get(outer, "source"))
		fprintf(out, " %s -> %s, protocol %lld", string_of(outer, "source"),
			string_of(outer, "destination"), integer_of(outer, "protocol"));
	else
		fprintf(out, ", no header: the packet goes as it came");
	if (json_object_get(outer, "udp_source_port"))
		fprintf(out, ", UDP %lld -> %lld", integer_of(outer, "udp_source_port"),
			integer_of(outer, "udp_destination_port"));
	if (json_object_get(outer, "flow_label"))
		fprintf(out, ", flow label 0x%05llx", integer_of(outer, "flow_label"));
	fprintf(out, "\n  ethernet  %s -> %s\n", string_of(outer, "source_mac"),
		string_of(outer, "destination_mac"));
	fprintf(out, "  sizes     %lld bytes more; packets up to %lld fit the path of %lld\n",
		integer_of(outer, "overhead"), integer_of(outer, "largest_packet"),
		integer_of(outer, "mtu"));
}

void explain_print(const json_t *explanation, FILE *out)
{
	const json_t *outer = json_object_get(explanation, "outer");
	const json_t *line;
	size_t i;

	fprintf(out, "%s\n", string_of(explanation, "packet"));
	fprintf(out, "  verdict   %s (%s): %s\n", string_of(explanation, "verdict"),
		string_of(explanation, "reason"), string_of(explanation, "text"));
	if (json_is_string(json_object_get(explanation, "service")))
		fprintf(out, "  service   %s, slot %lld of %lld\n",
			string_of(explanation, "service"), integer_of(explanation, "slot"),
			integer_of(explanation, "table_size"));
	if (json_is_string(json_object_get(explanation, "backend")))
		fprintf(out, "  backend   %s\n", string_of(explanation, "backend"));
	if (outer)
		print_outer(explanation, outer, out);
	json_array_foreach(json_object_get(explanation, "why"), i, line)
		fprintf(out, "  %s  %s\n", i == 0 ? "because " : "        ",
			json_string_value(line));
}
