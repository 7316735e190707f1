#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Two balancers with different engines behind a router that shares flows out between them: one is
# stopped, then the other, and no flow may notice (ecmp.py). Here is the lab for it: the demo's, with
# a second balancer, each on an interface of its kernel. Root, for the engine in the kernel. SHUNT_BIN
# names the directory of programs.
#
#   client ── router ─┬─ lb    shunt-xdp     the router's routes to the VIPs have two next hops;
#               │     └─ lb2   shunt-dpdk    it hashes addresses and ports
#               └── b1, b2, b3
# shellcheck disable=SC2153,SC2154 # what topology.sh sets
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export LAB_ENGINE=xdp
# shellcheck source=/dev/null
source "$tree/tests/lab/enter.sh"

lab_network
lab_namespace lb2
lab_kernel_wire lb 9
LAB_ENGINE=dpdk lab_kernel_wire lb2 8
lab_in router sh -c 'echo 1 >/proc/sys/net/ipv4/fib_multipath_hash_policy
	echo 1 >/proc/sys/net/ipv6/fib_multipath_hash_policy'
# Between namespaces a packet keeps the hash that its socket's kernel gave it, and the router takes that.
# A kernel that has sent again in vain would choose another, and so another way.
lab_in client sh -c 'echo 0 >/proc/sys/net/core/txrehash'
# Packets are counted one by one, so none may travel as a part of a larger one.
lab_in client ethtool -K eth0 tso off gso off
lab_in router ethtool -K to-lb gro off
lab_backends_start b1 b2 b3
lab_who b1 b2 b3
for name in b1 b2 b3; do
	lab_daemon "iperf-$name" "$name" iperf3 --server --bind "$LAB_VIP_V4"
done

# In the router, where the packets go by that are counted.
if ! PYTHONPATH=$tree/tests/lab lab_in router /usr/bin/python3 -B "$tree/tests/netns/ecmp.py"; then
	tail -n 20 "$LAB_DIR"/shunt*.log
	exit 1
fi
