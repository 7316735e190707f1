/* SPDX-License-Identifier: BSD-2-Clause */
/* What shuntd says: whole sentences on standard error, one a line. */
#ifndef SHUNT_CONTROLPLANE_LOG_H
#define SHUNT_CONTROLPLANE_LOG_H

/* Prints "shuntd: SENTENCE". */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
