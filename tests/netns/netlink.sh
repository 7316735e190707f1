#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Next hops against a real kernel: a veth pair between two network namespaces, inside a user
# namespace, so without root. usage: netlink.sh PATH-OF-netlink_probe
set -eu

if [ "${1:-}" != inside ]; then
	if ! unshare -Urnm true 2>/dev/null; then
		echo "SKIP: user namespaces are refused here (unshare -Urnm)"
		exit 77
	fi
	exec unshare -Urnm --kill-child sh "$0" inside "$1"
fi
probe=$2
work=$(mktemp -d)
peer_pid='' probe_pid=''

finish() {
	status=$?
	trap - EXIT
	for pid in $probe_pid $peer_pid; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	[ $status -eq 0 ] || { echo "--- what the probe said"; cat "$work/log"; ip neigh; }
	rm -rf "$work"
	exit $status
}
trap finish EXIT
trap 'exit 1' INT TERM

peer() { nsenter --target="$peer_pid" --net -- "$@"; }
now_ms() { awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime; }
last() { grep -F "] $1 " "$work/log" | tail -1; }

# expect MILLISECONDS ADDRESS TEXT: the newest line about ADDRESS says TEXT within that time
expect() {
	deadline=$(($(now_ms) + $1))
	until last "$2" | grep -qF -- "$3"; do
		if [ "$(now_ms)" -gt $deadline ]; then
			echo "FAIL: expected within $1 ms: $2 ... $3"
			echo "      the last line is: $(last "$2")"
			exit 1
		fi
		sleep 0.02
	done
}

check() { # check DESCRIPTION COMMAND...
	text=$1
	shift
	if ! "$@"; then
		echo "FAIL: $text"
		exit 1
	fi
}

eventually() { # eventually MILLISECONDS DESCRIPTION COMMAND...
	deadline=$(($(now_ms) + $1)) text=$2
	shift 2
	until "$@"; do
		check "$text" [ "$(now_ms)" -le $deadline ]
		sleep 0.02
	done
}

managed() { ip neigh show "$1" | grep -qw managed; }
none_managed() { ! ip neigh | grep -qw managed; }

step() { echo "$(now_ms) $*"; }

probe_start() { # probe_start SETPRIV-OPTION... ; every wrapper execs, so $! is the probe's pid
	: >"$work/log"
	setpriv --pdeathsig KILL "$@" "$probe" v0 10.20.0.1 10.9.0.3 fd20::1 10.30.0.1 10.40.0.1 10.41.0.1 10.42.0.1 \
		10.99.0.1 10.9.0.1 fd99::1 10.9.0.5 10.9.0.4 >"$work/log" 2>&1 &
	probe_pid=$!
}

probe_stop() {
	kill -TERM "$probe_pid"
	status=0
	wait "$probe_pid" || status=$?
	probe_pid=''
	check "the probe ends well, not with $status" [ $status -eq 0 ]
}

