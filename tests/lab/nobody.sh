#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The demo as the least of all users: `nobody`, without a home, from a tree that it cannot write.
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
setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all \
	env -i PATH="$PATH" SHUNT_BIN="$copy/bin" "$copy/scripts/demo" --ci
