#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A one-way wire with a delay (this kernel may lack netem): what is routed into the tunnel
device `slow` of one network namespace arrives from the device `slow` of another, later.

usage: delay.py FROM-NAMESPACE TO-NAMESPACE MILLISECONDS    prints "ready", runs until killed
"""
import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000
PACKET_MAX = 65536

libc = ctypes.CDLL(None, use_errno=True)


def tunnel(namespace):
    """Makes the device in the namespace, where this process then is too."""
    with open(f"/run/netns/{namespace}", "rb") as file:
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            sys.exit(f"delay: {namespace}: {os.strerror(ctypes.get_errno())}")
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"slow", IFF_TUN | IFF_NO_PI))
    return fd


def main():
    source, sink, delay_s = tunnel(sys.argv[1]), tunnel(sys.argv[2]), int(sys.argv[3]) / 1000
    late = collections.deque()
    print("ready", flush=True)
    while True:
        wait = max(0, late[0][0] - time.monotonic()) if late else None
        if select.select([source], [], [], wait)[0]:
            late.append((time.monotonic() + delay_s, os.read(source, PACKET_MAX)))
        while late and late[0][0] <= time.monotonic():
            os.write(sink, late.popleft()[1])


if __name__ == "__main__":
    main()
