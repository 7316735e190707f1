#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Encapsulation l2 on one segment, without root unless LAB_ENGINE is in the kernel:
#
#   client ── router ── bridge ── lb, b1, b2
#
# The router sends the VIPs to the lb, which gives the frames, as they are but for their MACs, to
# the backends; these take nothing off and answer the router. The dataplane runs on a plain kernel
# interface (shunt-dpdk by net_af_packet), next hops are the kernel's.
# SHUNT_BIN names the directory of programs.
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=/dev/null
source "$tree/tests/lab/enter.sh"
mkdir -p "$LAB_DIR/www"
wires=0

# wire NAMESPACE INTERFACE HOST: a wire to the bridge, with 10.0.9.HOST and 2001:db8:9::HOST. No
# NIC finishes checksums here, so whoever sends has to.
wire() {
	local namespace=$1 interface=$2 host=$3 port=port$((++wires))
	ip link add "$interface" netns "$namespace" type veth peer "$port" netns segment
	lab_in "$namespace" ethtool -K "$interface" tx off >/dev/null
	ip -n segment link set "$port" master br0 up
	ip -n "$namespace" -batch - <<-END
		address add 10.0.9.$host/24 dev $interface
		address add 2001:db8:9::$host/64 dev $interface nodad
		link set $interface up
	END
}

default_route() {
	ip -n "$1" -batch - <<-END
		route add default via 10.0.9.254
		route add default via 2001:db8:9::254
	END
}

link_segment() {
	local namespace
	for namespace in router client lb segment b1 b2; do
		lab_namespace "$namespace"
	done
	lab_in router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
		echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
	ip -n segment link add br0 type bridge
	ip -n segment link set br0 up
	lab_link client 1500 "$LAB_CLIENT_V4" "$LAB_CLIENT_V6"
	wire router to-segment 254
	wire lb up0 1
	[[ $LAB_ENGINE == dpdk ]] || lab_native segment "port$wires"
	wire b1 eth0 11
	wire b2 eth0 12
	for namespace in lb b1 b2; do
		default_route "$namespace"
	done
	ip -n router -batch - <<-END
		route add $LAB_VIP_V4/32 via 10.0.9.1
		route add $LAB_VIP_V6/128 via 2001:db8:9::1
	END
}

# What docs/backends.md asks of an l2 backend, and a web server.
backend() {
	lab_in "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore
		echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce'
	ip -n "$1" address add "$LAB_VIP_V4/32" dev lo
	ip -n "$1" address add "$LAB_VIP_V6/128" dev lo nodad
	mkdir "$LAB_DIR/$1"
	lab_nginx_config "$1" >"$LAB_DIR/$1/nginx.conf"
	lab_daemon "nginx-$1" "$1" nginx -e stderr -c "$LAB_DIR/$1/nginx.conf"
	lab_wait 30 "nginx-$1" test -s "$LAB_DIR/$1/pid"
}

# The gateway_mac is nobody's: of these services, only `wrapped` may use it.
write_config() {
	local device=net_af_packet0,iface=up0
	[[ $LAB_ENGINE == dpdk ]] || device=up0
	cat >"$LAB_CONFIG" <<-END
		version: 1
		fleet_seed: "5f1c0ffee5ba1ad5beadedc0de2b1a5e"
		dataplane:
		  engine: $LAB_ENGINE
		  interfaces:
		    - name: uplink0
		      device: "$device"
		      gateway_mac: "02:00:00:00:00:66"
		  flows: 100K
		defaults: { encapsulation: l2 }
		services:
		  - name: web4
		    vip: $LAB_VIP_V4
		    protocol: tcp
		    port: 80
		    backends: [{ address: 10.0.9.11 }, { address: 10.0.9.12 }]
		  - name: web6
		    vip: $LAB_VIP_V6
		    protocol: tcp
		    port: 80
		    backends: [{ address: "2001:db8:9::11" }, { address: "2001:db8:9::12" }]
		  - name: far4
		    vip: $LAB_VIP_V4
		    protocol: tcp
		    port: 81
		    backends: [{ address: 10.0.3.1 }]
		  - name: far6
		    vip: $LAB_VIP_V6
		    protocol: tcp
		    port: 81
		    backends: [{ address: "2001:db8:3::1" }]
		  - name: unrouted
		    vip: $LAB_VIP_V4
		    protocol: tcp
		    port: 82
		    backends: [{ address: 10.0.5.1 }]
		  - name: wrapped
		    vip: $LAB_VIP_V4
		    protocol: tcp
		    port: 83
		    encapsulation: ipip
		    backends: [{ address: 10.0.9.11 }]
	END
}

# of SERVICE JQ: what is shown of its first backend.
of() {
	lab_in lb shunt show --run-dir /run/shunt --json |
		jq -r --arg name "$1" ".[] | select(.name == \$name) | .backends[0] | $2"
}

is() { # is WHAT GOT WANTED
	[[ $2 == "$3" ]] || fail "$1: got '$2', wanted '$3'"
}

shows() { # shows SERVICE JQ WANTED
	[[ $(of "$1" "$2") == "$3" ]]
}

