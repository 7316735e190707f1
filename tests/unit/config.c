/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration language from outside: files to models, files to errors with
 * places. Runs in the root of the source tree, for the examples. */
#include "tests/unit/config_help.h"

#include <sys/stat.h>
#include <unistd.h>

#define ERRORS_MAX 12

/* Errors: each file, and every error that it must give, in order. */

struct wanted {
	unsigned line, column;
	const char *part;
};

static const struct {
	const char *text;
	struct wanted wanted[ERRORS_MAX];
} broken[] = {
	/* What is required, and the seed. */
	{"", {{1, 1, "empty"}}},
	{"# nothing\n\n", {{1, 1, "empty"}}},
	{"---\n", {{2, 1, "empty"}}},
	{"[a, b]\n", {{1, 1, "the file must be a map"}}},
	{"word\n", {{1, 1, "the file must be a map"}}},
	{"fleet_seed_file: s\n", {{1, 1, "has no version"}}},
	{"version: 1\n", {{1, 1, "make one with 'shunt seed'"}}},
	{"version: 2\nfleet_seed_file: s\n", {{1, 10, "version must be 1, not '2'"}}},
	{"version:\nfleet_seed_file: s\n", {{1, 9, "version has no value: it must be 1"}}},
	{HEAD "fleet_seed: 000102030405060708090a0b0c0d0e0f\n", {{3, 13, "exclude each other"}}},
	{"version: 1\nfleet_seed: 1234\n", {{2, 13, "32 hex digits"}}},
	{"version: 1\nfleet_seed: 0001020304050607 8090a0b0c0d0e0f\n", {{2, 13, "32 hex digits"}}},
	{"version: 1\nfleet_seed: 00000000000000000000000000000000\n", {{2, 13, "not all zero"}}},
	{"version: 1\nfleet_seed_file: \"\"\n", {{2, 18, "the path of a file"}}},
	{HEAD "services:\n- {}\n",
	 {{4, 3, "no name"}, {4, 3, "no vip"}, {4, 3, "no protocol"}, {4, 3, "no port"}}},
	{WHOLE "  check: {}\n", {{8, 10, "this check has no type"}}},
	{WHOLE "  check:\n", {{8, 9, "this check has no type"}}},
	{WHOLE "  backends: [{weight: 2}]\n", {{8, 14, "this backend has no address"}}},

	/* Keys. */
	{HEAD "sevices: []\n", {{3, 1, "did you mean 'services'?"}}},
	{HEAD "defaults: {darin_timeout: 5m}\n", {{3, 12, "did you mean 'drain_timeout'?"}}},
	{HEAD "defaults: {colour: red}\n",
	 {{3, 12, "a defaults section has encapsulation, drain"}}},
	{HEAD "? [a]\n: b\n? {c: d}\n: e\n", {{3, 3, "plain word"}, {5, 3, "plain word"}}},
	{HEAD "version: 1\nversion: 1\n", {{3, 1, "first at line 1"}, {4, 1, "first at line 1"}}},
	{WHOLE "  vip: 192.0.2.2\n", {{8, 3, "'vip' stands twice, first at line 5"}}},
	{HEAD "a\"b: 1\n\"\": 2\n", {{3, 1, "unknown key 'a\"b'"}, {4, 1, "unknown key ''"}}},

	/* Kinds. */
	{HEAD "services: {}\n", {{3, 11, "services must be a list"}}},
	{HEAD "services: web\n", {{3, 11, "services must be a list"}}},
	{HEAD "services: [web, [], {}]\n",
	 {{3, 12, "each item must be a map"},
	  {3, 17, "each item must be a map"},
	  {3, 21, "no name"},
	  {3, 21, "no vip"},
	  {3, 21, "no protocol"},
	  {3, 21, "no port"}}},
	{HEAD "defaults: [a]\n", {{3, 11, "defaults must be a map"}}},
	{HEAD "dataplane: {engine: [dpdk]}\n", {{3, 21, "engine must be a single value"}}},
	{SERVICE "  port: {a: 1}\n", {{7, 9, "port must be a single value"}}},

	/* Values of the dataplane. */
	{HEAD "dataplane: {engine: dpkd}\n",
	 {{3, 21, "one of auto, dpdk, af_xdp, xdp, not 'dpkd'"}}},
	{HEAD "dataplane: {flows: 999}\n", {{3, 20, "from 1K to 4G"}}},
	{HEAD "dataplane: {flows: 5G}\n", {{3, 20, "from 1K to 4G"}}},
	{HEAD "dataplane: {flows: 10m}\n", {{3, 20, "not '10m'"}}},
	{HEAD "dataplane: {flows: 99999999999999999999999G}\n", {{3, 20, "from 1K to 4G"}}},
	{HEAD "dataplane: {flows: 18446744073709552G}\n", {{3, 20, "from 1K to 4G"}}},
	{HEAD "dataplane: {flow_timeout: 10}\n", {{3, 27, "with ms, s, m or h), not '10'"}}},
	{HEAD "dataplane: {flow_timeout: 1.5m}\n", {{3, 27, "not '1.5m'"}}},
	{HEAD "dataplane: {flow_timeout: 999ms}\n", {{3, 27, "from 1s to 168h"}}},
	{HEAD "dataplane: {flow_timeout: 169h}\n", {{3, 27, "from 1s to 168h"}}},
	{HEAD "dataplane: {workers: 5-2}\n", {{3, 22, "'auto' or cores such as 2-5,7"}}},
	{HEAD "dataplane: {workers: \"1,\"}\n", {{3, 22, "workers must be"}}},
	{HEAD "dataplane: {workers: \"1,2-3,3\"}\n", {{3, 22, "each once"}}},
	{HEAD "dataplane: {workers: 1024}\n", {{3, 22, "below 1024"}}},
	{HEAD "dataplane: {workers: 1-}\n", {{3, 22, "workers must be"}}},
	{HEAD "dataplane: {interfaces: [{name: a, mtu: 575}]}\n", {{3, 41, "from 576 to 9216"}}},
	{HEAD "dataplane: {interfaces: [{name: a b}]}\n", {{3, 33, "characters A-Z"}}},
	{HEAD "dataplane: {interfaces: [{name: a}, {name: b}, {name: a}]}\n",
	 {{3, 55, "the interface at line 3 has the same name"}}},
	{HEAD "dataplane: {interfaces: [{name: a, mac: 01:00:00:00:00:00}]}\n",
	 {{3, 41, "one station"}}},
	{HEAD "dataplane: {interfaces: [{name: a, mac: 02:00:00:00:00}]}\n",
	 {{3, 41, "one station"}}},
	{HEAD "dataplane: {interfaces: [{name: a, device: ''}]}\n",
	 {{3, 44, "device has no value"}}},
	{HEAD
	 "dataplane: {engine: xdp, interfaces: [{name: a, device: 'net_tap0,iface=a'}, {name: b}]}\n",
	 {{3, 57, "'net_tap0,iface=a' is none: give one by device, such as eth0"}}},
	{HEAD "dataplane:\n"
	      "  engine: xdp\n"
	      "  interfaces:\n"
	      "  - {name: a, device: 'net_af_xdp0,iface=eth1'}\n"
	      "  - {name: b, device: 'net_af_xdp1,iface=no/name'}\n",
	 {{7, 23, "'net_af_xdp1,iface=no/name' is none"}}},
	{HEAD "dataplane: {engine: af_xdp, interfaces: [{name: a, device: \"0000:01:00.0\"}]}\n",
	 {{3, 60, "engine af_xdp works on the kernel's interfaces"}}},
	{HEAD
	 "dataplane: {engine: xdp, interfaces: [{name: longer-than-the-15}, {name: but-15-are-fine}]}\n",
	 {{3, 46, "'longer-than-the-15' is none"}}},

	/* Values of the defaults. */
	{HEAD "defaults: {encapsulation: gre}\n", {{3, 27, "one of ipip, gue, l2, not 'gre'"}}},
	{HEAD "defaults: {outer_source_v4: 10.0.0.1/8}\n", {{3, 29, "such as 10.0.0.0/8, not"}}},
	{HEAD "defaults: {outer_source_v4: \"100::/64\"}\n", {{3, 29, "an IPv4 unicast address"}}},
	{HEAD "defaults: {outer_source_v6: 10.0.0.0/8}\n", {{3, 29, "an IPv6 unicast address"}}},
	{HEAD "defaults: {outer_source_v6: 100::1/64}\n", {{3, 29, "such as 100::/64"}}},
	{HEAD "defaults: {outer_source_v4: 224.0.0.0/8}\n", {{3, 29, "unicast"}}},

	/* Values of a service. */
	{WHOLE
	 "  encapsulation: l2\n  backends: [{address: 10.0.0.1}, {address: \"2001:db8::1\"}]\n",
	 {{9, 45, "must have an IPv4 address like the vip"}}},
	{HEAD "services: [{name: a, vip: \"2001:db8::9\", protocol: tcp, port: 1, "
	      "backends: [{address: 10.0.0.1}]}]\ndefaults: {encapsulation: l2}\n",
	 {{3, 87, "must have an IPv6 address like the vip"}}},
	{WHOLE "  encapsulation: l2\n  backends: [{weight: 2}, {address: x}, [address], y]\n",
	 {{9, 14, "address"}, {9, 37, "address"}, {9, 41, "a map"}, {9, 52, "a map"}}},
	{WHOLE
	 "  encapsulation: l3\n  backends: [{address: \"2001:db8::1\"}]\ndefaults: {encapsulation: l2}\n",
	 {{8, 18, "one of ipip, gue, l2"}}},
	{HEAD "services: [{name: a, vip: 192.0.2.7/24, protocol: tcp, port: 1}]\n",
	 {{3, 27, "a prefix whose host bits are zero, such as 192.0.2.0/24, not '192.0.2.7/24'"}}},
	{HEAD "services: [{name: a, vip: \"2001:db8::1:0/64\", protocol: tcp, port: 1}]\n",
	 {{3, 27, "such as 2001:db8::/64"}}},
	{HEAD "services: [{name: a, vip: 192.0.2.0/33, protocol: tcp, port: 1}]\n",
	 {{3, 27, "unicast address or prefix"}}},
	{HEAD "services: [{name: a, vip: 192.0.0.0/2, protocol: tcp, port: 1}]\n",
	 {{3, 27, "unicast"}}},
	{HEAD "services: [{name: a, vip: \"8000::/1\", protocol: tcp, port: 1}]\n",
	 {{3, 27, "unicast"}}},
	{HEAD "services: [{name: a, vip: \"::ff00:0:0/88\", protocol: tcp, port: 1}]\n",
	 {{3, 27, "unicast"}}},
	{HEAD "services: [{name: a, vip: 0.0.0.0/0, protocol: tcp, port: 1}, "
	      "{name: b, vip: \"::/0\", protocol: tcp, port: 1}]\n",
	 {{3, 27, "unicast"}, {3, 78, "unicast"}}},
	{HEAD "services: [{name: a, vip: 239.0.0.1, protocol: tcp, port: 1}]\n",
	 {{3, 27, "unicast"}}},
	{HEAD "services: [{name: a, vip: \"ff02::1\", protocol: tcp, port: 1}]\n",
	 {{3, 27, "unicast"}}},
	{HEAD "services: [{name: a, vip: \"::\", protocol: tcp, port: 1}]\n", {{3, 27, "unicast"}}},
	{HEAD "services: [{name: a, vip: www, protocol: sctp, port: -1}]\n",
	 {{3, 27, "vip must be an IPv4 or IPv6"},
	  {3, 42, "one of tcp, udp, not 'sctp'"},
	  {3, 54, "from 1 to 65535 or 'any', not '-1'"}}},
	{SERVICE "  port: 0\n", {{7, 9, "from 1 to 65535"}}},
	{SERVICE "  port: 65536\n", {{7, 9, "from 1 to 65535"}}},
	{SERVICE "  port: 0443\n", {{7, 9, "not '0443'"}}},
	{SERVICE "  port: 0x50\n", {{7, 9, "not '0x50'"}}},
	{SERVICE "  port: any\n  check: {type: tcp}\n", {{8, 10, "needs a port of its own"}}},
	{WHOLE "  table_size: 65536\n", {{8, 15, "a prime, such as 65537, not '65536'"}}},
	{WHOLE "  table_size: 2\n", {{8, 15, "from 3 to 8388593"}}},
	{WHOLE "  table_size: 8388617\n", {{8, 15, "from 3 to 8388593"}}},
	{WHOLE "  table_size: 3\n  backends: [{address: 10.0.0.1}, {address: 10.0.0.2}, "
	       "{address: 10.0.0.3}, {address: 10.0.0.4}, {address: 10.0.0.5, weight: 0}]\n",
	 {{8, 15, "each of 4 backends: use a prime of some 100 slots a backend, such as 401"}}},
	{WHOLE "  hash: 4-tuple\n", {{8, 9, "one of 5-tuple, source, source+dest-port"}}},
	{WHOLE "  all_down: up\n", {{8, 13, "one of forward, drop"}}},
	{WHOLE "  drain_timeout: -1s\n", {{8, 18, "from 0h to 168h"}}},
	{WHOLE "  check: {type: http}\n", {{8, 17, "type must be tcp, not 'http'"}}},
	{WHOLE "  check: {type: tcp, timeout: 2s}\n", {{8, 31, "must not exceed its interval"}}},
	{WHOLE "  check: {type: tcp, interval: 400ms}\n", {{8, 32, "(500 ms) must not exceed"}}},
	{WHOLE "  check: {type: tcp, interval: 9ms, timeout: 1s}\n", {{8, 32, "from 10ms to 1h"}}},
	{WHOLE "  check: {type: tcp, rise: 0, fall: 101, port: any}\n",
	 {{8, 28, "from 1 to 100"},
	  {8, 37, "from 1 to 100"},
	  {8, 48, "from 1 to 65535, not 'any'"}}},
	{WHOLE "  backends: [{address: 10.0.0.256, weight: 65536, state: down}]\n",
	 {{8, 24, "address must be"},
	  {8, 44, "from 0 to 65535"},
	  {8, 58, "one of up, drain, main"}}},

	/* Rules over several items. */
	{WHOLE
	 "  backends:\n  - address: 10.0.0.1\n  - address: 10.0.0.2\n  - address: ::ffff:10.0.0.1\n"
	 "  - address: 10.0.0.1\n",
	 {{11, 14, "the backend at line 9 has the same address"}, {12, 14, "at line 9"}}},
	{WHOLE "  backends: [{address: 192.0.2.1}]\n", {{8, 24, "the service's own vip"}}},
	{HEAD "services: [{name: a, vip: 192.0.2.0/24, protocol: tcp, port: 1, "
	      "backends: [{address: 192.0.2.255}, {address: 192.0.3.0}]}]\n",
	 {{3, 86, "in the prefix of the service's own vip"}}},
	{HEAD "services: [{name: a, vip: 192.0.2.0/24, protocol: tcp, port: 1}, "
	      "{name: b, vip: 192.0.2.0, protocol: tcp, port: 1},\n"
	      "{name: c, vip: 192.0.2.0/24, protocol: tcp, port: 1}]\n",
	 {{4, 16, "the service at line 3 has the same vip, protocol and port"}}},
	{WHOLE "- name: web\n  vip: 192.0.2.1\n  protocol: tcp\n  port: 80\n",
	 {{8, 9, "the service at line 4 has the same name"},
	  {9, 8, "the service at line 5 has the same vip, protocol and port"}}},
	{SERVICE "- name: b\n  vip: 192.0.2.1\n  protocol: tcp\n  port: x\n",
	 {{4, 3, "no port"}, {10, 9, "port must be"}}},

	/* What could not be read agrees with nothing and exceeds nothing. */
	{WHOLE
	 "  check: {type: tcp, interval: 100ms, timeout: x}\n  backends: [{address: x}, {address: y}]\n",
	 {{8, 48, "timeout must be"}, {9, 24, "not 'x'"}, {9, 38, "not 'y'"}}},

	/* One error hides no other. */
	{SERVICE "  port: x\n  backends: [{weight: y, address: z}]\n- vip: q\n  name: b\n"
		 "  protocol: tcp\n  port: 1\nversion: 1\n",
	 {{7, 9, "port"}, {8, 23, "weight"}, {8, 35, "address"}, {9, 8, "vip"}, {13, 1, "twice"}}},
	{HEAD "services:\n- vip: x\n  port: [\ndefaults: {a: b}\n",
	 {{4, 8, "vip"}, {5, 9, "port"}, {7, 1, "began on line 5): close the bracket"}}},

	/* YAML that is malformed, or beyond our subset. */
	{HEAD "services:\n\t- name: a\n", {{4, 1, "indent with spaces only"}}},
	{"version: \"1\n", {{2, 1, "close the quote"}}},
	{"version: 1\n name: x\n", {{1, 10, "not '1 name'"}, {2, 6, "align the key"}}},
	{"version: 3\nservices: {\n",
	 {{1, 10, "version must be 1"}, {2, 11, "a list"}, {3, 1, "not valid YAML"}}},
	{"version: 3\nfleet_seed_file: {a: b\nx: y\n",
	 {{1, 10, "version must be 1"}, {2, 18, "a single"}, {3, 2, "close the brace"}}},
	{HEAD "---\nversion: 1\n", {{3, 1, "a second document"}}},
	{HEAD "defaults: &x {}\nservices: *x\n",
	 {{3, 11, "remove '&x'"}, {4, 11, "in place of '*x'"}}},
	{"version: !!int 1\nfleet_seed_file: ! s\n",
	 {{1, 10, "remove 'tag:yaml"}, {2, 18, "remove '!'"}}},
	{"%TAG !e! tag:example.org,2000:\n---\n" HEAD, {{1, 1, "%TAG"}}},
	{HEAD "a: [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]\n",
	 {{3, 1, "unknown"}, {3, 19, "16 levels"}}},
	{"version: \"1\\0\"\nfleet_seed_file: \"a\\nb\"\n",
	 {{1, 10, "one line without tabs"}, {2, 18, "one line without tabs"}}},
	{"version: 1\nfleet_seed_file: \"a\\tb\"\n", {{2, 18, "one line without tabs"}}},
	{"version: 1\nfleet_seed_file: |\n  s\n", {{2, 18, "one line without tabs"}}},

	/* Characters; columns count bytes. */
	{"version: 1\xff\nfleet_seed_file: \xc0\x80 \xed\xa0\x80\n",
	 {{1, 11, "byte 0xff is not UTF-8"}, {2, 18, "byte 0xc0 is not UTF-8"}}},
	{"version: 1 # \xbf\n", {{1, 14, "byte 0xbf is not UTF-8"}}},
	{"version: 1 # \x1b[31m\n\x7f\n", {{1, 14, "U+001B"}, {2, 1, "U+007F"}}},
	{"version: 1\rfleet\n# \xe2\x80\xa8\n", {{1, 11, "U+000D"}, {2, 3, "U+2028"}}},
	{HEAD "services: [{name: \xc3\xbc\xe2\x82\xac, vip: x, protocol: tcp, port: 1}]\n",
	 {{3, 19, "characters A-Z"}, {3, 31, "vip must be"}}},
	{"\xef\xbb\xbfversion: 2\r\nfleet_seed_file: s\r\nx: y\r\n",
	 {{1, 10, "be 1"}, {3, 1, "unknown"}}},
};

