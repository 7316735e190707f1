#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Does the demo leave anything behind? It is interrupted at three random moments, in turn by INT
# and by KILL; after a KILL a new run has to succeed at once. What counts as left behind: a
# process with our mark in its environment, wherever it lives; a file in the places where the
# demo or DPDK might put one; an interface or a mount of the machine.
#
# usage: interrupt.sh [SEED]    exit: 0 passed, 1 failed, 77 cannot run here
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
rounds=3
moment_max_ms=18000 # a run takes some 15 s, then the lab stays up
gone_seconds=15

fail() {
	echo "failed: $* (seed $seed)"
	exit 1
}

# Prints the processes that have inherited our mark, without this one and its children's
# children that look for them.
marked() {
	local process
	for process in /proc/[0-9]*; do
		! grep -qzxF "SHUNT_INTERRUPT_MARK=$mark" "$process/environ" 2>/dev/null ||
			echo "${process##*/}"
	done
}

# Prints what the machine has of files, interfaces and mounts that the demo could have made.
surroundings() {
	find "$scratch/tmp" "$tree/tests/lab" "$tree/scripts" -print
	find /run/shunt /run/lab /run/netns /run/dpdk /var/run/dpdk /var/lib/shunt /dev/hugepages \
		"${XDG_RUNTIME_DIR:-/run/user/$EUID}/dpdk" -print 2>/dev/null || true
	find /tmp /dev/shm -maxdepth 1 \
		\( -name '*demo*' -o -name 'rte*' -o -name '*dpdk*' -o -name '*nginx*' \) \
		-print 2>/dev/null || true
	ip -o link 2>/dev/null | grep -E ' (lb0|dtap[0-9]+|to-(client|lb|b[123])|shunt[0-9]+)[@:]' || true
	grep -E ' (/run|/run/netns|/run/lab)[ /].*(tmpfs|nsfs)' /proc/self/mountinfo || true
}

# start LOG ARGUMENTS..: the demo in a session of its own, as from another terminal.
# The shell has made its background jobs deaf to INT.
start() {
	local log=$1
	shift
	SHUNT_INTERRUPT_MARK=$mark TMPDIR=$scratch/tmp setsid env --default-signal "$tree/scripts/demo" "$@" \
		>"$log" 2>&1 </dev/null &
	demo=$!
}

wait_gone() {
	local deadline=$((SECONDS + gone_seconds)) left
	while left=$(marked) && [[ -n $left ]]; do
		if ((SECONDS >= deadline)); then
			# shellcheck disable=SC2086 # a list of numbers
			ps -o pid,ppid,stat,args -p ${left//$'\n'/,} || true
			fail "processes are left $gone_seconds s after $1"
		fi
		sleep 0.05
	done
}

expect_untouched() {
	local added
	added=$(comm -13 <(sort <<<"$before") <(surroundings | sort))
	[[ -z $added ]] && return
	echo "$added"
	fail "traces are left after $1"
}

# interrupt LOG [STATUS]: as Ctrl-C does, to the whole process group; every other time to the
# script alone. STATUS is another one that is right too.
interrupt() {
	local status=0 target=$demo
	((RANDOM % 2)) || target=-$demo
	kill -INT -- "$target" 2>/dev/null || true
	wait "$demo" || status=$?
	[[ $status == 130 || $status == "${2:-}" ]] || fail "INT ended the demo with status $status, not 130: $(tail -n 5 "$1")"
}

# The new run that follows a KILL is cut short where it has shown that it works.
new_run() {
	local deadline=$((SECONDS + 60))
	start "$scratch/again.log" --ci
	until grep -q '^ok 2\.' "$scratch/again.log"; do
		if ((SECONDS >= deadline)) || ! kill -0 "$demo" 2>/dev/null; then
			cat "$scratch/again.log"
			fail "the run after a KILL did not work"
		fi
		sleep 0.05
	done
	interrupt "$scratch/again.log" 0 # it may just have come to its own end
	wait_gone "the INT that ended the new run"
}

round() {
	local number=$1 moment_ms=$((RANDOM % moment_max_ms)) how=INT log=$scratch/round.log
	((number % 2)) || how=KILL
	start "$log" --stay
	sleep "$((moment_ms / 1000)).$(printf %03d $((moment_ms % 1000)))"
	kill -0 "$demo" 2>/dev/null || {
		cat "$log"
		fail "the demo ended by itself"
	}
	echo "round $number: $how after $moment_ms ms, with $(marked | wc -l) processes, at:" \
		"$(tail -n 1 "$log")"
	if [[ $how == INT ]]; then
		interrupt "$log"
	else
		kill -KILL "$demo"
		wait "$demo" 2>/dev/null || true
	fi
	wait_gone "a $how after $moment_ms ms"
	[[ $how == INT ]] || new_run
	expect_untouched "a $how after $moment_ms ms"
}

# shellcheck disable=SC2317 # called by a trap
clean() {
	local left
	left=$(marked)
	# shellcheck disable=SC2086 # a list of numbers
	[[ -z $left ]] || kill -KILL $left 2>/dev/null || true
	rm -rf "$scratch"
}

seed=${1:-$(date +%N)}
seed=$((10#$seed % 32768))
echo "seed $seed"
RANDOM=$seed
unshare -Urnm -p --fork --mount-proc true 2>/dev/null || ((EUID == 0)) || {
	echo "skipped: user namespaces are refused here"
	exit 77
}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/interrupt.XXXXXX")
mark=$seed.$$
mkdir "$scratch/tmp"
trap clean EXIT
trap 'exit 130' INT TERM
before=$(surroundings)
for ((number = 1; number <= rounds; number++)); do
	round "$number"
done
echo "the demo was interrupted $rounds times and left nothing"
