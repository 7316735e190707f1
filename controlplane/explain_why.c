/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a packet got its verdict, in plain words: what its row of the verdict list can't know. */
#include <stdarg.h>
#include <stdio.h>

#include "controlplane/explain_private.h"
#include "controlplane/json_read.h"

void explain_say(json_t *why, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	json_array_append_new(why, json_string(text));
}

/* "ADDRESS port N", which needs no brackets. */
#define ENDPOINT "%s port %lld"

/* --- The frame ------------------------------------------------------------------------ */

static void say_link(const struct explained *explained, json_t *why)
{
	const json_t *seen = explained->seen;
	const struct station *station = explained->view->station;
	const u8 none[6] = {0}, *mac = station ? station->mac : none;
	char ours[18];

	snprintf(ours, sizeof(ours), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	if (explained->verdict == VERDICT_OTHER_MAC)
		explain_say(why, "it is sent to %s, and this port is %s",
			    string_of(seen, "destination_mac"), ours);
	else if (explained->verdict == VERDICT_OWN_MAC)
		explain_say(why, "it comes from %s, which is this port itself", ours);
	else if (explained->verdict == VERDICT_L2_GROUP)
		explain_say(
			why,
			"it is sent to %s, a group of stations, but to the address of one service",
			string_of(seen, "destination_mac"));
	else if (explained->verdict == VERDICT_TAGS)
		explain_say(why, "it has %zu VLAN tags; shunt looks behind %d at most",
			    json_array_size(json_object_get(seen, "tags")), PARSE_TAGS_MAX);
	else if (explained->verdict == VERDICT_NOT_IP)
		explain_say(why, "its Ethernet type is %s", string_of(seen, "ethertype"));
}

static void say_lengths(const struct explained *explained, json_t *why)
{
	const struct packet *packet = &explained->single->packet;
	const json_t *ip = json_object_get(explained->seen, "ip");
	int available = (int)explained->frame_bytes - packet->l3_offset;

	if (explained->verdict == VERDICT_TRUNCATED && !ip)
		explain_say(why, "the frame has %u bytes, which is less than its first headers",
			    explained->frame_bytes);
	else if (explained->verdict == VERDICT_TRUNCATED)
		explain_say(
			why,
			"the IP packet has %lld bytes and ends inside a header behind the first",
			integer_of(ip, "bytes"));
	else if (integer_of(ip, "bytes") > available)
		explain_say(why, "the IP header speaks of %lld bytes, and %d came",
			    integer_of(ip, "bytes"), available);
	else
		explain_say(
			why,
			"the frame holds all of the IP packet's %lld bytes, but a length inside it "
			"doesn't fit them",
			integer_of(ip, "bytes"));
}

/* --- Fragments ------------------------------------------------------------------------ */

static void say_fragment(const struct explained *explained, json_t *why)
{
	const json_t *fragment = json_object_get(explained->seen, "fragment");
	const struct packet *packet = &explained->single->packet;
	long long offset = integer_of(fragment, "offset");

	if (!(packet->flags & PACKET_FRAGMENT) || packet->flags & PACKET_DEFECT)
		return;
	if (!(packet->flags & PACKET_LATER)) {
		explain_say(
			why,
			"it is the first fragment of datagram %s: the only one with ports, which are "
			"remembered for %d s so that the later ones follow it",
			string_of(fragment, "id"), FRAGMENT_TIMEOUT_MS / 1000);
		return;
	}
	explain_say(
		why,
		"it is a later fragment of datagram %s, %lld bytes into it: its ports stand in the first "
		"fragment alone",
		string_of(fragment, "id"), offset);
	if (explained->verdict != VERDICT_FRAGMENT)
		explain_say(
			why,
			"the first fragment came less than %d s ago, from port %u to port %u: it goes "
			"the way of that flow",
			FRAGMENT_TIMEOUT_MS / 1000, be16_to_cpu(packet->source_port),
			be16_to_cpu(packet->destination_port));
	else if (explained->view->history)
		explain_say(why, "no first fragment of it came within the %d s before",
			    FRAGMENT_TIMEOUT_MS / 1000);
	else
		explain_say(
			why,
			"no frame before this one was looked at: a dataplane that had the first "
			"fragment within %d s sends this one to the same backend (a capture shows it "
			"with --with-history)",
			FRAGMENT_TIMEOUT_MS / 1000);
}

/* What is wrong with a fragment by itself. */
static void say_fragment_defect(const struct explained *explained, json_t *why)
{
	const json_t *fragment = json_object_get(explained->seen, "fragment");
	const struct packet *packet = &explained->single->packet;
	long long offset = integer_of(fragment, "offset");
	u32 data_bytes = packet->l3_len - packet->l4_offset;

	if (explained->verdict == VERDICT_TINY_FRAGMENT && offset > 0)
		explain_say(why,
			    "it begins %lld bytes into the datagram, within the TCP header: put "
			    "together, it would overwrite flags that were looked at (RFC 1858)",
			    offset);
	else if (explained->verdict == VERDICT_TINY_FRAGMENT)
		explain_say(why,
			    "it is a first fragment of %u bytes, which cut the transport header: "
			    "whose flow it is would stand in a later one",
			    data_bytes);
	else if (json_is_true(json_object_get(fragment, "more")) &&
		 data_bytes % EXTENSION_UNIT_BYTES)
		explain_say(why,
			    "it is a fragment of %u bytes with more to come, but only the last one "
			    "may be no multiple of %d",
			    data_bytes, EXTENSION_UNIT_BYTES);
	else
		explain_say(why,
			    "it is a fragment of %u bytes, %lld bytes into its datagram, and "
			    "a length of it does not fit",
			    data_bytes, offset);
}

/* --- ICMP ----------------------------------------------------------------------------- */

static void say_unrelated(const struct explained *explained, const json_t *embedded, json_t *why)
{
	const char *to = string_of(json_object_get(explained->seen, "ip"), "destination");
	struct addr source;

	if (addr_parse(string_of(embedded, "source"), &source) == 0 &&
	    !addr_equal(&source, &explained->single->packet.destination))
		explain_say(
			why,
			"it is sent to %s, but the packet that it is about came from %s: nobody who "
			"got that packet sends such an error",
			to, string_of(embedded, "source"));
	else
		explain_say(why,
			    "it is about a packet from " ENDPOINT
			    " by %s, where there is no service",
			    string_of(embedded, "source"), integer_of(embedded, "source_port"),
			    string_of(embedded, "protocol"));
}

static void say_icmp_dropped(const struct explained *explained, const json_t *icmp, json_t *why)
{
	const struct packet *packet = &explained->single->packet;
	int type = (int)integer_of(icmp, "type");

	if (packet->flags & PACKET_FRAGMENT)
		explain_say(why, "ICMP in fragments is not looked into");
	else if (!icmp)
		explain_say(why, "it ends inside the ICMP header");
	else if (type == (packet->flags & PACKET_V6 ? ICMPV6_ECHO : ICMP_ECHO))
		explain_say(
			why,
			"it is an echo request with another code than 0, or with IPv4 options or "
			"IPv6 extension headers: those ask for more than an echo");
	else if (icmp_is_error(packet, (u8)type))
		explain_say(
			why,
			"it is an error (type %d, %s), but the packet that it is about can't be told: "
			"it is no TCP or UDP, a later fragment, or cut before its first %d bytes of "
			"transport header",
			type, string_of(icmp, "name"), ICMP_PORTS_BYTES);
	else
		explain_say(
			why,
			"its type %d (%s) is neither an echo request nor an error about a packet",
			type, string_of(icmp, "name"));
}

static void say_icmp(const struct explained *explained, json_t *why)
{
	const json_t *icmp = json_object_get(explained->seen, "icmp");
	const json_t *embedded = json_object_get(icmp, "embedded");

	if (explained->verdict == VERDICT_ICMP)
		say_icmp_dropped(explained, icmp, why);
	else if (explained->verdict == VERDICT_ICMP_UNRELATED)
		say_unrelated(explained, embedded, why);
	else if (explained->single->packet.flags & PACKET_ERROR)
		explain_say(why,
			    "it is an ICMP error (%s) about a packet from " ENDPOINT " to " ENDPOINT
			    ": the backend that has that flow sent it, and has to learn of it",
			    string_of(icmp, "name"), string_of(embedded, "source"),
			    integer_of(embedded, "source_port"), string_of(embedded, "destination"),
			    integer_of(embedded, "destination_port"));
}

/* --- Sizes ---------------------------------------------------------------------------- */

/* Why a sender that forbids fragments is not told. */
static void say_untold(const struct explained *explained, u32 largest, json_t *why)
{
	const struct packet *packet = &explained->single->packet;
	bool v6 = packet->flags & PACKET_V6;
	u32 least = v6 ? REPLY_MTU_MIN_V6 : REPLY_MTU_MIN_V4;

	if (largest < least)
		explain_say(why, "its sender can't be told: nobody believes an MTU below %u%s",
			    least, v6 ? " over IPv6" : "");
	else if (packet->flags & PACKET_ERROR)
		explain_say(why, "its sender is not told: no error is sent about an ICMP error");
	else if (packet->flags & PACKET_LATER)
		explain_say(why, "its sender is not told: no error is sent about a later fragment");
	else if (packet->l3_len < (v6 ? REPLY_QUOTE_V6 : REPLY_QUOTE_V4))
		explain_say(why, "its sender is not told: the packet is too short to be quoted");
	else
		explain_say(why, "its sender was told less than %d ms ago, or has a group MAC",
			    REPLY_PAUSE_MS);
}

static void say_sizes(const struct explained *explained, json_t *why)
{
	const struct backend *backend = explained->single->backend;
	const struct packet *packet = &explained->single->packet;
	u32 overhead = encap_overhead(backend);
	u32 largest = backend->mtu > overhead ? backend->mtu - overhead : 0;

	explain_say(
		why,
		"the packet has %u bytes, its overhead is %u, and the way to the backend takes %u: "
		"up to %u fit",
		packet->l3_len, overhead, backend->mtu, largest);
	if (packet->flags & PACKET_DF)
		explain_say(why, packet->flags & PACKET_V6
					 ? "an IPv6 packet is never fragmented on its way"
					 : "DF forbids to fragment it");
	else
		explain_say(why,
			    "it may be fragmented, but shunt does not fragment: its sender learns "
			    "nothing of this");
	if (explained->verdict == VERDICT_TOO_BIG_DF)
		say_untold(explained, largest, why);
}

void explain_why(const struct explained *explained, json_t *why)
{
	switch (explained->verdict) {
	case VERDICT_TINY_FRAGMENT:
		say_fragment_defect(explained, why);
		return;
	case VERDICT_TRUNCATED:
	case VERDICT_BAD_LEN:
		if (explained->single->packet.flags & PACKET_FRAGMENT)
			say_fragment_defect(explained, why);
		else
			say_lengths(explained, why);
		return;
	case VERDICT_EXTENSIONS:
		explain_say(why,
			    "behind %d IPv6 extension headers stands one more; shunt looks no "
			    "further",
			    PARSE_EXTENSIONS_MAX);
		return;
	case VERDICT_OTHER_MAC:
	case VERDICT_OWN_MAC:
	case VERDICT_NOT_IP:
	case VERDICT_TAGS:
	case VERDICT_L2_GROUP:
		say_link(explained, why);
		return;
	case VERDICT_PATH_MTU:
	case VERDICT_TOO_BIG_DF:
	case VERDICT_TOO_BIG:
		say_fragment(explained, why);
		say_icmp(explained, why);
		say_sizes(explained, why);
		return;
	default:
		say_fragment(explained, why);
		say_icmp(explained, why);
	}
}
