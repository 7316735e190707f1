/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What happens to a packet, and why. Every packet ends in exactly one verdict and every
 * verdict is counted. This one list makes the enumeration, the counters, their names, the
 * texts of the command line and the table in docs/verdicts.md. */
#ifndef SHUNT_CORE_VERDICT_H
#define SHUNT_CORE_VERDICT_H

#include "base.h"

enum action { ACTION_FORWARD, ACTION_REPLY, ACTION_PASS, ACTION_DROP, ACTION_COUNT };

/* V(identifier, action, reason as shown, what it means, what an operator should do about it, where
 * engines may differ: "" for nowhere, and at most four rows have anything else) */
#define VERDICTS(V)                                                                                \
	V(FLOW, FORWARD, "flow", "the flow table knows the flow's backend",                        \
	  "nothing: it is the ordinary way of a known flow", "")                                   \
	V(MAGLEV, FORWARD, "maglev", "the Maglev table chose the backend",                         \
	  "nothing where flows are new; if the packets of long flows end here, `shunt show "       \
	  "status` says whether flows found no room, and `flows` has to rise",                     \
	  "")                                                                                      \
	V(ICMP_ERROR, FORWARD, "icmp_error", "an ICMP error, sent to the backend of its flow",     \
	  "nothing; a great many say that clients have become unreachable", "")                    \
	V(ECHO, REPLY, "echo", "an ICMP echo request to a service's address",                      \
	  "nothing; it shows that the balancer is reached, not that a service works", "")          \
	V(PATH_MTU, REPLY, "path_mtu",                                                             \
	  "larger than the path when wrapped: the sender was told what fits",                      \
	  "nothing while it is rare; else raise the MTU on the way to the backends by the "        \
	  "bytes that `shunt explain` calls overhead, or have the services announce a "            \
	  "smaller MSS",                                                                           \
	  "")                                                                                      \
	V(ARP, REPLY, "arp", "ARP asked for a service's address, and `answer: arp` is set",        \
	  "nothing", "")                                                                           \
	V(NEIGHBOUR, REPLY, "neighbour",                                                           \
	  "neighbour discovery asked for a service's address, and `answer: arp` is set",           \
	  "nothing", "")                                                                           \
	V(NOT_IP, PASS, "not_ip", "not IPv4 or IPv6, such as ARP", "nothing", "")                  \
	V(OTHER_MAC, PASS, "other_mac", "addressed to another station",                            \
	  "nothing where the port sees other stations' frames, as a mirror or a flooding "         \
	  "switch sends them; else compare the frame's destination with the port's MAC in "        \
	  "`shunt show status`",                                                                   \
	  "")                                                                                      \
	V(OTHER_ADDRESS, PASS, "other_address", "the destination is no service's address",         \
	  "nothing for the host's own traffic; an address that ought to be a VIP stands in "       \
	  "no service: add it, then `shunt reload`",                                               \
	  "")                                                                                      \
	V(UNMATCHED_PASS, PASS, "unmatched_pass",                                                  \
	  "no service on this protocol and port, and `unmatched: pass` is set",                    \
	  "nothing if the host is to answer on such ports; else add the service, or set "          \
	  "`unmatched: drop`",                                                                     \
	  "")                                                                                      \
	V(TRUNCATED, DROP, "truncated", "the frame ends inside a header",                          \
	  "find the sender in a capture (`shunt explain --in FILE --frame N` shows what is "       \
	  "missing); many from one neighbour point to its link or driver",                         \
	  "")                                                                                      \
	V(BAD_VERSION, DROP, "bad_version", "the IP version contradicts the Ethernet type",        \
	  "find the sender in a capture; nothing here can mend its packets", "")                   \
	V(BAD_HEADER_LEN, DROP, "bad_header_len", "a header length below its minimum",             \
	  "find the sender in a capture; nothing here can mend its packets", "")                   \
	V(BAD_LEN, DROP, "bad_len", "a length field contradicts the bytes that came",              \
	  "find the sender in a capture; where all were cut to one size, look for the "            \
	  "device on the way that cuts them",                                                      \
	  "")                                                                                      \
	V(BAD_CSUM, DROP, "bad_csum", "wrong IPv4 header checksum",                                \
	  "look at the errors of the NIC and of the link that they come over (`ethtool -S`)", "")  \
	V(TTL_ZERO, DROP, "ttl_zero", "TTL or hop limit 0 on arrival",                             \
	  "look for a routing loop on the way to the VIP (`traceroute`)", "")                      \
	V(MARTIAN, DROP, "martian", "a source address that no sender may use",                     \
	  "filter such sources where they enter the network (BCP 38)", "")                         \
	V(LAND, DROP, "land", "source and destination address are the same",                       \
	  "filter such packets where they enter the network: nobody sends them in good "           \
	  "faith",                                                                                 \
	  "")                                                                                      \
	V(OWN_MAC, DROP, "own_mac", "our own MAC as the source: a loop",                           \
	  "look for the loop: a mirror port, a bridge over both ends, or another station "         \
	  "with this MAC",                                                                         \
	  "")                                                                                      \
	V(L2_GROUP, DROP, "l2_group", "a broadcast or multicast frame to a service's address",     \
	  "find the sender in a capture: a static ARP entry or a cluster with a group MAC; "       \
	  "give it the port's own MAC",                                                            \
	  "")                                                                                      \
	V(TAGS, DROP, "tags", "more than two VLAN tags",                                           \
	  "have the switch take a tag off: shunt reads two", "")                                   \
	V(EXTENSIONS, DROP, "extensions", "more than six IPv6 extension headers",                  \
	  "nothing: no sender needs that many", "")                                                \
	V(TINY_FRAGMENT, DROP, "tiny_fragment",                                                    \
	  "a fragment that cuts the transport header, or would overwrite it",                      \
	  "nothing: such fragments are made to get past filters (RFC 1858)", "")                   \
	V(FRAGMENT, DROP, "fragment", "a fragment of which no first fragment was seen",            \
	  "nothing for stray ones; if many, first and later fragments reach different "            \
	  "queues or balancers: hash by addresses alone (`ethtool -N IF rx-flow-hash udp4 "        \
	  "sd`), or better spare the senders from fragmenting",                                    \
	  "user space holds such a fragment for a moment, and sends it on when its first "         \
	  "comes; the kernel drops it at once")                                                    \
	V(ICMP, DROP, "icmp", "ICMP that is neither an echo request nor an error about a flow",    \
	  "nothing: a service needs none of it", "")                                               \
	V(ICMP_UNRELATED, DROP, "icmp_unrelated",                                                  \
	  "an ICMP error about a packet that no service of its address can have sent",             \
	  "nothing for a few, which are stale or forged; many say that somebody forges the "       \
	  "VIP as a source, or that a service was removed while clients still use it",             \
	  "")                                                                                      \
	V(UNMATCHED, DROP, "unmatched", "no service on this protocol and port of the address",     \
	  "nothing for scans; for a port that ought to work, add the service and `shunt "          \
	  "reload`, or let the host have it with `unmatched: pass`",                               \
	  "")                                                                                      \
	V(NO_BACKEND, DROP, "no_backend", "the service has no backend that may be chosen",         \
	  "look at the backends' states in `shunt show`: bring one up, undrain one or give "       \
	  "it a weight; `all_down: forward` goes on where checks alone fail",                      \
	  "")                                                                                      \
	V(NO_NEXT_HOP, DROP, "no_next_hop", "no usable next hop to the backend",                   \
	  "`shunt show` says why for each backend; give the kernel a route and a neighbour "       \
	  "that answers (`ip route get BACKEND`), or set `gateway_mac`",                           \
	  "")                                                                                      \
	V(TOO_BIG_DF, DROP, "too_big_df",                                                          \
	  "larger than the path when wrapped; the sender was told just now, or can't be",          \
	  "as for `path_mtu`; an IPv6 sender is never told of less than 1280, so the way "         \
	  "to the backends needs an MTU of 1280 and the overhead at least",                        \
	  "")                                                                                      \
	V(TOO_BIG, DROP, "too_big", "larger than the path when wrapped",                           \
	  "raise the MTU on the way to the backends by the bytes that `shunt explain` "            \
	  "calls overhead: the sender may fragment, but shunt does not",                           \
	  "")                                                                                      \
	V(NO_HEADROOM, DROP, "no_headroom", "no room in the buffer for the outer header",          \
	  "report it, with the device: every buffer has to have room in front", "")                \
	V(QUEUE_FULL, DROP, "queue_full", "the transmit queue took no more, or its link is down",  \
	  "`shunt show engine` says whether a link is down; else "                                 \
	  "look at the port's load and at the longest packet that its device takes "               \
	  "(docs/configuration.md, devices): it needs more queues and workers, a faster "          \
	  "link, or a smaller `mtu`",                                                              \
	  "")

