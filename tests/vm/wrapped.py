#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends a datagram to a VIP and wants it back as a backend gets it: the same packet in IPIP."""
import socket
import sys

VIP = sys.argv[1]
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)
raw.settimeout(5)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", (VIP, 7))
outer = raw.recv(2000)
assert outer[9] == socket.IPPROTO_IPIP, outer
assert outer[20 + 16:20 + 20] == socket.inet_aton(VIP) and outer.endswith(b"hello"), outer
print(len(outer), "bytes came wrapped")
