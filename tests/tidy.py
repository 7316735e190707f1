#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The rules of the tree that a compiler doesn't check.

Each rule is a generator that yields (file, line, sentence) for what breaks it. `--self-test`
plants one violation of each rule in a tree of its own and wants to hear of every one, so
that a rule can't fall silent unnoticed. `--files` prints what belongs to the tree, committed
yet or not, with or without git: the one definition that the scripts share.
"""
import argparse
import ast
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

DUAL = "BSD-2-Clause OR GPL-2.0-only"
PLAIN = "BSD-2-Clause"
CORE = "dataplane/core/"
LINES_MAX = 800

# Folder, what of our own it may include (None: anything not refused), what it may not.
# The most specific folder that contains a file decides.
ARROWS = [
    (CORE, [CORE], []),
    ("dataplane/state/", [CORE, "dataplane/state/"], ["rte_", "bpf/", "xdp/"]),
    ("dataplane/burst/", [CORE, "dataplane/state/", "dataplane/burst/"], ["rte_", "bpf/", "xdp/"]),
    ("dataplane/session/", [CORE, "dataplane/state/", "dataplane/burst/", "dataplane/session/",
                           "config/"],
     ["rte_", "bpf/", "xdp/"]),
    ("dataplane/decap/", [CORE, "dataplane/decap/", "dataplane/session/message.h",
                          "bpf/decap.skel.h"], ["rte_"]),
    ("dataplane/kernel/", [CORE, "dataplane/state/", "dataplane/burst/", "dataplane/session/",
                          "dataplane/kernel/", "config/", "bpf/shunt.skel.h"], ["rte_"]),
    ("dataplane/dpdk/xsk.", None, ["dataplane/xdp/"]),  # stands between DPDK and libxdp
    ("dataplane/dpdk/", None, ["dataplane/xdp/", "bpf/", "xdp/"]),
    ("dataplane/xdp/", None, ["dataplane/dpdk/", "rte_"]),
    ("bpf/", [CORE, "dataplane/state/", "dataplane/decap/", "bpf/"], ["dataplane/dpdk/", "dataplane/xdp/", "rte_"]),
    ("controlplane/", None, ["rte_", "bpf/", "xdp/", "dataplane/dpdk/", "dataplane/kernel/",
                             "dataplane/xdp/"]),
    ("config/", ["config/", CORE + "addr.h", CORE + "base.h"], ["rte_", "bpf/", "xdp/"]),
]
CORE_SYSTEM_HEADERS = {"stdbool.h", "stddef.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:wor" r"k|hom" r"e/[a-z]\w*|User" r"s)/\S*")
WARNINGS = "-Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wvla".split()


class Tree:
    """The files under test, by path relative to the root."""

    def __init__(self, root):
        self.root = root
        self.files = sorted(self._listed() or self._walked())
        self.present = set(self.files)
        self._text = {}

    def _listed(self):
        """What git would commit; None outside a repository of ours or without git."""
        if not os.path.exists(os.path.join(self.root, ".git")):
            return None
        command = ["git", "-C", self.root, "-c", "safe.directory=*"]
        command += ["ls-files", "-co", "--exclude-standard", "-z"]
        try:
            reply = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            return None
        if reply.returncode:
            return None
        names = reply.stdout.decode().split("\0")
        return [n for n in names if n and os.path.isfile(os.path.join(self.root, n))]

    def _walked(self):
        found = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = [f for f in folders
                          if f not in (".git", "__pycache__", ".cache") and not f.startswith("build")]
            found += [os.path.relpath(os.path.join(folder, n), self.root) for n in names]
        return found

    def text(self, name):
        if name not in self._text:
            with open(os.path.join(self.root, name), "rb") as file:
                data = file.read()
            self._text[name] = "" if b"\0" in data else data.decode("utf-8", "replace")
        return self._text[name]

    def lines(self, name):
        return enumerate(self.text(name).splitlines(), 1)

    def named(self, *endings):
        return [n for n in self.files if n.endswith(endings)]

    def is_source(self, name):
        base = os.path.basename(name)
        return (name.endswith((".c", ".h", ".py", ".sh")) or self.text(name).startswith("#!")
                or base in ("meson.build", "meson_options.txt"))


def rule_spdx(tree):
    for name in tree.files:
        if not tree.is_source(name):
            continue
        wanted = DUAL if name.startswith((CORE, "bpf/")) and name.endswith((".c", ".h")) else PLAIN
        head = "\n".join(tree.text(name).splitlines()[:2])
        match = re.search(r"SPDX-License-Identifier: ([^*\n]+)", head)
        if not match:
            yield name, 1, f"the first line (the second after #!) must say SPDX-License-Identifier: {wanted}"
        elif match.group(1).strip() != wanted:
            yield name, 1, f"the licence here is {wanted}, not {match.group(1).strip()}"


def includes(tree, name):
    """(line, path, is_system); a path of ours is relative to the root."""
    for number, line in tree.lines(name):
        match = INCLUDE.match(line)
        if not match:
            continue
        path = match.group(2)
        if match.group(1) == '"':
            near = os.path.normpath(os.path.join(os.path.dirname(name), path))
            path = near if near in tree.present else path
        yield number, path, match.group(1) == "<"


def rule_arrows(tree):
    for name in tree.named(".c", ".h"):
        arrow = next((a for a in ARROWS if name.startswith(a[0])), None)
        if not arrow:
            continue
        folder, allowed, refused = arrow
        for number, path, system in includes(tree, name):
            ours = not system
            if path == "version.h" and folder != CORE:  # the build's own: the commit
                continue
            if folder == CORE and system and path not in CORE_SYSTEM_HEADERS:
                yield name, number, f"the core includes no <{path}>: it must compile for BPF"
            elif any(path.startswith(r) for r in refused) and not (ours and path.startswith(folder)):
                yield name, number, f"{folder} may not include {path}"
            elif ours and allowed is not None and not any(path.startswith(a) for a in allowed):
                yield name, number, f"{folder} may include only {', '.join(allowed)}, not {path}"


def rule_core_alone(tree):
    """Each core header compiles as the only one, for every compiler that will meet it. What
    core/env.h declares is each adapter's to define, so alone it may stay undefined."""
    multiarch = f"-I/usr/include/{platform.machine()}-linux-gnu"
    compilers = [["gcc"], ["clang"], ["clang", "-target", "bpf", multiarch]]
    undefined = re.compile(r"'env_\w+'.*(never defined|is not defined)")
    flags = ["-std=gnu17", "-O2", "-fsyntax-only", *WARNINGS, "-Wno-unused-parameter"]
    for command in compilers:
        if not shutil.which(command[0]):
            yield "scripts/deps", 1, f"{command[0]} is missing; scripts/deps installs it"
            continue
        for name in tree.named(".h"):
            if not name.startswith(CORE):
                continue
            run = subprocess.run(
                [*command, *flags, "-I", ".", "-x", "c", "-include", name, os.devnull],
                cwd=tree.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                env={**os.environ, "LC_ALL": "C"}, check=False)
            said = [s for s in run.stderr.splitlines() if re.search(r"(error|warning): ", s)]
            said = [s for s in said if not undefined.search(s)]
            if said or (run.returncode and not run.stderr):
                text = said[0] if said else f"exit status {run.returncode}"
                yield name, 1, f"does not compile alone under {' '.join(command[:3])}: {text}"


