#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""In the guest: runs what remote.py on the machine asks for.

usage: agent.py ADDRESS PORT

A connection is a program: it begins with what to run and is killed with -9 when the connection ends,
so that who kills remote.py kills the program. One loop does all, and looks for ends before it takes
anything new: what is asked for after a kill meets the world after it.
"""
import base64
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile

selector = selectors.DefaultSelector()


class Program:
    """What one connection has asked for."""

    def __init__(self, wire):
        self.wire = wire
        self.asked = b""
        self.process = None
        self.open = 0
        selector.register(wire, selectors.EVENT_READ, self.hear)

    def hear(self):
        data = self.wire.recv(65536)
        if not data:
            self.end()
            return
        *lines, self.asked = (self.asked + data).split(b"\n")
        for line in lines:
            self.obey(json.loads(line))

    def obey(self, order):
        for path, text in order["files"].items():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path + ".new", "w", encoding="utf-8") as file:
                file.write(text)
            os.rename(path + ".new", path)
        if "signal" in order:
            self.process.send_signal(order["signal"])
        else:
            self.start(order["argv"], order["stdin"])

    def start(self, argv, text):
        with tempfile.TemporaryFile() as file:
            file.write(text.encode())
            file.seek(0)
            self.process = subprocess.Popen(argv, stdin=file, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE)
        for number, pipe in ((1, self.process.stdout), (2, self.process.stderr)):
            self.open += 1
            selector.register(pipe, selectors.EVENT_READ,
                              lambda number=number, pipe=pipe: self.relay(number, pipe))

    def relay(self, number, pipe):
        data = os.read(pipe.fileno(), 65536)
        if data:
            self.say({"to": number, "data": base64.b64encode(data).decode()})
            return
        selector.unregister(pipe)
        pipe.close()
        self.open -= 1
        if self.open == 0:
            self.say({"status": self.process.wait()})

    def say(self, what):
        try:
            self.wire.sendall(json.dumps(what).encode() + b"\n")
        except OSError:
            pass  # nobody listens any more; the end comes by itself

    def end(self):
        selector.unregister(self.wire)
        self.wire.close()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


def main():
    listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
    selector.register(listener, selectors.EVENT_READ, lambda: Program(listener.accept()[0]))
    print("ready", flush=True)
    while True:
        ready = [key for key, _ in selector.select()]
        for key in sorted(ready, key=lambda key: key.fileobj is listener):
            if key.fileobj.fileno() >= 0:  # or it went with its program just now
                key.data()


if __name__ == "__main__":
    main()
