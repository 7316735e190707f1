#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""On the machine: does something to the guest's hardware while it runs, by QEMU's monitor.

usage: monitor.py link NIC on|off     as pulling the cable of nic0 or nic1
"""
import json
import socket
import sys

PATH = "/run/vm/qmp"


def ask(stream, command, **arguments):
    stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    stream.flush()
    while True:
        reply = json.loads(stream.readline())
        if "return" in reply:
            return
        if "error" in reply:
            sys.exit(f"{command}: {reply['error']['desc']}")


def main():
    if len(sys.argv) != 4 or sys.argv[1] != "link" or sys.argv[3] not in ("on", "off"):
        sys.exit(__doc__)
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.connect(PATH)
        stream = monitor.makefile("rw", encoding="utf-8")
        stream.readline()  # who it is
        ask(stream, "qmp_capabilities")
        ask(stream, "set_link", name=sys.argv[2], up=sys.argv[3] == "on")


if __name__ == "__main__":
    main()