def rule_size(tree):
    for name in tree.files:
        count = tree.text(name).count("\n")
        if tree.is_source(name) and count > LINES_MAX:
            yield name, count, f"{count} lines; past {LINES_MAX}, which second noun lives here?"


def rule_built(tree):
    """Each C file is named, whole or by its stem, in a meson.build at or above its folder."""
    for name in tree.named(".c"):
        stem = os.path.basename(name)[:-2]
        pattern = re.compile(r"['/]" + re.escape(stem) + r"(?:\.c)?'")
        folder = name
        while folder:
            folder = os.path.dirname(folder)
            build = os.path.join(folder, "meson.build")
            if build in tree.present and pattern.search(tree.text(build)):
                break
        else:
            yield name, 1, "no meson.build names this file"


def slugs(text):
    """The anchors that a rendered page has: one a heading."""
    found = set()
    for heading in re.findall(r"^#+ +(.+?)\s*#*$", text, re.M):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def rule_links(tree):
    for name in tree.named(".md"):
        fenced = False
        for number, line in tree.lines(name):
            if line.lstrip().startswith("```"):
                fenced = not fenced
            if fenced:
                continue
            for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
                if re.match(r"[a-z][a-z0-9+.-]*:", target):
                    continue
                path, _, anchor = target.partition("#")
                page = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
                if not os.path.exists(os.path.join(tree.root, page)):
                    yield name, number, f"the link to {target} leads nowhere"
                elif anchor and page.endswith(".md") and anchor not in slugs(tree.text(page)):
                    yield name, number, f"{page} has no heading #{anchor}"


def rule_words(tree):
    for name in tree.files:
        if name.startswith("LICENSE"):
            continue
        for number, line in tree.lines(name):
            if UNFINISHED.search(line):
                yield name, number, f"unfinished work is not marked, it is done: {line.strip()[:60]}"
            path = MACHINE_PATH.search(line)
            if path:
                yield name, number, f"a path of one machine: {path.group(0)}"


