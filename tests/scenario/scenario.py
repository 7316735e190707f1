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
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
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
        self.released_by = None  # the number of the frame that it had to wait for


def drop(reason, service=None, backend=None):
    return Expectation("drop", reason, service, backend)


def passed(reason):
    return Expectation("pass", reason)


def reply(out, reason):
    return Expectation("reply", reason, out=out)


def forward(out, service="web", backend=BACKEND4, reason="maglev", free=()):
    return Expectation("forward", reason, service, backend, out, free)


def released(expectation, by):
    """The same, but not before frame number `by` has come: a fragment waits for its first one."""
    expectation.released_by = by
    return expectation


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


def to_router(packet):
    """What shunt answers."""
    return Ether(src=BALANCER, dst=ROUTER) / packet


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


# --- Every row by every encapsulation: the services of such a scenario's configuration are called
# WAY4 and WAY6 (tcp, port 443) and udp-WAY4 and udp-WAY6 (udp, port 53).

WAYS = ("ipip", "gue", "l2")


def is_v6(packet):
    return packet.name == "IPv6"


def address_of(way, six):
    """The VIP whose services are wrapped this way."""
    return ("2001:db8:a::%d0" if six else "203.0.113.%d0") % (WAYS.index(way) + 1)


def header_to(way, six, **fields):
    """The IP header of a client's packet; `fields` are those of IPv4 or IPv6."""
    if six:
        return IPv6(**{"src": CLIENT6, "dst": address_of(way, True), **fields})
    return IP(**{"src": CLIENT4, "dst": address_of(way, False), **fields})


def to_backend(inner, way, protocol="tcp", reason="maglev"):
    """What is expected of `inner`, complete with lengths and checksums, sent this way."""
    six = is_v6(inner)
    service = ("" if protocol == "tcp" else "udp-") + way + ("6" if six else "4")
    outer_v6 = six and way == "gue"
    free = ["UDP.sport"] if way == "gue" else []
    if outer_v6:
        free.append("IPv6.fl")
    elif way != "l2" and not six and not inner.flags.DF:
        free.append("IP.id")
    out = {"ipip": ipip, "gue": lambda packet: gue(packet, outer_v6), "l2": lambda packet: packet}
    return forward(to_gateway(out[way](inner)), service,
                   BACKEND6 if six and way != "ipip" else BACKEND4, reason, free)


def sized(packet, total):
    """The packet, filled up with zeros to a length."""
    return built(packet / Raw(bytes(total - len(packet))))


def too_big(packet, mtu):
    """RFC 1191 section 4, RFC 4443 section 3.2: what the sender of `packet` is told. As much of it
    goes back as the whole may have: RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c)."""
    if is_v6(packet):
        return IPv6(src=packet.dst, dst=packet.src, hlim=64) / ICMPv6PacketTooBig(
            mtu=mtu) / Raw(raw(packet)[:1192])
    return IP(src=packet.dst, dst=packet.src, flags="DF", id=0, ttl=64) / ICMP(
        type=3, code=4, nexthopmtu=mtu) / Raw(raw(packet)[:528])


def mended(checksum, before, after):
    """RFC 1624: a checksum after a word that it covers has changed; right if it was right."""
    return (checksum + before - after) % 0xffff


def echoed(request):
    """RFC 792, RFC 4443 section 4.2: the answer to an echo request; of a wrong checksum, the one
    that is wrong by as much. Over IPv4 zero is written as 0xffff: a reply may be all zeros, and
    then 0 would be wrong; over IPv6 its addresses are summed too."""
    reply = request.copy()
    reply.src, reply.dst = request.dst, request.src
    if is_v6(request):
        reply.hlim = 64
        was = request[ICMPv6EchoRequest].cksum
        body = ICMPv6EchoReply(id=request[ICMPv6EchoRequest].id,
                               seq=request[ICMPv6EchoRequest].seq,
                               data=request[ICMPv6EchoRequest].data,
                               cksum=mended(was, 0x8000, 0x8100))
        reply.remove_payload()
        return reply / body
    reply.ttl = 64
    reply.chksum = None
    reply[ICMP].type = 0
    reply[ICMP].chksum = mended(request[ICMP].chksum, 0x0800, 0) or 0xffff
    return reply
