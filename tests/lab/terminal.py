#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The demo as somebody at two terminals meets it: the lab stays up, `scripts/demo shell` opens
a shell in it, every printed suggestion works there as printed, Ctrl-C ends it all.

usage: terminal.py      exit: 0 passed, 1 failed, 77 cannot run here
"""
import os
import pty
import re
import select
import signal
import sys
import time

DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts", "demo")
PATIENCE_SECONDS = 90
SUGGESTION = re.compile(r"^    (\S.*?)\s*$", re.M)
PROMPT = "client:/run/lab# "
# What has to be in the answer to a suggestion that begins so.
WANTED = {
    "curl": r"hello from b[123]",
    "shunt explain": r"backend +10\.0\.[123]\.1",
    "shunt show drops": r"forward +maglev +\d+",
    "shunt drain": r"10\.0\.1\.1 drains in web4",
    "kill -9": r"10\.0\.2\.1 .*down since",
    "shunt show": r"203\.0\.113\.10:80 +web4",
    "sed": r"reloaded",
    "cat": r"shuntd: published generation",
}


class Terminal:
    """A program on a pseudo-terminal of its own."""

    def __init__(self, *command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "dumb"
            os.execv(command[0], command)
        self.text = ""

    def _read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # how a pseudo-terminal says that the other end is closed
            data = b""
        self.text += data.decode(errors="replace").replace("\r", "")
        return bool(data)

    def wait(self, wanted):
        """Reads until the text appears; returns what came before it and forgets both."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while wanted not in self.text:
            if not self._read(0.2):
                refused = self.end() == 77
                print(self.text if refused else f"failed: no {wanted!r} in:\n{self.text}")
                sys.exit(77 if refused else 1)
            if time.monotonic() > deadline:
                self.kill()
                sys.exit(f"failed: {wanted!r} was not to be seen in time in:\n{self.text}")
        before, _, self.text = self.text.partition(wanted)
        return before

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        """Waits for the program's own end; returns its exit status."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._read(0.2) and time.monotonic() < deadline:
            pass
        if time.monotonic() >= deadline:
            self.kill()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)


def try_suggestion(shell, suggestion):
    shell.type(suggestion + "\n")
    answer = shell.wait(PROMPT)
    shell.type("echo status=$?.\n")
    shell.wait("echo status=$?.\n")
    status = shell.wait(".\n" + PROMPT)
    wanted = next(pattern for start, pattern in WANTED.items() if suggestion.startswith(start))
    if status != "status=0" or not re.search(wanted, answer.partition("\n")[2]):
        sys.exit(f"failed: `{suggestion}` answered, with {status}:\n{answer}")
    print(f"works: {suggestion}")


def main():
    demo = Terminal(DEMO)
    told = demo.wait("Ctrl-C ends it here")
    suggestions = SUGGESTION.findall(told.partition("The lab is up.")[2])
    if len(suggestions) < len(WANTED):
        sys.exit(f"failed: few suggestions:\n{told}")
    shell = Terminal(DEMO, "shell")
    shell.wait(PROMPT)
    for suggestion in suggestions:
        try_suggestion(shell, suggestion)
    shell.type("exit\n")
    if shell.end() != 0:
        sys.exit(f"failed: the shell did not end well:\n{shell.text}")
    demo.type("\x03")
    status = demo.end()
    if status != 130:
        sys.exit(f"failed: Ctrl-C ended the demo with status {status}")
    if demo.text.partition("nothing behind.")[2].strip() not in ("", "^C"):
        sys.exit(f"failed: Ctrl-C brought this to light:\n{demo.text}")
    print("Ctrl-C ended it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
