# SPDX-License-Identifier: BSD-2-Clause
"""Packets counted on a wire by the kernel, one by one: a packet socket with a filter, whose own
count also has those that found no room in it. So nothing needs to be read for a count to be right,
and whoever wants to know what went by reads what there was room for.

A packet of many segments would count as one: the interfaces that it comes from or through have to
have segmentation offload and GRO switched off.
"""
import ctypes
import socket
import struct

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_ATTACH_FILTER, SO_RCVBUFFORCE = 26, 33
ROOM_BYTES = 32 << 20
HEAD_BYTES = 64  # enough for the ports

# Classic BPF: loads by size, one comparison, and the packet's direction.
LOAD = {1: 0x30, 2: 0x28, 4: 0x20}
JUMP_EQUAL, RETURN = 0x15, 0x06
DIRECTION_AT, RECEIVED, SENT = 0xFFFFF000 + 4, 0, 4


def words(at, data):
    """That these bytes stand there, as comparisons."""
    size = 4 if len(data) % 4 == 0 else 2
    return [(size, at + i, int.from_bytes(data[i:i + size], "big"))
            for i in range(0, len(data), size)]


def to(address):
    """To an address, IPv4 or IPv6, in Ethernet without tags."""
    if ":" in address:
        return [(2, 12, 0x86DD), *words(38, socket.inet_pton(socket.AF_INET6, address))]
    return [(2, 12, 0x0800), *words(30, socket.inet_aton(address))]


def within(network, prefix_bytes):
    """From an address that begins with those bytes of a network's."""
    if ":" in network:
        return [(2, 12, 0x86DD),
                *words(22, socket.inet_pton(socket.AF_INET6, network)[:prefix_bytes])]
    return [(2, 12, 0x0800), *words(26, socket.inet_aton(network)[:prefix_bytes])]


def program(comparisons):
    """Takes what they all hold for."""
    code = []
    for i, (size, at, value) in enumerate(comparisons):
        away = 2 * (len(comparisons) - 1 - i) + 1
        code += [(LOAD[size], 0, 0, at), (JUMP_EQUAL, 0, away, value)]
    code += [(RETURN, 0, 0, HEAD_BYTES), (RETURN, 0, 0, 0)]
    return b"".join(struct.pack("HBBI", *step) for step in code)


class Tap:
    """On an interface of this process's network namespace, for what it RECEIVED or SENT."""

    def __init__(self, interface, direction, comparisons):
        self.packets = 0
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        steps = program([(1, DIRECTION_AT, direction), *comparisons])
        code = ctypes.create_string_buffer(steps, len(steps))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                               struct.pack("HL", len(steps) // 8, ctypes.addressof(code)))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM_BYTES)
        self.socket.setblocking(False)
        self.socket.bind((interface, ETH_P_ALL))

    def count(self):
        """Packets since its making. The kernel forgets what it has told."""
        seen, _ = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        self.packets += seen
        return self.packets

    def read(self):
        """The heads of the packets since it was read last."""
        heads = []
        try:
            while True:
                heads.append(self.socket.recv(HEAD_BYTES))
        except BlockingIOError:
            return heads


def flow_of(head):
    """("tcp" or "udp" or None, source port) of a packet without options or extensions."""
    v6 = head[12:14] == b"\x86\xdd"
    protocol = {6: "tcp", 17: "udp"}.get(head[20 if v6 else 23])
    return protocol, int.from_bytes(head[54:56] if v6 else head[34:36], "big")
