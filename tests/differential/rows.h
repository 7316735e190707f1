/* SPDX-License-Identifier: BSD-2-Clause */
/* The rows of the verdict list that say where engines differ. */
#ifndef SHUNT_TESTS_DIFFERENTIAL_ROWS_H
#define SHUNT_TESTS_DIFFERENTIAL_ROWS_H

#include "tests/differential/world.h"

/* Makes engines differ in every row that says so, and in just the way that it says; a row that says
 * so without need, or another one, fails the test. */
void rows_check(struct world *world);

#endif