static void errors_in_files(void **state)
{
	unsigned failures = 0;

	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		const struct wanted *wanted = broken[i].wanted;
		struct config_errors errors;
		struct config *config;
		size_t count = 0;
		bool fine = true;

		assert_int_equal(config_parse(broken[i].text, strlen(broken[i].text), &config,
					      &errors),
				 -EINVAL);
		assert_null(config);
		for (; wanted[count].part && fine && count < errors.count; count++) {
			const struct config_error *error = &errors.list[count];
			fine = error->line == wanted[count].line &&
			       error->column == wanted[count].column &&
			       strstr(error->text, wanted[count].part);
		}
		if (!fine || wanted[count].part || count != errors.count) {
			errors_show(broken[i].text, &errors);
			print_error("above, broken[%zu]: error %zu is not as wanted\n", i, count);
			failures++;
		}
		config_errors_free(&errors);
	}
	assert_int_equal(failures, 0);
}

/* Eight lengths of each family are fine, and single addresses and what is bad don't count. */
static void prefix_lengths_bounded(void **state)
{
	static const char *const vips[] = {
		"10.0.0.0/8",  "10.0.0.0/9",  "10.0.0.0/10", "10.0.0.0/11", "10.0.0.0/12",
		"10.0.0.0/13", "10.0.0.0/14", "10.0.0.1/15", "10.0.0.0/16", "11.0.0.0/8",
		"10.0.0.0",    "10.0.0.0/17", "2001::/16",   "10.0.0.0/32", "10.0.0.0/18",
	};
	char text[2048] = HEAD "services:\n";
	struct config_errors errors;
	struct config *config;

	for (size_t i = 0; i < ARRAY_LEN(vips); i++)
		sprintf(text + strlen(text),
			"- { name: s%zu, vip: '%s', protocol: tcp, port: %zu }\n", i, vips[i],
			i + 1);
	assert_int_equal(config_parse(text, strlen(text), &config, &errors), -EINVAL);
	assert_int_equal(errors.count, 3);
	assert_int_equal(errors.list[0].line, 11);
	assert_non_null(strstr(errors.list[0].text, "such as 10.0.0.0/15"));
	assert_int_equal(errors.list[1].line, 15);
	assert_int_equal(errors.list[2].line, 18);
	assert_non_null(strstr(errors.list[1].text, "IPv4 vips before this one have 8 different"));
	config_errors_free(&errors);
}

