/* SPDX-License-Identifier: BSD-2-Clause */
/* A digit in the wrong place is an error, never a guess: a frame that was misread would be
 * explained just as gladly as the right one. So no byte is torn by a separator, and an offset has
 * to be that of the byte that follows it. */
#include "controlplane/frame_text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "dataplane/core/csum.h"
#include "dataplane/core/wire.h"

#define SHOWN_MAX 101

#define FLOW_TEXT_MAX 256
#define OFFSET_DIGITS_MIN 4
#define OFFSET_DIGITS_MAX 8

/* --- Hexadecimal ---------------------------------------------------------------------- */

struct hex {
	u8 *frame;
	u32 frame_max, frame_bytes;
	char *message;
	size_t message_bytes;
};

static bool refuse(const struct hex *hex, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool refuse(const struct hex *hex, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(hex->message, hex->message_bytes, format, arguments);
	va_end(arguments);
	return false;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Steps over "0000000a: " or "0x000a:  "; *dumped tells whether there was one. */
static bool read_offset(struct hex *hex, const char **position, bool *dumped)
{
	const char *start = *position + strspn(*position, " \t");
	const char *digits = start[0] == '0' && start[1] == 'x' ? start + 2 : start;
	size_t count = strspn(digits, "0123456789abcdefABCDEF");
	unsigned long offset;

	*dumped = digits[count] == ':' && strchr(" \t\r\n", digits[count + 1]) &&
		  count >= OFFSET_DIGITS_MIN && count <= OFFSET_DIGITS_MAX;
	if (!*dumped)
		return true;
	offset = strtoul(digits, NULL, 16);
	if (offset != hex->frame_bytes)
		return refuse(
			hex,
			"the dump goes on at offset 0x%04lx after %u bytes; give all of its lines",
			offset, hex->frame_bytes);
	*position = digits + count + 1;
	return true;
}

static bool refuse_digit(const struct hex *hex, char c)
{
	if (isprint((unsigned char)c))
		return refuse(hex, "'%c' after %u bytes is no hexadecimal digit", c,
			      hex->frame_bytes);
	return refuse(hex, "character 0x%02x after %u bytes is no hexadecimal digit", (u8)c,
		      hex->frame_bytes);
}

static bool read_byte(struct hex *hex, const char *position)
{
	int high = digit_value(position[0]);
	int low = high < 0 ? -1 : digit_value(position[1]);

	if (high < 0)
		return refuse_digit(hex, position[0]);
	if (low < 0 && !strchr(" \t\r\n:", position[1]))
		return refuse_digit(hex, position[1]);
	if (low < 0)
		return refuse(hex,
			      "after %u bytes stands half a byte; a byte is two hexadecimal digits",
			      hex->frame_bytes);
	if (hex->frame_bytes == hex->frame_max)
		return refuse(hex, "the frame is longer than %u bytes", hex->frame_max);
	hex->frame[hex->frame_bytes++] = (u8)(high << 4 | low);
	return true;
}

/* Whether a dump's line goes on with its text: behind two blanks, but for those before the first
 * byte. */
static bool text_begins(const char *position, bool any)
{
	return any && position[0] == ' ' && position[1] == ' ';
}

/* Reads one line, which ends at a line feed or at the end. Returns its end, or NULL. */
static const char *read_line(struct hex *hex, const char *position)
{
	const char *end = position + strcspn(position, "\n");
	bool dumped, any = false;

	if (!read_offset(hex, &position, &dumped))
		return NULL;
	while (position < end) {
		if (dumped && text_begins(position, any))
			break;
		if (strchr(" \t\r:", *position)) {
			position++;
			continue;
		}
		if (!read_byte(hex, position))
			return NULL;
		any = true;
		position += 2;
	}
	return end;
}

int frame_from_hex(const char *text, u8 *frame, u32 frame_max, char *message, size_t message_bytes)
{
	struct hex hex = {frame, frame_max, 0, message, message_bytes};

	for (const char *position = text; *position; position += *position == '\n') {
		position = read_line(&hex, position);
		if (!position)
			return -1;
	}
	if (hex.frame_bytes == 0) {
		(void)refuse(&hex, "there is no byte of a frame; give it in hexadecimal digits");
		return -1;
	}
	return (int)hex.frame_bytes;
}

/* --- Flows ---------------------------------------------------------------------------- */

struct flow_text {
	struct addr source, destination;
	be16 source_port, destination_port;
	bool tcp;
};

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

static bool read_flow(const char *text, struct flow_text *flow)
{
	char copy[FLOW_TEXT_MAX];
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
	flow->tcp = strcmp(word[0], "tcp") == 0;
	if (!flow->tcp && strcmp(word[0], "udp") != 0)
		return false;
	return read_endpoint(word[1], &flow->source, &flow->source_port) &&
	       read_endpoint(word[2], &flow->destination, &flow->destination_port) &&
	       addr_is_v4(&flow->source) == addr_is_v4(&flow->destination);
}

/* A SYN, or a datagram without data. Its checksum, which nobody here looks at, is left out. */
static u32 write_transport(u8 *out, const struct flow_text *flow)
{
	struct tcp_header tcp = {
		.source_port = flow->source_port,
		.destination_port = flow->destination_port,
		.data_offset = TCP_HEADER_BYTES / 4 << 4,
		.flags = TCP_SYN,
	};
	struct udp_header udp = {
		.source_port = flow->source_port,
		.destination_port = flow->destination_port,
		.len = BE16(UDP_HEADER_BYTES),
	};

	if (flow->tcp)
		memcpy(out, &tcp, sizeof(tcp));
	else
		memcpy(out, &udp, sizeof(udp));
	return flow->tcp ? sizeof(tcp) : sizeof(udp);
}

static u32 write_ip(u8 *out, const struct flow_text *flow)
{
	bool v6 = !addr_is_v4(&flow->destination);
	u32 header_bytes = v6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES;
	u32 data_bytes = write_transport(out + header_bytes, flow);
	u8 protocol = flow->tcp ? PROTOCOL_TCP : PROTOCOL_UDP;
	struct ipv4_header v4_header = {
		.version_ihl = 0x45,
		.total_len = BE16(header_bytes + data_bytes),
		.fragment = IPV4_DF,
		.ttl = 64,
		.protocol = protocol,
		.source = addr_v4(&flow->source),
		.destination = addr_v4(&flow->destination),
	};
	struct ipv6_header v6_header = {
		.version_class_label = BE32(6u << 28),
		.payload_len = BE16(data_bytes),
		.next_header = protocol,
		.hop_limit = 64,
	};

	v4_header.csum = (be16)~csum_fold(csum_words(&v4_header, IPV4_HEADER_BYTES / 4));
	memcpy(v6_header.source, flow->source.bytes, 16);
	memcpy(v6_header.destination, flow->destination.bytes, 16);
	if (v6)
		memcpy(out, &v6_header, sizeof(v6_header));
	else
		memcpy(out, &v4_header, sizeof(v4_header));
	return header_bytes + data_bytes;
}

/* The beginning of a text as it may stand in a sentence, and that in JSON: it may be anything. */
static const char *shown(const char *text, char out[static SHOWN_MAX])
{
	size_t len = 0;

	for (; text[len] && len < SHOWN_MAX - 1; len++)
		out[len] = text[len] >= ' ' && text[len] <= '~' ? text[len] : '?';
	out[len] = '\0';
	return out;
}

int frame_from_flow(const char *text, u8 frame[static FRAME_OF_FLOW_MAX], char *message,
		    size_t message_bytes)
{
	struct ethernet_header ethernet = {
		.destination = {0x02, 0, 0, 0, 0xff, 0x01},
		.source = {0x02, 0, 0, 0, 0xff, 0x02},
	};
	struct flow_text flow = {0};
	char quoted[SHOWN_MAX];

	if (!read_flow(text, &flow)) {
		snprintf(message, message_bytes,
			 "cannot read '%s'; write it as 'tcp SOURCE:PORT DESTINATION:PORT', an "
			 "IPv6 address in [brackets]",
			 shown(text, quoted));
		return -1;
	}
	ethernet.type = BE16(addr_is_v4(&flow.destination) ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
	memcpy(frame, &ethernet, sizeof(ethernet));
	return (int)(sizeof(ethernet) + write_ip(frame + sizeof(ethernet), &flow));
}
