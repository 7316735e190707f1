# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: BSD-2-Clause
# What `balancer` and `client` share. Both run on the machine, in the run's own namespaces.
set -euo pipefail
dir=/run/dsr
vip_4=203.0.113.10 vip_6=2001:db8:a::10
router_4=198.51.100.1 router_6=2001:db8:100::1

within() { # within NAMESPACE COMMAND..: not `ip netns exec`, which remounts /sys
	nsenter --net="/run/netns/$1" "${@:2}"
}

fail() {
	echo "$*"
	exit 1
}
