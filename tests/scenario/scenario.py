# SPDX-License-Identifier: BSD-2-Clause
"""What scenarios are written with.

A scenario is a folder with `config.yaml` and `packets.py`; the latter has a function
`packets(s)` that calls s.frame(FRAME, EXPECTATION) for each frame in order. Frames and
expectations are built by scapy from the RFCs, never by running shunt.

The outer header has fields that shunt is free to choose (entropy); an expectation names them in
`free`, the runner takes them over from the frame that came and computes checksums anew, so that
everything else is still compared byte by byte.
"""
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)

from scapy.compat import raw  # noqa: E402
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402,F401
from scapy.layers.inet6 import (  # noqa: E402,F401
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether  # noqa: E402,F401
from scapy.packet import Packet, Raw, bind_layers  # noqa: E402,F401
from scapy.fields import BitField, ByteField, ShortField  # noqa: E402

# The stations that every scenario's configuration fixes.
BALANCER = "02:00:00:00:00:01"
GATEWAY = "02:00:00:00:00:fe"
ROUTER = "02:00:00:00:00:aa"  # who sends to the balancer

CLIENT4, CLIENT6 = "198.51.100.7", "2001:db8:c::7"
VIP4, VIP6 = "203.0.113.10", "2001:db8:a::10"
BACKEND4, BACKEND6 = "10.0.1.1", "2001:db8:b::1"
SOURCE4, SOURCE6 = "10.0.0.1", "2001:db8:f::1"  # outer sources: single addresses, no entropy


class GUE(Packet):
    """draft-ietf-intarea-gue section 3.1, variant 0."""

    name = "GUE"
    fields_desc = [
        BitField("variant", 0, 2),
        BitField("control", 0, 1),
        BitField("hlen", 0, 5),
        ByteField("protocol", 4),
        ShortField("flags", 0),
    ]


class Expectation:
    """What must become of one frame."""

    def __init__(self, verdict, reason, service=None, backend=None, out=None, free=()):
        self.verdict, self.reason = verdict, reason
        self.service, self.backend = service, backend
        self.out, self.free = out, free


def drop(reason, service=None, backend=None):
    return Expectation("drop", reason, service, backend)


def passed(reason):
    return Expectation("pass", reason)


def reply(out, reason):
    return Expectation("reply", reason, out=out)


def forward(out, service="web", backend=BACKEND4, reason="maglev", free=()):
    return Expectation("forward", reason, service, backend, out, free)


class Scenario:
    """Frames in order, each with its time in seconds and its expectation."""

    def __init__(self):
        self.frames = []
        self.time = 1_700_000_000.0

    def frame(self, frame, expectation):
        self.time += 0.001
        self.frames.append((self.time, raw(frame), expectation))

    def wait(self, seconds):
        self.time += seconds


def to_balancer(packet):
    """An inner packet as the router sends it."""
    return Ether(src=ROUTER, dst=BALANCER) / packet


def to_gateway(packet):
    """What shunt sends."""
    return Ether(src=BALANCER, dst=GATEWAY) / packet


def built(packet):
    """The packet with every length and checksum filled in, as a packet again."""
    return packet.__class__(raw(packet))


def ipip(inner, outer_v6=False, tos=None):
    """RFC 2003, RFC 4213, RFC 2473: the outer header around `inner`."""
    inner_v6 = IPv6 in inner and inner.name == "IPv6"
    protocol = 41 if inner_v6 else 4
    if tos is None:
        tos = inner.tc if inner_v6 else inner.tos
    if outer_v6:
        return IPv6(src=SOURCE6, dst=BACKEND6, nh=protocol, hlim=64, tc=tos) / inner
    # RFC 4213 section 3.2 (IPv6 inside: DF), RFC 2003 section 3.1 (DF copied),
    # RFC 6864 section 4.1 (an atomic datagram's ID carries nothing: 0).
    df = inner_v6 or bool(inner.flags.DF)
    return IP(src=SOURCE4, dst=BACKEND4, proto=protocol, ttl=64, tos=tos,
              flags="DF" if df else 0, id=0) / inner


def gue(inner, outer_v6=False):
    """GUE around `inner`; the UDP checksum is 0 (RFC 768; RFC 6935 section 5)."""
    inner_v6 = inner.name == "IPv6"
    tos = inner.tc if inner_v6 else inner.tos
    tunnel = UDP(sport=49152, dport=6080, chksum=0) / GUE(protocol=41 if inner_v6 else 4) / inner
    if outer_v6:
        return IPv6(src=SOURCE6, dst=BACKEND6, nh=17, hlim=64, tc=tos) / tunnel
    df = inner_v6 or bool(inner.flags.DF)
    return IP(src=SOURCE4, dst=BACKEND4, ttl=64, tos=tos, flags="DF" if df else 0, id=0) / tunnel
