/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/differential/capture.h"

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdlib.h>

static void must(bool done, const char *what)
{
	if (done)
		return;
	fprintf(stderr, "capture: %s\n", what);
	exit(1);
}

void capture_open(struct capture *capture, const char *path)
{
	*capture = (struct capture){.time_ms = 1000000};
	capture->dead = pcap_open_dead(DLT_EN10MB, 65535);
	must(capture->dead != NULL, "out of memory");
	capture->dumper = pcap_dump_open(capture->dead, path);
	must(capture->dumper != NULL, pcap_geterr(capture->dead));
}

void capture_write(struct capture *capture, const uint8_t *frame, uint32_t frame_bytes)
{
	const struct pcap_pkthdr header = {
		.ts = {.tv_sec = (time_t)(capture->time_ms / 1000),
		       .tv_usec = (suseconds_t)(capture->time_ms % 1000 * 1000)},
		.caplen = frame_bytes,
		.len = frame_bytes,
	};

	pcap_dump((u_char *)capture->dumper, &header, frame);
}

void capture_close(struct capture *capture)
{
	must(pcap_dump_flush(capture->dumper) == 0, "the file is not whole");
	pcap_dump_close(capture->dumper);
	pcap_close(capture->dead);
}
