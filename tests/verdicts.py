#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes docs/verdicts.md from the list in dataplane/core/verdict.h, or compares the two.

usage: verdicts.py [--write]
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/verdicts.md"
HEAD = """# Verdicts

What can happen to a packet, and why. Every packet ends in exactly one of these, and every one is
counted: `shunt show drops`. Generated from `dataplane/core/verdict.h` by `scripts/dev verdicts`.

| Verdict | Reason | Meaning |
| --- | --- | --- |
"""


def verdicts():
    text = (ROOT / "dataplane/core/verdict.h").read_text()
    body = text[text.index("#define VERDICTS(V)"):text.index("enum verdict {")].replace("\\\n", "")
    found = re.findall(r'V\(([A-Z0-9_]+),\s*([A-Z]+),\s*"([^"]+)",\s*"([^"]+)"\)', body)
    if len(found) != len(re.findall(r"\bV\([A-Z]", body)):
        sys.exit("verdicts.py: a line of VERDICTS in verdict.h is not understood")
    return found


def page():
    rows = (f"| {action.lower()} | `{reason}` | {text} |\n" for _, action, reason, text in verdicts())
    return HEAD + "".join(rows)


def main():
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(page())
    elif sys.argv[1:]:
        sys.exit(__doc__)
    elif PAGE.read_text() != page():
        sys.exit("docs/verdicts.md is not what verdict.h says; run scripts/dev verdicts")


main()
