/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames for `shunt explain`. Offline each one meets a core that has seen nothing, or with
 * --with-history one that has seen what stands before it in the capture; a running shuntd, which
 * forwards nothing itself, has never seen anything. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/api.h"
#include "controlplane/cli/core.h"
#include "controlplane/cli/explain.h"
#include "controlplane/cli/replay.h"
#include "controlplane/explain.h"
#include "controlplane/frame_text.h"

#define HEX_TEXT_MAX (1u << 20) /* of the standard input: a dump has text and offsets too */

/* --- One frame ------------------------------------------------------------------------ */

static json_t *ask_running(const struct explain_options *options, const u8 *frame, u32 frame_bytes)
{
	char *text;
	json_t *answer;

	if (frame_bytes > API_FRAME_MAX) {
		fprintf(stderr,
			"shunt: the frame has %u bytes, and shuntd takes no more than %u; explain it "
			"offline, with -f FILE\n",
			frame_bytes, API_FRAME_MAX);
		return NULL;
	}
	text = malloc((size_t)frame_bytes * 2 + 1);
	if (!text) {
		fprintf(stderr, "shunt: out of memory\n");
		return NULL;
	}
	for (u32 i = 0; i < frame_bytes; i++)
		sprintf(text + i * 2, "%02x", frame[i]);
	answer = client_post(options->run_dir, "/v1/explain", text);
	free(text);
	return answer;
}

static json_t *explain_by(const struct core *core, const struct plan *plan, bool history,
			  const char *title, const u8 *frame, u32 frame_bytes)
{
	const struct explain_view view = {
		.env = &core->env,
		.plan = plan,
		.station = &core->station,
		.history = history,
	};
	json_t *answer = explain_frame(&view, title, frame, frame_bytes);

	if (!answer)
		fprintf(stderr, "shunt: out of memory\n");
	return answer;
}

/* By a core of its own. */
static json_t *explain_alone(const struct explain_options *options, const struct offline *offline,
			     const char *title, const u8 *frame, u32 frame_bytes)
{
	json_t *answer = NULL;
	struct core core;

	if (!options->file) {
		answer = ask_running(options, frame, frame_bytes);
		if (answer)
			json_object_set_new(answer, "packet", json_string(title));
		return answer;
	}
	if (core_open(&core, offline) == 0)
		answer = explain_by(&core, offline->plan, false, title, frame, frame_bytes);
	else
		fprintf(stderr, "shunt: out of memory\n");
	core_close(&core);
	return answer;
}

/* --- In hexadecimal ------------------------------------------------------------------- */

/* The whole standard input; the caller frees it. NULL: it is too long, or there is no memory. */
static char *read_input(void)
{
	char *text = malloc(HEX_TEXT_MAX + 1);
	size_t length = text ? fread(text, 1, HEX_TEXT_MAX + 1, stdin) : 0;

	if (!text || length > HEX_TEXT_MAX || memchr(text, '\0', length)) {
		fprintf(stderr, "shunt: the standard input is no frame in hexadecimal digits\n");
		free(text);
		return NULL;
	}
	text[length] = '\0';
	return text;
}

int explain_hex(const struct explain_options *options, const struct offline *offline)
{
	char *input = strcmp(options->hex, "-") == 0 ? read_input() : NULL;
	const char *text = input ? input : options->hex;
	u8 *frame = malloc(CORE_FRAME_MAX);
	int code = CLI_USAGE, frame_bytes = -1;
	char title[64], message[256] = "";
	json_t *answer;

	if (!input && text[0] == '-')
		goto out;
	if (frame)
		frame_bytes = frame_from_hex(text, frame, CORE_FRAME_MAX, message, sizeof(message));
	if (frame_bytes < 0) {
		fprintf(stderr, "shunt: %s\n", message[0] ? message : "out of memory");
		goto out;
	}
	snprintf(title, sizeof(title), "frame of %d bytes", frame_bytes);
	code = CLI_UNAVAILABLE;
	answer = explain_alone(options, offline, title, frame, (u32)frame_bytes);
	if (answer) {
		explain_show(options, answer);
		code = CLI_OK;
	}
out:
	free(frame);
	free(input);
	return code;
}

