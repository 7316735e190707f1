#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends one frame of the EtherType for local experiments, or prints what the first one that comes
carries in its first two bytes.

usage: frames.py send INTERFACE | frames.py receive INTERFACE
"""
import socket
import sys

ETHERTYPE = 0x88B5
BROADCAST = b"\xff" * 6

action, interface = sys.argv[1:]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
wire.bind((interface, ETHERTYPE))
if action == "send":
    own = wire.getsockname()[4]
    wire.send(BROADCAST + own + ETHERTYPE.to_bytes(2, "big") + b"--".ljust(46, b"\0"))
else:
    wire.settimeout(30)
    print(wire.recv(2048)[14:16].decode())
