#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What docs/deploy-vm.md has somebody type on TAP, as it stands there and without root: pages of both
# families, health checks by the exception port, and the same after shunt-dpdk was killed and its far
# end of the wire, made anew, was plugged in again. SHUNT_BIN names the directory of programs.
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=/dev/null
source "$tree/tests/lab/enter.sh"
# shellcheck disable=SC2034
TREE=$tree check=netns/on_tap block_dir=$LAB_DIR
# shellcheck source=/dev/null
source "$tree/tests/vm/document.sh"

# until_succeeds WHAT COMMAND..
until_succeeds() {
	local end=$((SECONDS + 20)) what=$1
	shift
	until "$@"; do
		((SECONDS < end)) || fail "waited in vain: $what"
		sleep 0.1
	done
}

up() {
	shunt show --json --run-dir /run/tap/run 2>&1 |
		jq -e 'length == 2 and all(.[].backends[]; .reachable and .health.state == "up")' >/dev/null 2>&1
}

down() {
	shunt show --json --run-dir /run/tap/run | jq -e 'all(.[].backends[]; .health.state == "down")' >/dev/null
}

gone() {
	! pidof shuntd shunt-dpdk shunt-decap >/dev/null
}

# dataplane LOG: starts it, with the wire's far end where the machine is.
dataplane() {
	run_block dataplane >"$1" 2>&1
	until_succeeds "shunt-dpdk runs" grep -q "engine dpdk with 1 port" "$1"
	run_block wire
}

# served: what is typed last, and what comes of it.
served() {
	run_block ask >"$LAB_DIR/said"
	cat "$LAB_DIR/said"
	(($(grep -cx "hello from the backend" "$LAB_DIR/said") == 2)) || fail "not both pages"
	(($(grep -c -- "-> .* up " "$LAB_DIR/said") == 2)) || fail "not both backends are up"
}

ip link set lo up
log=$LAB_DIR/shunt-dpdk.log
run_block network
run_block backend >"$LAB_DIR/backend.log" 2>&1
run_block balancer >"$LAB_DIR/shuntd.log" 2>&1
dataplane "$log"
run_block addresses
until_succeeds "both backends are up" up
served

kill -KILL "$(pidof shunt-dpdk)"
until_succeeds "without the wire both are down" down
dataplane "$log"
until_succeeds "both are up again, by another wire" up
served

run_block off
[[ -z $(blocks_left) ]] || fail "the document has more blocks for this: $(blocks_left)"
[[ -z $(ip netns list) && ! -e /run/tap ]] || fail "something is left"
until_succeeds "the programs end" gone
