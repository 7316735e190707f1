#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Engine xdp on an interface that the kernel uses too, in the demo's topology, as root. This makes
# the lab; the Python file that SHUNT_STORY names plays in it: xdp.py sends traffic, xdp_life.py looks
# at how the program comes and goes. SHUNT_BIN names the directory of programs.
# shellcheck disable=SC2153,SC2154 # what topology.sh sets
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export LAB_ENGINE=xdp LAB_WIRE=to-lb
# shellcheck source=/dev/null
source "$tree/tests/lab/enter.sh"

# The demo's services, and one for iperf3.
xdp_config() {
	sed -e "s/@vip_v4@/$LAB_VIP_V4/" -e "s/@vip_v6@/$LAB_VIP_V6/" \
		-e "s/@who_port@/$LAB_WHO_PORT/" -e '/workers: /d' -e '/check: /d' -e '/mac: /d' \
		-e '/mtu: /d' -e '/exception: /d' -e 's/^dataplane:/&\n  engine: xdp/' \
		-e 's/device: .*/device: up0\n      answer: arp/' -e 's/flow_timeout: 5s/flow_timeout: 1m/' \
		"$lab_source/shunt.yaml"
	cat <<-END
		  - name: iperf
		    vip: $LAB_VIP_V4
		    protocol: tcp
		    port: 5201
		    backends: [{ address: 10.0.1.1 }]
	END
}

lab_network
lab_kernel_port
lab_backends
lab_who b1 b2 b3
lab_daemon iperf b1 iperf3 --server
xdp_config >"$LAB_CONFIG"
mkdir -p "$LAB_DIR/state"
head -c 900K /dev/urandom >"$LAB_DIR/upload"

if ! PYTHONPATH=$tree/tests/lab /usr/bin/python3 -B "$tree/tests/netns/$SHUNT_STORY" "${@:2}"; then
	tail -n 40 "$LAB_DIR"/shunt*.log
	exit 1
fi
