/* SPDX-License-Identifier: BSD-2-Clause */
/* The stages are private to burst.c and relay.c, and stay so: this file takes both in whole, their
 * public names changed, and calls the stages as burst_process() and relay_burst() do. A reading
 * of the counter between two stages costs something like a cycle a packet and keeps them from
 * overlapping, so the sum is a little above what the whole takes. */
#define burst_process stages_burst_process
#define burst_count stages_unused_burst_count
#define burst_follow stages_burst_follow
#define burst_sweep stages_burst_sweep
#define relay_burst stages_unused_relay_burst
#define relay_release stages_unused_relay_release
#define relay_expire stages_unused_relay_expire
#define relay_pass stages_unused_relay_pass
#define relay_lane_take stages_unused_relay_lane_take
#define relay_lane_report stages_unused_relay_lane_report

#include "dataplane/dpdk/dpdk.h"

#include "dataplane/burst/burst.c"
#include "dataplane/dpdk/relay.c"

/* The one in its own file: seeing this copy, gcc 12 takes it for free of effects and drops the
 * call. */
#undef burst_count
extern __typeof__(stages_unused_burst_count) burst_count;

#include "tests/bench/stages.h"

const char *const stages_names[STAGES_COUNT] = {
	"describe", "parse", "service", "find", "pick", "wrap", "sort out", "send", "count",
};

struct laps {
	u64 *cycles;
	u64 begin;
};

static inline void lap(struct laps *laps)
{
	u64 now;

	/* The compiler may not carry a stage's work across. */
	rte_compiler_barrier();
	now = rte_rdtsc();
	*laps->cycles++ += now - laps->begin;
	laps->begin = now;
	rte_compiler_barrier();
}

void stages_relay_burst(struct relay *relay, const struct port *port, struct rte_mbuf **mbufs,
			u32 count, struct report_worker *report, u64 cycles[static STAGES_COUNT])
{
	struct laps laps = {cycles, rte_rdtsc()};
	struct burst *burst = &relay->burst;
	struct work work;

	describe(burst, port, mbufs, count);
	lap(&laps);
	stage_parse(burst, &work);
	lap(&laps);
	stage_service(&relay->env, burst, &work);
	lap(&laps);
	stage_find(&relay->env, burst, &work);
	lap(&laps);
	stage_pick(&relay->env, burst, &work);
	lap(&laps);
	stage_wrap(burst, &work);
	lap(&laps);
	sort_out(relay, port, mbufs);
	lap(&laps);
	send_queue(relay, 0);
	lap(&laps);
	burst_count(burst, 0, count, report);
	lap(&laps);
}
