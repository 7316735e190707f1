#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Health checks over the whole balancer, in the demo's topology on a plain kernel interface,
# without root. This makes the lab; health.py makes the trouble. SHUNT_BIN names the directory of
# programs.
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=/dev/null
source "$tree/tests/lab/enter.sh"

lab_network
lab_kernel_port
lab_backends
lab_kernel_config
# The one fails open, the other doesn't.
check='check: { type: tcp, port: 8080, interval: 200ms, timeout: 100ms, rise: 2, fall: 3 }'
sed -i -e "s/^    encapsulation: .*/&\n    $check/" \
	-e '/vip: .*:.*:/s/$/\n    all_down: drop/' "$LAB_CONFIG"
lab_kernel_balancer

if ! PYTHONPATH=$tree/tests/lab /usr/bin/python3 -B "$tree/tests/netns/health.py"; then
	tail -n 40 "$LAB_DIR"/shunt*.log
	exit 1
fi
