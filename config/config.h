/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration model: one plain structure that the parser fills, `show` renders and
 * the control plane plans from. Nothing here knows about YAML, sockets or tables. */
#ifndef SHUNT_CONFIG_CONFIG_H
#define SHUNT_CONFIG_CONFIG_H

#include <stdio.h>

#include "dataplane/core/addr.h"

enum config_engine {
	CONFIG_ENGINE_AUTO,
	CONFIG_ENGINE_DPDK,
	CONFIG_ENGINE_AF_XDP,
	CONFIG_ENGINE_XDP
};
enum config_encapsulation { CONFIG_ENCAP_IPIP, CONFIG_ENCAP_GUE, CONFIG_ENCAP_L2 };
enum config_hash { CONFIG_HASH_5TUPLE, CONFIG_HASH_SOURCE, CONFIG_HASH_SOURCE_DEST_PORT };
enum config_unmatched { CONFIG_UNMATCHED_DROP, CONFIG_UNMATCHED_PASS };
enum config_all_down { CONFIG_ALL_DOWN_FORWARD, CONFIG_ALL_DOWN_DROP };
enum config_exception { CONFIG_EXCEPTION_AUTO, CONFIG_EXCEPTION_OFF };
enum config_answer { CONFIG_ANSWER_NONE, CONFIG_ANSWER_ARP };
enum config_check_type { CONFIG_CHECK_NONE, CONFIG_CHECK_TCP };
enum config_backend_state { CONFIG_STATE_UP, CONFIG_STATE_DRAIN, CONFIG_STATE_MAINTENANCE };

#define CONFIG_NAME_MAX 63    /* bytes of a service or interface name, without the NUL */
#define CONFIG_DEVICE_MAX 255 /* bytes of a DPDK device string, without the NUL */
#define CONFIG_INTERFACES_MAX 16
#define CONFIG_BACKENDS_MAX 65535 /* of one service; their numbers are u16, 0 is nobody */
#define CONFIG_SERVICES_MAX 65535
#define CONFIG_PREFIX_LENGTHS_MAX 8 /* of prefix VIPs, in each address family */
#define CONFIG_WEIGHT_MAX 65535
#define CONFIG_TABLE_SIZE_MAX 8388593 /* the greatest prime below 2^23 */
#define CONFIG_PROTOCOL_TCP 6
#define CONFIG_PROTOCOL_UDP 17

/* Where a value stood in the file: 1-based; 0 where it was not given. */
struct config_place {
	unsigned line, column;
};

/* An address with a prefix length counted on the 16-byte form: an IPv4 /24 is 120. */
struct config_prefix {
	struct addr addr;
	u8 bits;
};

struct config_interface {
	char name[CONFIG_NAME_MAX + 1];
	char device[CONFIG_DEVICE_MAX + 1]; /* DPDK device string; empty: not given */
	u8 mac[6], gateway_mac[6];          /* all zero: not fixed */
	u16 mtu;                            /* bytes of the IP packet; 0: not fixed */
	enum config_exception exception;    /* whether the kernel gets what is its own */
	enum config_answer answer;          /* whether the VIPs are answered for */
	struct config_place place;
};

struct config_dataplane {
	enum config_engine engine;
	struct config_interface interfaces[CONFIG_INTERFACES_MAX];
	size_t interfaces_count;
	char workers[64]; /* "auto" or cores such as "2-5,7"; a lone number is a core */
	u64 flows;        /* flow-table entries over all workers */
	u64 flow_timeout_ms;
	struct config_place place;
};

/* Defaults as they stand after parsing; each service holds its own resolved copy. */
struct config_defaults {
	enum config_encapsulation encapsulation;
	u64 drain_timeout_ms;
	enum config_unmatched unmatched;
	struct config_prefix source_v4, source_v6; /* outer source: host bits carry flow entropy */
};

struct config_check {
	enum config_check_type type;
	u16 port; /* 0: the service's own port */
	u64 interval_ms, timeout_ms;
	unsigned rise, fall;
};

struct config_backend {
	struct addr address;
	u32 weight; /* 0: gets no new flows */
	enum config_backend_state state;
	struct config_place place;
};

struct config_service {
	char name[CONFIG_NAME_MAX + 1];
	struct config_prefix vip; /* host bits are zero */
	u8 protocol;              /* CONFIG_PROTOCOL_* */
	u16 port;                 /* host order; 0: any */
	u32 table_size;           /* prime */
	enum config_hash hash;
	enum config_encapsulation encapsulation;
	struct config_check check;
	enum config_all_down all_down;
	u64 drain_timeout_ms;
	struct config_backend *backends;
	size_t backends_count;
	struct config_place place;
};

struct config {
	unsigned version;
	char *fleet_seed_file; /* NULL: not given */
	bool fleet_seed_given; /* stood inline */
	u8 fleet_seed[16];
	struct config_dataplane dataplane;
	struct config_defaults defaults;
	struct config_service *services;
	size_t services_count;
};

