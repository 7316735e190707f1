/* SPDX-License-Identifier: BSD-2-Clause */
/* Readers and writers of single values. YAML's own guesses (is 5-2 a number, is no a bool?)
 * play no part: the schema says what a scalar must be, and its text is read as that and as
 * nothing else, whether quoted or not. What is written here reads back as the same value.
 *
 * This file has the values that are not numbers; those are in value_number.c. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/schema.h"

#define CORES_MAX 1024

bool problem_must_be(struct problem *problem, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(problem->text, sizeof(problem->text), format, arguments);
	va_end(arguments);
	problem->sentence = false;
	return false;
}

bool problem_refuse(struct problem *problem, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(problem->text, sizeof(problem->text), format, arguments);
	va_end(arguments);
	problem->sentence = true;
	return false;
}

static bool letter_or_digit(char byte) /* isalnum() asks the locale */
{
	return (byte >= '0' && byte <= '9') || ((byte | 32) >= 'a' && (byte | 32) <= 'z');
}

static bool name_byte(char byte)
{
	return letter_or_digit(byte) || byte == '.' || byte == '_' || byte == '-';
}

static bool name_read(const struct field *field, const char *text, void *value,
		      struct problem *problem)
{
	size_t len = 0;

	while (name_byte(text[len]))
		len++;
	if (len == 0 || text[len] != '\0' || len >= field->size_bytes)
		return problem_must_be(problem, "1 to %zu of the characters A-Z a-z 0-9 . _ -",
				       field->size_bytes - 1);
	memcpy(value, text, len + 1);
	return true;
}

static bool text_read(const struct field *field, const char *text, void *value,
		      struct problem *problem)
{
	size_t len = strlen(text);

	if (len == 0 || len >= field->size_bytes)
		return problem_must_be(problem, "a text of 1 to %zu bytes", field->size_bytes - 1);
	memcpy(value, text, len + 1);
	return true;
}