def rule_readmes(tree):
    folders = {n.split("/", 1)[0] for n in tree.files if "/" in n}
    for folder in sorted(folders):
        if not folder.startswith(".") and folder != "LICENSES" and f"{folder}/README.md" not in tree.present:
            yield folder + "/README.md", 1, "is missing: purpose, nouns, what the folder may include"


def rule_python(tree):
    for name in tree.files:
        if name.endswith(".py") or re.match(r"#!.*python", tree.text(name)[:80]):
            try:
                ast.parse(tree.text(name), name)
            except SyntaxError as error:
                yield name, error.lineno or 1, str(error.msg)


def rule_mutants(tree):
    for name in tree.named(".patch"):
        if not name.startswith("tests/mutants/"):
            continue
        head = re.split(r"^(?:diff|---) ", tree.text(name), maxsplit=1, flags=re.M)
        for key in ("what", "caught-by"):
            if not re.search(rf"^# {key}: \S", head[0], re.M):
                yield name, 1, f"the header has no line '# {key}: ...'"
        if len(head) < 2:
            yield name, 1, "holds no change"


RULES = [rule_spdx, rule_arrows, rule_core_alone, rule_size, rule_built, rule_links, rule_words,
         rule_readmes, rule_python, rule_mutants]


def check(root):
    tree = Tree(root)
    return [(rule.__name__, *problem) for rule in RULES for problem in rule(tree)]


# What --self-test plants: file, content, the rule that must speak of it.
PLANTED = [
    ("config/plain.c", "int x;\n", "rule_spdx"),
    (CORE + "licence.h", "/* SPDX-License-Identifier: BSD-2-Clause */\n", "rule_spdx"),
    (CORE + "system.h", '#include <stdint.h>\n', "rule_arrows"),
    (CORE + "outside.h", '#include "config/config.h"\n', "rule_arrows"),
    ("config/mbuf.h", "#include <rte_mbuf.h>\n", "rule_arrows"),
    ("config/state.h", '#include "dataplane/state/arena.h"\n', "rule_arrows"),
    ("controlplane/map.c", "#include <bpf/bpf.h>\n", "rule_arrows"),
    ("dataplane/dpdk/cross.c", '#include "dataplane/xdp/worker.h"\n', "rule_arrows"),
    ("dataplane/state/up.h", '#include "dataplane/burst/burst.h"\n', "rule_arrows"),
    (CORE + "alone.h", "static inline u8 zero(void) { return 0; }\n", "rule_core_alone"),
    ("config/long.c", "\n" * (LINES_MAX + 1), "rule_size"),
    ("config/orphan.c", "\n", "rule_built"),
    ("docs/links.md", "[gone](nowhere.md)\n", "rule_links"),
    ("docs/anchor.md", "# One\n[gone](#two)\n", "rule_links"),
    ("config/later.h", "/* TO" "DO */\n", "rule_words"),
    ("docs/where.md", "see /wor" "k/main/x\n", "rule_words"),
    ("naked/file.md", "x\n", "rule_readmes"),
    ("tests/bad.py", "def f(:\n", "rule_python"),
    ("tests/mutants/bare.patch", "--- a/x\n+++ b/x\n", "rule_mutants"),
    ("tests/mutants/empty.patch", "# what: x\n# caught-by: unit\n", "rule_mutants"),
]


def plant(root, planted):
    """Makes a tree of violations: (file, content, the rule that must speak of it)."""
    for name, content, _ in planted:
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)


def self_test():
    silent = []
    with tempfile.TemporaryDirectory() as root:
        plant(root, PLANTED)
        heard = {(rule, name) for rule, name, _, _ in check(root)}
    for name, _, rule in PLANTED:
        about = "naked/README.md" if rule == "rule_readmes" else name
        if (rule, about) not in heard:
            silent.append(f"{rule} says nothing about {name}")
    print("\n".join(silent) or f"tidy: {len(PLANTED)} planted violations, each one found")
    return 1 if silent else 0


def main():
    parser = argparse.ArgumentParser(description="checks the rules of the tree")
    parser.add_argument("--self-test", action="store_true", help="check the rules themselves")
    parser.add_argument("--files", action="store_true", help="print the files of the tree")
    parser.add_argument("--root", default=os.path.join(os.path.dirname(__file__), ".."))
    args = parser.parse_args()
    if args.self_test:
        return self_test()
    if args.files:
        print("\n".join(Tree(os.path.abspath(args.root)).files))
        return 0
    problems = check(os.path.abspath(args.root))
    for _, name, line, text in problems:
        print(f"{name}:{line}: {text}")
    print(f"tidy: {len(problems)} problems" if problems else "tidy: clean")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
