#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# On the machine: the demo's lab with the guest's second NIC, `tap1` here, in the balancer's place. It
# ends with the guest.
#
# usage: lab.sh make               the lab, unless it is there
#        lab.sh plug               the NIC's other end becomes the router's, for a guest whose kernel
#                                  answers there for 10.0.8.1 and 2001:db8:8::1
#        lab.sh config DEVICE      prints the demo's web services, with their checks, for this device
#        lab.sh lab_in NAMESPACE COMMAND..
#        lab.sh serves SECONDS     connections of both families for so long, at least 60; prints how
#                                  many each backend answered, and fails where one got no answer
#        lab.sh download           begins one of 8 MiB, which takes 4 s; downloaded waits for its end, and
#                                  fails where it is not the file
#        lab.sh demo DEVICE PORT   the demo's steps, with the balancer's programs in the guest, by agent.py at PORT;
#                                  where LAB_EXPLAINED is set, as a person reads them
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=/dev/null
source "$here/../lab/topology.sh"

make() {
	[[ ! -d $LAB_DIR ]] || return 0
	mkdir "$LAB_DIR"
	export LAB_LARGE=8M
	lab_network
	lab_backends
	ip link set tap1 netns router name lb0
	ip -n router link set lb0 address "$LAB_LB0_MAC" mtu 1600 up
	ip netns attach machine $$
	lab_link machine 1500 10.0.7.1 2001:db8:7::1
	echo 1 >/proc/sys/net/ipv4/ip_forward
	echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
	ip -n router route add 10.77.0.0/24 via 10.0.7.1
	ip -n router route add fd77::/64 via 2001:db8:7::1
}

plug() {
	ip -n router -batch - <<-END
		address replace 10.0.8.254/24 dev lb0
		address replace 2001:db8:8::fe/64 dev lb0 nodad
		address replace fe80::fe/64 dev lb0 nodad
		route replace $LAB_VIP_V4/32 via 10.0.8.1
		route replace $LAB_VIP_V6/128 via 2001:db8:8::1
	END
}

# The MAC is the NIC's own, the gateway's the kernel finds out.
config() {
	sed -e "s/@vip_v4@/$LAB_VIP_V4/" -e "s/@vip_v6@/$LAB_VIP_V6/" -e '/name: who4/,$d' \
		-e '/workers: /d' -e '/mac: /d' -e '/exception: /d' -e 's/mtu: 1504/mtu: 1600/' \
		-e 's/interval: 300ms, timeout: 300ms/interval: 1s, timeout: 1s/' \
		-e "s/net_tap0,iface=lb0/$1/" "$here/../lab/shunt.yaml"
}

serves() {
	local end=$((SECONDS + $1)) count=0 vip
	while ((count < 60 || SECONDS < end)); do
		for vip in "$LAB_VIP_V4" "[$LAB_VIP_V6]"; do
			lab_in client curl -sf -m 10 -o /dev/null -w '%header{x-backend}\n' "http://$vip/" ||
				echo "no answer from $vip"
			count=$((count + 1))
		done
	done | sort | uniq -c | tee /run/served
	! grep 'no answer' /run/served
}

download() {
	lab_in client curl -sf -m 100 --limit-rate 2M -o /run/large "http://$LAB_VIP_V4/large" \
		>/run/download.log 2>&1 &
	echo $! >/run/download.pid
	until [[ -s /run/large ]]; do
		kill -0 $!
		sleep 0.1
	done
}

downloaded() {
	tail --pid "$(</run/download.pid)" -f /dev/null
	cmp /run/large "$LAB_DIR/www/large"
}

# Health checks leave the guest by its other NIC, as they do in the demo. `dataplane_dies` is not
# among the steps: on a wire that outlives the dataplane, what is lost meanwhile has no verdict.
demo() {
	local told=(--ci)
	# Without a link-local address the router is silent: the NIC keeps what is sent to groups, unseen.
	ip -n router address flush dev lb0
	ip -n router -6 route flush exact "$LAB_VIP_V6"
	mkdir /run/remote
	for program in shunt shuntd shunt-dpdk; do
		ln -s "$here/remote.py" "/run/remote/$program"
	done
	export PATH=/run/remote:$PATH REMOTE="10.77.0.2 $2" LAB_DEVICE=$1 LAB_BUILT_AT=$EPOCHREALTIME
	export LAB_STEPS="first_packet connections spread drain shuntd_dies server_dies books" LAB_CONNECTIONS=400
	mkdir "$LAB_DIR/tmp"
	[[ -z ${LAB_EXPLAINED:-} ]] || told=()
	lab_who b1 b2 b3
	lab_balancer
	disown -a # or bash reports each one that is killed
	python3 -B "$here/../lab/steps.py" "${told[@]}"
	for program in shunt-dpdk shuntd; do
		kill "$(<"$LAB_DIR/$program.pid")"
		tail --pid "$(<"$LAB_DIR/$program.pid")" -f /dev/null
	done
}

"$@"
