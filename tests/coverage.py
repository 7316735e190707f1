#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Line coverage of dataplane/core by its unit tests: the tests tagged `core`, without the fuzzers.

usage: coverage.py BUILD    a build directory with -Db_coverage=true; `scripts/dev coverage` makes it

The core is headers, so that each program has lines of its own of it: a line is covered where any
of them ran it. The build keeps functions that nobody calls (-fkeep-inline-functions), so that
they count as lines that never ran. Prints those, and fails below FLOOR_PERCENT.
"""
import collections
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORE = ROOT / "dataplane" / "core"
FLOOR_PERCENT = 95.0


def introspect(build, what):
    reply = subprocess.run(["meson", "introspect", what, build], check=True, stdout=subprocess.PIPE)
    return json.loads(reply.stdout)


def core_tests(build):
    """(names, the files that they are built into) of the tests that are tagged core."""
    tests = [t for t in introspect(build, "--tests")
             if "core" in [suite.split(":", 1)[-1] for suite in t["suite"]]]
    files = {t["id"]: t["filename"] for t in introspect(build, "--targets")}
    outputs = [os.path.relpath(name, build) for t in tests for target in t["depends"]
               for name in files[target]]
    return [t["name"] for t in tests], outputs


def run(*command):
    reply = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           errors="replace", check=False)
    if reply.returncode:
        sys.exit(f"{reply.stdout}\ncoverage: `{' '.join(command[:2])}` failed")


def count(build):
    """Source file of the core: line: how often some program ran it."""
    notes = sorted(str(p.relative_to(build)) for p in build.rglob("*.gcda"))
    reply = subprocess.run(["gcov", "--json-format", "--stdout", *notes], cwd=build, check=True,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    lines = collections.defaultdict(collections.Counter)
    for document in reply.stdout.splitlines():
        for file in json.loads(document)["files"]:
            path = (build / file["file"]).resolve()
            if path.parent == CORE:
                for line in file["lines"]:
                    lines[path.name][line["line_number"]] += line["count"]
    return lines


def tell(lines):
    """Prints each file's share and the lines that never ran. Returns the share of all, in %."""
    for name, found in sorted(lines.items()):
        missed = sorted(n for n, times in found.items() if times == 0)
        print(f"{name:<12}{100 - 100 * len(missed) / len(found):6.1f} % of {len(found):4} lines"
              + (f"; not {', '.join(map(str, missed))}" if missed else ""))
    ran = sum(1 for found in lines.values() for times in found.values() if times)
    return 100 * ran / sum(len(found) for found in lines.values())


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    run("ninja", "-C", str(build), "build.ninja") # which tests there are may have changed
    names, outputs = core_tests(build)
    if not names:
        sys.exit("coverage: no test is tagged core (is cmocka missing?)")
    run("ninja", "-C", str(build), *outputs)
    for old in build.rglob("*.gcda"):
        old.unlink()
    run("meson", "test", "-C", str(build), "--no-rebuild", *names)
    lines = count(build)
    percent = tell(lines)
    print(f"coverage: {percent:.1f} % of the lines of dataplane/core by {len(names)} unit tests")
    if percent < FLOOR_PERCENT:
        sys.exit(f"coverage: at least {FLOOR_PERCENT} % are wanted")


if __name__ == "__main__":
    main()