unshare -n setpriv --pdeathsig KILL sleep 60 &
peer_pid=$!
until [ "$(readlink /proc/$peer_pid/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do
	sleep 0.02
done

# Documented but per namespace: peers announce a new MAC; addresses survive a link going down.
ip link set lo up
ip link add v0 address 02:00:00:00:00:01 type veth peer name v1
ip link set v1 address 02:00:00:00:00:02 netns "$peer_pid"
peer sysctl -qw net.ipv4.conf.all.arp_notify=1 net.ipv6.conf.v1.ndisc_notify=1 \
	net.ipv6.conf.v1.keep_addr_on_down=1
ip addr add 10.9.0.1/24 dev v0
ip addr add fd09::1/64 dev v0 nodad
ip link set v0 up
peer ip addr add 10.9.0.2/24 dev v1
peer ip addr add 10.9.0.3/24 dev v1
peer ip addr add 10.9.0.4/24 dev v1
peer ip addr add fd09::2/64 dev v1 nodad
peer ip link set v1 up
ip route add 10.20.0.0/16 via 10.9.0.2 mtu 1400
ip route add fd20::/64 via fd09::2
ip route add 10.30.0.0/16 via inet6 fd09::2
ip neigh add 10.9.0.5 lladdr 02:00:00:00:00:55 dev v0 nud permanent
ip route add blackhole 10.40.0.0/16
ip route add prohibit 10.41.0.0/16
ip route add unreachable 10.42.0.0/16

step "routes, gateways, neighbours, in both families"
probe_start
expect 3000 10.20.0.1 "dev v0 mac 02:00:00:00:00:02 mtu 1400 via 10.9.0.2 src 10.9.0.1 own"
expect 3000 10.20.0.1 "own 02:00:00:00:00:01"
expect 3000 10.9.0.3 "dev v0 mac 02:00:00:00:00:02 mtu 1500 via 10.9.0.3 src 10.9.0.1"
expect 3000 fd20::1 "dev v0 mac 02:00:00:00:00:02 mtu 1500 via fd09::2 src fd09::1"
expect 3000 10.30.0.1 "dev v0 mac 02:00:00:00:00:02 mtu 1500 via fd09::2 src 10.9.0.1"
expect 1000 10.40.0.1 "unreachable: route is a blackhole"
expect 1000 10.41.0.1 "unreachable: route prohibits"
expect 1000 10.42.0.1 "unreachable: no route"
expect 1000 10.99.0.1 "unreachable: no route"
expect 1000 fd99::1 "unreachable: no route"
expect 1000 10.9.0.1 "unreachable: address is this machine's own"
expect 1000 link "v0 own 02:00:00:00:00:01 mtu 1500"
expect 3000 10.9.0.4 "mac 02:00:00:00:00:02"
expect 1000 10.9.0.5 "mac 02:00:00:00:00:55"
check "an answer has no reason" [ "$(grep -c 'with a reason' "$work/log")" -eq 0 ]

if ip neigh help 2>&1 | grep -q managed; then
	step "neighbours are managed while wanted"
	check "the gateway is managed" managed 10.9.0.2
	check "the IPv6 gateway is managed" managed fd09::2
	check "the last one is managed" managed 10.9.0.4
	kill -USR2 $probe_pid
	sleep 0.2
	kill -USR1 $probe_pid
	sleep 0.2
	check "the last one is released" sh -c '! ip neigh show 10.9.0.4 | grep -qw managed'
	check "the gateway stays managed" managed 10.9.0.2
fi

step "a gateway's new MAC"
sleep 1 # the kernel holds on to an address that was confirmed within the last second
peer ip link set v1 address 02:00:00:00:00:12
expect 1000 10.20.0.1 "mac 02:00:00:00:00:12"
expect 1000 fd20::1 "mac 02:00:00:00:00:12"
expect 1000 10.30.0.1 "mac 02:00:00:00:00:12"

step "MTU by metric and by link"
ip route replace 10.20.0.0/16 via 10.9.0.2 mtu 1300
expect 1000 10.20.0.1 "mtu 1300"
ip link set v0 mtu 1280
expect 1000 10.20.0.1 "mtu 1280"
expect 1000 link "mtu 1280"
ip link set v0 mtu 1500
expect 1000 10.20.0.1 "mtu 1300"
expect 1000 10.9.0.3 "mtu 1500"

step "routes, rules and addresses come and go"
ip route add 10.99.0.0/16 via 10.9.0.2
expect 1000 10.99.0.1 "mac 02:00:00:00:00:12"
ip rule add to 10.99.0.0/16 prohibit
expect 1000 10.99.0.1 "unreachable: route prohibits"
ip rule del to 10.99.0.0/16 prohibit
expect 1000 10.99.0.1 "mac 02:00:00:00:00:12"
ip addr add 10.99.0.1/32 dev v0
expect 1000 10.99.0.1 "unreachable: address is this machine's own"
ip addr del 10.99.0.1/32 dev v0
expect 1000 10.99.0.1 "mac 02:00:00:00:00:12"

step "a permanent neighbour is not touched"
ip neigh replace 10.9.0.3 lladdr 02:00:00:00:00:77 dev v0 nud permanent
expect 1000 10.9.0.3 "mac 02:00:00:00:00:77"
kill -USR1 $probe_pid
sleep 0.3
check "it is permanent still" sh -c 'ip neigh show 10.9.0.3 | grep -q PERMANENT'
check "so is the one that was first" sh -c 'ip neigh show 10.9.0.5 | grep -q PERMANENT'
ip neigh del 10.9.0.3 dev v0
expect 3000 10.9.0.3 "mac 02:00:00:00:00:12"

step "a failed neighbour keeps its MAC for five seconds"
peer ip link set v1 arp off
failed_ms=$(now_ms)
ip neigh change 10.9.0.2 dev v0 nud failed
sleep 4.5
check "it has its MAC after 4.5 s" sh -c "ip neigh show 10.9.0.2 | grep -qE 'FAILED|INCOMPLETE'"
expect 0 10.20.0.1 "mac 02:00:00:00:00:12"
expect 1500 10.20.0.1 "unreachable: neighbour unresolved"
lost_ms=$(last 10.20.0.1 | sed 's/^\[\([0-9]*\)\].*/\1/')
check "held for $((lost_ms - failed_ms)) ms" [ $((lost_ms - failed_ms)) -ge 4950 ]
check "held for $((lost_ms - failed_ms)) ms" [ $((lost_ms - failed_ms)) -le 5600 ]
peer ip link set v1 arp on
expect 3000 10.20.0.1 "mac 02:00:00:00:00:12"

step "a link goes down and comes back"
peer ip link set v1 down
expect 1000 10.20.0.1 "unreachable: link down"
expect 1000 fd20::1 "unreachable: "
peer ip link set v1 up
expect 2000 10.20.0.1 "mac 02:00:00:00:00:12"
check "the MAC was held over the gap" [ "$(grep -F '] 10.20.0.1 ' "$work/log" | tail -2 |
	grep -c 'neighbour unresolved')" -eq 0 ]
ip link set v0 down
expect 1000 10.20.0.1 "unreachable: no route"
ip link set v0 up
ip addr add fd09::1/64 dev v0 nodad
ip route add fd20::/64 via fd09::2
ip route add 10.20.0.0/16 via 10.9.0.2
expect 2000 10.20.0.1 "mac 02:00:00:00:00:12"
ip route add 10.99.0.0/16 via 10.9.0.2
expect 2000 10.99.0.1 "mac 02:00:00:00:00:12"

step "an overrun of the socket loses no change" # those come after it, and are lost at first
kill -STOP $probe_pid
awk 'BEGIN { for (i = 0; i < 20000; i++)
	printf "route add 10.%d.%d.0/24 dev v0 table 100\n", 100 + i / 256, i % 256 }' |
	ip -batch -
ip route del 10.99.0.0/16
ip link set v0 address 02:00:00:00:00:21
kill -CONT $probe_pid
expect 2000 10.99.0.1 "unreachable: no route"
expect 1000 10.20.0.1 "own 02:00:00:00:00:21"
kill -USR1 $probe_pid
sleep 0.2
check "there was an overrun" grep -q "^overruns [1-9]" "$work/log"

step "the end releases the neighbours"
if ip neigh help 2>&1 | grep -q managed; then
	eventually 3000 "the gateway is managed again" managed 10.9.0.2
fi
probe_stop
check "nothing is managed" none_managed

step "without privilege"
ip neigh flush all
probe_start --bounding-set=-all --inh-caps=-all --no-new-privs
expect 3000 10.20.0.1 "mac 02:00:00:00:00:12"
expect 3000 10.9.0.3 "mac 02:00:00:00:00:12"
expect 3000 fd20::1 "mac 02:00:00:00:00:12"
check "nothing is managed" none_managed
probe_stop
step "done"
