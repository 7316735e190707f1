#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What documents for operators promise: that a check runs each command or it says why none does, that
programs do say the messages that are quoted, that the examples are valid.

Rules and their self-test are made as in tidy.py. A check that a block names runs it, or fails: tests/vm/guest
sees to that.

usage: documents.py [--self-test] [--shunt PROGRAM]
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tidy import Tree, plant  # noqa: E402

COMMANDS = re.compile(r"docs/(deploy-.*|backends|troubleshooting|hardware-checklist)\.md")
MESSAGES = "docs/troubleshooting.md"
CHECKLIST = "docs/hardware-checklist.md"
ITEMS = "tests/hwcheck/items.py"
RUN = re.compile(r"<!-- run by ((?:[\w-]+/[\w-]+ )*[\w-]+/[\w-]+): ([\w.-]+) -->")
NOT_RUN = re.compile(r"<!-- not run here: \S.* -->")
LITERAL = r'"((?:[^"\\\n]|\\.)*)"'


def blocks(tree, name):
    """(line, language, the line above, text) of each fenced block."""
    lines = tree.text(name).splitlines()
    fences = [n for n, line in enumerate(lines) if line.startswith("```")]
    for start, end in zip(fences[::2], fences[1::2]):
        yield start + 1, lines[start][3:], lines[start - 1], "\n".join(lines[start + 1:end])


def rule_marks(tree):
    """Each block of commands is run by a check that exists, or says why it isn't."""
    for name in filter(COMMANDS.fullmatch, tree.files):
        starts = set()
        for line, language, above, _ in blocks(tree, name):
            starts.add(line)
            run = RUN.fullmatch(above)
            if not language:
                yield name, line, "say what this block is: sh, text, yaml, ini"
            if language == "sh" and not run and not NOT_RUN.fullmatch(above):
                yield name, line, "no check runs these commands, and no line says why not"
            for check in run.group(1).split() if run else ():
                if not {f"tests/vm/checks/{check}", f"tests/{check}.sh"} & set(tree.present):
                    yield name, line, f"there is no check {check}"
        for number, line in tree.lines(name):
            if re.match(r"<!-- (not )?run ", line) and number + 1 not in starts:
                yield name, number, "a mark belongs right above a block"
            elif line.startswith("<!-- run ") and not RUN.fullmatch(line):
                yield name, number, "a mark reads <!-- run by FOLDER/CHECK..: NAME -->"


def literals(text):
    """The strings of a C file, adjacent ones joined."""
    text = re.sub(r"/\*.*?\*/|^\s*#.*?$", "", text, flags=re.S | re.M)
    for run in re.finditer(rf"{LITERAL}(?:\s*{LITERAL})*", text):
        joined = "".join(re.findall(LITERAL, run.group(0)))
        yield joined.replace('\\"', '"').replace("\\n", "").strip()


CONVERSION = re.compile(r"%(?:[-+ #0]*[\d.*]*(?:ll|l|z|h|hh)?[a-zA-Z]|%)")


def patterns(tree):
    """What the programs' formats can become. One with hardly a word of its own is none: it fits all."""
    found = set()
    for name in tree.named(".c", ".h"):
        if name.startswith(("dataplane/", "controlplane/", "config/")):
            found |= set(literals(tree.text(name)))
    for text in found:
        if len(re.findall(r"\w{2,}", CONVERSION.sub("", text))) >= 3:
            yield re.compile("".join(re.escape(part) if n % 2 == 0 else
                                     r"\d+" if part[-1] in "udxX" else ".*"
                                     for n, part in enumerate(re.split(f"({CONVERSION.pattern})", text))))


def rule_messages(tree):
    """Whoever searches for a message finds it here, and what is found is what is said."""
    if MESSAGES not in tree.present:
        return
    known = list(patterns(tree))
    for line, language, _, text in blocks(tree, MESSAGES):
        for offset, quoted in enumerate(text.splitlines(), 1):
            bare = re.sub(r"^interface [\w.-]+:? ", "", quoted)
            said = (quoted, bare, f": {bare}")
            if language == "text" and not any(p.fullmatch(q) for p in known for q in said):
                yield MESSAGES, line + offset, f"no program says: {quoted}"


