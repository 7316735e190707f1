# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# shunt-dpdk, or shunt-xdp, on the guest's second NIC, in the demo's lab on the machine (lab.sh): for checks,
# sourced after check.sh.
# shellcheck source=/dev/null
source "$VM/document.sh"
# shellcheck source=/dev/null
source "$VM/pci.sh"
NIC=0000:00:11.0
balancer_log=/run/shunt-dpdk.log # the dataplane's
trap 'balancer_leave $?' EXIT

balancer_leave() {
	local reason
	set +e
	reason=$(tail -n 1 /run/check.log)
	(($1 == 0)) || balancer_tell
	give_back "$NIC"
	(($1 == 0)) || echo "$reason"
}

# What was said until a failure.
balancer_tell() {
	tail -n 15 /run/shunt*.log
	shunt show --run-dir /run/shunt
	shunt show drops --run-dir /run/shunt
	ip address show dev uplink0
	ip -6 route show
	ip neighbour show
	shunt show engine --run-dir /run/shunt
	dmesg | tail -n 12
}

# balancer_bind DRIVER: takes the NIC from the kernel; huge pages are there.
balancer_bind() {
	run_block "$1"
	[[ $(readlink "/sys/bus/pci/devices/$NIC/driver") == */"$1" ]] ||
		fail "$NIC does not take the driver $1"
	run_block pages
}

# balancer_begin PROGRAM DEVICE SAYS SED..: it, which says so when it runs, and shuntd, on the demo's web
# services, changed so.
balancer_begin() {
	local program=$1 device=$2 says=$3
	shift 3
	balancer_log=/run/$program.log
	mkdir -p /run/shunt /run/shunt-state
	host "./lab.sh make; ./lab.sh plug; ./lab.sh config $device" | sed "$@" >/run/shunt.yaml
	shuntd -f /run/shunt.yaml --run-dir /run/shunt --state-dir /run/shunt-state >/run/shuntd.log 2>&1 &
	shuntd=$!
	"$program" -f /run/shunt.yaml --run-dir /run/shunt >"$balancer_log" 2>&1 &
	balancer=$!
	until_succeeds 30 "$program does not start" grep "$says" "$balancer_log"
	grep "$says" "$balancer_log"
}

# balancer_start SED..: shunt-dpdk.
balancer_start() {
	balancer_begin shunt-dpdk "$NIC" 'engine dpdk with' "$@"
	grep -q 'packets in 2 MiB pages, flows in 2 MiB pages' /run/shunt-dpdk.log ||
		fail "it does not run on huge pages"
}

# The same NIC is the guest's own: its kernel's interface there is the exception port, which keeps its
# addresses and routes over a restart.
balancer_address() {
	run_block address
}

balancer_pinged() {
	local address
	for address in 10.0.8.1 2001:db8:8::1; do
		host "./lab.sh lab_in client busybox ping -q -c 1 -W 5 $address" || fail "no echo from $address"
	done
}

balancer_end() {
	kill "$balancer" "$shuntd"
	wait "$balancer" || fail "the dataplane ended with $?"
	wait "$shuntd" || fail "shuntd ended with $?"
}

# balancer_serves SECONDS: connections of both families, all answered, by all three backends.
balancer_serves() {
	local answers
	until_succeeds 30 "no table" grep 'has the arena' "$balancer_log"
	until_succeeds 30 "a backend is not up" all_up
	answers=$(host "./lab.sh serves $1") || fail "$answers"
	echo "$answers"
	[[ $answers =~ \ b1$'\n'.*\ b2$'\n'.*\ b3$ ]] || fail "not all three backends answered"
}

all_up() {
	shunt show --json --run-dir /run/shunt | jq -e 'all(.[].backends[]; .health.state == "up")'
}

