/* SPDX-License-Identifier: BSD-2-Clause */
/* Sentences for the operator: one a line, on standard error. */
#ifndef SHUNT_SESSION_MESSAGE_H
#define SHUNT_SESSION_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

/* The name that messages begin with: the program's. Set once, before the first. */
extern const char *message_program;

/* Prints the program's name, a colon, the sentence and an end of line. */
void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether a complaint is another than the last one, which it takes the place of: what stays amiss is told
 * once. */
bool message_is_new(char *said, size_t said_bytes, const char *text);

#endif
