# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# What a check of the guest sources first. A check passes when it ends with 0; the last line that it
# prints before another status is the reason.
set -euo pipefail

fail() {
	echo "$*"
	exit 1
}

# until_succeeds SECONDS WHAT COMMAND..: waits for a command to succeed.
until_succeeds() {
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || fail "waited in vain: $what"
		sleep 0.1
	done
}

# boot_again reboot | killed: the check ends here and begins anew in the next boot, where BOOT is one
# higher. `reboot`: the guest does, in the same QEMU, with the boot word vhost alone. `killed`: QEMU is.
boot_again() {
	echo "$1" >/run/again
	exit "$BOOT_AGAIN"
}

# host COMMAND..: runs it on the machine, in the network namespace at the other end of eth0 and in
# tests/vm; its output and status are this one's. What shall run on there needs `&` and its output
# elsewhere: `host 'nginx -c .. >/run/vm/nginx.log 2>&1 &'`. It ends with the guest.
host() {
	ask_host host "$*"
}

# show COMMAND..: as `host`, but `run` tells the output as it comes, for a person to read.
show() {
	ask_host show "$*"
}

ask_host() {
	local line status count
	exec 7<>"$TALK"
	printf '%s %q\n' "$1" "$2" >&7 # one line, whatever is in it
	read -r -u 7 status count
	while ((count-- > 0)); do
		IFS= read -r -u 7 line
		printf '%s\n' "$line"
	done
	exec 7>&-
	return "$status"
}
