#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The whole balancer on a plain kernel interface (net_af_packet): its MAC, MTU and next hops are
# the kernel's, nothing is fixed. Real HTTP through it; either process first; a gateway that
# changes its MAC; shuntd killed under traffic. In the demo's topology, without root.
# SHUNT_BIN names the directory of programs.
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=/dev/null
source "$tree/tests/lab/enter.sh"

start_shuntd() {
	lab_daemon shuntd lb shuntd -f "$LAB_CONFIG" --run-dir /run/shunt --state-dir "$LAB_DIR/state"
}

# get ADDRESS: the name of the backend that answered, from a new connection.
get() {
	lab_in client curl -s -m 5 -o /dev/null -w '%header{x-backend}' "http://$1/"
}

# answers WHAT: both families do, ten connections each.
answers() {
	local address
	for address in "$LAB_VIP_V4" "[$LAB_VIP_V6]"; do
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			[[ $(get "$address") == b? ]] || fail "$1: no answer from $address"
		done
	done
	echo "ok   $1"
}

lab_network
lab_kernel_port
lab_backends
lab_kernel_config

# The dataplane first, and shuntd later.
lab_daemon shunt-dpdk lb shunt-dpdk -f "$LAB_CONFIG" --run-dir /run/shunt
lab_wait 30 shunt-dpdk grep -q 'engine dpdk with' "$LAB_DIR/shunt-dpdk.log"
start_shuntd
lab_wait 30 shuntd test -S /run/shunt/api.sock

# reachable COUNT: so many backends have a next hop.
reachable() {
	local found
	found=$(lab_in lb shunt show --run-dir /run/shunt --json | grep -c '"reachable": true' || true)
	((found == $1))
}
lab_wait 10 shuntd reachable 6
answers "next hops are found in the kernel"

# Another router takes the gateway's address over, and the kernel learns of it.
ip -n router link set to-lb address 02:00:00:00:09:99
ip -n lb neighbour replace 10.0.9.254 lladdr 02:00:00:00:09:99 dev up0 nud reachable
ip -n lb neighbour replace 2001:db8:9::fe lladdr 02:00:00:00:09:99 dev up0 nud reachable
moved() {
	local found
	found=$(lab_in lb shunt show --run-dir /run/shunt --json | grep -c '"mac": "02:00:00:00:09:99"' ||
		true)
	((found == 6))
}
lab_wait 1 shuntd moved
answers "a gateway's new MAC is taken up within a second"

# shuntd dies without a word; nothing is asked of it to forward.
kill -KILL "$(<"$LAB_DIR/shuntd.pid")"
wait "$(<"$LAB_DIR/shuntd.pid")" 2>/dev/null || true
answers "the dataplane forwards without shuntd"
rm -f /run/shunt/api.sock
start_shuntd
lab_wait 30 shuntd test -S /run/shunt/api.sock
lab_wait 10 shuntd reachable 6
answers "shuntd is back"

dropped=$(lab_in lb shunt show drops --run-dir /run/shunt --json |
	jq -r '.verdicts[] | select(.action == "drop" and .packets > 0) | .reason')
for reason in no_backend no_next_hop unmatched bad_csum queue_full; do
	! grep -qx "$reason" <<<"$dropped" || fail "some packets were dropped: $reason"
done
echo "ok   nothing was dropped on the way"