/* --- Of a capture --------------------------------------------------------------------- */

/* Frames first to last, both counted. */
struct range {
	u32 first, last;
};

/* One number of a range; *text is moved behind it. */
static bool read_number(const char **text, u32 *number)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	value = strtoul(*text, &end, 10);
	*text = end;
	*number = (u32)value;
	return value <= 0xfffffffe;
}

/* Reads "N", "N-M" or "N-", which goes on to the end of the capture. */
static bool read_range(const char *text, struct range *range)
{
	if (!read_number(&text, &range->first))
		return false;
	range->last = range->first;
	if (*text == '-') {
		text++;
		range->last = 0xffffffff;
		if (*text && !read_number(&text, &range->last))
			return false;
	}
	return *text == '\0' && range->first <= range->last;
}

static json_t *capture_json(const struct explain_options *options, u32 n,
			    const struct pcap_pkthdr *header)
{
	return json_pack("{s:s, s:i, s:i, s:i, s:b}", "file", options->capture, "frame", (int)n,
			 "captured_bytes", (int)header->caplen, "bytes", (int)header->len,
			 "with_history", options->history);
}

/* Explains one frame of a capture; core: what has seen the frames before, or NULL. */
static bool explain_captured(const struct explain_options *options, const struct offline *offline,
			     const struct core *core, u32 n, const struct pcap_pkthdr *header,
			     const u8 *frame)
{
	u32 frame_bytes = header->caplen < CORE_FRAME_MAX ? header->caplen : CORE_FRAME_MAX;
	char title[512];
	json_t *answer;

	snprintf(title, sizeof(title), "%s frame %u", options->capture, n);
	answer = core ? explain_by(core, offline->plan, true, title, frame, frame_bytes)
		      : explain_alone(options, offline, title, frame, frame_bytes);
	if (!answer)
		return false;
	json_object_set_new(answer, "capture", capture_json(options, n, header));
	if (header->caplen < header->len)
		json_array_append_new(
			json_object_get(answer, "why"),
			json_sprintf(
				"the capture holds %u of its %u bytes, and only those were looked "
				"at: capture with -s 0",
				header->caplen, header->len));
	explain_show(options, answer);
	return true;
}

static int explain_range(const struct explain_options *options, const struct offline *offline,
			 struct core *core, pcap_t *pcap, const struct range *range)
{
	struct pcap_pkthdr *header;
	const u8 *frame;
	int got = 1;
	u32 n = 0;

	for (; n <= range->last && (got = pcap_next_ex(pcap, &header, &frame)) == 1; n++) {
		struct timeval time = header->ts;

		if (core)
			core_advance(core, &time);
		if (n >= range->first) {
			if (!explain_captured(options, offline, core, n, header, frame))
				return CLI_UNAVAILABLE;
		} else if (core) {
			struct single single;

			core_run(core, frame, header->caplen, &single);
		}
	}
	if (got == PCAP_ERROR) {
		struct replay broken = {.in = options->capture};

		return replay_broke_off(&broken, pcap, n);
	}
	if (got == 1 || (range->last == 0xffffffff && n > range->first))
		return CLI_OK;
	fprintf(stderr, "shunt: %s has no frame %u: it has %u, counted from 0\n", options->capture,
		n > range->first ? n : range->first, n);
	return CLI_INVALID;
}

int explain_capture(const struct explain_options *options, const struct offline *offline)
{
	struct core core;
	struct range range;
	pcap_t *pcap;
	int code;

	if (!read_range(options->frames, &range)) {
		fprintf(stderr,
			"shunt: cannot read the frame number '%s'; write N, N-M or N-, counted from "
			"0 as replay does\n",
			options->frames);
		return CLI_USAGE;
	}
	pcap = replay_open(options->capture);
	if (!pcap)
		return CLI_NO_INPUT;
	if (!options->history) {
		code = explain_range(options, offline, NULL, pcap, &range);
	} else if (core_open(&core, offline) == 0) {
		code = explain_range(options, offline, &core, pcap, &range);
		core_close(&core);
	} else {
		fprintf(stderr, "shunt: out of memory\n");
		core_close(&core);
		code = CLI_UNAVAILABLE;
	}
	pcap_close(pcap);
	return code;
}
