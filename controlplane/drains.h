/* SPDX-License-Identifier: BSD-2-Clause */
/* Drains: which backends an operator has drained, and since when the file drains one.
 *
 * An operator's drain outlives reloads and shuntd: it is on disk (drains.json in the state
 * directory) before anybody is told of it. It ends by an operator's word, or when the backend or
 * its service leaves the configuration. Like a number it belongs to what a service's packets look
 * like and to a backend's address, so a renamed service keeps it. */
#ifndef SHUNT_CONTROLPLANE_DRAINS_H
#define SHUNT_CONTROLPLANE_DRAINS_H

#include "controlplane/plan.h"

struct drains;

/* Reads the state directory, whose lock the caller holds. A file that can't be understood is set
 * aside as drains.json.bad-TIME, and nothing is drained by an operator any more, which message
 * then tells; it is empty when there is nothing to tell. Returns 0; or -errno, and message says
 * what is wrong. */
int drains_open(const char *dir, struct drains **drains, char *message, size_t message_bytes)
	__attribute__((warn_unused_result));
void drains_close(struct drains *drains);

/* Drains a backend by an operator's word, or takes that back, as of the next drains_commit().
 * What is so already stays as it is, since when included. Returns 0 or -ENOMEM. */
int drains_set(struct drains *drains, const struct config_service *service,
	       const struct addr *address, bool drained, s64 now_s)
	__attribute__((warn_unused_result));

/* Forgets the backends that the configuration doesn't have, and notes which ones the file drains
 * from now on, as of the next drains_commit(). Returns 0 or -ENOMEM. */
int drains_follow(struct drains *drains, const struct config *config, s64 now_s)
	__attribute__((warn_unused_result));

/* Puts the changes on disk; only when this returned 0 they hold, and after a failure none does.
 * At once 0 when there are none. */
int drains_commit(struct drains *drains) __attribute__((warn_unused_result));

/* Tells the plan's backends who drains them. Returns whether another set of backends is eligible
 * than before. */
bool drains_apply(const struct drains *drains, struct plan *plan);

#endif
