/* SPDX-License-Identifier: BSD-2-Clause */
/* An explanation as a person reads it: from its JSON, so that what shuntd answers reads like what is
 * found offline. */
#include <string.h>

#include "controlplane/explain.h"
#include "controlplane/json_read.h"

/* --- What was seen -------------------------------------------------------------------- */

static void print_link(const json_t *seen, FILE *out)
{
	const json_t *arp = json_object_get(seen, "arp");
	const json_t *tag;
	size_t i;

	fprintf(out, "  frame     %lld bytes", integer_of(seen, "bytes"));
	if (json_object_get(seen, "source_mac"))
		fprintf(out, ", %s -> %s, type %s", string_of(seen, "source_mac"),
			string_of(seen, "destination_mac"), string_of(seen, "ethertype"));
	json_array_foreach(json_object_get(seen, "tags"), i, tag)
		fprintf(out, ", VLAN %lld (%s)", integer_of(tag, "vlan"), string_of(tag, "type"));
	if (arp)
		fprintf(out, "\n  arp       operation %lld, %s about %s",
			integer_of(arp, "operation"), string_of(arp, "sender"),
			string_of(arp, "target"));
	fputc('\n', out);
}

static void print_fragment(const json_t *fragment, FILE *out)
{
	fprintf(out, "  fragment  %s of datagram %s, %lld bytes into it, %s\n",
		json_is_true(json_object_get(fragment, "first")) ? "first" : "later",
		string_of(fragment, "id"), integer_of(fragment, "offset"),
		json_is_true(json_object_get(fragment, "more")) ? "more to come" : "the last");
}

static void print_ip(const json_t *seen, const json_t *ip, FILE *out)
{
	const json_t *extension;
	size_t i;

	fprintf(out, "  ip        IPv%lld %s -> %s, %lld bytes, protocol %lld (%s), TTL %lld%s",
		integer_of(ip, "version"), string_of(ip, "source"), string_of(ip, "destination"),
		integer_of(ip, "bytes"), integer_of(ip, "protocol"), string_of(ip, "protocol_name"),
		integer_of(ip, "ttl"), json_is_true(json_object_get(ip, "df")) ? ", DF" : "");
	json_array_foreach(json_object_get(ip, "extensions"), i, extension)
		fprintf(out, "%s%s (%lld)", i ? ", " : "\n  behind    ",
			string_of(extension, "name"), integer_of(extension, "bytes"));
	fputc('\n', out);
	if (json_object_get(seen, "fragment"))
		print_fragment(json_object_get(seen, "fragment"), out);
}

static void print_icmp(const json_t *icmp, FILE *out)
{
	const json_t *embedded = json_object_get(icmp, "embedded");

	fprintf(out, "  icmp      type %lld code %lld, %s", integer_of(icmp, "type"),
		integer_of(icmp, "code"), string_of(icmp, "name"));
	if (json_object_get(icmp, "mtu"))
		fprintf(out, ", MTU %lld", integer_of(icmp, "mtu"));
	if (json_is_object(embedded))
		fprintf(out, "\n  about     %s, %s port %lld -> %s port %lld",
			string_of(embedded, "protocol"), string_of(embedded, "source"),
			integer_of(embedded, "source_port"), string_of(embedded, "destination"),
			integer_of(embedded, "destination_port"));
	fputc('\n', out);
}

static void print_seen(const json_t *seen, FILE *out)
{
	const json_t *ip = json_object_get(seen, "ip");
	const json_t *transport = json_object_get(seen, "transport");

	print_link(seen, out);
	if (ip)
		print_ip(seen, ip, out);
	if (transport)
		fprintf(out, "  %s       port %lld -> %lld%s%s\n", string_of(transport, "protocol"),
			integer_of(transport, "source_port"),
			integer_of(transport, "destination_port"),
			json_object_get(transport, "flags") ? ", " : "",
			json_object_get(transport, "flags") ? string_of(transport, "flags") : "");
	if (json_object_get(seen, "icmp"))
		print_icmp(json_object_get(seen, "icmp"), out);
}

/* --- What becomes of it --------------------------------------------------------------- */

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
	fprintf(out, "  sizes     %lld bytes overhead; packets up to %lld fit the path of %lld\n",
		integer_of(outer, "overhead"), integer_of(outer, "largest_packet"),
		integer_of(outer, "mtu"));
}

static void print_reply(const json_t *explanation, const json_t *reply, FILE *out)
{
	if (json_is_object(reply)) {
		fprintf(out, "  sender    gets %s, %lld bytes", string_of(reply, "type"),
			integer_of(reply, "bytes"));
		if (json_object_get(reply, "to"))
			fprintf(out, " to %s", string_of(reply, "to"));
		if (json_object_get(reply, "mtu"))
			fprintf(out, ", MTU %lld", integer_of(reply, "mtu"));
		fputc('\n', out);
	} else if (strcmp(string_of(explanation, "verdict"), "drop") == 0) {
		fprintf(out, "  sender    gets nothing back\n");
	}
}

static void print_choice(const json_t *explanation, FILE *out)
{
	const json_t *outer = json_object_get(explanation, "outer");

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
	print_reply(explanation, json_object_get(explanation, "reply"), out);
}

void explain_print(const json_t *explanation, FILE *out)
{
	const json_t *line;
	size_t i;

	fprintf(out, "%s\n", string_of(explanation, "packet"));
	if (json_object_get(explanation, "seen"))
		print_seen(json_object_get(explanation, "seen"), out);
	print_choice(explanation, out);
	json_array_foreach(json_object_get(explanation, "why"), i, line)
		fprintf(out, "  %s  %s\n", i == 0 ? "because " : "        ",
			json_string_value(line));
	if (json_object_get(explanation, "advice"))
		fprintf(out, "  do        %s\n", string_of(explanation, "advice"));
	if (json_object_get(explanation, "engines"))
		fprintf(out, "  engines   %s\n", string_of(explanation, "engines"));
	if (json_object_get(explanation, "doc"))
		fprintf(out, "  see       %s\n", string_of(explanation, "doc"));
}
