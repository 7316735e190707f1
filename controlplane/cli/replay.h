/* SPDX-License-Identifier: BSD-2-Clause */
/* One replayed capture: how frames come in, what is told of each, what goes out. The engines
 * differ only in what lies between. */
#ifndef SHUNT_CONTROLPLANE_CLI_REPLAY_H
#define SHUNT_CONTROLPLANE_CLI_REPLAY_H

#include <pcap/pcap.h>

#include "controlplane/cli/cli.h"
#include "dataplane/burst/replay.h"

/* What became of a frame. */
struct told {
	struct replay_record record;
	u32 out;    /* its index in `out`, if it was sent */
	bool known; /* not while it is held */
};

struct replay {
	const struct offline *offline;
	const char *file; /* the configuration */
	const char *in;
	const char *out; /* NULL: frames are not kept */
	bool json;
	pcap_dumper_t *dumper;
	pcap_t *dead; /* describes `out` */
	u32 sent;     /* frames in `out` */
	u64 counts[VERDICT_COUNT];
	struct told *told; /* by frame */
	u32 told_room;
	u32 next; /* the first frame that was not yet printed */
};

/* Tells what became of one frame, and keeps what was sent of it. Frames are printed in their order,
 * though one that was held is settled after others. */
void replay_tell(struct replay *replay, const struct replay_record *record,
		 const struct timeval *time, const u8 *frame, u32 frame_bytes);

/* Runs the whole capture; returns the exit code. An engine is a program: shunt-dpdk, shunt-xdp. */
int replay_by_core(struct replay *replay);
int replay_by_engine(struct replay *replay, const char *program);

/* Opens a capture of Ethernet frames, or says why not and returns NULL. */
pcap_t *replay_open(const char *path);

/* Says that the capture breaks off after `frames` whole frames; returns the exit code. */
int replay_broke_off(const struct replay *replay, pcap_t *pcap, u32 frames);

#endif
