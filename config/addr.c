/* SPDX-License-Identifier: BSD-2-Clause */
/* Text forms of addresses and prefixes. An IPv4-mapped IPv6 address is the IPv4 address:
 * both spellings are read, and one is written. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define V4_BITS_OFFSET 96

int addr_parse(const char *text, struct addr *addr)
{
	be32 v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*addr = addr_from_v4(v4);
		return 0;
	}
	return inet_pton(AF_INET6, text, addr->bytes) == 1 ? 0 : -EINVAL;
}

const char *addr_format(const struct addr *addr, char out[static ADDR_TEXT_MAX])
{
	be32 v4 = addr_v4(addr);

	return addr_is_v4(addr) ? inet_ntop(AF_INET, &v4, out, ADDR_TEXT_MAX)
				: inet_ntop(AF_INET6, addr->bytes, out, ADDR_TEXT_MAX);
}

/* The number after the slash: at most three digits, no sign, no leading zero. */
static int bits_parse(const char *text, unsigned *bits)
{
	size_t len = strspn(text, "0123456789");

	if (len == 0 || len > 3 || text[len] != '\0' || (len > 1 && text[0] == '0'))
		return -EINVAL;
	*bits = (unsigned)strtoul(text, NULL, 10);
	return 0;
}

int prefix_parse(const char *text, struct config_prefix *prefix)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char addr_text[ADDR_TEXT_MAX];
	struct config_prefix parsed;
	unsigned bits = 128;

	if (len >= sizeof(addr_text))
		return -EINVAL;
	memcpy(addr_text, text, len);
	addr_text[len] = '\0';
	if (addr_parse(addr_text, &parsed.addr) < 0)
		return -EINVAL;
	if (slash && bits_parse(slash + 1, &bits) < 0)
		return -EINVAL;
	if (slash && !strchr(addr_text, ':')) /* in IPv4 notation the length is, too */
		bits += V4_BITS_OFFSET;
	if (bits > 128)
		return -EINVAL;
	parsed.bits = (u8)bits;
	*prefix = parsed;
	return 0;
}

const char *prefix_format(const struct config_prefix *prefix, char out[static PREFIX_TEXT_MAX])
{
	bool v4 = addr_is_v4(&prefix->addr) && prefix->bits >= V4_BITS_OFFSET;
	char addr_text[ADDR_TEXT_MAX];

	addr_format(&prefix->addr, addr_text);
	if (prefix->bits == 128)
		snprintf(out, PREFIX_TEXT_MAX, "%s", addr_text);
	else
		snprintf(out, PREFIX_TEXT_MAX, "%s/%d", addr_text,
			 prefix->bits - (v4 ? V4_BITS_OFFSET : 0));
	return out;
}

struct addr prefix_first(const struct config_prefix *prefix)
{
	return addr_first(&prefix->addr, 128u - prefix->bits);
}