static void errors_bounded(void **state)
{
	enum { KEYS = 3000 };
	char *text = malloc(KEYS * 5 + 1);
	struct config_errors errors;
	struct config *config;

	for (size_t i = 0; i < KEYS; i++)
		memcpy(text + i * 5, "y: 1\n", 6);
	assert_int_equal(config_parse(text, KEYS * 5, &config, &errors), -EINVAL);
	assert_int_equal(errors.count, 1001);
	assert_non_null(strstr(errors.list[1000].text, "more errors are not shown"));
	config_errors_free(&errors);
	free(text);
}

/* Models. */

static void assert_prefix(const struct config_prefix *prefix, const char *wanted)
{
	char text[PREFIX_TEXT_MAX];

	assert_string_equal(prefix_format(prefix, text), wanted);
}

static void defaults_fill(void **state)
{
	struct config *config = parse_whole(WHOLE "  backends: [{address: 10.0.0.1}]\n",
					    strlen(WHOLE "  backends: [{address: 10.0.0.1}]\n"));
	const struct config_service *service = &config->services[0];

	assert_int_equal(config->dataplane.engine, CONFIG_ENGINE_AUTO);
	assert_int_equal(config->dataplane.interfaces_count, 0);
	assert_string_equal(config->dataplane.workers, "auto");
	assert_int_equal(config->dataplane.flows, 10000000);
	assert_int_equal(config->dataplane.flow_timeout_ms, 300000);
	assert_int_equal(config->dataplane.place.line, 0);
	assert_int_equal(config->defaults.encapsulation, CONFIG_ENCAP_IPIP);
	assert_int_equal(config->defaults.drain_timeout_ms, 300000);
	assert_int_equal(config->defaults.unmatched, CONFIG_UNMATCHED_DROP);
	assert_prefix(&config->defaults.source_v4, "172.16.0.0/16");
	assert_prefix(&config->defaults.source_v6, "100::/64");
	assert_int_equal(service->table_size, 65537);
	assert_int_equal(service->hash, CONFIG_HASH_5TUPLE);
	assert_int_equal(service->encapsulation, CONFIG_ENCAP_IPIP);
	assert_int_equal(service->check.type, CONFIG_CHECK_NONE);
	assert_int_equal(service->all_down, CONFIG_ALL_DOWN_FORWARD);
	assert_int_equal(service->drain_timeout_ms, 300000);
	assert_int_equal(service->place.line, 4);
	assert_int_equal(service->place.column, 3);
	assert_int_equal(service->backends[0].weight, 1);
	assert_int_equal(service->backends[0].state, CONFIG_STATE_UP);
	assert_int_equal(service->backends[0].place.column, 14);
	config_free(config);
}

