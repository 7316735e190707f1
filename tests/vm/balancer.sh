# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# shunt-dpdk, or shunt-xdp, on the guest's second NIC, in the demo's lab on the machine (lab.sh): for checks,
# sourced after check.sh.
NIC=0000:00:11.0
balancer_log= # the dataplane's
trap 'balancer_tell $?' EXIT

# What was said until a failure, before its reason.
balancer_tell() {
	local reason
	(($1 != 0)) || return 0
	reason=$(tail -n 1 /run/check.log)
	set +e
	tail -n 15 /run/shunt*.log
	shunt show --run-dir /run/shunt
	shunt show drops --run-dir /run/shunt
	shunt show engine --run-dir /run/shunt
	dmesg | tail -n 12
	echo "$reason"
}

# typed COMMAND..: runs what docs/deploy-vm.md tells to type.
typed() {
	grep -qxF "$*" "$TREE/docs/deploy-vm.md" || fail "docs/deploy-vm.md does not say: $*"
	"$@"
}

# balancer_bind DRIVER: takes the NIC from the kernel; huge pages are there.
balancer_bind() {
	typed modprobe "$1"
	typed dpdk-devbind.py --force --bind="$1" "$NIC"
	[[ $(readlink "/sys/bus/pci/devices/$NIC/driver") == */"$1" ]] ||
		fail "$NIC does not take the driver $1"
	typed sysctl vm.nr_hugepages=192
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
	typed ip address add 10.0.8.1/24 dev uplink0
	typed ip link set uplink0 up
	typed ip route add default via 10.0.8.254
	typed ip address add 2001:db8:8::1/64 dev uplink0 nodad
	typed ip -6 route add default via 2001:db8:8::fe
}

balancer_pinged() {
	local address
	for address in 10.0.8.1 2001:db8:8::1; do
		host "./lab.sh lab_in client busybox ping -q -c 3 -W 5 $address" || fail "no echo from $address"
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
	parameters=$(grep '^isolcpus=' "$TREE/docs/deploy-vm.md")
	[[ " $(</proc/cmdline) " == *" $parameters "* ]] || fail "the guest was not booted with $parameters"
	balancer_bind "$1"
	balancer_start ''
	grep -q '1 worker on core 1 (auto: all that are isolated)' /run/shunt-dpdk.log ||
		fail "the worker is not on the isolated CPU"
	! grep 'is not isolated' /run/shunt-dpdk.log || fail "the isolated CPU is taken for another"
	balancer_address
	balancer_serves 0
	balancer_pinged
	balancer_undisturbed || balancer_undisturbed || fail "the kernel takes the worker's CPU away"
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