enum verdict {
#define VERDICT_ENUM(id, action, reason, text, advice, engines) VERDICT_##id,
	VERDICTS(VERDICT_ENUM)
#undef VERDICT_ENUM
		VERDICT_COUNT,
	VERDICT_UNDECIDED = VERDICT_COUNT, /* no stage has settled the packet yet */
};

static inline enum action verdict_action(enum verdict verdict)
{
	static const u8 actions[VERDICT_COUNT] = {
#define VERDICT_ACTION(id, action, reason, text, advice, engines) ACTION_##action,
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

struct verdict_words {
	const char *reason;  /* the stable short name, as counters and JSON carry it */
	const char *text;    /* what the verdict means, as half a sentence for a person */
	const char *advice;  /* what an operator should do about it, as half a sentence */
	const char *engines; /* where engines may differ about it, or "" */
};

static inline const struct verdict_words *verdict_words(enum verdict verdict)
{
	static const struct verdict_words words[VERDICT_COUNT] = {
#define VERDICT_WORDS(id, action, reason, text, advice, engines) {reason, text, advice, engines},
		VERDICTS(VERDICT_WORDS)
#undef VERDICT_WORDS
	};
	return &words[verdict];
}

static inline const char *verdict_reason(enum verdict verdict)
{
	return verdict_words(verdict)->reason;
}

static inline const char *verdict_text(enum verdict verdict)
{
	return verdict_words(verdict)->text;
}

#endif
#endif