/* Plain where that cannot be taken for YAML's own signs, else quoted. */
static void quoted_write(const char *text, FILE *out)
{
	size_t plain = letter_or_digit(text[0]) || text[0] == '/' ? 1 : 0;

	while (plain > 0 && text[plain] != '\0' && (name_byte(text[plain]) || text[plain] == '/'))
		plain++;
	if (plain > 0 && text[plain] == '\0') {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void text_write(const struct field *field, const void *value, FILE *out)
{
	quoted_write(value, out);
}

const struct value_type value_name = {name_read, text_write};
const struct value_type value_text = {text_read, text_write};

static bool path_read(const struct field *field, const char *text, void *value,
		      struct problem *problem)
{
	char **path = value;

	if (text[0] == '\0')
		return problem_must_be(problem, "the path of a file");
	*path = strdup(text);
	problem->no_memory = !*path;
	return *path != NULL;
}

static void path_write(const struct field *field, const void *value, FILE *out)
{
	quoted_write(*(char *const *)value, out);
}

const struct value_type value_path = {path_read, path_write};

/* Bytes in hexadecimal. */

int seed_parse(const char *text, size_t len_bytes, u8 seed[static SEED_BYTES])
{
	u8 all = 0;

	if (len_bytes != 2 * SEED_BYTES)
		return -EINVAL;
	for (size_t i = 0; i < len_bytes; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return -EINVAL;
	}
	for (size_t i = 0; i < SEED_BYTES; i++) {
		const char digits[] = {text[2 * i], text[2 * i + 1], '\0'};
		seed[i] = (u8)strtoul(digits, NULL, 16);
		all |= seed[i];
	}
	return all ? 0 : -EINVAL; /* everyone guesses zero */
}

static bool seed_read(const struct field *field, const char *text, void *value,
		      struct problem *problem)
{
	u8 seed[SEED_BYTES];

	if (seed_parse(text, strlen(text), seed) < 0) /* a secret is not repeated */
		return problem_refuse(
			problem,
			"%s must be %d hex digits, not all zero: make one with 'shunt seed'",
			field->key, 2 * SEED_BYTES);
	memcpy(value, seed, SEED_BYTES);
	return true;
}

static void seed_write(const struct field *field, const void *value, FILE *out)
{
	const u8 *seed = value;

	fputc('"', out);
	for (size_t i = 0; i < SEED_BYTES; i++)
		fprintf(out, "%02x", seed[i]);
	fputc('"', out);
}

const struct value_type value_seed = {seed_read, seed_write};

static bool mac_read(const struct field *field, const char *text, void *value,
		     struct problem *problem)
{
	static const char shape[] = "xx:xx:xx:xx:xx:xx";
	bool fine = strlen(text) == strlen(shape);
	u8 mac[6], all = 0;

	for (size_t i = 0; fine && shape[i]; i++)
		fine = shape[i] == 'x' ? isxdigit((unsigned char)text[i]) != 0
				       : text[i] == shape[i];
	for (size_t i = 0; fine && i < sizeof(mac); i++) {
		mac[i] = (u8)strtoul(text + 3 * i, NULL, 16);
		all |= mac[i];
	}
	if (!fine || all == 0 || (mac[0] & 1) != 0)
		return problem_must_be(problem,
				       "the MAC address of one station such as 02:00:00:00:00:01");
	memcpy(value, mac, sizeof(mac));
	return true;
}

static void mac_write(const struct field *field, const void *value, FILE *out)
{
	const u8 *mac = value;

	fprintf(out, "\"%02x:%02x:%02x:%02x:%02x:%02x\"", mac[0], mac[1], mac[2], mac[3], mac[4],
		mac[5]);
}

const struct value_type value_mac = {mac_read, mac_write};

/* Addresses. */

static bool addr_unicast(const struct addr *addr)
{
	if (addr_is_v4(addr)) /* not "this network", multicast, reserved or broadcast */
		return addr->bytes[12] > 0 && addr->bytes[12] < 224;
	return !addr_is_zero(addr) && addr->bytes[0] != 0xff;
}

static bool address_read(const struct field *field, const char *text, void *value,
			 struct problem *problem)
{
	struct addr addr;

	if (addr_parse(text, &addr) < 0 || !addr_unicast(&addr))
		return problem_must_be(problem, "an IPv4 or IPv6 unicast address");
	memcpy(value, &addr, sizeof(addr));
	return true;
}

static void address_write(const struct field *field, const void *value, FILE *out)
{
	char text[ADDR_TEXT_MAX];

	quoted_write(addr_format(value, text), out);
}

const struct value_type value_address = {address_read, address_write};

/* Member by member: padding stays zero, and models compare as bytes. */
static void prefix_store(struct config_prefix *stored, const struct config_prefix *prefix)
{
	stored->addr = prefix->addr;
	stored->bits = prefix->bits;
}

/* Whether all of its addresses are, and are of one family. */
static bool prefix_unicast(const struct config_prefix *prefix)
{
	const struct addr v4_mapped = addr_from_v4(0);
	u32 host_bits = 128u - prefix->bits;
	struct addr first = prefix_first(prefix), last = addr_last(&first, host_bits);
	struct addr mapped_first = addr_first(&v4_mapped, host_bits);

	return addr_unicast(&first) && addr_unicast(&last) &&
	       (addr_is_v4(&first) || !addr_equal(&mapped_first, &first));
}

static bool prefix_settle(const struct config_prefix *prefix, void *value, struct problem *problem)
{
	struct config_prefix masked = {prefix_first(prefix), prefix->bits};
	char suggested[PREFIX_TEXT_MAX];

	if (!addr_equal(&prefix->addr, &masked.addr))
		return problem_must_be(problem, "a prefix whose host bits are zero, such as %s",
				       prefix_format(&masked, suggested));
	prefix_store(value, prefix);
	return true;
}

static bool vip_read(const struct field *field, const char *text, void *value,
		     struct problem *problem)
{
	struct config_prefix prefix;

	if (prefix_parse(text, &prefix) < 0 || !prefix_unicast(&prefix))
		return problem_must_be(problem, "an IPv4 or IPv6 unicast address or prefix");
	return prefix_settle(&prefix, value, problem);
}

static void prefix_write(const struct field *field, const void *value, FILE *out)
{
	char text[PREFIX_TEXT_MAX];

	quoted_write(prefix_format(value, text), out);
}

const struct value_type value_vip = {vip_read, prefix_write};

static bool source_read(bool v4, const char *text, void *value, struct problem *problem)
{
	struct config_prefix prefix;

	if (prefix_parse(text, &prefix) < 0 || addr_is_v4(&prefix.addr) != v4 ||
	    !prefix_unicast(&prefix))
		return problem_must_be(problem, "an IPv%c unicast address or prefix",
				       v4 ? '4' : '6');
	return prefix_settle(&prefix, value, problem);
}

static bool source_v4_read(const struct field *field, const char *text, void *value,
			   struct problem *problem)
{
	return source_read(true, text, value, problem);
}

static bool source_v6_read(const struct field *field, const char *text, void *value,
			   struct problem *problem)
{
	return source_read(false, text, value, problem);
}

const struct value_type value_source_v4 = {source_v4_read, prefix_write};
const struct value_type value_source_v6 = {source_v6_read, prefix_write};

/* Cores. */

/* Reads a core number; returns what follows it, NULL where there is none below the bound. */
static const char *core_read(const char *text, unsigned *core)
{
	size_t digits = strspn(text, "0123456789");

	*core = 0;
	for (size_t i = 0; i < digits && *core < CORES_MAX; i++)
		*core = *core * 10 + (unsigned)(text[i] - '0');
	return digits > 0 && *core < CORES_MAX ? text + digits : NULL;
}

/* "2-5,7": each core once. */
static bool cores_check(const char *text)
{
	bool taken[CORES_MAX] = {false};
	unsigned first, last;

	do {
		text = core_read(text, &first);
		last = first;
		if (text && *text == '-')
			text = core_read(text + 1, &last);
		if (!text || last < first)
			return false;
		for (unsigned core = first; core <= last; core++) {
			if (taken[core])
				return false;
			taken[core] = true;
		}
	} while (*text++ == ',');
	return text[-1] == '\0';
}

static bool workers_read(const struct field *field, const char *text, void *value,
			 struct problem *problem)
{
	size_t len = strlen(text);

	if (len >= field->size_bytes || (strcmp(text, "auto") != 0 && !cores_check(text)))
		return problem_must_be(
			problem,
			"'auto' or cores such as 2-5,7 (below %d, each once, in at most %zu bytes)",
			CORES_MAX, field->size_bytes - 1);
	memcpy(value, text, len + 1);
	return true;
}

const struct value_type value_workers = {workers_read, text_write};
