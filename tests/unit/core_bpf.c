/* SPDX-License-Identifier: BSD-2-Clause */
/* The core inside the kernel against the core out here: the same frames, the same tables; the
 * verdict, every byte that goes out and the whole flow table must be the same. Where the list of
 * verdicts says that engines differ, they must differ just so. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sys/mman.h>

#include "bpf/check/state.h"
#include "dataplane/burst/burst.h"
#include "dataplane/burst/hold.h"
#include "tests/unit/cmocka_help.h"
#include "tests/unit/traffic.h"

enum { ROOM = 64, OUT_BYTES = 4096, FRAMES = 20000, FRAMES_BETWEEN_CHANGES = 16 };
enum { VERIFIED_MAX = 150000 }; /* the budget of a whole in-kernel engine */

_Static_assert((u32)CHECK_SERVICE_BUCKETS == (u32)FIXTURE_BUCKETS, "the same tables");
_Static_assert((u32)CHECK_BACKENDS == (u32)FIXTURE_BACKENDS, "the same tables");
_Static_assert((u32)CHECK_MAGLEV == (u32)FIXTURE_MAGLEV, "the same tables");
_Static_assert((u32)CHECK_FLOW_BUCKETS > (u32)FIXTURE_HIGHEST_NUMBER, "no two services meet");

static struct kernel {
	struct bpf_object *object;
	int program;
	struct check_state *state;
	u32 verified;
} kernel;

/* Copies what a control plane and time may have changed; flows only where told. */
static void publish(const struct fixture *fixture)
{
	struct check_state *state = kernel.state;

	memcpy(state->buckets, fixture->buckets, sizeof(state->buckets));
	memcpy(state->services, fixture->services, sizeof(state->services));
	memcpy(state->backends, fixture->backends, sizeof(state->backends));
	memcpy(state->maglev, fixture->maglev, sizeof(state->maglev));
	memcpy(state->flows, fixture->env.flows, sizeof(state->flows));
	memcpy(state->flow_owners, fixture->env.flow_owners, sizeof(state->flow_owners));
	memcpy(state->fragments, fixture->recent.fragments, sizeof(state->fragments));
	memcpy(state->told_ms, fixture->recent.told_ms, sizeof(state->told_ms));
	state->now_ms = fixture->env.now_ms;
	state->seed = fixture->env.tables.seed;
	state->station = fixture->station;
	state->tick = fixture->env.tick;
	memcpy(state->prefixes, fixture->env.tables.prefixes, sizeof(state->prefixes));
	state->unmatched_pass = fixture->env.tables.unmatched_pass;
}

static void assert_flows_equal(const struct fixture *fixture)
{
	const struct check_state *state = kernel.state;

	assert_memory_equal(state->flows, fixture->env.flows, sizeof(state->flows));
	assert_memory_equal(state->flow_owners, fixture->env.flow_owners,
			    sizeof(state->flow_owners));
	assert_memory_equal(state->fragments, fixture->recent.fragments, sizeof(state->fragments));
	assert_memory_equal(state->told_ms, fixture->recent.told_ms, sizeof(state->told_ms));
}

static void check_frame(struct fixture *fixture, const struct frame *frame, const char *name)
{
	static const u32 returns[ACTION_COUNT] = {
		[ACTION_FORWARD] = XDP_TX,
		[ACTION_REPLY] = XDP_TX,
		[ACTION_PASS] = XDP_PASS,
		[ACTION_DROP] = XDP_DROP,
	};
	u8 buffer[ROOM + FRAME_MAX_BYTES], out[OUT_BYTES];
	struct outcome outcome;
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame->bytes, .data_size_in = frame->len,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1);

	memcpy(buffer + ROOM, frame->bytes, frame->len);
	outcome = fixture_forward(fixture, buffer + ROOM, frame->len, ROOM);
	assert_int_equal(bpf_prog_test_run_opts(kernel.program, &run), 0);
	if (kernel.state->verdict != outcome.verdict)
		fail_msg("%s: %s in the kernel, %s here", name,
			 kernel.state->verdict < VERDICT_COUNT
				 ? verdict_reason((enum verdict)kernel.state->verdict)
				 : "nothing",
			 verdict_reason(outcome.verdict));
	assert_int_equal(run.retval, returns[verdict_action(outcome.verdict)]);
	assert_int_equal(kernel.state->backend_number, outcome.number);
	assert_int_equal(kernel.state->l3_len, outcome.l3_len);
	assert_int_equal(run.data_size_out, outcome.frame_bytes);
	assert_memory_equal(out, outcome.frame, outcome.frame_bytes);
}