/* A service may stand before the defaults that it inherits, and override them. */
static void defaults_inherit(void **state)
{
	static const char text[] = WHOLE "- {name: b, vip: 192.0.2.1, protocol: udp, port: any, "
					 "encapsulation: ipip, drain_timeout: 0s}\n"
					 "defaults: {encapsulation: gue, drain_timeout: 90s}\n";
	struct config *config = parse_whole(text, strlen(text));

	assert_int_equal(config->services[0].encapsulation, CONFIG_ENCAP_GUE);
	assert_int_equal(config->services[0].drain_timeout_ms, 90000);
	assert_int_equal(config->services[1].encapsulation, CONFIG_ENCAP_IPIP);
	assert_int_equal(config->services[1].drain_timeout_ms, 0);
	assert_int_equal(config->services[1].port, 0);
	config_free(config);
}

static void empty_places(void **state)
{
	static const char *const texts[] = {
		HEAD "dataplane:\ndefaults:\nservices:\n",
		HEAD "dataplane: {}\nservices: []\n",
		"%YAML 1.2\n---\n" HEAD "...\n",
		"{version: '1', \"fleet_seed_file\": s}",
		"\xef\xbb\xbfversion: 1\r\nfleet_seed_file: s\r\nservices:\r\n",
		WHOLE "  backends:\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		config_free(parse_whole(texts[i], strlen(texts[i])));
}

static void example_full(void **state)
{
	static const u8 mac[6] = {2, 0, 0, 0, 0, 1};
	struct config *config = example_load("config/examples/full.yaml");
	const struct config_dataplane *dataplane = &config->dataplane;
	const struct config_service *web = &config->services[0], *voice = &config->services[1];
	char text[ADDR_TEXT_MAX];

	assert_int_equal(config->version, 1);
	assert_string_equal(config->fleet_seed_file, "/etc/shunt/seed");
	assert_false(config->fleet_seed_given);
	assert_int_equal(dataplane->interfaces_count, 2);
	assert_string_equal(dataplane->interfaces[0].name, "uplink0");
	assert_string_equal(dataplane->interfaces[0].device, "net_tap0,iface=lb0");
	assert_int_equal(dataplane->interfaces[0].mtu, 1500);
	assert_memory_equal(dataplane->interfaces[1].mac, mac, sizeof(mac));
	assert_int_equal(config->services_count, 3);
	assert_string_equal(web->name, "web");
	assert_prefix(&web->vip, "203.0.113.10");
	assert_int_equal(web->protocol, CONFIG_PROTOCOL_TCP);
	assert_int_equal(web->port, 443);
	assert_int_equal(web->encapsulation, CONFIG_ENCAP_GUE);
	assert_int_equal(web->check.type, CONFIG_CHECK_TCP);
	assert_int_equal(web->check.port, 8080);
	assert_int_equal(web->check.timeout_ms, 500);
	assert_int_equal(web->check.fall, 3);
	assert_int_equal(web->drain_timeout_ms, 600000);
	assert_int_equal(web->backends_count, 3);
	assert_int_equal(web->backends[1].state, CONFIG_STATE_DRAIN);
	assert_string_equal(addr_format(&web->backends[2].address, text), "2001:db8:1::3");
	assert_int_equal(voice->protocol, CONFIG_PROTOCOL_UDP);
	assert_int_equal(voice->port, 0);
	assert_int_equal(voice->hash, CONFIG_HASH_SOURCE);
	assert_int_equal(voice->encapsulation, CONFIG_ENCAP_IPIP);
	assert_int_equal(config->services[2].encapsulation, CONFIG_ENCAP_L2);
	config_free(config);
}

/* The dataplane's restart keys. */

static void dataplane_diff(void **state)
{
	static const char base[] =
		HEAD "dataplane: {workers: 2, interfaces: [{name: a}, {name: b}]}\n";
	static const struct {
		const char *section, *keys;
		size_t count;
	} cases[] = {
		{"{workers: 2, interfaces: [{name: a}, {name: b}], engine: auto, flows: 10M}", "",
		 0},
		{"{workers: 2-3, interfaces: [{name: a}, {name: b}]}", "dataplane.workers", 1},
		{"{workers: 2, flows: 1M, engine: xdp, flow_timeout: 1m, interfaces: [{name: a}, {name: b}]}",
		 "dataplane.engine dataplane.flows dataplane.flow_timeout", 3},
		{"{workers: 2, interfaces: [{name: a}]}", "dataplane.interfaces", 1},
		{"{workers: 2, interfaces: [{name: a}, {name: b}, {name: c}]}",
		 "dataplane.interfaces", 1},
		{"{workers: 2, interfaces: [{name: b}, {name: a}]}", "dataplane.interfaces", 1},
		{"{workers: 2, interfaces: [{name: a}, {name: b, mtu: 1500, device: d}]}",
		 "dataplane.interfaces[b].device dataplane.interfaces[b].mtu", 2},
	};
	struct config *old = parse_whole(base, strlen(base));

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[512], out[256] = "stale", tiny[20];

		snprintf(text, sizeof(text), HEAD "dataplane: %s\n", cases[i].section);
		struct config *new = parse_whole(text, strlen(text));
		size_t count =
			config_dataplane_diff(&old->dataplane, &new->dataplane, out, sizeof(out));
		assert_int_equal(count, cases[i].count);
		assert_string_equal(out, cases[i].keys);
		count = config_dataplane_diff(&old->dataplane, &new->dataplane, tiny, sizeof(tiny));
		assert_int_equal(count, cases[i].count);
		assert_true(strncmp(cases[i].keys, tiny, strlen(tiny)) == 0);
		assert_int_equal(config_dataplane_diff(&old->dataplane, &new->dataplane, NULL, 0),
				 count);
		config_free(new);
	}
	config_free(old);
}

