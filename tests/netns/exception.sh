#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The kernel's share of a wire that shunt-dpdk has taken, over the whole balancer, in the demo's
# topology without root: the balancer's own addresses, next hops and the VIPs are all found over
# the one wire, by ARP and neighbour discovery, and nothing is fixed. This makes the lab;
# exception.py plays in it. SHUNT_BIN names the directory of programs.
#
# usage: exception.sh [STEP..]    functions of exception.py; all of them, if none is named
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=/dev/null
source "$tree/tests/lab/enter.sh"

lab_network
lab_backends
lab_web_config -e "s/@lb_mac@/$LAB_LB_MAC/" -e '/gateway_mac: /d' -e '/exception: /d' \
	-e 's/^      mtu: .*/      mtu: 1500\n      answer: arp/'

export LAB_LB_MAC LAB_LB0_MAC
if ! PYTHONPATH=$tree/tests/lab /usr/bin/python3 -B "$tree/tests/netns/exception.py" "${@:2}"; then
	tail -n 40 "$LAB_DIR"/shunt*.log
	exit 1
fi
