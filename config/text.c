/* SPDX-License-Identifier: BSD-2-Clause */
/* libyaml counts columns in characters and takes U+0085, U+2028 and a lone carriage return
 * for line breaks; editors and terminals do not agree with it. A file is therefore checked
 * before libyaml sees it: what is left has one kind of line break, so that line numbers
 * mean the same to everyone, and every malformed byte is reported where it stands (libyaml's
 * reader runs ahead of its scanner and would report it without a place). */
#include <string.h>

#include "config/text.h"

#define DISTANCE_LEN_MAX 32

size_t text_decode(const char *text, size_t len_bytes, u32 *code)
{
	static const u32 code_min[] = {0, 0, 0x80, 0x800, 0x10000};
	const u8 *bytes = (const u8 *)text;
	size_t need = bytes[0] < 0x80   ? 1
		      : bytes[0] < 0xc0 ? 0
		      : bytes[0] < 0xe0 ? 2
		      : bytes[0] < 0xf0 ? 3
		      : bytes[0] < 0xf8 ? 4
					: 0;

	if (need == 0 || need > len_bytes)
		return 0;
	*code = need == 1 ? bytes[0] : bytes[0] & (0x7fu >> need);
	for (size_t i = 1; i < need; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (bytes[i] & 0x3f);
	}
	bool surrogate = *code >= 0xd800 && *code <= 0xdfff;
	return *code < code_min[need] || *code > 0x10ffff || surrogate ? 0 : need;
}

bool text_allowed(u32 code)
{
	if (code < 0xa0)
		return code == '\t' || (code >= 0x20 && code < 0x7f);
	return code != 0x2028 && code != 0x2029 && code != 0xfeff && code != 0xfffe &&
	       code != 0xffff;
}

size_t text_mark_len_bytes(const char *text, size_t len_bytes)
{
	return len_bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* Length of what may stand at text, a line break included; 0 after a report. */
static size_t allowed_len_bytes(const char *text, size_t len_bytes, struct config_place place,
				struct report *report)
{
	u32 code = 0;
	size_t len = text_decode(text, len_bytes, &code);

	if (text[0] == '\n' || (text[0] == '\r' && len_bytes > 1 && text[1] == '\n'))
		return 1;
	if (len == 0)
		report_error(report, place,
			     "byte 0x%02x is not UTF-8 text here: save the file as UTF-8",
			     (u8)text[0]);
	else if (!text_allowed(code))
		report_error(report, place, "control character U+%04X is not allowed: remove it",
			     (unsigned)code);
	else
		return len;
	return 0;
}

void text_check(const char *text, size_t len_bytes, struct report *report)
{
	size_t line_start = text_mark_len_bytes(text, len_bytes);
	unsigned line = 1;

	for (size_t at = line_start; at < len_bytes;) {
		struct config_place place = {line, (unsigned)(at - line_start + 1)};
		size_t len = allowed_len_bytes(text + at, len_bytes - at, place, report);

		if (len == 0) { /* one report a line is enough: go on with the next */
			const char *next = memchr(text + at, '\n', len_bytes - at);
			if (!next)
				return;
			at = (size_t)(next - text);
			len = 1;
		}
		at += len;
		if (text[at - 1] == '\n') {
			line_start = at;
			line++;
		}
	}
}

static void cursor_line(struct text_cursor *cursor, const char *line_start, size_t line)
{
	cursor->line_start = cursor->at = line_start;
	cursor->line = line;
	cursor->column = 0;
}

struct config_place text_place(struct text_cursor *cursor, size_t line, size_t column)
{
	u32 code;

	while (cursor->line < line) {
		const char *feed = memchr(cursor->at, '\n', (size_t)(cursor->end - cursor->at));
		if (!feed)
			break;
		cursor_line(cursor, feed + 1, cursor->line + 1);
	}
	while (cursor->line > line) {
		const char *before = cursor->line_start - 1;
		while (before > cursor->text && before[-1] != '\n')
			before--;
		cursor_line(cursor, before, cursor->line - 1);
	}
	if (cursor->column > column)
		cursor_line(cursor, cursor->line_start, line);
	for (; cursor->column < column && cursor->at < cursor->end; cursor->column++)
		cursor->at += text_decode(cursor->at, (size_t)(cursor->end - cursor->at), &code);
	return (struct config_place){(unsigned)(cursor->line + 1),
				     (unsigned)(cursor->at - cursor->line_start + 1)};
}

const char *text_quote(const char *text, char out[static TEXT_QUOTE_MAX])
{
	size_t len = strlen(text);

	if (len < TEXT_QUOTE_MAX)
		return memcpy(out, text, len + 1);
	len = TEXT_QUOTE_MAX - sizeof("...");
	while (len > 0 && ((u8)text[len] & 0xc0) == 0x80) /* not inside a character */
		len--;
	memcpy(out, text, len);
	memcpy(out + len, "...", sizeof("..."));
	return out;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned text_distance(const char *a, const char *b)
{
	unsigned rows[DISTANCE_LEN_MAX + 1][DISTANCE_LEN_MAX + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > DISTANCE_LEN_MAX || b_len > DISTANCE_LEN_MAX)
		return TEXT_FAR;
	for (size_t i = 0; i <= a_len; i++) {
		for (size_t j = 0; j <= b_len; j++) {
			if (i == 0 || j == 0) {
				rows[i][j] = (unsigned)(i + j);
				continue;
			}
			rows[i][j] = least(least(rows[i - 1][j], rows[i][j - 1]) + 1,
					   rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				rows[i][j] = least(rows[i][j], rows[i - 2][j - 2] + 1);
		}
	}
	return rows[a_len][b_len];
}
