/* SPDX-License-Identifier: BSD-2-Clause */
/* cmocka wants these headers before its own. */
#ifndef SHUNT_TESTS_CMOCKA_HELP_H
#define SHUNT_TESTS_CMOCKA_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A test between its file's setup() and teardown(). */
#define unit_test_between(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
