/* SPDX-License-Identifier: BSD-2-Clause */
/* Collecting errors: a parse goes on after each one and hands over the sorted list. */
#ifndef SHUNT_CONFIG_ERROR_H
#define SHUNT_CONFIG_ERROR_H

#include "config/config.h"

#define REPORT_ERRORS_MAX 1000 /* the rest is counted, not kept */

struct report {
	struct config_errors *errors; /* owned by the caller */
	size_t room;                  /* entries allocated */
	size_t omitted;
	bool no_memory; /* sticky */
};

/* Whether further errors are only counted: spares the search for good advice. */
static inline bool report_full(const struct report *report)
{
	return report->errors->count >= REPORT_ERRORS_MAX;
}

/* Adds one error: a sentence that says what to do, without a full stop. */
void report_error(struct report *report, struct config_place place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts the errors into file order; those at one place stay in the order of their finding.
 * To be called once, at the end. */
void report_finish(struct report *report);

#endif
