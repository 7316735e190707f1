/* SPDX-License-Identifier: BSD-2-Clause */
/* How a dataplane and shuntd meet: one SOCK_SEQPACKET unix socket, one message a datagram.
 *
 *     dataplane -> shuntd   ATTACH_HELLO   who I am, my ports
 *     shuntd -> dataplane   ATTACH_ARENA   + arena descriptor (again whenever a new epoch starts),
 *                                          + flow tables of a dataplane that has gone, once, to
 *                                            one that said ATTACH_WANTS_FLOWS
 *     dataplane -> shuntd   ATTACH_REPORT  how my ports carry traffic
 *                                          + report descriptor for that epoch, + flow tables to
 *                                            keep for whoever comes next
 *     shuntd -> dataplane   ATTACH_REFUSED one sentence
 *
 * Everything else happens in the shared memory. A closed socket means that the other is gone:
 * a dataplane forwards on with what it has and calls again. Messages are native structures:
 * both ends run on one machine, and the first message carries the versions. */
#ifndef SHUNT_STATE_ATTACH_H
#define SHUNT_STATE_ATTACH_H

#include "dataplane/core/base.h"

#define ATTACH_MAGIC 0x0a6863617474610aull
#define ATTACH_PORTS_MAX 16
#define ATTACH_TEXT_MAX 256
#define ATTACH_FDS_MAX 2
#define ATTACH_WANTS_FLOWS 1 /* has no flows yet, and takes over those of a predecessor */

enum attach_kind { ATTACH_HELLO = 1, ATTACH_ARENA, ATTACH_REPORT, ATTACH_REFUSED };

/* A port as shuntd needs it to fill in outer Ethernet headers. */
struct attach_port {
	char name[64];        /* as configured */
	char kernel_name[16]; /* the kernel's interface that holds its addresses; empty: none */
	u8 mac[6];
	u8 gateway_mac[6]; /* fixed by the configuration; all zero: found in the kernel */
	u16 mtu;           /* bytes of an IP packet */
	u8 unused[2];
	char state[64]; /* REPORT: how it carries traffic, for people */
};

struct attach_message {
	u64 magic;
	u32 kind;      /* enum attach_kind */
	u32 arena_abi; /* of the sender */
	u64 epoch;     /* HELLO: highest seen; ARENA: this arena's; REPORT: which arena it is for */
	u32 pid;
	u32 workers_count;
	u32 ports_count;
	char engine[16];
	char version[32];
	struct attach_port ports[ATTACH_PORTS_MAX];
	char text[ATTACH_TEXT_MAX]; /* REFUSED: why; REPORT: why this engine */
	u32 flags;                  /* HELLO: ATTACH_WANTS_FLOWS */
};

/* Fills in magic, kind and versions. */
void attach_prepare(struct attach_message *message, enum attach_kind kind);

/* Sends a message with fds_count descriptors (they stay the caller's). Returns 0 or -errno. */
int attach_send(int socket, const struct attach_message *message, const int *fds, size_t fds_count)
	__attribute__((warn_unused_result));

/* Receives one message; descriptors are the caller's to close, fds is filled up with -1.
 * Returns 0; -EAGAIN; -ECONNRESET where the peer has gone; -EPROTO for a malformed message. */
int attach_receive(int socket, struct attach_message *message, int fds[static ATTACH_FDS_MAX])
	__attribute__((warn_unused_result));

/* Makes a non-blocking, close-on-exec SEQPACKET socket and connects or listens at path.
 * Returns the descriptor or -errno. */
int attach_connect(const char *path) __attribute__((warn_unused_result));
int attach_listen(const char *path) __attribute__((warn_unused_result));

#endif
