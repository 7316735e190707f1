/* SPDX-License-Identifier: BSD-2-Clause */
/* Sentences for the operator: one a line, on standard error. */
#ifndef SHUNT_DPDK_MESSAGE_H
#define SHUNT_DPDK_MESSAGE_H

/* Prints "shunt-dpdk: ", the sentence and an end of line. */
void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