/* A name that fits to the last byte is written, one byte less leaves it out. */
static void dataplane_diff_fits(void **state)
{
	static const char wanted[] = "dataplane.engine dataplane.flows";
	const struct config_dataplane a = {.flows = 1}, b = {.engine = CONFIG_ENGINE_XDP};
	char out[64];

	assert_int_equal(config_dataplane_diff(&a, &b, out, sizeof(wanted)), 2);
	assert_string_equal(out, wanted);
	assert_int_equal(config_dataplane_diff(&a, &b, out, sizeof(wanted) - 1), 2);
	assert_string_equal(out, "dataplane.engine");
}

/* Files. */

static char folder[] = "/tmp/shunt-config-XXXXXX", seed_path[64];

static int folder_make(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(seed_path, sizeof(seed_path), "%s/seed", folder);
	return 0;
}

static int folder_remove(void **state)
{
	unlink(seed_path);
	return rmdir(folder);
}

static void seed_write(const char *text, mode_t mode)
{
	FILE *out = fopen(seed_path, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	assert_int_equal(chmod(seed_path, mode), 0);
}

static void seed_files(void **state)
{
	static const u8 wanted[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xfc, 0xfd, 0xfe, 0xff};
	static const struct {
		const char *text;
		int result;
		mode_t mode;
	} cases[] = {
		{"000102030405060708090a0bfcfdfeff", 0, 0600},
		{" \t\n000102030405060708090A0BFCFDFEFF\r\n\n", 0, 0644},
		{"000102030405060708090a0bfcfdfeff", 0, 0640},
		{"000102030405060708090a0bfcfdfef", -EINVAL, 0600},
		{"000102030405060708090a0bfcfdfeff0", -EINVAL, 0600},
		{"0001020304050607 8090a0bfcfdfeff", -EINVAL, 0600},
		{"0x0102030405060708090a0bfcfdfeff", -EINVAL, 0600},
		{"00000000000000000000000000000000", -EINVAL, 0600},
		{"", -EINVAL, 0604},
	};
	struct config config = {.version = 1, .fleet_seed_file = seed_path};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char message[256];
		bool world_readable = !(cases[i].mode & 0004);
		u8 seed[16] = {0};

		seed_write(cases[i].text, cases[i].mode);
		assert_int_equal(config_seed_load(&config, seed, &world_readable, message,
						  sizeof(message)),
				 cases[i].result);
		assert_int_equal(world_readable, (cases[i].mode & 0004) != 0);
		assert_int_equal(message[0] == '\0', cases[i].result == 0);
		if (cases[i].result == 0)
			assert_memory_equal(seed, wanted, sizeof(wanted));
		else
			assert_non_null(strstr(message, "shunt seed"));
	}
}

