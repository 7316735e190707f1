# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: BSD-2-Clause
# Runs the commands of a document as they stand there: blocks of `sh` below a line
# `<!-- run by CHECK..: NAME -->`. Who sources this has set `document`, `check`, which is his own name in
# such lines, and `blocks`, a directory to write to, and has a function `fail`.
ran=()
started= # the process of start_block

# mine: names the blocks that this check runs.
mine() {
	sed -nE "s|^<!-- run by (.* )?$check( .*)?: (.*) -->$|\3|p" "$document"
}

# block NAME: the commands below its mark, into a file of that name.
block() {
	awk -v mark="^<!-- run by .*$check.*: $1 -->$" '
		$0 ~ mark { marked = 1; next }
		marked && /^```$/ { exit }
		marked && !/^```sh$/' "$document" >"$blocks/$1"
	[[ -s $blocks/$1 ]] || fail "$document has no block '$1' for $check"
	ran+=("$1")
}

# run_block NAME [PREFIX..]: as a shell runs it that stops at the first failure.
run_block() {
	block "$1"
	"${@:2}" bash -euxo pipefail "$blocks/$1" || fail "$document: the block '$1' fails"
}

# start_block NAME: one command that stays; $started is its process.
start_block() {
	block "$1"
	bash -c "exec $(<"$blocks/$1")" >/tmp/printed 2>/tmp/said &
	started=$!
}

# Every block with a mark for this check has run, and there is none without a mark.
all_blocks_ran() {
	[[ $(mine | sort) == "$(printf '%s\n' "${ran[@]}" | sort -u)" ]] ||
		fail "$document has for $check: $(mine | xargs), and these ran: ${ran[*]}"
	(($(grep -c '^```sh$' "$document") == $(grep -c '^<!-- run by ' "$document"))) ||
		fail "$document has commands that no check runs"
}
