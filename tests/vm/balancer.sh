# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# shunt-dpdk on the guest's second NIC, in the demo's lab on the machine (lab.sh): for checks, sourced
# after check.sh.
# shellcheck source=/dev/null
source "$VM/document.sh"
NIC=0000:00:11.0
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
	dmesg | tail -n 12
	echo "$reason"
}

# balancer_bind DRIVER: takes the NIC from the kernel; huge pages are there.
balancer_bind() {
	run_block "$1"
	[[ $(readlink "/sys/bus/pci/devices/$NIC/driver") == */"$1" ]] ||
		fail "$NIC does not take the driver $1"
	run_block pages
}

# balancer_start SED..: both programs, on the demo's web services, changed so.
balancer_start() {
	mkdir -p /run/shunt /run/shunt-state
	host "./lab.sh make; ./lab.sh plug; ./lab.sh config $NIC" | sed "$@" >/run/shunt.yaml
	shuntd -f /run/shunt.yaml --run-dir /run/shunt --state-dir /run/shunt-state >/run/shuntd.log 2>&1 &
	shuntd=$!
	shunt-dpdk -f /run/shunt.yaml --run-dir /run/shunt >/run/shunt-dpdk.log 2>&1 &
	balancer=$!
	until_succeeds 30 "shunt-dpdk does not start" grep 'engine dpdk with' /run/shunt-dpdk.log
	grep 'engine dpdk with' /run/shunt-dpdk.log
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
		host "./lab.sh lab_in client busybox ping -q -c 3 -W 5 $address" || fail "no echo from $address"
	done
}

balancer_end() {
	kill "$balancer" "$shuntd"
	wait "$balancer" || fail "shunt-dpdk ended with $?"
	wait "$shuntd" || fail "shuntd ended with $?"
}

# balancer_serves SECONDS: connections of both families, all answered, by all three backends.
balancer_serves() {
	local answers
	until_succeeds 30 "no table" grep 'has the arena' /run/shunt-dpdk.log
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