static void seed_elsewhere(void **state)
{
	struct config config = {.fleet_seed_given = true, .fleet_seed = {1, 2, 3}};
	char message[256], missing[] = "/nonexistent/seed";
	bool world_readable = true;
	u8 seed[16];

	assert_int_equal(config_seed_load(&config, seed, &world_readable, message, sizeof(message)),
			 0);
	assert_memory_equal(seed, config.fleet_seed, 16);
	assert_false(world_readable);

	config = (struct config){.fleet_seed_file = missing};
	assert_int_equal(config_seed_load(&config, seed, &world_readable, message, sizeof(message)),
			 -ENOENT);
	assert_non_null(strstr(message, missing));
	assert_non_null(strstr(message, "shunt seed"));

	config.fleet_seed_file = NULL;
	assert_int_equal(config_seed_load(&config, seed, &world_readable, message, sizeof(message)),
			 -EINVAL);
}

static void load_failures(void **state)
{
	struct config_errors errors;
	struct config *config;
	char *text;
	size_t len;

	assert_int_equal(config_load("/nonexistent", &config, &errors, &text, &len), -ENOENT);
	assert_null(text);
	assert_null(config);
	assert_int_equal(errors.count, 0);
	config_errors_free(&errors);
	assert_int_equal(config_load("/", &config, &errors, &text, &len), -EISDIR);
	config_errors_free(&errors);

	seed_write("version: 7\n", 0600); /* any file will do */
	assert_int_equal(config_load(seed_path, &config, &errors, &text, &len), -EINVAL);
	assert_string_equal(text, "version: 7\n");
	assert_int_equal(len, 11);
	assert_int_equal(errors.count, 2);
	config_errors_free(&errors);
	free(text);
}

