#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Either program dies by kill -9 and comes back, under hundreds of connections whose backends
# the Maglev tables have left: none of them may notice (restart.py). Here is the lab for it: the
# demo's with two more backends, the balancer on a kernel interface. SHUNT_BIN names the directory of
# programs, LAB_ENGINE the engine, SHUNT_STORY another story than restart.py.
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=/dev/null
source "$tree/tests/lab/enter.sh"

lab_network
for number in 4 5; do
	lab_namespace "b$number"
	lab_link "b$number" 1600 "10.0.$number.1" "2001:db8:$number::1"
	ip -n "b$number" address add "$LAB_VIP_V4/32" dev lo
	ip -n "b$number" address add "$LAB_VIP_V6/128" dev lo nodad
done
lab_kernel_port
lab_backends_start b1 b2 b3 b4 b5
lab_who b1 b2 b3 b4 b5
PYTHONPATH=$tree/tests/lab lab_in client /usr/bin/python3 -B "$tree/tests/netns/${SHUNT_STORY:-restart.py}"
