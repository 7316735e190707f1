#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""On the machine, under the name of a program: runs that program in the guest, by agent.py there.

The files that it is given, and the lab's configuration, go along. Output, status, HUP, TERM and INT are
the program's; it is killed when this is. So what the lab does with its programs it can do to
those of a guest. REMOTE is the agent's address and port.
"""
import base64
import json
import os
import signal
import socket
import sys


def files(argv):
    """What the program will read, as it is now."""
    found = {}
    for path in {*argv, os.environ["LAB_CONFIG"]}:
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                found[os.path.abspath(path)] = file.read()
    return found


def main():
    argv = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
    address, port = os.environ["REMOTE"].split()
    wire = socket.create_connection((address, int(port)))

    def send(**order):
        wire.sendall(json.dumps({"files": files(argv), **order}).encode() + b"\n")

    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: send(signal=number))
    send(argv=argv, stdin=sys.stdin.read() if "-" in argv else "")
    for line in wire.makefile():
        said = json.loads(line)
        if "status" in said:
            return said["status"]
        stream = sys.stdout if said["to"] == 1 else sys.stderr
        stream.buffer.write(base64.b64decode(said["data"]))
        stream.flush()
    return 1


if __name__ == "__main__":
    sys.exit(main())
