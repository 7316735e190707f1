/* SPDX-License-Identifier: BSD-2-Clause */
/* The table keeps to what fits a line; what to do about a verdict is told for those that are asked
 * for. Within an action the commonest verdict stands first: it is why one looks. */
#include "controlplane/cli/show_drops.h"
#include "controlplane/json_read.h"

#include <stdlib.h>
#include <string.h>

struct row {
	enum verdict verdict;
	long long packets;
	const json_t *json;
};

/* The verdict of a reason, or VERDICT_COUNT. */
static enum verdict verdict_named(const char *reason)
{
	u32 i = 0;

	while (i < VERDICT_COUNT && strcmp(reason, verdict_reason((enum verdict)i)) != 0)
		i++;
	return (enum verdict)i;
}

/* By action, then by packets, then as the list has them. */
static int compare_rows(const void *a, const void *b)
{
	const struct row *left = a, *right = b;
	int actions = (int)verdict_action(left->verdict) - (int)verdict_action(right->verdict);

	if (actions)
		return actions;
	if (left->packets != right->packets)
		return left->packets > right->packets ? -1 : 1;
	return (int)left->verdict - (int)right->verdict;
}

/* A shuntd of another version may know other verdicts: those are left out. */
static size_t read_rows(const json_t *answer, bool all, struct row rows[static VERDICT_COUNT])
{
	const json_t *json;
	size_t i, count = 0;

	json_array_foreach(json_object_get(answer, "verdicts"), i, json)
	{
		enum verdict verdict = verdict_named(string_of(json, "reason"));
		long long packets = json_integer_value(json_object_get(json, "packets"));

		if (verdict < VERDICT_COUNT && count < VERDICT_COUNT && (packets || all))
			rows[count++] = (struct row){verdict, packets, json};
	}
	qsort(rows, count, sizeof(rows[0]), compare_rows);
	return count;
}

static void explain_row(const struct row *row)
{
	printf("%s (%s): %lld packets\n", string_of(row->json, "reason"),
	       string_of(row->json, "action"), row->packets);
	printf("  means     %s\n", string_of(row->json, "text"));
	printf("  do        %s\n", string_of(row->json, "advice"));
	if (json_object_get(row->json, "engines"))
		printf("  engines   %s\n", string_of(row->json, "engines"));
	printf("  see       %s\n", string_of(row->json, "doc"));
}

static void print_table(const struct row *rows, size_t count)
{
	printf("%-8s %-16s %14s  %s\n", "Verdict", "Reason", "Packets", "Meaning");
	for (size_t i = 0; i < count; i++)
		printf("%-8s %-16s %14lld  %s\n", string_of(rows[i].json, "action"),
		       string_of(rows[i].json, "reason"), rows[i].packets,
		       string_of(rows[i].json, "text"));
}

static void print_answer(const json_t *answer, char *const *reasons, int reasons_count,
			 bool explain, bool all)
{
	struct row rows[VERDICT_COUNT];
	size_t count = read_rows(answer, all || reasons_count > 0, rows);

	if (reasons_count == 0 && !explain) {
		print_table(rows, count);
		return;
	}
	for (size_t i = 0; reasons_count == 0 && i < count; i++)
		explain_row(&rows[i]);
	for (int k = 0; k < reasons_count; k++)
		for (size_t i = 0; i < count; i++)
			if (strcmp(reasons[k], verdict_reason(rows[i].verdict)) == 0)
				explain_row(&rows[i]);
}

int show_drops(const char *run_dir, char *const *reasons, int reasons_count, bool explain, bool all,
	       bool json)
{
	json_t *answer;

	for (int i = 0; i < reasons_count; i++) {
		if (verdict_named(reasons[i]) < VERDICT_COUNT)
			continue;
		fprintf(stderr,
			"shunt: there is no reason '%s'; 'shunt show drops --all' and "
			"docs/verdicts.md list them\n",
			reasons[i]);
		return CLI_USAGE;
	}
	answer = client_request(run_dir, "GET", "/v1/drops");
	if (!answer)
		return CLI_UNAVAILABLE;
	if (json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_answer(answer, reasons, reasons_count, explain, all);
	}
	json_decref(answer);
	return CLI_OK;
}
