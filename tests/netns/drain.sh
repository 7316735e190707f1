#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Backends leave and come back under hundreds of connections, and every flow that they still have
# is counted (drain.py). Here is the lab for it: the demo's, the balancer on a kernel interface,
# without root. SHUNT_BIN names the directory of programs.
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=/dev/null
source "$tree/tests/lab/enter.sh"

lab_network
lab_kernel_port
lab_backends_start b1 b2 b3
lab_in client /usr/bin/python3 -B "$tree/tests/netns/drain.py"