static void every_sample_comes_out_the_same(void **state)
{
	struct fixture *fixture = fixture_new(CHECK_FLOW_BUCKETS);
	u32 compared = 0;

	publish(fixture);
	for (u32 i = 0; i < ARRAY_LEN(samples); i++) {
		struct frame frame;

		sample_build(&samples[i], &frame);
		if (frame.len < 14)
			continue; /* the kernel refuses to run on less than an Ethernet header */
		check_frame(fixture, &frame, samples[i].name);
		compared++;
	}
	assert_flows_equal(fixture);
	assert_true(compared > 80);
	fixture_free(fixture);
}

static void random_traffic_comes_out_the_same(void **state)
{
	struct random random = random_start("core_bpf");
	struct fixture *fixture = fixture_new(CHECK_FLOW_BUCKETS);
	u32 verdicts[VERDICT_COUNT] = {0};

	for (u32 i = 0; i < FRAMES; i++) {
		struct frame frame;

		if (i % FRAMES_BETWEEN_CHANGES == 0) {
			if (i > 0)
				assert_flows_equal(fixture);
			traffic_change(&random, fixture);
			publish(fixture);
		}
		traffic_frame(&random, &frame);
		if (frame.len < 14)
			continue;
		check_frame(fixture, &frame, "random frame");
		verdicts[kernel.state->verdict]++;
	}
	printf("core_bpf: %u by flow, %u by maglev, %u the kernel's, all as in user space\n",
	       verdicts[VERDICT_FLOW], verdicts[VERDICT_MAGLEV], verdicts[VERDICT_OTHER_ADDRESS]);
	assert_true(verdicts[VERDICT_FLOW] > 1000 && verdicts[VERDICT_MAGLEV] > 1000);
	fixture_free(fixture);
}

/* --- Where engines differ ------------------------------------------------------------- */

/* Of one datagram, from the client's port to a service. */
static struct frame piece(u16 flags_and_offset)
{
	struct frame frame;

	frame_build(&frame, &(struct frame_spec){
				    .source = "192.0.2.7",
				    .source_port = 50000,
				    .destination = "203.0.113.10",
				    .destination_port = 53,
				    .protocol = FRAME_UDP,
				    .id = 4711,
				    .fragment = flags_and_offset,
				    .payload_bytes = 8,
			    });
	return frame;
}

static void in_kernel(struct frame *frame, enum verdict verdict, u32 returns)
{
	u8 out[OUT_BYTES];
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame->bytes, .data_size_in = frame->len,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(kernel.program, &run), 0);
	assert_int_equal(kernel.state->verdict, verdict);
	assert_int_equal(run.retval, returns);
}

/* A burst of one. */
static void in_user_space(struct fixture *fixture, struct burst *burst, const struct frame *frame)
{
	static u8 block[ROOM + FRAME_MAX_BYTES];

	memcpy(block + ROOM, frame->bytes, frame->len);
	*burst = (struct burst){.count = 1, .station = fixture->station};
	burst->frame[0] = block + ROOM;
	burst->contiguous_bytes[0] = burst->frame_bytes[0] = frame->len;
	burst->headroom_bytes[0] = ROOM;
	burst_process(&fixture->env, burst);
}

/* A fragment before its first one: the kernel drops it at once; user space keeps it, and sends it
 * to where the first one went. */
