/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/decap/counters.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const verdict_names[] = {
#define X(id, name, text) [id] = name,
	DECAP_VERDICTS(X)
#undef X
};

static const char *const note_names[] = {
#define X(id, name, text) [id] = name,
	DECAP_NOTES(X)
#undef X
};

void counters_print(const struct counters *counters, FILE *stream)
{
	for (u32 i = 0; i < DECAP_VERDICT_COUNT; i++)
		fprintf(stream, "%s %llu\n", verdict_names[i],
			(unsigned long long)counters->verdicts[i]);
	for (u32 i = 0; i < DECAP_NOTE_COUNT; i++)
		fprintf(stream, "%s %llu\n", note_names[i], (unsigned long long)counters->notes[i]);
	fflush(stream);
}

int counters_save(const struct counters *counters, const char *path)
{
	FILE *stream;
	char *draft;
	int status;

	if (asprintf(&draft, "%s.new", path) < 0)
		return -ENOMEM;
	stream = fopen(draft, "we");
	status = stream ? 0 : -errno;
	if (stream) {
		counters_print(counters, stream);
		if (ferror(stream))
			status = -EIO;
		if (fclose(stream) != 0 && status == 0)
			status = -errno;
		if (status == 0 && rename(draft, path) != 0)
			status = -errno;
		if (status != 0)
			unlink(draft);
	}
	free(draft);
	return status;
}
