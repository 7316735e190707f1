# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# For checks that hand NICs and pages over by what the kernel has for it, quicker than by dpdk-devbind.py.

# hand_to NIC DRIVER: takes it from whatever has it; "" leaves it to nobody.
hand_to() {
	local device=/sys/bus/pci/devices/$1
	[[ ! -e $device/driver ]] || echo "$1" >"$device/driver/unbind"
	echo "$2" >"$device/driver_override"
	[[ -z $2 ]] || echo "$1" >/sys/bus/pci/drivers_probe
}

# give_back NIC: the next check of this boot begins like the first, however this one ended.
give_back() {
	# shellcheck disable=SC2046 # numbers
	kill $(jobs -p) $(pidof shuntd shunt-dpdk shunt-xdp)
	while pidof shuntd shunt-dpdk shunt-xdp; do sleep 0.1; done
	ip link delete uplink0
	rm -rf /run/shunt /run/shunt-state
	[[ $(readlink "/sys/bus/pci/devices/$1/driver") == */virtio-pci ]] || hand_to "$1" virtio-pci
	sysctl vm.nr_hugepages=0
} >/dev/null 2>&1

# pages_of NODE COUNT: so many huge pages of 2 MiB.
pages_of() {
	echo "$2" >"/sys/devices/system/node/node$1/hugepages/hugepages-2048kB/nr_hugepages"
}
