#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Instructions of the ordinary packet: counted twice by callgrind, compared with the record.

The count depends on compiler, flags and code, not on the machine, so a change that makes the
packet path dearer by more than 2 % fails here wherever the suite runs. A change that is worth
it rewrites the record: `tests/bench/instructions.py PROGRAM --record`.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

RECORD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.json")
NAME = "ordinary packet"
ALLOWED = 1.02
SKIP = 77


def count(program):
    """(instructions a packet, compiler) of one run."""
    with tempfile.TemporaryDirectory() as folder:
        counted = os.path.join(folder, "callgrind.out")
        command = ["valgrind", "--tool=callgrind", "--collect-atstart=no",
                   "--toggle-collect=measured", f"--callgrind-out-file={counted}", program]
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             timeout=50, check=False)
        if run.returncode:
            sys.exit(f"instructions: {program} failed:\n{run.stderr[-2000:]}")
        with open(counted, encoding="utf-8") as file:
            total = int(re.search(r"^totals: (\d+)", file.read(), re.M).group(1))
    said = dict(line.split(" ", 1) for line in run.stdout.splitlines())
    return round(total / int(said["packets"]), 2), said["compiler"]


def measure(program):
    """As count(), and sure that a second run gives the same."""
    first, compiler = count(program)
    again, _ = count(program)
    if first != again:
        sys.exit(f"instructions: one run counts {first} a packet, the next {again}")
    return first, compiler


def main():
    parser = argparse.ArgumentParser(description="counts the instructions of the ordinary packet")
    parser.add_argument("program", help="the built `instructions`")
    parser.add_argument("--record", action="store_true", help="write what is counted to the record")
    parser.add_argument("--json", action="store_true", help="print the result as JSON alone")
    args = parser.parse_args()

    if not shutil.which("valgrind"):
        print("skipped: valgrind is not installed")
        return SKIP
    now, compiler = measure(args.program)
    if args.record:
        with open(RECORD, "w", encoding="utf-8") as file:
            json.dump({NAME: now, "compiler": compiler}, file, indent=2)
            file.write("\n")
    with open(RECORD, encoding="utf-8") as file:
        record = json.load(file)
    if args.json:
        print(json.dumps({"value": now, "record": record[NAME],
                          "comparable": compiler == record["compiler"]}))
        return 0
    print(f"{NAME}: {now} instructions, {record[NAME]} recorded")
    if compiler != record["compiler"]:
        print(f"skipped: the record is of gcc {record['compiler']}, this is {compiler}")
        return SKIP
    if now > record[NAME] * ALLOWED:
        print(f"more than {ALLOWED - 1:.0%} above the record")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
