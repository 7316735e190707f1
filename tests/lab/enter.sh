# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: BSD-2-Clause
# To be sourced first by a test that plays in the demo's topology: runs that test anew inside
# namespaces of its own, which end with it, and defines the lab's functions there. Needs SHUNT_BIN,
# the directory of programs, and `tree`, the checkout. LAB_ENGINE names the engine (dpdk); the ones
# in the kernel need BPF, which a user namespace doesn't have, and so a root that is real.
if [[ ${1:-} != inside ]]; then
	lab_namespaces=(--net --mount --pid --fork --kill-child --mount-proc)
	if [[ ${LAB_ENGINE:-dpdk} == dpdk ]]; then
		lab_namespaces+=(--user --map-root-user)
		if ! unshare "${lab_namespaces[@]}" true 2>/dev/null; then
			echo "user namespaces are refused here (unshare -Urnmpf)"
			exit 77
		fi
	elif ((EUID != 0)) || [[ $(</proc/self/uid_map) != *4294967295* ]]; then
		echo "the engine $LAB_ENGINE loads a program into the kernel, which takes root: sudo"
		exit 77
	fi
	exec unshare "${lab_namespaces[@]}" bash "$0" inside "$@"
fi
PATH=$SHUNT_BIN:$PATH:/usr/sbin:/sbin
mount -t tmpfs tmpfs /run
# What is pinned in a file system of one's own goes with the namespace, and so do the programs.
[[ ${LAB_ENGINE:-dpdk} == dpdk ]] || mount -t bpf bpf /sys/fs/bpf
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
