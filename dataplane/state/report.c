/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/state/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/state/memory.h"

#define REPORT_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define REPORT_COUNTERS_MAX (1u << 28)

static u64 worker_bytes_for(u32 counters_count)
{
	u64 bytes =
		sizeof(struct report_worker) + (u64)counters_count * sizeof(struct report_traffic);

	return (bytes + 4095) / 4096 * 4096; /* no page is written by two workers */
}

static struct report report_of(void *base, const struct report_header *layout, size_t size_bytes,
			       int fd)
{
	return (struct report){
		.header = base,
		.size_bytes = size_bytes,
		.worker_bytes = layout->worker_bytes,
		.epoch = layout->epoch,
		.workers_count = layout->workers_count,
		.counters_count = layout->counters_count,
		.fd = fd,
	};
}

int report_create(u32 workers_count, u32 counters_count, u64 epoch, struct report *report)
{
	u64 worker_bytes = worker_bytes_for(counters_count);
	struct memory memory;
	int err;

	err = memory_create("shunt-report", REPORT_HEADER_BYTES + workers_count * worker_bytes,
			    &memory);
	if (err)
		return err;
	*(struct report_header *)memory.base = (struct report_header){
		.magic = REPORT_MAGIC,
		.abi = REPORT_ABI,
		.workers_count = workers_count,
		.size_bytes = memory.size_bytes,
		.epoch = epoch,
		.counters_count = counters_count,
		.verdicts_count = VERDICT_COUNT,
		.worker_bytes = worker_bytes,
	};
	err = memory_seal(&memory, REPORT_SEALS);
	if (err)
		return err;
	*report = report_of(memory.base, memory.base, memory.size_bytes, memory.fd);
	return 0;
}

static const char *header_fault(const struct report_header *header, u64 size_bytes)
{
	if (header->magic != REPORT_MAGIC)
		return "it is not a report";
	if (header->abi != REPORT_ABI || header->verdicts_count != VERDICT_COUNT)
		return "it is of another version; run the same version of both programs";
	if (header->workers_count == 0 || header->workers_count > REPORT_WORKERS_MAX ||
	    header->counters_count > REPORT_COUNTERS_MAX ||
	    header->worker_bytes != worker_bytes_for(header->counters_count) ||
	    REPORT_HEADER_BYTES + header->workers_count * header->worker_bytes > size_bytes)
		return "its sizes contradict each other";
	return NULL;
}

int report_attach(int fd, struct report *report, char *message, size_t message_bytes)
{
	struct stat stat;
	struct report_header layout;
	int seals = fcntl(fd, F_GET_SEALS);
	const char *fault;
	void *base;

	if (fstat(fd, &stat) < 0)
		return -errno;
	if (seals < 0 || (seals & REPORT_SEALS) != REPORT_SEALS ||
	    stat.st_size < REPORT_HEADER_BYTES) {
		snprintf(message, message_bytes, "the report is not sealed, or too short");
		return -EINVAL;
	}
	base = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	memcpy(&layout, base, sizeof(layout));
	fault = header_fault(&layout, (u64)stat.st_size);
	if (fault) {
		snprintf(message, message_bytes, "the dataplane's report is refused: %s", fault);
		munmap(base, (size_t)stat.st_size);
		return -EINVAL;
	}
	*report = report_of(base, &layout, (size_t)stat.st_size, -1);
	return 0;
}

void report_destroy(struct report *report)
{
	if (!report->header)
		return;
	munmap(report->header, report->size_bytes);
	if (report->fd >= 0)
		close(report->fd);
	*report = (struct report){.fd = -1};
}

struct report_worker *report_worker(const struct report *report, u32 worker)
{
	return (struct report_worker *)((u8 *)report->header + REPORT_HEADER_BYTES +
					worker * report->worker_bytes);
}

void report_carry_over(const struct report *from, const struct report *to, u32 worker)
{
	u32 counters = from->counters_count < to->counters_count ? from->counters_count
								 : to->counters_count;
	const struct report_worker *old = report_worker(from, worker);
	struct report_worker *new = report_worker(to, worker);

	if (worker >= from->workers_count || worker >= to->workers_count)
		return;
	new->heartbeat = old->heartbeat;
	new->flows_unplaced = old->flows_unplaced;
	memcpy(new->verdicts, old->verdicts, sizeof(new->verdicts));
	memcpy(new->traffic, old->traffic, counters * sizeof(new->traffic[0]));
}