# How often the kernel took the CPU away from the one thread that is on CPU 1.
taken_away() {
	local task
	for task in /proc/"$balancer"/task/*; do
		if grep -qx $'Cpus_allowed_list:\t1' "$task/status"; then
			sed -n 's/^nonvoluntary_ctxt_switches:\t//p' "$task/status"
		fi
	done
}

# Whether the worker keeps its CPU during 10 s of traffic. What disturbs it does so many times a second;
# a chore of the kernel's that comes once in minutes may fall into one look, but not into two.
balancer_undisturbed() {
	local before after
	before=$(taken_away)
	balancer_serves 10
	after=$(taken_away)
	echo "involuntary context switches of the worker: $before before 10 s of traffic, $after after"
	[[ $before =~ ^[0-9]+$ ]] || fail "not one thread is on CPU 1"
	((before == after))
}

# balancer_check DRIVER: the NIC by this driver, with one queue, whose worker has the isolated CPU 1,
# then with two.
balancer_check() {
	local parameters
	block command-line
	parameters=$(</tmp/block.command-line)
	[[ " $(</proc/cmdline) " == *" $parameters "* ]] || fail "the guest was not booted with $parameters"
	balancer_bind "$1"
	balancer_start ''
	grep -q '1 worker on core 1 (auto: all that are isolated)' /run/shunt-dpdk.log ||
		fail "the worker is not on the isolated CPU"
	! grep 'is not isolated' /run/shunt-dpdk.log || fail "the isolated CPU is taken for another"
	balancer_address
	balancer_serves 0
	balancer_pinged
	run_block left-alone
	# One look is enough: the core's quiet is not the driver's.
	[[ $1 == vfio-pci ]] || balancer_undisturbed || balancer_undisturbed || fail "the kernel takes the worker's CPU away"
	balancer_end

	balancer_start 's/^dataplane:/&\n  workers: "0-1"/'
	grep -q '2 workers on cores 0-1' /run/shunt-dpdk.log || fail "there are not two workers"
	balancer_serves 0
	balancer_pinged
	shunt show workers --run-dir /run/shunt
	shunt show workers --json --run-dir /run/shunt | jq -e 'length == 2 and all(.[]; .packets > 0)' ||
		fail "not both queues had packets"
	balancer_end
}

# --- Bad luck ---

# Checks go by that card too. A backend that is down loses its connections to those that are up again
# before it, which is another story.
patient='s/fall: 3/fall: 100/'

# What shunt-dpdk says from here on; said WHAT: it says it, once.
listens() {
	heard=$(wc -l </run/shunt-dpdk.log)
}

heard_of() {
	tail -n +$((heard + 1)) /run/shunt-dpdk.log | grep -F -- "$1"
}

said() {
	until_succeeds 20 "shunt-dpdk does not say '$1'" heard_of "$1"
	(($(heard_of "$1" | wc -l) == 1)) || fail "shunt-dpdk says more than once '$1'"
}

# engine_shows STATE
engine_shows() {
	[[ $(shunt show engine --json --run-dir /run/shunt | jq -r '.[0].interfaces[0].state') == "$1" ]]
}

# balancer_supervised: both programs, shunt-dpdk anew whenever it ends with what a supervisor takes for a
# failure.
balancer_supervised() {
	shuntd -f /run/shunt.yaml --run-dir /run/shunt --state-dir /run/shunt-state >/run/shuntd.log 2>&1 &
	shuntd=$!
	until shunt-dpdk -f /run/shunt.yaml --run-dir /run/shunt; do
		echo "status $?"
		sleep 0.3
	done >/run/shunt-dpdk.log 2>&1 &
	supervisor=$!
}

# What a supervisor meets until somebody has done what shunt-dpdk says.
balancer_missed() {
	local mend="\`modprobe vfio-pci; dpdk-devbind.py --bind=vfio-pci $NIC\` hands it over"
	until_succeeds 20 "the kernel's driver is not told" \
		grep -F "which the kernel's driver virtio-pci has as eth1: $mend" /run/shunt-dpdk.log
	echo "$NIC" >"/sys/bus/pci/devices/$NIC/driver/unbind"
	until_succeeds 20 "it is not told that no driver has the card" \
		grep -F "which no driver has: $mend" /run/shunt-dpdk.log
	grep -q '^status 69$' /run/shunt-dpdk.log || fail "another status than 69"
}

down_told="interface uplink0: its link is down, and what should be sent there is dropped as queue_full until it is up: look at the cable"

# The cable is pulled: what is to be sent is counted, not swallowed, and the kernel's interface knows.
balancer_unplugged() {
	listens
	host "./monitor.py link nic1 off"
	said "$down_told"
	until_succeeds 10 "the link is not shown as down" engine_shows "link down, DPDK polls $NIC"
	until_succeeds 10 "the exception port keeps its carrier" grep -qx 0 /sys/class/net/uplink0/carrier
	host "./monitor.py link nic1 on"
	said "interface uplink0: its link is up again"
}

# The card is taken out of the machine and put in again, where the kernel's driver takes it first.
balancer_removed() {
	local pid
	pid=$(pidof shunt-dpdk)
	listens
	host "./lab.sh download" || fail "no download begins"
	echo 1 >"/sys/bus/pci/devices/$NIC/remove"
	said "interface uplink0: its device \`$NIC\` is gone; waits for it to come back"
	until_succeeds 10 "the card is not shown as gone" engine_shows gone
	echo 1 >/sys/bus/pci/rescan
	said "interface uplink0 should use the PCI device $NIC, which the kernel's driver virtio-pci has as eth1"
	run_block "$1"
	said "interface uplink0: its device \`$NIC\` is back and forwards again"
	balancer_serves 0
	host "./lab.sh downloaded" || fail "a connection did not survive the card"
	[[ $(pidof shunt-dpdk) == "$pid" ]] || fail "shunt-dpdk was started anew"
}

# starts: what it says then is in /run/pages.log; returns its status.
starts() {
	local engine status=0 end=$((SECONDS + 40))
	shunt-dpdk -f /run/shunt.yaml --run-dir /run/none >/run/pages.log 2>&1 &
	engine=$!
	until grep -q 'engine dpdk with' /run/pages.log || ! kill -0 "$engine" 2>/dev/null; do
		((SECONDS < end)) || fail "shunt-dpdk neither starts nor ends: $(tr '\n' '|' </run/pages.log)"
		sleep 0.1
	done
	kill "$engine" 2>/dev/null || true
	wait "$engine" || status=$?
	return "$status"
}

starts_saying() {
	grep -qF -- "$1" /run/pages.log || fail "nobody says '$1': $(tr '\n' '|' </run/pages.log)"
}

# One huge page less than shunt-dpdk says that it needs: without an IOMMU it does not start, behind one
# packets lie in small pages. And not one more than that.
balancer_pages() {
	local told need pages
	sysctl vm.nr_hugepages=0
	told=$(shunt-dpdk --plan -f /run/shunt.yaml || true)
	[[ $told =~ 'too few 2 MiB pages are free, 0 of '([0-9]+)'; `sysctl vm.nr_hugepages='([0-9]+)'` makes them' ]] ||
		fail "$told"
	need=${BASH_REMATCH[1]} pages=${BASH_REMATCH[2]}
	sysctl vm.nr_hugepages=$((pages - 1))
	if [[ $1 == uio_pci_generic ]]; then
		! starts || fail "shunt-dpdk starts with a huge page too few: $(</run/pages.log)"
		starts_saying "interface uplink0 takes packets in huge pages alone, since the driver $1 has no IOMMU, but too few"
	else
		starts || fail "shunt-dpdk does not do with a huge page less: $(</run/pages.log)"
		starts_saying "packets lie in 4 KiB pages, because too few"
		starts_saying "packets in 4 KiB pages, flows in 2 MiB pages"
	fi
	starts_saying "too few 2 MiB pages are free, $((need - 1)) of $need; \`sysctl vm.nr_hugepages=$pages\` makes them"
	sysctl vm.nr_hugepages="$pages"
	starts || fail "shunt-dpdk does not start with as many huge pages as it says: $(</run/pages.log)"
	starts_saying "packets in 2 MiB pages, flows in 2 MiB pages"
}

# balancer_unlucky DRIVER
balancer_unlucky() {
	mkdir -p /run/shunt /run/shunt-state
	host "./lab.sh make; ./lab.sh plug; ./lab.sh config $NIC" | sed "$patient" >/run/shunt.yaml
	balancer_supervised
	balancer_missed
	listens
	host "./monitor.py link nic1 off"
	balancer_bind "$1"
	until_succeeds 30 "shunt-dpdk does not start" grep 'engine dpdk with' /run/shunt-dpdk.log
	said "$down_told"
	host "./monitor.py link nic1 on"
	said "interface uplink0: its link is up again"
	balancer_address
	until_succeeds 30 "no table" grep 'has the arena' /run/shunt-dpdk.log
	balancer_unplugged
	balancer_removed "$1"
	balancer=$(pidof shunt-dpdk)
	kill "$balancer"
	wait "$supervisor" || fail "shunt-dpdk ended with $?"
	kill "$shuntd"
	wait "$shuntd" || fail "shuntd ended with $?"
	balancer_pages "$1"
}
