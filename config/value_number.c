/* SPDX-License-Identifier: BSD-2-Clause */
/* Values that land in an integer: numbers, numbers with units, one word of several. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "config/schema.h"

struct unit {
	const char *suffix;
	u64 factor;
};

/* Greatest first: writers take the first that divides. */
static const struct unit duration_units[] = {
	{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {.suffix = NULL}};
static const struct unit count_units[] = {
	{"G", 1000000000}, {"M", 1000000}, {"K", 1000}, {"", 1}, {.suffix = NULL}};
static const struct unit no_units[] = {{"", 1}, {.suffix = NULL}};

#define UNIT_TEXT_MAX DURATION_TEXT_MAX

static void number_store(const struct field *field, void *value, u64 number)
{
	memcpy(value, &number, field->size_bytes); /* little-endian, see base.h */
}

static u64 number_load(const struct field *field, const void *value)
{
	u64 number = 0;

	memcpy(&number, value, field->size_bytes);
	return number;
}

/* Digits and one of the units; what 64 bits cannot hold reads as the greatest number. */
static bool number_read(const char *text, const struct unit *units, u64 *number)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || (digits > 1 && text[0] == '0')) /* 010: eight or ten? */
		return false;
	while (units->suffix && strcmp(text + digits, units->suffix) != 0)
		units++;
	if (!units->suffix)
		return false;
	*number = 0;
	for (size_t i = 0; i < digits; i++) {
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (u64)(text[i] - '0'), number)) {
			*number = UINT64_MAX;
			return true;
		}
	}
	if (__builtin_mul_overflow(*number, units->factor, number))
		*number = UINT64_MAX;
	return true;
}

static const char *number_format(u64 number, const struct unit *units,
				 char out[static UNIT_TEXT_MAX])
{
	while (number % units->factor != 0)
		units++;
	snprintf(out, UNIT_TEXT_MAX, "%" PRIu64 "%s", number / units->factor, units->suffix);
	return out;
}

static bool range_read(const struct field *field, const struct unit *units, const char *text,
		       u64 *number)
{
	return number_read(text, units, number) && *number >= field->min && *number <= field->max;
}

static bool uint_read(const struct field *field, const char *text, void *value,
		      struct problem *problem)
{
	u64 number;

	if (!range_read(field, no_units, text, &number))
		return field->min == field->max
			       ? problem_must_be(problem, "%" PRIu64, field->min)
			       : problem_must_be(problem,
						 "a whole number from %" PRIu64 " to %" PRIu64,
						 field->min, field->max);
	number_store(field, value, number);
	return true;
}

static void uint_write(const struct field *field, const void *value, FILE *out)
{
	fprintf(out, "%" PRIu64, number_load(field, value));
}

const struct value_type value_uint = {uint_read, uint_write};

static bool count_read(const struct field *field, const char *text, void *value,
		       struct problem *problem)
{
	char min[UNIT_TEXT_MAX], max[UNIT_TEXT_MAX];
	u64 number;

	if (!range_read(field, count_units, text, &number))
		return problem_must_be(
			problem, "a whole number from %s to %s (K, M and G are powers of 1000)",
			number_format(field->min, count_units, min),
			number_format(field->max, count_units, max));
	number_store(field, value, number);
	return true;
}

static void count_write(const struct field *field, const void *value, FILE *out)
{
	char text[UNIT_TEXT_MAX];

	fputs(number_format(number_load(field, value), count_units, text), out);
}

const struct value_type value_count = {count_read, count_write};

int duration_parse(const char *text, u64 *ms)
{
	return number_read(text, duration_units, ms) ? 0 : -EINVAL;
}

const char *duration_format(u64 ms, char out[static DURATION_TEXT_MAX])
{
	return number_format(ms, duration_units, out);
}

static bool duration_read(const struct field *field, const char *text, void *value,
			  struct problem *problem)
{
	char min[UNIT_TEXT_MAX], max[UNIT_TEXT_MAX];
	u64 number;

	if (!range_read(field, duration_units, text, &number))
		return problem_must_be(
			problem, "a duration from %s to %s (a whole number with ms, s, m or h)",
			number_format(field->min, duration_units, min),
			number_format(field->max, duration_units, max));
	number_store(field, value, number);
	return true;
}

static void duration_write(const struct field *field, const void *value, FILE *out)
{
	char text[UNIT_TEXT_MAX];

	fputs(number_format(number_load(field, value), duration_units, text), out);
}

const struct value_type value_duration = {duration_read, duration_write};

static bool port_read(const struct field *field, const char *text, void *value,
		      struct problem *problem)
{
	u64 number = 0;

	if (strcmp(text, "any") != 0 &&
	    (!number_read(text, no_units, &number) || number < 1 || number > UINT16_MAX))
		return problem_must_be(problem, "a whole number from 1 to %u or 'any'", UINT16_MAX);
	number_store(field, value, number);
	return true;
}

static void port_write(const struct field *field, const void *value, FILE *out)
{
	u64 number = number_load(field, value);

	if (number == 0)
		fputs("any", out);
	else
		fprintf(out, "%" PRIu64, number);
}

const struct value_type value_port = {port_read, port_write};

static bool prime_check(u64 n)
{
	if (n < 4)
		return n >= 2;
	for (u64 i = 2; i * i <= n; i++) {
		if (n % i == 0)
			return false;
	}
	return true;
}

u64 prime_from(u64 n)
{
	while (!prime_check(n))
		n++;
	return n;
}

static bool prime_read(const struct field *field, const char *text, void *value,
		       struct problem *problem)
{
	u64 number;

	if (!range_read(field, no_units, text, &number))
		return problem_must_be(problem, "a prime from %" PRIu64 " to %" PRIu64, field->min,
				       field->max);
	if (!prime_check(number))
		return problem_must_be(problem, "a prime, such as %" PRIu64, prime_from(number));
	number_store(field, value, number);
	return true;
}

const struct value_type value_prime = {prime_read, uint_write};

/* One of several words. */

const char *value_choice_name(const struct value_choice *choices, unsigned value)
{
	while (choices->name && choices->value != value)
		choices++;
	return choices->name;
}

static bool enum_read(const struct field *field, const char *text, void *value,
		      struct problem *problem)
{
	const struct value_choice *choice = field->choices;
	char names[128] = "";
	size_t used = 0;

	for (; choice->name; choice++) {
		if (strcmp(choice->name, text) == 0)
			break;
		if (!choice->unsupported && used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
						 used ? ", " : "", choice->name);
	}
	if (!choice->name)
		return strchr(names, ',') ? problem_must_be(problem, "one of %s", names)
					  : problem_must_be(problem, "%s", names);
	if (choice->unsupported)
		return problem_refuse(problem, "%s: %s is not supported by this version",
				      field->key, text);
	number_store(field, value, choice->value);
	return true;
}

static void enum_write(const struct field *field, const void *value, FILE *out)
{
	const char *name = value_choice_name(field->choices, (unsigned)number_load(field, value));

	fputs(name ? name : "", out);
}

const struct value_type value_enum = {enum_read, enum_write};
