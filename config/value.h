/* SPDX-License-Identifier: BSD-2-Clause */
/* Types of single values: how each reads from a scalar's text and is written back. */
#ifndef SHUNT_CONFIG_VALUE_H
#define SHUNT_CONFIG_VALUE_H

#include "config/config.h"

struct field;

/* What is wrong with a value: what it must be ("a whole number from 1 to 9"), to which the
 * caller adds key and value, or where that says too little, a sentence of its own. */
struct problem {
	char text[256];
	bool sentence;
	bool no_memory;
};

/* Fill the problem in these two ways; both return false, so that a reader can return them. */
bool problem_must_be(struct problem *problem, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
bool problem_refuse(struct problem *problem, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

struct value_type {
	/* Fills field->size_bytes at value, or leaves it alone and returns false. */
	bool (*read)(const struct field *field, const char *text, void *value,
		     struct problem *problem);
	void (*write)(const struct field *field, const void *value, FILE *out);
};

/* One spelling of an enumerated value; a list ends with a NULL name. */
struct value_choice {
	const char *name;
	unsigned value;
	bool unsupported; /* known to the language, refused by this version */
};

extern const struct value_type value_uint, value_prime, value_port, value_count, value_duration,
	value_enum, value_name, value_text, value_path, value_seed, value_address, value_vip,
	value_source_v4, value_source_v6, value_mac, value_workers;

const char *value_choice_name(const struct value_choice *choices, unsigned value);

/* The smallest prime that is at least n. */
u64 prime_from(u64 n);

/* Reads 32 hex digits that are not all zero; 0 or -EINVAL. */
#define SEED_BYTES 16
int seed_parse(const char *text, size_t len_bytes, u8 seed[static SEED_BYTES])
	__attribute__((warn_unused_result));

#endif
