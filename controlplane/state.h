/* SPDX-License-Identifier: BSD-2-Clause */
/* A state: one configuration and everything made from it; a reload makes a second one beside it.
 * An outcome: what became of making one, for the log and for whoever asked. */
#ifndef SHUNT_CONTROLPLANE_STATE_H
#define SHUNT_CONTROLPLANE_STATE_H

#include "controlplane/hops.h"
#include "controlplane/plan.h"

struct state {
	struct config *config;
	struct plan *plan; /* points into config and texts */
	struct hops_texts texts;
};

struct outcome {
	int error;      /* 0; -EINVAL: the file is bad; -errno: it can't be read, or not applied */
	char text[512]; /* one sentence where error is set */
	char *report;   /* the errors with lines and carets, as they were logged; NULL: none */
	struct config_errors errors;
};

/* Reads the configuration file and its seed and makes a plan, without numbers and next hops.
 * Logs what is wrong. Returns 0 or outcome->error; state_free() and outcome_free() release what
 * was made in any case. */
int state_load(const char *file, struct state *state, struct outcome *outcome)
	__attribute__((warn_unused_result));
void state_free(struct state *state);

/* Logs a sentence and notes it as the reason. Returns the error. */
int outcome_fail(struct outcome *outcome, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void outcome_free(struct outcome *outcome);

#endif
