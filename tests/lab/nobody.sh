#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The demo as the least of all users: `nobody`, without a home, from a tree that it cannot write; `--vm`, which
# takes root, says so.
# What it runs is copied to where it may read, since a checkout may lie in a private place.
# SHUNT_BIN names the directory of programs.
set -euo pipefail
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

if ((EUID != 0)); then
	echo "not root, so this user is little more than nobody, and the test demo ran as it"
	exit 77
fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/scripts" "$copy/tests" "$copy/bin"
cp "$tree/scripts/demo" "$copy/scripts/"
cp -r "$tree/tests/lab" "$copy/tests/"
cp -L "$SHUNT_BIN"/* "$copy/bin/"
chmod -R a+rX,go-w "$copy"
cd /
demo() {
	setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all \
		env -i PATH="$PATH" SHUNT_BIN="$copy/bin" "$copy/scripts/demo" "$@"
}

# refuses STATUS WORDS OPTION..
refuses() {
	local status=0 said
	said=$(demo "${@:3}" 2>&1) || status=$?
	[[ $status == "$1" && $said == *"$2"* && $(wc -l <<<"$said") == 1 ]] && return
	echo "scripts/demo ${*:3}: status $status: $said"
	exit 1
}

refuses 77 "takes root; run: sudo $copy/scripts/demo --vm --ci" --vm --ci
refuses 64 "beside --vm there is --ci alone" --vm --stay
refuses 64 "beside --vm there is --ci alone" --engine xdp --vm
demo --ci
