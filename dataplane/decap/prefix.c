/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/decap/prefix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool address_parse(const char *text, struct addr *addr, bool *is_v4)
{
	be32 v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		*addr = addr_from_v4(v4);
	else if (inet_pton(AF_INET6, text, addr->bytes) != 1)
		return false;
	*is_v4 = addr_is_v4(addr);
	return true;
}

/* Decimal digits only: strtoul() would also take a sign, spaces and an empty string. */
static bool length_parse(const char *text, u32 max_bits, u32 *len_bits)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 3 || text[digits] != '\0')
		return false;
	*len_bits = (u32)strtoul(text, NULL, 10);
	return *len_bits <= max_bits;
}

static u8 mask_byte(u32 len_bits, u32 byte)
{
	if (len_bits >= 8 * (byte + 1))
		return 0xff;
	if (len_bits <= 8 * byte)
		return 0;
	return (u8)(0xff00 >> (len_bits - 8 * byte));
}

int prefix_parse(const char *text, struct prefix *prefix)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchrnul(text, '/');
	size_t address_len = (size_t)(slash - text);
	u32 len_bits, family_bits;

	if (address_len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, address_len);
	address[address_len] = '\0';
	if (!address_parse(address, &prefix->addr, &prefix->is_v4))
		return -EINVAL;
	/* The family of the text, so that ::ffff:10.0.0.0/104 counts from 128 bits. */
	family_bits = strchr(address, ':') ? 128 : 32;
	len_bits = family_bits;
	if (*slash == '/' && !length_parse(slash + 1, family_bits, &len_bits))
		return -EINVAL;
	len_bits += 128 - family_bits;
	for (u32 i = 0; i < sizeof(prefix->addr.bytes); i++) {
		if (prefix->addr.bytes[i] & ~mask_byte(len_bits, i))
			return -EDOM;
	}
	prefix->len_bits = (u8)len_bits;
	return 0;
}

bool prefix_contains(const struct prefix *prefix, const struct addr *addr)
{
	if (prefix->is_v4 != addr_is_v4(addr))
		return false;
	for (u32 i = 0; i < sizeof(addr->bytes); i++) {
		if ((addr->bytes[i] ^ prefix->addr.bytes[i]) & mask_byte(prefix->len_bits, i))
			return false;
	}
	return true;
}

int prefix_list_add(struct prefix_list *list, const struct prefix *prefix)
{
	if (list->count == PREFIX_LIST_MAX)
		return -ENOSPC;
	list->entries[list->count++] = *prefix;
	return 0;
}

bool prefix_list_allows(const struct prefix_list *list, const struct addr *addr)
{
	if (list->count == 0)
		return true;
	for (u32 i = 0; i < list->count; i++) {
		if (prefix_contains(&list->entries[i], addr))
			return true;
	}
	return false;
}