struct config_error {
	unsigned line, column; /* 1-based; the column counts bytes */
	char *text;            /* one sentence that says what to do */
};

/* Errors in file order. */
struct config_errors {
	struct config_error *list;
	size_t count;
};

/* Parses one whole file from memory and reports every error in it, not only the first.
 * Returns 0 with *config to be freed by config_free(); -EINVAL with at least one error in
 * *errors and *config NULL; -ENOMEM. errors is always initialised and to be freed. */
int config_parse(const char *text, size_t len_bytes, struct config **config,
		 struct config_errors *errors) __attribute__((warn_unused_result));

/* As config_parse, from a file; *text receives the file's bytes (caller frees; for carets)
 * or NULL. Also returns -errno of open and read, -EFBIG for more than 256 MiB. */
int config_load(const char *path, struct config **config, struct config_errors *errors, char **text,
		size_t *len_bytes) __attribute__((warn_unused_result));

void config_free(struct config *config);
void config_errors_free(struct config_errors *errors);

/* Prints one error as "FILE:LINE:COLUMN: text", the offending line and a caret below it. */
void config_error_print(FILE *out, const char *file, const char *text, size_t len_bytes,
			const struct config_error *error);
void config_errors_print(FILE *out, const char *file, const char *text, size_t len_bytes,
			 const struct config_errors *errors);

/* As config_load, and prints every error, or that the file can't be read, to `out`: the front
 * end's name, such as "shunt", stands before the latter. Returns 0; -EINVAL: the file has errors;
 * -errno: it can't be read. */
int config_load_or_tell(const char *path, struct config **config, FILE *out, const char *program)
	__attribute__((warn_unused_result));

/* Renders the model as YAML that parses to an equal model (every default spelled out, an
 * inline seed included: what is rendered is as secret as the model). */
int config_render(const struct config *config, FILE *out) __attribute__((warn_unused_result));

/* Compares two dataplane sections; writes the names of the keys that differ, such as
 * "dataplane.workers", to out (space-separated, truncated to fit). Returns how many. */
size_t config_dataplane_diff(const struct config_dataplane *a, const struct config_dataplane *b,
			     char *out, size_t out_bytes);

/* Reads the seed that the configuration names (inline or file: 32 hex digits, surrounding
 * white space allowed). Returns 0, -errno of the file, or -EINVAL with text in message.
 * *world_readable tells whether others may read the file. */
int config_seed_load(const struct config *config, u8 seed[static 16], bool *world_readable,
		     char *message, size_t message_bytes) __attribute__((warn_unused_result));

/* Calls back with one sentence for each key that is given, valid and not carried out by this
 * version: nobody should believe in what never happens. */
void config_unused(const struct config *config, void (*tell)(void *context, const char *text),
		   void *context);

/* Text forms, shared by every front end. */
int duration_parse(const char *text, u64 *ms) __attribute__((warn_unused_result));
#define DURATION_TEXT_MAX 32
const char *duration_format(u64 ms, char out[static DURATION_TEXT_MAX]);

int addr_parse(const char *text, struct addr *addr) __attribute__((warn_unused_result));
#define ADDR_TEXT_MAX 48
const char *addr_format(const struct addr *addr, char out[static ADDR_TEXT_MAX]);

/* "ADDRESS" or "ADDRESS/LENGTH"; host bits are kept, prefix_first() is the address without
 * them. A full-length prefix is written as a plain address. */
int prefix_parse(const char *text, struct config_prefix *prefix)
	__attribute__((warn_unused_result));
#define PREFIX_TEXT_MAX (ADDR_TEXT_MAX + 4)
const char *prefix_format(const struct config_prefix *prefix, char out[static PREFIX_TEXT_MAX]);
struct addr prefix_first(const struct config_prefix *prefix);

/* Copies the value of an option such as "iface" out of a DPDK device string; empty where it isn't
 * given. */
void config_device_option(const char *device, const char *option, char *out, size_t out_bytes);

/* The kernel's interface that the engines in the kernel take for this one, or what stands in that place:
 * what DPDK's net_af_xdp and net_af_packet would stand on, else its `device`, else its `name`. */
void config_kernel_name(const struct config_interface *interface,
			char out[static CONFIG_DEVICE_MAX + 1]);

/* The names that stand in a file; NULL for a value that has none. */
const char *config_encapsulation_name(enum config_encapsulation encapsulation);
const char *config_hash_name(enum config_hash hash);
const char *config_state_name(enum config_backend_state state);
const char *config_engine_name(enum config_engine engine);

/* The first interface whose device is DPDK's own (`net_tap0,iface=lb0`, `0000:3b:00.0`), not an
 * interface of the kernel; NULL where there is none. */
const struct config_interface *config_dpdk_interface(const struct config_dataplane *dataplane);

#endif