mac_of() {
	ip -n "$1" -json link show dev "$2" | jq -r '.[0].address'
}

# get ADDRESS [OPTION..]: the name of the backend that answered, from a new connection.
get() {
	local address=$1
	shift
	lab_in client curl -s -m 10 -o /dev/null -w '%header{x-backend}' "$@" "http://$address/"
}

# answers WHAT: both families and both backends do, twenty connections each.
answers() {
	local address name names
	for address in "$LAB_VIP_V4" "[$LAB_VIP_V6]"; do
		names=''
		for _ in {1..20}; do
			name=$(get "$address") || fail "$1: no answer from $address"
			names+=" $name"
		done
		[[ $names == *b1* && $names == *b2* ]] || fail "$1: $address is answered by$names"
	done
	echo "ok   $1"
}

received_bytes() {
	ip -n lb -json -s link show dev up0 | jq '.[0].stats64.rx.bytes'
}

link_segment
backend b1
backend b2
write_config
head -c 16M /dev/urandom >"$LAB_DIR/www/large"
head -c 500K /dev/urandom >"$LAB_DIR/upload"
lab_daemon shuntd lb shuntd -f "$LAB_CONFIG" --run-dir /run/shunt --state-dir "$LAB_DIR/state"
lab_wait 30 shuntd test -S /run/shunt/api.sock
lab_engine

b1_mac=$(mac_of b1 eth0)
lab_wait 10 shuntd shows web4 .next_hop.mac "$b1_mac"
lab_wait 10 shuntd shows web6 .next_hop.mac "$b1_mac"
is "the same backend, wrapped" "$(of wrapped .next_hop.mac)" 02:00:00:00:00:66
echo "ok   an l2 backend is its own next hop, whatever gateway_mac says"

is "far4" "$(of far4 .reason)" \
	"10.0.3.1 is behind the gateway 10.0.9.254; l2 needs it on the same segment"
is "far6" "$(of far6 .reason)" \
	"2001:db8:3::1 is behind the gateway 2001:db8:9::254; l2 needs it on the same segment"
is "far4" "$(of far4 .reachable)" false
ip -n lb route add unreachable 10.0.5.0/24
lab_wait 5 shuntd shows unrouted .reason "no route to 10.0.5.1 over uplink0"
echo "ok   a backend behind a gateway, or without a route, is not reachable"

# Whoever asks the segment for the VIPs gets no answer from the backends.
for vip in "$LAB_VIP_V4" "$LAB_VIP_V6"; do
	ip -n lb route add "$vip" dev up0
	lab_in lb bash -c "echo >/dev/udp/$vip/9"
done
sleep 1
for vip in "$LAB_VIP_V4" "$LAB_VIP_V6"; do
	[[ $(ip -n lb neighbour show to "$vip") == *"dev up0"* ]] || fail "nobody asked for $vip"
	[[ $(ip -n lb neighbour show to "$vip") != *lladdr* ]] || fail "a backend claims $vip"
	ip -n lb route delete "$vip" dev up0
done
echo "ok   no backend claims a VIP"

answers "both families answer"
for address in "$LAB_VIP_V4" "[$LAB_VIP_V6]"; do
	[[ $(get "$address" --data-binary "@$LAB_DIR/upload") == b? ]] || fail "upload to $address"
done
echo "ok   full frames fit: nothing is wrapped around them"

before=$(received_bytes)
for address in "$LAB_VIP_V4" "[$LAB_VIP_V6]"; do
	lab_in client curl -s -m 30 -o "$LAB_DIR/copy" "http://$address/large"
	cmp "$LAB_DIR/copy" "$LAB_DIR/www/large" || fail "the download from $address is damaged"
done
grown=$(($(received_bytes) - before))
((grown < 4000000)) || fail "the balancer received $grown bytes while 32 MB were answered"
echo "ok   replies go past the balancer: it received $grown bytes for 32 MB"

text=$(lab_in lb shunt explain --run-dir /run/shunt "tcp $LAB_CLIENT_V4:4242 $LAB_VIP_V4:80")
[[ $text == *"l2, no header"*"$(mac_of lb up0) -> "* ]] || fail "explain says: $text"

# The backend's address moves to another NIC, and the kernel learns of it.
ip -n b1 link set eth0 address 02:00:00:00:09:11
ip -n lb neighbour replace 10.0.9.11 lladdr 02:00:00:00:09:11 dev up0 nud reachable
ip -n lb neighbour replace 2001:db8:9::11 lladdr 02:00:00:00:09:11 dev up0 nud reachable
lab_wait 2 shuntd shows web4 .next_hop.mac 02:00:00:00:09:11
lab_wait 2 shuntd shows web6 .next_hop.mac 02:00:00:00:09:11
answers "a backend's new MAC is taken up"

dropped=$(lab_in lb shunt show drops --run-dir /run/shunt --json |
	jq -r '.verdicts[] | select(.action == "drop" and .packets > 0) | .reason')
for reason in no_backend no_next_hop unmatched bad_csum too_big_df queue_full; do
	! grep -qx "$reason" <<<"$dropped" || fail "some packets were dropped: $reason"
done
echo "ok   nothing was dropped on the way"
