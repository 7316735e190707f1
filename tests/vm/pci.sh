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

# pages_of NODE COUNT: so many huge pages of 2 MiB.
pages_of() {
	echo "$2" >"/sys/devices/system/node/node$1/hugepages/hugepages-2048kB/nr_hugepages"
}
