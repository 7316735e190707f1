/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames that somebody wrote down: in hexadecimal, as tools dump them, or as the flow that they
 * belong to. */
#ifndef SHUNT_CONTROLPLANE_FRAME_TEXT_H
#define SHUNT_CONTROLPLANE_FRAME_TEXT_H

#include "dataplane/core/packet.h"

/* Reads hexadecimal digits, two a byte, with white space and colons between bytes; a line may begin
 * with its offset and a colon, and end with its text, as xxd and tcpdump -XX write them. Returns
 * how many bytes it has, 1 to frame_max; or -1 with one sentence in message. */
int frame_from_hex(const char *text, u8 *frame, u32 frame_max, char *message, size_t message_bytes)
	__attribute__((warn_unused_result));

#define FRAME_OF_FLOW_MAX 96

/* Makes the smallest frame that opens a flow, from "PROTOCOL SOURCE:PORT DESTINATION:PORT" such as
 * "tcp 198.51.100.7:4242 203.0.113.10:443" or "udp [2001:db8::1]:53 [2001:db8::2]:53", between
 * stations that don't exist. Returns its bytes, or -1 with one sentence in message. */
int frame_from_flow(const char *text, u8 frame[static FRAME_OF_FLOW_MAX], char *message,
		    size_t message_bytes) __attribute__((warn_unused_result));

#endif
