/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What happens to a packet, and why. Every packet ends in exactly one verdict and every
 * verdict is counted. This one list makes the enumeration, the counters, their names, the
 * texts of the command line and the table in docs/verdicts.md. */
#ifndef SHUNT_CORE_VERDICT_H
#define SHUNT_CORE_VERDICT_H

#include "base.h"

enum action { ACTION_FORWARD, ACTION_REPLY, ACTION_PASS, ACTION_DROP, ACTION_COUNT };

/* V(identifier, action, reason as shown, what it means) */
#define VERDICTS(V)                                                                                \
	V(FLOW, FORWARD, "flow", "the flow table knows the flow's backend")                        \
	V(MAGLEV, FORWARD, "maglev", "the Maglev table chose the backend")                         \
	V(ARP, REPLY, "arp", "ARP asked for a service's address, and `answer: arp` is set")        \
	V(NEIGHBOUR, REPLY, "neighbour",                                                           \
	  "neighbour discovery asked for a service's address, and `answer: arp` is set")           \
	V(NOT_IP, PASS, "not_ip", "not IPv4 or IPv6, such as ARP")                                 \
	V(VLAN, PASS, "vlan", "VLAN-tagged; this version leaves tags to the kernel")               \
	V(OTHER_MAC, PASS, "other_mac", "addressed to another station")                            \
	V(OTHER_ADDRESS, PASS, "other_address", "the destination is no service's address")         \
	V(UNMATCHED_PASS, PASS, "unmatched_pass",                                                  \
	  "no service on this protocol and port, and `unmatched: pass` is set")                    \
	V(TRUNCATED, DROP, "truncated", "the frame ends inside a header")                          \
	V(BAD_VERSION, DROP, "bad_version", "the IP version contradicts the Ethernet type")        \
	V(BAD_HEADER_LEN, DROP, "bad_header_len", "a header length below its minimum")             \
	V(BAD_LEN, DROP, "bad_len", "a length field contradicts the bytes that came")              \
	V(BAD_CSUM, DROP, "bad_csum", "wrong IPv4 header checksum")                                \
	V(TTL_ZERO, DROP, "ttl_zero", "TTL or hop limit 0 on arrival")                             \
	V(MARTIAN, DROP, "martian", "a source address that no sender may use")                     \
	V(LAND, DROP, "land", "source and destination address are the same")                       \
	V(OWN_MAC, DROP, "own_mac", "our own MAC as the source: a loop")                           \
	V(L2_GROUP, DROP, "l2_group", "a broadcast or multicast frame to a service's address")     \
	V(FRAGMENT, DROP, "fragment", "a fragment; this version does not forward them")            \
	V(EXTENSION, DROP, "extension",                                                            \
	  "IPv6 extension headers; this version does not forward them")                            \
	V(ICMP, DROP, "icmp", "ICMP to a service's address; this version does not answer it")      \
	V(UNMATCHED, DROP, "unmatched", "no service on this protocol and port of the address")     \
	V(NO_BACKEND, DROP, "no_backend", "the service has no backend that may be chosen")         \
	V(NO_NEXT_HOP, DROP, "no_next_hop", "no usable next hop to the backend")                   \
	V(TOO_BIG_DF, DROP, "too_big_df",                                                          \
	  "larger than the path when wrapped, and not to be fragmented")                           \
	V(TOO_BIG, DROP, "too_big", "larger than the path when wrapped")                           \
	V(NO_HEADROOM, DROP, "no_headroom", "no room in the buffer for the outer header")          \
	V(QUEUE_FULL, DROP, "queue_full", "the transmit queue took no more")

enum verdict {
#define VERDICT_ENUM(id, action, reason, text) VERDICT_##id,
	VERDICTS(VERDICT_ENUM)
#undef VERDICT_ENUM
		VERDICT_COUNT,
	VERDICT_UNDECIDED = VERDICT_COUNT, /* no stage has settled the packet yet */
};

static inline enum action verdict_action(enum verdict verdict)
{
	static const u8 actions[VERDICT_COUNT] = {
#define VERDICT_ACTION(id, action, reason, text) ACTION_##action,
		VERDICTS(VERDICT_ACTION)
#undef VERDICT_ACTION
	};
	return (enum action)actions[verdict];
}

/* Whether something goes out on the wire. */
static inline bool verdict_sends(enum verdict verdict)
{
	return verdict_action(verdict) <= ACTION_REPLY;
}

#ifndef __bpf__

/* Names of the four actions: "forward", "reply", "pass", "drop". */
static inline const char *action_name(enum action action)
{
	static const char *const names[ACTION_COUNT] = {"forward", "reply", "pass", "drop"};

	return names[action];
}

/* The stable short name of a verdict's reason, as counters and JSON carry it. */
static inline const char *verdict_reason(enum verdict verdict)
{
	static const char *const reasons[VERDICT_COUNT] = {
#define VERDICT_REASON(id, action, reason, text) reason,
		VERDICTS(VERDICT_REASON)
#undef VERDICT_REASON
	};
	return reasons[verdict];
}

/* What the verdict means, as half a sentence for a person. */
static inline const char *verdict_text(enum verdict verdict)
{
	static const char *const texts[VERDICT_COUNT] = {
#define VERDICT_TEXT(id, action, reason, text) text,
		VERDICTS(VERDICT_TEXT)
#undef VERDICT_TEXT
	};
	return texts[verdict];
}

#endif
#endif
