#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends one IPIP packet (RFC 2003) by hand, since scapy takes its time in the guest: an echo request to
a VIP, wrapped for a backend.

usage: ipip.py INTERFACE MAC BACKEND VIP
"""
import socket
import struct
import sys


def checksum(data):
    """RFC 1071, of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, destination, protocol, payload):
    fields = [0x45, 0, 20 + len(payload), 1, 0x4000, 64, protocol, 0, socket.inet_aton(source),
              socket.inet_aton(destination)]
    fields[7] = checksum(struct.pack("!BBHHHBBH4s4s", *fields))
    return struct.pack("!BBHHHBBH4s4s", *fields) + payload


interface, mac, backend, vip = sys.argv[1:]
echo = struct.pack("!BBHHH", 8, 0, checksum(struct.pack("!BBHHH", 8, 0, 0, 1, 1)), 1, 1)
packet = ipv4("10.9.0.2", backend, 4, ipv4("198.51.100.2", vip, 1, echo))
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind((interface, 0))
    wire.send(bytes.fromhex(mac.replace(":", "")) + b"\x02\0\0\0\0\x09\x08\0" + packet)
