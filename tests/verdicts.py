#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes docs/verdicts.md from the list in dataplane/core/verdict.h, or compares the two.

usage: verdicts.py [--write]

Each reason has a heading of its own, so that docs/verdicts.md#REASON leads there.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/verdicts.md"
ENGINES_DIFFER_MAX = 4  # rows in which one engine may differ from another
HEAD = """# Verdicts

What can happen to a packet, why, and what to do about it. Every packet ends in exactly one of
these, and every one is counted: `shunt show drops`, and `shunt show drops REASON` for what stands
below. `shunt explain` says which of them a packet gets. Generated from
`dataplane/core/verdict.h` by `scripts/dev verdicts`.

Engines differ in nothing but what the last column says.

| Verdict | Reason | Meaning | Engines |
| --- | --- | --- | --- |
"""
ACTIONS = {
    "FORWARD": ("Forward", "To a backend."),
    "REPLY": ("Reply", "Answered by shunt itself, out of the port where the packet came in."),
    "PASS": ("Pass", "To the host's kernel, untouched."),
    "DROP": ("Drop", "Neither sent nor kept."),
}


def verdicts():
    """(action, reason, meaning, advice, where engines differ) of each row."""
    text = (ROOT / "dataplane/core/verdict.h").read_text()
    body = text[text.index("#define VERDICTS(V)"):text.index("enum verdict {")].replace("\\\n", "")
    found = []
    for action, fields in re.findall(r'V\([A-Z0-9_]+,\s*([A-Z]+)((?:\s*,(?:\s*"[^"]*")+)+)\s*\)',
                                     body):
        literals = re.findall(r',((?:\s*"[^"]*")+)', fields)
        found.append((action, *("".join(re.findall(r'"([^"]*)"', one)) for one in literals)))
    if len(found) != len(re.findall(r"\bV\([A-Z]", body)) or {len(row) for row in found} != {5}:
        sys.exit("verdicts.py: a line of VERDICTS in verdict.h is not understood")
    return found


def faults(rows):
    reasons = [reason for _, reason, *_ in rows]
    yield from (f"'{reason}' stands twice" for reason in set(reasons)
                if reasons.count(reason) > 1)
    yield from (f"'{reason}' is no anchor" for reason in reasons
                if not re.fullmatch(r"[a-z][a-z0-9_]*", reason))
    for _, reason, meaning, advice, engines in rows:
        if not meaning or not advice:
            yield f"'{reason}' does not say what it means and what to do"
        if "|" in meaning + engines:
            yield f"'{reason}' breaks the table"
    if sum(1 for row in rows if row[4]) > ENGINES_DIFFER_MAX:
        yield f"engines differ in more than {ENGINES_DIFFER_MAX} rows"


def sentence(text):
    return (text if text[0] == "`" else text[0].upper() + text[1:]) + "."


def page(rows):
    out = [HEAD]
    for action, reason, meaning, _, engines in rows:
        out.append(f"| {action.lower()} | [`{reason}`](#{reason}) | {meaning} | "
                   f"{'differ' if engines else 'alike'} |\n")
    for action, (title, text) in ACTIONS.items():
        out.append(f"\n## {title}\n\n{text}\n")
        for _, reason, meaning, advice, engines in (r for r in rows if r[0] == action):
            out.append(f"\n### `{reason}`\n\n{sentence(meaning)}\n\n"
                       f"**What to do:** {advice}.\n")
            if engines:
                out.append(f"\n**Engines differ:** {engines}.\n")
    return "".join(out)


def main():
    rows = verdicts()
    for fault in faults(rows):
        sys.exit(f"dataplane/core/verdict.h: {fault}")
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page(rows))
    elif sys.argv[1:]:
        sys.exit(__doc__)
    elif PAGE.read_text() != page(rows):
        sys.exit("docs/verdicts.md is not what verdict.h says; run scripts/dev verdicts")


main()
