# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: BSD-2-Clause
# To be sourced first by a test that plays in the demo's topology: runs that test anew inside
# namespaces of its own, which end with it, and defines the lab's functions there. Needs SHUNT_BIN,
# the directory of programs, and `tree`, the checkout.
if [[ ${1:-} != inside ]]; then
	if ! unshare -Urnmpf true 2>/dev/null; then
		echo "user namespaces are refused here (unshare -Urnmpf)"
		exit 77
	fi
	exec unshare --user --map-root-user --net --mount --pid --fork --kill-child --mount-proc \
		bash "$0" inside
fi
PATH=$SHUNT_BIN:$PATH:/usr/sbin:/sbin
mount -t tmpfs tmpfs /run
# shellcheck source=/dev/null
source "$tree/tests/lab/topology.sh"
# shellcheck source=/dev/null
source "$tree/tests/lab/kernel_port.sh"
mkdir -p "$LAB_DIR" /run/shunt

fail() {
	echo "FAIL: $*"
	tail -n 20 "$LAB_DIR"/shunt*.log
	exit 1
}