def rule_items(tree):
    """The checklist has a section for each item of `scripts/dev hwcheck`, and for no other."""
    if CHECKLIST not in tree.present:
        return
    told = re.findall(r"^### `([\w-]+)`$", tree.text(CHECKLIST), re.M)
    made = re.findall(r'^@item\("([\w-]+)"', tree.text(ITEMS), re.M) if ITEMS in tree.present else []
    for name in sorted(set(told) ^ set(made)) + [n for n in set(told) if told.count(n) > 1]:
        where = "hwcheck has no such item" if name not in made else "not in the checklist, or twice"
        yield CHECKLIST, 1, f"{name}: {where}"


RULES = [rule_marks, rule_messages, rule_items]


def examples_hold(tree, shunt):
    """Each YAML block with services is a configuration; one without gets some."""
    rest = "services: [{ name: web, vip: 203.0.113.10, protocol: tcp, port: 443, " \
           "backends: [{ address: 10.0.1.1 }] }]\n"
    for name in filter(COMMANDS.fullmatch, tree.files):
        for line, language, _, text in blocks(tree, name):
            here = re.search(r"^version: 1\n.*?^END$", text, re.S | re.M)
            if language != "yaml" and not here:
                continue
            text = here.group(0)[:-3] if here else "version: 1\n" + text + "\n" + rest
            text = re.sub(r"^fleet_seed_file:.*\n", "", text, flags=re.M)
            text += f'fleet_seed: "{"5f1c" * 8}"\n'
            done = subprocess.run([shunt, "check", "-f", "/dev/stdin"], input=text, text=True,
                                  capture_output=True, check=False)
            if done.returncode:
                yield name, line, done.stderr.strip()


def units_hold(tree):
    """systemd reads each unit; that the programs aren't installed here is no fault of theirs."""
    verify = shutil.which("systemd-analyze")
    for name in filter(COMMANDS.fullmatch, tree.files):
        for line, language, above, text in blocks(tree, name):
            unit = RUN.fullmatch(above)
            if language != "ini" or not unit or not verify:
                continue
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, unit.group(2))
                with open(path, "w", encoding="utf-8") as file:
                    file.write(re.sub(r"(Exec\w+=)\S+", r"\1/bin/true", text))
                done = subprocess.run([verify, "verify", "--man=no", path], text=True,
                                      capture_output=True, check=False)
                said = [s for s in done.stderr.splitlines() if unit.group(2) in s]
                for text_said in said:
                    yield name, line, text_said


# What --self-test plants: file, content, the rule that must speak of it.
PLANTED = [
    ("docs/deploy-naked.md", "x\n```sh\nls\n```\n", "rule_marks"),
    ("docs/deploy-other.md", "<!-- run by dpdk/nobody: a -->\n```sh\nls\n```\n", "rule_marks"),
    ("docs/deploy-bare.md", "x\n```\nls\n```\n", "rule_marks"),
    ("docs/deploy-loose.md", "<!-- not run here: x -->\n\n```text\nls\n```\n", "rule_marks"),
    ("docs/deploy-odd.md", "<!-- run by us -->\n```text\nls\n```\n", "rule_marks"),
    ("docs/troubleshooting.md", "x\n```text\nthe moon is full of 7 cheeses\n```\n", "rule_messages"),
    ("dataplane/say.c", 'f("%s of %u %s"); g("the sun is full of %u cheeses");\n', None),
    ("docs/hardware-checklist.md", "### `told`\n", "rule_items"),
]


def self_test():
    with tempfile.TemporaryDirectory() as root:
        plant(root, PLANTED)
        tree = Tree(root)
        heard = {(rule.__name__, problem[0]) for rule in RULES for problem in rule(tree)}
    silent = [f"{rule} says nothing about {name}" for name, _, rule in PLANTED
              if rule and (rule, name) not in heard]
    print("\n".join(silent) or f"documents: {len(PLANTED) - 1} planted violations, each one found")
    return 1 if silent else 0


def main():
    parser = argparse.ArgumentParser(description="checks what documents promise")
    parser.add_argument("--self-test", action="store_true", help="check the rules themselves")
    parser.add_argument("--shunt", help="the program, to check examples with")
    args = parser.parse_args()
    if args.self_test:
        return self_test()
    tree = Tree(os.path.abspath(os.path.join(os.path.dirname(__file__), "..")))
    problems = [problem for rule in RULES for problem in rule(tree)]
    problems += list(examples_hold(tree, args.shunt)) if args.shunt else []
    problems += list(units_hold(tree))
    for name, line, text in problems:
        print(f"{name}:{line}: {text}")
    print(f"documents: {len(problems)} problems" if problems else "documents: clean")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
