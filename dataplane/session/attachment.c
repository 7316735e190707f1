/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/session/attachment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/state/memory.h"

int attachment_create(int arena_fd, u32 workers_count, struct attachment **out, char *text,
		      size_t text_bytes)
{
	struct attachment *attachment = calloc(1, sizeof(*attachment));
	const struct arena_header *header;
	int err;

	if (!attachment) {
		snprintf(text, text_bytes, "no memory for an arena");
		return -ENOMEM;
	}
	text[0] = '\0';
	err = arena_attach(arena_fd, &attachment->arena, text, text_bytes);
	if (err) {
		if (text[0] == '\0')
			snprintf(text, text_bytes, "the arena cannot be mapped: %s",
				 strerror(-err));
		goto free_attachment;
	}
	header = (const struct arena_header *)attachment->arena.base;
	attachment->incarnation = header->incarnation;
	err = report_create(workers_count, attachment->arena.counters_count,
			    attachment->arena.epoch, &attachment->report);
	if (err) {
		snprintf(text, text_bytes, "no memory for the report of %u counters: %s",
			 attachment->arena.counters_count, strerror(-err));
		goto detach;
	}
	*out = attachment;
	return 0;
detach:
	arena_detach(&attachment->arena);
free_attachment:
	free(attachment);
	return err;
}

void attachment_destroy(struct attachment *attachment)
{
	if (!attachment)
		return;
	report_destroy(&attachment->report);
	arena_detach(&attachment->arena);
	free(attachment);
}

int attachment_answer(int socket, struct attach_message *answer,
		      const struct attachment *attachment, const struct flow_tables *flows)
{
	int fds[2] = {-1, -1};
	int err;

	answer->epoch = attachment->arena.epoch;
	answer->workers_count = attachment->report.workers_count;
	fds[0] = memory_reopen_read_only(attachment->report.fd);
	if (fds[0] < 0)
		return fds[0];
	if (flows)
		fds[1] = flow_tables_deposit(flows);
	err = flows && fds[1] < 0 ? fds[1] : attach_send(socket, answer, fds, flows ? 2 : 1);
	if (fds[1] >= 0)
		close(fds[1]);
	close(fds[0]);
	return err;
}
