# SPDX-License-Identifier: BSD-2-Clause
"""What a run of the demo says: to a person, to a log, and to the file that the README quotes.

Figures are what was found, the same from run to run. A measure (a time, a count of packets) is
not, so it never reaches the record; a quote (a program's own output) is too long for a log of
continuous integration.
"""
import os
import sys
import textwrap
import time

WIDTH = 96
INDENT = "   "


class Broken(Exception):
    """A step found something other than it promises."""


def expect(condition, message):
    if not condition:
        raise Broken(message)


class Report:
    """The steps of one run, told as they happen."""

    def __init__(self, compact):
        self.compact = compact
        self.recorded = []
        self.number = 0
        self.start = time.monotonic()
        self.lines = []

    def _write(self, text, screen=True, record=True):
        if screen:
            print(text, flush=True)
        if record:
            self.recorded.append(text)

    def step(self, title, explanation, action):
        """Runs one step. Its action gets this report for its figures."""
        self.number += 1
        self.start = time.monotonic()
        self.lines = []
        told = f"\n{self.number}. {title}\n{self._wrap(explanation)}"
        self._write(told, screen=not self.compact)
        try:
            action(self)
        except Broken as broken:
            print(f"FAILED {self.number}. {title}\n{self._wrap(str(broken))}", flush=True)
            raise
        if self.compact:
            seconds = time.monotonic() - self.start
            print("\n".join([f"ok {self.number}. {title} ({seconds:.1f} s)", *self.lines]), flush=True)

    @staticmethod
    def _wrap(text):
        lines = [textwrap.fill(line, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
                 for line in text.splitlines()]
        return "\n".join(lines)

    def figure(self, text):
        line = f"{INDENT}-> {text}"
        self.lines.append(line)
        self._write(line, screen=not self.compact)

    def measure(self, text):
        line = f"{INDENT}-> {text}"
        self.lines.append(line)
        self._write(line, screen=not self.compact, record=False)

    def record(self, descriptor):
        """Replaces the content of the open file by what was said."""
        os.ftruncate(descriptor, 0)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(self.recorded).lstrip("\n") + "\n")

    def quote(self, command, text, record=True):
        block = "\n".join(f"{INDENT}   {line}".rstrip() for line in text.splitlines())
        self._write(f"{INDENT}   $ {command}\n{block}", screen=not self.compact,
                    record=record)


def failure_logs(paths, lines=25):
    """The ends of the daemons' logs, for whoever reads about a failure."""
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                tail = file.read().splitlines()[-lines:]
        except OSError as error:
            tail = [str(error)]
        print(f"--- the end of {path}", *tail, sep="\n", file=sys.stderr)
