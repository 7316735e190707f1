# SPDX-License-Identifier: BSD-2-Clause
"""A mixture of frames that leaves out little of what forwarding knows: new flows and old ones, both
families, every encapsulation, all sizes, and whatever is dropped or passed for a reason.

What depends on the time is left out, for a capture's clock is another than a device's: packets that
are too big don't say so, or their senders would be told, but not too often; and fragments are known
with their first one or not at all.

Made without scapy, which takes a second for a thousand frames, and with a generator of its own, so
that a seed means the same frames everywhere. What shunt should make of them is not said here:
devices.py compares one way of running with another.
"""
import random
import socket
import struct

BALANCER = bytes.fromhex("020000000001")
GATEWAY = bytes.fromhex("0200000000fe")
ROUTER = bytes.fromhex("0200000000aa")
STRANGER = bytes.fromhex("020000000077")
TCP, UDP = 6, 17
SYN, ACK = 2, 16

V4 = socket.inet_aton
VIP4, L2_VIP4, NO_BACKEND4 = V4("203.0.113.10"), V4("203.0.113.11"), V4("203.0.113.12")


def V6(text):
    return socket.inet_pton(socket.AF_INET6, text)


VIP6, L2_VIP6 = V6("2001:db8:a::10"), V6("2001:db8:a::11")


def csum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF & ~total


def tcp(sport, dport, flags=ACK, payload=b"", words=5):
    options = b"\1" * (4 * (words - 5)) if words > 5 else b""
    return struct.pack("!HHIIBBHHH", sport, dport, 1, 1, words << 4, flags, 1000, 0, 0) + \
        options + payload


def udp(sport, dport, payload=b"", length=None):
    return struct.pack("!HHHH", sport, dport, 8 + len(payload) if length is None else length,
                       0x1234) + payload


def ip4(source, dest, protocol, payload, **field):
    """An IPv4 packet; `field` spoils or sets header fields."""
    words = field.get("ihl", 5)
    options = b"\1" * (4 * (words - 5)) if words > 5 else b""
    length = field.get("length", 20 + len(options) + len(payload))
    head = struct.pack("!BBHHHBBH", field.get("version", 4) << 4 | words, field.get("tos", 0),
                       length, field.get("id", 7), field.get("flags", 0x4000),
                       field.get("ttl", 64), protocol, 0) + source + dest + options
    sum16 = csum(head) ^ field.get("spoil", 0)
    return head[:10] + struct.pack("!H", sum16) + head[12:] + payload


def ip6(source, dest, protocol, payload, **field):
    return struct.pack("!IHBB", field.get("version", 6) << 28 | field.get("tos", 0) << 20,
                       field.get("length", len(payload)), protocol,
                       field.get("ttl", 64)) + source + dest + payload


def ether(packet, kind=None, dest=BALANCER, source=ROUTER):
    if kind is None:
        kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    return dest + source + struct.pack("!H", kind) + packet


def padded(frame, size=60):
    """As a wire does it: padding is not zero everywhere."""
    return frame.ljust(size, b"\xee")


