/* SPDX-License-Identifier: BSD-2-Clause */
/* The file as nodes with places: all of libyaml that the rest of config/ gets to see. */
#ifndef SHUNT_CONFIG_TREE_H
#define SHUNT_CONFIG_TREE_H

#include "config/error.h"

#define TREE_DEPTH_MAX 16       /* the schema needs 6 */
#define TREE_NODES_MAX 8000000u /* over a million backends */

enum node_kind {
	NODE_SCALAR,
	NODE_MAP,  /* children: key, value, key, value ... */
	NODE_LIST, /* children: items */
	NODE_BAD,  /* already reported: no further rule looks at it */
};

struct node {
	enum node_kind kind;
	bool complete; /* false: the file broke off inside, so nothing is missing from it */
	bool empty;    /* nothing stood there, as in "services:" */
	struct config_place place;
	struct node *child, *next;
	struct node *older; /* every node of the tree, for freeing */
	char text[];        /* of a scalar: one line without control characters */
};

struct tree {
	struct node *root; /* NULL: an empty file */
	struct node *newest;
	size_t nodes_count;
};

/* Reads as far as YAML can be read. Reports what is not YAML or beyond our subset of it;
 * with errors the tree holds what came before. tree_free() is due in any case. */
void tree_build(struct tree *tree, const char *text, size_t len_bytes, struct report *report);

void tree_free(struct tree *tree);

/* The first value of a key in a map; NULL where the key is absent. */
struct node *node_find(const struct node *map, const char *key);

#endif
