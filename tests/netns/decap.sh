#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# shunt-decap on real packets: a client, a balancer and a backend, each in a network namespace of
# its own. For --mode tun they are made inside a user namespace, so that no root is needed; xdp and
# tc need root outside of one, and get a BPF file system that ends with the test.
#
#   client ---- b-client  backend  b-balancer ---- balancer
#
# The balancer's side wraps packets; the backend has the VIP on lo and answers the client directly.
# The backend's reverse path filter is set to strict, which shunt-decap has to cope with.
#
# usage: decap.sh PROGRAM [tun|xdp|tc]    exit: 0 passed, 1 failed, 77 cannot run here
set -eu

here=$(cd "$(dirname "$0")" && pwd)
program=${1:-${SHUNT_DECAP:-build/dataplane/decap/shunt-decap}}
mode=${2:-tun}
python=/usr/bin/python3

skip() {
	echo "skipped: $1"
	exit 77
}

if [ -z "${SHUNT_DECAP_INSIDE:-}" ]; then
	[ -x "$program" ] || { echo "failed: no program at '$program'"; exit 1; }
	[ -e /dev/net/tun ] || skip "/dev/net/tun is missing: modprobe tun"
	command -v nsenter >/dev/null || skip "nsenter is missing: apt-get install util-linux"
	command -v ip >/dev/null || skip "ip is missing: apt-get install iproute2"
	$python -c 'import scapy' 2>/dev/null ||
		skip "scapy is missing: apt-get install python3-scapy"
	export SHUNT_DECAP_INSIDE=1
	if [ "$mode" != tun ]; then
		[ "$(id -u)" = 0 ] || skip "--mode $mode needs root"
		command -v tc >/dev/null || skip "tc is missing: apt-get install iproute2"
		exec unshare --net --mount --pid --fork --kill-child --mount-proc \
			"$0" "$(readlink -f "$program")" "$mode"
	fi
	unshare -Urnm true 2>/dev/null ||
		skip "user namespaces are refused: sysctl -w kernel.unprivileged_userns_clone=1"
	exec unshare -Urnm "$0" "$(readlink -f "$program")" "$mode"
fi

# A private /run, since ip keeps its namespaces there. Everything made below disappears with the
# last process in the user namespace.
mount -t tmpfs tmpfs /run
if [ "$mode" != tun ]; then
	mount -t bpf bpf /sys/fs/bpf 2>/dev/null || skip "the kernel has no BPF file system"
fi
scratch=/run/decap
mkdir "$scratch"

in_ns() {
	local name=$1
	shift
	nsenter --net="/run/netns/$name" "$@"
}

# link NS INTERFACE MAC V4 V6: one end in NS, the other (b-NS) in the backend, whose addresses end
# in .254 and ::fe. Both sides know each other's MAC: discovery would cost the first second.
link() {
	ip link add "$2" netns "$1" address "$3" mtu 1600 type veth \
		peer "b-$1" netns backend address "02:00:00:00:00:f${3: -1}" mtu 1600
	in_ns "$1" ip address add "$4/24" dev "$2"
	in_ns "$1" ip address add "$5/64" dev "$2" nodad
	in_ns backend ip address add "${4%.*}.254/24" dev "b-$1"
	in_ns backend ip address add "${5%::*}::fe/64" dev "b-$1" nodad
	in_ns "$1" ip link set "$2" up
	in_ns backend ip link set "b-$1" up
	for address in "$4" "$5"; do
		in_ns backend ip neigh add "$address" lladdr "$3" dev "b-$1"
	done
	for address in "${4%.*}.254" "${5%::*}::fe"; do
		in_ns "$1" ip neigh add "$address" lladdr "02:00:00:00:00:f${3: -1}" dev "$2"
	done
}

for ns in client balancer backend; do
	ip netns add "$ns"
	in_ns "$ns" ip link set lo up
done
link client eth0 02:00:00:00:00:01 198.51.100.2 2001:db8:1::2
link balancer eth0 02:00:00:00:00:02 10.0.0.1 fd00::1
in_ns backend ip address add 203.0.113.10/32 dev lo
in_ns backend ip address add 2001:db8:ff::10/128 dev lo nodad
# sh, because the setting belongs to the namespace of the process that opens the file.
in_ns backend sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter'
in_ns backend sh -c 'echo 1 >/proc/sys/net/ipv4/conf/default/rp_filter'

cd "$scratch"
script=decap_packets.py
[ "$mode" = tun ] || script=decap_kernel.py
exec timeout 80 $python -B "$here/$script" "$1" "$scratch" "$here/../../docs/shunt-decap.8" "$mode"
