/* SPDX-License-Identifier: BSD-2-Clause */
/* Characters and places: UTF-8, what a file may hold, and columns counted in bytes. */
#ifndef SHUNT_CONFIG_TEXT_H
#define SHUNT_CONFIG_TEXT_H

#include "config/error.h"

/* Decodes the UTF-8 character at text; returns its bytes, 0 where it is malformed. */
size_t text_decode(const char *text, size_t len_bytes, u32 *code);

/* Whether a configuration may hold this character inside a line: tab and what prints. */
bool text_allowed(u32 code);

/* Bytes of a byte order mark at the start: 3 or 0. Columns do not count them. */
size_t text_mark_len_bytes(const char *text, size_t len_bytes);

/* Reports each line that holds a character which no configuration may hold. Afterwards
 * the only line breaks are "\n" and "\r\n", for libyaml and for us. */
void text_check(const char *text, size_t len_bytes, struct report *report);

/* Turns places counted in characters into places counted in bytes. Cheap while places
 * ascend: a walk over a whole file costs one pass, however long its lines are. */
struct text_cursor {
	const char *text, *end;
	const char *line_start, *at;
	size_t line, column; /* of at: 0-based, the column in characters */
};

struct config_place text_place(struct text_cursor *cursor, size_t line, size_t column);

/* Copies text for a message, cut to what fits. */
#define TEXT_QUOTE_MAX 48
const char *text_quote(const char *text, char out[static TEXT_QUOTE_MAX]);

/* Insertions, deletions, changes and swaps of neighbours that turn a into b; words that
 * are too long to compare are TEXT_FAR apart. */
#define TEXT_FAR 255u
unsigned text_distance(const char *a, const char *b);

#endif
