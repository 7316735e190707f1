#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Tables change every 10 ms while connections are made, whose handshakes take two such changes
# each: the way back to the client is slowed down. None may break (handshake.py). SHUNT_BIN names
# the directory of programs, LAB_ENGINE the engine.
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=/dev/null
source "$tree/tests/lab/enter.sh"

lab_network
lab_kernel_port
lab_backends
lab_kernel_config
lab_daemon shuntd lb shuntd -f "$LAB_CONFIG" --run-dir /run/shunt --state-dir "$LAB_DIR/state"
lab_daemon delay router /usr/bin/python3 -B "$tree/tests/lab/delay.py" router client 20
lab_wait 30 shuntd test -S /run/shunt/api.sock
lab_engine
lab_wait 30 delay grep -q ready "$LAB_DIR/delay.log"
for namespace in router client; do
	ip -n "$namespace" link set slow up mtu 1500
done
ip -n router route add "$LAB_CLIENT_V4/32" dev slow
ip -n router route add "$LAB_CLIENT_V6/128" dev slow

if ! PYTHONPATH=$tree/tests/lab /usr/bin/python3 -B "$tree/tests/netns/handshake.py"; then
	tail -n 20 "$LAB_DIR"/shunt*.log
	exit 1
fi
