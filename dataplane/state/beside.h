/* SPDX-License-Identifier: BSD-2-Clause */
/* shunt's programs stand beside one another. */
#ifndef SHUNT_STATE_BESIDE_H
#define SHUNT_STATE_BESIDE_H

/* Becomes another of them: the one beside this program, else the one of PATH. Returns where it can't, with
 * errno. */
void beside_exec(const char *program, char *const arguments[]);

#endif
