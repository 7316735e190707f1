#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the demo and puts what it said into README.md, between its markers.

usage: readme.py
"""
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"


def main():
    with tempfile.NamedTemporaryFile("r", suffix=".txt") as record:
        subprocess.run([ROOT / "scripts/demo", "--ci", "--record", record.name], check=True)
        said = record.read().rstrip("\n")
    text, count = re.subn(r"(?s)<!-- demo -->.*<!-- /demo -->",
                          lambda _: f"<!-- demo -->\n```\n{said}\n```\n<!-- /demo -->",
                          README.read_text())
    if count != 1:
        raise SystemExit("readme.py: README.md has lost its markers <!-- demo --> and <!-- /demo -->")
    README.write_text(text)


main()
