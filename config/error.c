/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/error.h"
#include "config/text.h"

/* What is shown of a long line, in bytes: some context before the column, and no more
 * than one terminal line or two in all. */
#define WINDOW_BEFORE_BYTES 80
#define WINDOW_BYTES 150
#define WINDOW_CUT "..."

static bool report_add(struct report *report, struct config_error error)
{
	if (report->errors->count == report->room) {
		size_t room = report->room ? report->room * 2 : 16;
		struct config_error *list = realloc(report->errors->list, room * sizeof(*list));

		if (!list)
			return false;
		report->errors->list = list;
		report->room = room;
	}
	report->errors->list[report->errors->count++] = error;
	return true;
}

void report_error(struct report *report, struct config_place place, const char *format, ...)
{
	struct config_error error = {.line = place.line, .column = place.column};
	va_list arguments;

	if (report_full(report)) {
		report->omitted++;
		return;
	}
	va_start(arguments, format);
	if (vasprintf(&error.text, format, arguments) < 0)
		error.text = NULL;
	va_end(arguments);
	if (!error.text || !report_add(report, error)) {
		free(error.text);
		report->no_memory = true;
	}
}

/* Merge sort keeps the order of finding; qsort() promises no such thing. */
static void errors_sort(struct config_error *list, struct config_error *spare, size_t count)
{
	size_t half = count / 2, left = 0, right = half;

	if (count < 2)
		return;
	errors_sort(list, spare, half);
	errors_sort(list + half, spare, count - half);
	for (size_t i = 0; i < count; i++) {
		const struct config_error *a = &list[left], *b = &list[right];
		bool take_right =
			left == half ||
			(right < count &&
			 (b->line < a->line || (b->line == a->line && b->column < a->column)));
		spare[i] = take_right ? list[right++] : list[left++];
	}
	memcpy(list, spare, count * sizeof(*list));
}

/* A last entry, at the place of the last one kept. */
static void omitted_note(struct report *report)
{
	struct config_error note = report->errors->list[report->errors->count - 1];

	if (asprintf(&note.text, "%zu more errors are not shown: mend these, then check again",
		     report->omitted) < 0)
		note.text = NULL;
	if (!note.text || !report_add(report, note)) {
		free(note.text);
		report->no_memory = true;
	}
}

void report_finish(struct report *report)
{
	struct config_errors *errors = report->errors;
	struct config_error *spare = calloc(errors->count + 1, sizeof(*spare));

	if (!spare) {
		report->no_memory = true;
		return;
	}
	errors_sort(errors->list, spare, errors->count);
	free(spare);
	if (report->omitted > 0)
		omitted_note(report);
}

void config_errors_free(struct config_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++)
		free(errors->list[i].text);
	free(errors->list);
	*errors = (struct config_errors){0};
}

/* Points *line at the numbered line, without its break; returns its bytes. */
static size_t line_find(const char *text, size_t len_bytes, unsigned number, const char **line)
{
	const char *end = text + len_bytes;
	const char *at = text + text_mark_len_bytes(text, len_bytes);

	for (; number > 1 && at < end; number--) {
		const char *feed = memchr(at, '\n', (size_t)(end - at));
		at = feed ? feed + 1 : end;
	}
	*line = at;

	const char *feed = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
	size_t line_len = (size_t)((feed ? feed : end) - at);

	return line_len > 0 && at[line_len - 1] == '\r' ? line_len - 1 : line_len;
}

/* Prints bytes of a line: as they are, as "?" where a terminal could take them for a
 * command, or as the white space that is as wide. */
static void line_print(FILE *out, const char *line, size_t len_bytes, bool blank)
{
	for (size_t at = 0; at < len_bytes;) {
		u32 code = 0;
		size_t len = text_decode(line + at, len_bytes - at, &code);
		bool fine = len > 0 && text_allowed(code);

		if (fine && (!blank || code == '\t'))
			fwrite(line + at, 1, len, out);
		else
			fputc(blank ? ' ' : '?', out);
		at += len > 0 ? len : 1;
	}
}

static bool inside_character(const char *line, size_t at)
{
	return ((u8)line[at] & 0xc0) == 0x80;
}

void config_error_print(FILE *out, const char *file, const char *text, size_t len_bytes,
			const struct config_error *error)
{
	const char *line = "";
	size_t line_len = text ? line_find(text, len_bytes, error->line, &line) : 0;
	size_t before = error->column > 0 ? error->column - 1 : 0;
	size_t start = 0;

	if (before > line_len)
		before = line_len;
	if (line_len > WINDOW_BYTES && before > WINDOW_BEFORE_BYTES)
		start = before - WINDOW_BEFORE_BYTES;
	while (start > 0 && start < before && inside_character(line, start))
		start++;
	size_t end = line_len - start > WINDOW_BYTES ? start + WINDOW_BYTES : line_len;
	while (end < line_len && end > before && inside_character(line, end))
		end--;

	fprintf(out, "%s:%u:%u: %s\n", file, error->line, error->column, error->text);
	fputs(start > 0 ? WINDOW_CUT : "", out);
	line_print(out, line + start, end - start, false);
	fputs(end < line_len ? WINDOW_CUT "\n" : "\n", out);
	line_print(out, WINDOW_CUT, start > 0 ? strlen(WINDOW_CUT) : 0, true);
	line_print(out, line + start, before - start, true);
	fputs("^\n", out);
}

void config_errors_print(FILE *out, const char *file, const char *text, size_t len_bytes,
			 const struct config_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++)
		config_error_print(out, file, text, len_bytes, &errors->list[i]);
}
