/* SPDX-License-Identifier: BSD-2-Clause */
/* Sentences for the operator: one a line, on standard error. */
#ifndef SHUNT_SESSION_MESSAGE_H
#define SHUNT_SESSION_MESSAGE_H

/* The name that messages begin with: the program's. Set once, before the first. */
extern const char *message_program;

/* Prints the program's name, a colon, the sentence and an end of line. */
void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
