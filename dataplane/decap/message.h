/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHUNT_DECAP_MESSAGE_H
#define SHUNT_DECAP_MESSAGE_H

/* One line on standard error, behind the program's name. */
void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