static void early_fragments_wait_in_user_space_alone(void)
{
	struct fixture *fixture = fixture_new(CHECK_FLOW_BUCKETS);
	struct frame early = piece(2), first = piece(FRAME_MF);
	static struct hold hold;
	static struct burst burst;
	struct held held = {.frame = &early};

	publish(fixture);
	in_kernel(&early, VERDICT_FRAGMENT, XDP_DROP);
	in_kernel(&first, VERDICT_MAGLEV, XDP_TX);

	in_user_space(fixture, &burst, &early);
	assert_int_equal(burst.verdict[0], VERDICT_FRAGMENT);
	held.datagram = burst.datagram[0];
	assert_true(hold_put(&hold, &held));
	assert_false(hold_release(&hold, &fixture->recent, &held));
	in_user_space(fixture, &burst, &first);
	assert_int_equal(burst.verdict[0], VERDICT_MAGLEV);
	assert_int_equal(burst.backend_number[0], kernel.state->backend_number);
	held.frame = NULL;
	assert_true(hold_release(&hold, &fixture->recent, &held));
	assert_ptr_equal(held.frame, &early);
	in_user_space(fixture, &burst, held.frame);
	assert_int_equal(verdict_action(burst.verdict[0]), ACTION_FORWARD);
	assert_int_equal(burst.backend_number[0], kernel.state->backend_number);
	fixture_free(fixture);
}

static void (*const differences[VERDICT_COUNT])(void) = {
	[VERDICT_FRAGMENT] = early_fragments_wait_in_user_space_alone,
};

static void engines_differ_where_the_list_says(void **state)
{
	for (u32 i = 0; i < VERDICT_COUNT; i++) {
		const struct verdict_words *words = verdict_words((enum verdict)i);

		if (words->engines[0] && !differences[i])
			fail_msg("%s: verdict.h says that engines differ, and nothing here shows "
				 "how",
				 words->reason);
		if (!words->engines[0] && differences[i])
			fail_msg("%s: engines differ, and verdict.h does not say so",
				 words->reason);
		if (differences[i])
			differences[i]();
	}
}

static void the_verifier_has_little_to_do(void **state)
{
	printf("core_bpf: %u instructions verified\n", kernel.verified);
	assert_true(kernel.verified < VERIFIED_MAX);
}

/* --- Loading -------------------------------------------------------------------------- */

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

static int load(const char *path)
{
	struct bpf_prog_info info = {0};
	__u32 info_bytes = sizeof(info);
	const struct bpf_map *map;
	void *base;
	int err;

	kernel.object = bpf_object__open_file(path, NULL);
	if (!kernel.object)
		return -errno;
	err = bpf_object__load(kernel.object);
	if (err)
		return err;
	kernel.program =
		bpf_program__fd(bpf_object__find_program_by_name(kernel.object, "check_core"));
	map = bpf_object__find_map_by_name(kernel.object, ".bss");
	if (kernel.program < 0 || !map || bpf_map__value_size(map) < sizeof(*kernel.state))
		return -ENOENT;
	base = mmap(NULL, sizeof(*kernel.state), PROT_READ | PROT_WRITE, MAP_SHARED,
		    bpf_map__fd(map), 0);
	if (base == MAP_FAILED)
		return -errno;
	kernel.state = base;
	err = bpf_obj_get_info_by_fd(kernel.program, &info, &info_bytes);
	kernel.verified = info.verified_insns;
	return err;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_sample_comes_out_the_same),
		cmocka_unit_test(random_traffic_comes_out_the_same),
		cmocka_unit_test(engines_differ_where_the_list_says),
		cmocka_unit_test(the_verifier_has_little_to_do),
	};
	const char *path = argc > 1 ? argv[1] : "core.bpf.o";
	int err, failed;

	libbpf_set_print(quiet);
	err = load(path);
	if (err == -EPERM) {
		bpf_object__close(kernel.object);
		printf("the kernel refuses BPF to this user (%s); root may load it\n",
		       strerror(EPERM));
		return 77;
	}
	if (err) {
		bpf_object__close(kernel.object);
		libbpf_set_print(NULL);
		printf("%s does not load: %s; `bpftool -d prog load` shows what the verifier "
		       "says\n",
		       path, strerror(-err));
		return 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	munmap(kernel.state, sizeof(*kernel.state));
	bpf_object__close(kernel.object);
	return failed;
}
