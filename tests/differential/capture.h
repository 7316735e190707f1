/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames into a pcap file, for engines that replay one. */
#ifndef SHUNT_TESTS_DIFFERENTIAL_CAPTURE_H
#define SHUNT_TESTS_DIFFERENTIAL_CAPTURE_H

#include <stdint.h>

struct pcap;
struct pcap_dumper;

struct capture {
	struct pcap *dead;
	struct pcap_dumper *dumper;
	uint64_t time_ms;
};

/* Each ends the program where it fails. */
void capture_open(struct capture *capture, const char *path);
void capture_write(struct capture *capture, const uint8_t *frame, uint32_t frame_bytes);
void capture_close(struct capture *capture);

#endif
