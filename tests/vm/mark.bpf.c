/* SPDX-License-Identifier: BSD-2-Clause */
/* Two XDP programs that leave their marks in a frame, the second one only behind the first's: that
 * both of one interface ran, and in which order, is to be read in the frame that arrives. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <xdp/xdp_helpers.h>

struct {
	__uint(priority, 10);
	__uint(XDP_PASS, 1);
} XDP_RUN_CONFIG(mark_first);

struct {
	__uint(priority, 20);
	__uint(XDP_PASS, 1);
} XDP_RUN_CONFIG(mark_second);

enum { FIRST = 14, SECOND = 15 }; /* what follows the Ethernet header */

SEC("xdp/first")
int mark_first(struct xdp_md *ctx)
{
	unsigned char *frame = (unsigned char *)(long)ctx->data;

	if (frame + SECOND + 1 > (unsigned char *)(long)ctx->data_end)
		return XDP_PASS;
	frame[FIRST] = '1';
	return XDP_PASS;
}

SEC("xdp/second")
int mark_second(struct xdp_md *ctx)
{
	unsigned char *frame = (unsigned char *)(long)ctx->data;

	if (frame + SECOND + 1 > (unsigned char *)(long)ctx->data_end)
		return XDP_PASS;
	frame[SECOND] = frame[FIRST] == '1' ? '2' : '?';
	return XDP_PASS;
}

SEC("xdp/none")
int mark_none(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char mark_license[] SEC("license") = "GPL";