static void names(void **state)
{
	assert_string_equal(config_encapsulation_name(CONFIG_ENCAP_GUE), "gue");
	assert_string_equal(config_encapsulation_name(CONFIG_ENCAP_L2), "l2");
	assert_string_equal(config_hash_name(CONFIG_HASH_SOURCE_DEST_PORT), "source+dest-port");
	assert_string_equal(config_state_name(CONFIG_STATE_MAINTENANCE), "maintenance");
	assert_string_equal(config_engine_name(CONFIG_ENGINE_AF_XDP), "af_xdp");
	assert_null(config_engine_name((enum config_engine)99));
}

static void devices_of_dpdk(void **state)
{
	static const char *const kernels[] = {"", "eth0", "enp59s0f0", "eth0.100", "netmaker"};
	static const char *const dpdks[] = {"net_null0", "net_tap0,iface=lb0", "0000:3b:00.0",
					    "3b:00.0", "net_af_xdp0,iface=eth0"};
	struct config_dataplane dataplane = {.interfaces_count = 2};

	for (size_t i = 0; i < ARRAY_LEN(kernels); i++) {
		strcpy(dataplane.interfaces[1].device, kernels[i]);
		assert_null(config_dpdk_interface(&dataplane));
	}
	for (size_t i = 0; i < ARRAY_LEN(dpdks); i++) {
		strcpy(dataplane.interfaces[1].device, dpdks[i]);
		assert_ptr_equal(config_dpdk_interface(&dataplane), &dataplane.interfaces[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_in_files),
		cmocka_unit_test(errors_bounded),
		cmocka_unit_test(prefix_lengths_bounded),
		cmocka_unit_test(defaults_fill),
		cmocka_unit_test(defaults_inherit),
		cmocka_unit_test(empty_places),
		cmocka_unit_test(example_full),
		cmocka_unit_test(dataplane_diff),
		cmocka_unit_test(dataplane_diff_fits),
		cmocka_unit_test(seed_files),
		cmocka_unit_test(seed_elsewhere),
		cmocka_unit_test(load_failures),
		cmocka_unit_test(names),
		cmocka_unit_test(devices_of_dpdk),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