class Mixture:
    """Which of the devices' peculiarities the frames have to respect, is said by `fragments` and
    `long_frames` (beyond the MTU, which a kernel's interface takes no part in)."""

    def __init__(self, seed, mtu, fragments, long_frames):
        self.random, self.mtu = random.Random(seed), mtu
        self.fragments, self.long_frames = fragments, long_frames

    def client(self, v6):
        """One of two thousand, so that flows come again."""
        number = self.random.randrange(2000)
        port = 1024 + number * 7
        if v6:
            return V6(f"2001:db8:c::{number % 251 + 1:x}"), port
        return V4(f"198.51.100.{number % 251 + 1}"), port

    def payload(self, most):
        return self.random.randbytes(min(most, self.random.choice(
            [0, 0, 1, 5, 6, 18, 64, 200, 700, self.random.randrange(1461), 1400])))

    def packet(self, v6=False, l2=False, protocol=TCP, dport=None, most=1380, **field):
        source, sport = self.client(v6)
        dest = (L2_VIP6 if l2 else VIP6) if v6 else (L2_VIP4 if l2 else VIP4)
        payload = field.pop("payload", None)
        payload = self.payload(most) if payload is None else payload
        if protocol == TCP:
            flags = self.random.choice([SYN, ACK, ACK, ACK | 8])
            body = tcp(sport, dport or 443, field.pop("tcp_flags", flags), payload)
        else:
            body = udp(sport, dport or 53, payload)
        if "length" not in field:
            field.setdefault("tos", self.random.choice([0, 0, 0xB8, 1]))
        if not v6 and "flags" not in field:
            field["flags"] = self.random.choice([0x4000, 0x4000, 0])
        make = ip6 if v6 else ip4
        return make(field.pop("source", source), field.pop("dest", dest),
                    field.pop("protocol", protocol), body, **field)

    def good(self):
        v6, protocol = self.random.random() < 0.4, self.random.choice([TCP, TCP, UDP])
        return padded(ether(self.packet(v6, self.random.random() < 0.2, protocol)))

    def full(self):
        """Up to what fits its wrapping by a byte, and beyond."""
        v6 = self.random.random() < 0.4
        size = self.mtu - self.random.choice([52, 60, 64, 68, 100] if v6 else
                                             [0, 20, 40, 44, 48, 60, 64, 68, 100])
        payload = self.random.randbytes(size - (60 if v6 else 40))
        return ether(self.packet(v6, payload=payload, **({} if v6 else {"flags": 0})))

    def long(self):
        """Longer than the MTU: the packet, or what trails it."""
        if not self.long_frames:
            return self.good()
        if self.random.random() < 0.5:
            return padded(ether(self.packet(self.random.random() < 0.4)),
                          self.random.choice([2040, 2048, 2062, 4100, 9000]))
        return ether(self.packet(flags=0, payload=self.random.randbytes(
            self.random.choice([1700, 2100, 5000, 8900]))))

    def fragment(self):
        if not self.fragments:
            return self.good()
        flags = self.random.choice([0x2000, 0x2003, 0x0005])
        return padded(ether(self.packet(flags=flags, id=7 if flags == 0x2000 else 8)))

    def lie(self):
        """A header that is cut, or wrong."""
        pick = self.random.choice
        v6 = self.random.random() < 0.3
        if v6:
            field = pick([{"version": 4}, {"ttl": 0}, {"length": 2000}, {"length": 19},
                          {"source": bytes(16)}, {"source": V6("::1")}, {"source": VIP6},
                          {"source": V6("ff02::1")}, {"protocol": 0}, {"protocol": 44},
                          {"protocol": 58}, {"protocol": 50}])
        else:
            field = pick([{"version": 6}, {"ihl": 4}, {"ihl": 15}, {"ttl": 0}, {"length": 19},
                          {"length": 39}, {"length": 9999}, {"spoil": 1}, {"spoil": 0x8000},
                          {"source": bytes(4)}, {"source": V4("127.0.0.1")}, {"source": VIP4},
                          {"source": V4("224.0.0.1")}, {"protocol": 1}, {"protocol": 47}])
        return padded(ether(self.packet(v6, **field), 0x86DD if v6 else 0x0800))

    def cut(self):
        frame = ether(self.packet(self.random.random() < 0.4))
        return frame[:self.random.randrange(14, min(len(frame), 100))]

    def stranger(self):
        """Not for a service, or not for us."""
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + ROUTER + V4("10.9.9.9") + BALANCER + \
            V4("10.9.9.8")
        plain = self.packet()
        return padded(self.random.choice([
            lambda: ether(arp, 0x0806),
            lambda: ether(plain, dest=STRANGER),
            lambda: ether(plain, dest=b"\xff" * 6),
            lambda: ether(plain, dest=bytes.fromhex("01005e000001")),
            lambda: ether(plain, source=BALANCER),
            lambda: ether(struct.pack("!HH", 5, 0x0800) + plain, 0x8100),
            lambda: ether(struct.pack("!HHHHHH", 5, 0x8100, 6, 0x8100, 7, 0x0800) + plain, 0x88A8),
            lambda: ether(self.packet(dest=V4("203.0.113.99"))),
            lambda: ether(self.packet(dest=NO_BACKEND4)),
            lambda: ether(self.packet(dport=444)),
            lambda: ether(self.packet(True, dest=V6("2001:db8:a::99"))),
            lambda: ether(self.packet(True, protocol=UDP, dport=54)),
            lambda: ether(b"\0" * 46, 0x88CC),
        ])())

    def frames(self, count):
        makers = [self.good, self.full, self.long, self.fragment, self.lie, self.cut, self.stranger]
        weights = [70, 6, 3, 2, 7, 4, 8]
        return [self.random.choices(makers, weights)[0]() for _ in range(count)]


def write_capture(path, frames):
    """A millisecond for a hundred frames: time is not what is tested."""
    with open(path, "wb") as file:
        file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for n, frame in enumerate(frames):
            file.write(struct.pack("=IIII", 1_700_000_000, n * 10, len(frame), len(frame)) + frame)


def read_capture(path):
    with open(path, "rb") as file:
        data = file.read()
    frames, at = [], 24
    while at < len(data):
        length = struct.unpack_from("=I", data, at + 8)[0]
        frames.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return frames
