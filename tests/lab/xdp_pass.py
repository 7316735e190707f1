#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""An XDP program that passes everything, in native mode: what a veth needs for its peer's XDP_TX to
come through, where a cable would need nothing.

usage: xdp_pass.py INTERFACE     pins its link as /sys/fs/bpf/pass-INTERFACE
"""
import ctypes
import os
import platform
import socket
import struct
import sys

BPF = {"x86_64": 321}.get(platform.machine(), 280)
PROG_LOAD, OBJ_PIN, LINK_CREATE = 5, 6, 28
TYPE_XDP, ATTACH_XDP = 6, 37
FLAGS_DRIVER = 4
PASS = 2
PROGRAM = struct.pack("=BBhi", 0xB7, 0, 0, PASS) + struct.pack("=BBhi", 0x95, 0, 0, 0)


def bpf(command, attributes):
    space = ctypes.create_string_buffer(attributes, 128)
    result = ctypes.CDLL(None, use_errno=True).syscall(BPF, command, space, 128)
    if result < 0:
        raise SystemExit(f"xdp_pass.py: bpf command {command}: {os.strerror(ctypes.get_errno())}")
    return result


def address(data):
    return ctypes.addressof(data)


def main():
    name = sys.argv[1]
    code = ctypes.create_string_buffer(PROGRAM, len(PROGRAM))
    license_ = ctypes.create_string_buffer(b"BSD")
    path = ctypes.create_string_buffer(f"/sys/fs/bpf/pass-{name}".encode())
    program = bpf(PROG_LOAD, struct.pack("=IIQQ", TYPE_XDP, len(PROGRAM) // 8, address(code),
                                         address(license_)))
    link = bpf(LINK_CREATE, struct.pack("=IIII", program, socket.if_nametoindex(name), ATTACH_XDP,
                                        FLAGS_DRIVER))
    bpf(OBJ_PIN, struct.pack("=QI", address(path), link))


main()
