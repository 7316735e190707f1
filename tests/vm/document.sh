# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# The commands of the documents in docs/, taken from there as they stand, for checks: sourced after
# check.sh. Above each block of them is a mark, `<!-- run by FOLDER/CHECK..: NAME -->`, or
# `<!-- not run here: REASON -->` (tests/documents.py). `guest` lets no check pass that has left out a
# block which names it.
documents=("$TREE"/docs/*.md)
check=${check:-${0#"$VM"/checks/}}
started= # the process of start_block, for who sources this
export started

# blocks: names those of this check.
blocks() {
	sed -nE "s|^<!-- run by (.* )?$check( .*)?: (.*) -->$|\3|p" "${documents[@]}"
}

# block NAME: puts the lines below its mark into /tmp/block.NAME. An emulated CPU starts processes slowly, so it is
# one.
block() {
	awk -v mark="^<!-- run by (.* )?$check( .*)?: $1 -->$" '
		$0 ~ mark { marked = 1; next }
		marked && /^```$/ && inside { exit }
		marked && /^```/ { inside = 1; next }
		inside' "${documents[@]}" >"/tmp/block.$1"
	[[ -s /tmp/block.$1 ]] || fail "no document has a block '$1' for $check"
	echo "$1" >>/run/blocks
}

# run_block NAME: as a shell runs it that stops at the first failure.
run_block() {
	block "$1"
	bash -euxo pipefail "/tmp/block.$1" || fail "the block '$1' fails, which a document tells to type"
}

# start_block NAME: one command that stays; $started is its process.
start_block() {
	block "$1"
	bash -c "exec $(<"/tmp/block.$1")" >/tmp/printed 2>/tmp/said &
	started=$!
}

# blocks_left: names what this check had to run and didn't.
blocks_left() {
	blocks | grep -vxFf /run/blocks | xargs
}
