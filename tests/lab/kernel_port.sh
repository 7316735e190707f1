# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: BSD-2-Clause
# The lab with the balancer on an interface of the kernel (net_af_packet, or an engine in the
# kernel) in place of the demo's net_tap: to be sourced after topology.sh.

# lab_kernel_wire NAMESPACE NUMBER: between the router and an interface of a balancer's kernel,
# addresses and all. The router finds it by ARP and ND.
lab_kernel_wire() {
	local name=$1 number=$2
	ip -n router link add "to-$name" mtu 1600 type veth peer up0 netns "$name" mtu 1600
	# What the router sends has to carry finished checksums: no NIC finishes them here.
	lab_in router ethtool -K "to-$name" tx off >/dev/null
	ip -n router -batch - <<-END
		address add 10.0.$number.254/24 dev to-$name
		address add 2001:db8:$number::fe/64 dev to-$name nodad
		link set to-$name up
	END
	ip -n "$name" -batch - <<-END
		address add 10.0.$number.1/24 dev up0
		address add 2001:db8:$number::1/64 dev up0 nodad
		link set up0 up
		route add default via 10.0.$number.254
		route add default via 2001:db8:$number::fe
	END
	[[ $LAB_ENGINE == dpdk ]] || lab_native router "to-$name"
}

# The balancer's wire, and static routes of the VIPs there.
lab_kernel_port() {
	lab_kernel_wire lb 9
	ip -n router -batch - <<-END
		route add $LAB_VIP_V4/32 via 10.0.9.1
		route add $LAB_VIP_V6/128 via 2001:db8:9::1
	END
}

# lab_web_config SED-OPTIONS..: the demo's configuration, changed so, with its web services alone,
# without checks, on one worker.
lab_web_config() {
	sed -e "s/@vip_v4@/$LAB_VIP_V4/" -e "s/@vip_v6@/$LAB_VIP_V6/" -e '/workers: /d' \
		-e '/flow_timeout: /d' -e '/check: /d' -e '/name: who4/,$d' "$@" \
		"$lab_source/shunt.yaml" >"$LAB_CONFIG"
}

lab_kernel_config() {
	local device=net_af_packet0,iface=up0
	[[ $LAB_ENGINE == dpdk ]] || device=up0
	lab_web_config -e '/mac: /d' -e '/mtu: /d' -e "s/net_tap0,iface=lb0/$device/" \
		-e "s/^dataplane:/&\n  engine: $LAB_ENGINE/"
}

# Both programs on that configuration.
lab_kernel_balancer() {
	lab_daemon shuntd lb shuntd -f "$LAB_CONFIG" --run-dir /run/shunt --state-dir "$LAB_DIR/state"
	lab_daemon shunt-dpdk lb shunt-dpdk -f "$LAB_CONFIG" --run-dir /run/shunt
	lab_wait 30 shuntd test -S /run/shunt/api.sock
	lab_wait 30 shunt-dpdk grep -q 'engine dpdk with' "$LAB_DIR/shunt-dpdk.log"
}
