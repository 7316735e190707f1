/* SPDX-License-Identifier: BSD-2-Clause */
/* What became of a packet, and what is worth knowing about it.
 *
 * Every packet ends in exactly one verdict, so that the verdict counters add up to the packets
 * received; a note says something about a packet that has a verdict anyway, or about something
 * that is no packet. Both lists make their counters and the counters' names; the texts are for
 * the reader, here and in the manual page, which a test holds to be complete. A mode that can't
 * meet a reason has its counter all the same, at zero: `tun` leaves outer headers to the kernel,
 * and `xdp` and `tc` have no sockets.
 *
 * The programs in the kernel count in this same structure (bpf/decap.bpf.c). */
#ifndef SHUNT_DECAP_VERDICT_H
#define SHUNT_DECAP_VERDICT_H

#include "dataplane/core/base.h"

#define DECAP_VERDICTS(X)                                                                          \
	X(DECAP_DELIVERED, "delivered", "inner packet handed to the host")                         \
	X(DECAP_OUTER_TRUNCATED, "drop_outer_truncated", "ends inside its outer header")           \
	X(DECAP_OUTER_CHECKSUM, "drop_outer_checksum", "outer IPv4 or UDP checksum is wrong")      \
	X(DECAP_OUTER_FRAGMENT, "drop_outer_fragment",                                             \
	  "outer fragment, which xdp and tc can't join")                                           \
	X(DECAP_OUTER_SOURCE, "drop_outer_source", "outer source is in no --from prefix")          \
	X(DECAP_NESTED, "drop_nested", "an encapsulated packet inside an encapsulated packet")     \
	X(DECAP_GUE_TRUNCATED, "drop_gue_truncated", "ends inside its GUE header")                 \
	X(DECAP_GUE_VARIANT, "drop_gue_variant", "GUE variant 2 or 3, or 1 with no IP inside")     \
	X(DECAP_GUE_CONTROL, "drop_gue_control", "GUE control message")                            \
	X(DECAP_GUE_FLAGS, "drop_gue_flags", "GUE extension flag that is not supported")           \
	X(DECAP_GUE_PRIVATE, "drop_gue_private", "GUE private data")                               \
	X(DECAP_GUE_PROTOCOL, "drop_gue_protocol", "GUE payload is neither IPv4 nor IPv6")         \
	X(DECAP_INNER_TRUNCATED, "drop_inner_truncated", "inner packet ends inside its header")    \
	X(DECAP_INNER_VERSION, "drop_inner_version", "inner version is not what was announced")    \
	X(DECAP_INNER_HEADER, "drop_inner_header", "inner IPv4 header length is impossible")       \
	X(DECAP_INNER_LENGTH, "drop_inner_length", "inner length exceeds the bytes received")      \
	X(DECAP_INNER_MARTIAN, "drop_inner_martian", "inner address no packet may carry")          \
	X(DECAP_INNER_DESTINATION, "drop_inner_destination", "inner destination is no --vip")      \
	X(DECAP_INNER_NOT_LOCAL, "drop_inner_not_local", "inner destination is not of this host")  \
	X(DECAP_ECN, "drop_ecn", "congestion met by a sender that does not know ECN")              \
	X(DECAP_DEVICE, "drop_device", "neither device nor kernel took the packet")

#define DECAP_NOTES(X)                                                                             \
	X(NOTE_RECEIVED_PROTOCOL_4, "received_protocol_4", "packets of IP protocol 4")             \
	X(NOTE_RECEIVED_PROTOCOL_41, "received_protocol_41", "packets of IP protocol 41")          \
	X(NOTE_RECEIVED_GUE, "received_gue", "packets to the GUE port")                            \
	X(NOTE_DELIVERED_BYTES, "delivered_bytes", "bytes of delivered inner packets")             \
	X(NOTE_ECN_CHANGED, "ecn_changed", "delivered with the ECN field changed")                 \
	X(NOTE_ECN_UNEXPECTED, "ecn_unexpected", "ECN pair marked as unused in RFC 6040")          \
	X(NOTE_CHECKSUM_COMPLETED, "checksum_completed", "transport checksum left unfinished")     \
	X(NOTE_SOCKET_OVERFLOW, "socket_overflow", "packets lost for want of socket buffer")       \
	X(NOTE_DEVICE_READ, "device_read", "packets the host sent into the device, discarded")

enum decap_verdict {
#define X(id, name, text) id,
	DECAP_VERDICTS(X)
#undef X
		DECAP_VERDICT_COUNT
};

enum decap_note {
#define X(id, name, text) id,
	DECAP_NOTES(X)
#undef X
		DECAP_NOTE_COUNT
};

struct counters {
	u64 verdicts[DECAP_VERDICT_COUNT];
	u64 notes[DECAP_NOTE_COUNT];
};

#endif
