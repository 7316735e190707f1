# SPDX-License-Identifier: BSD-2-Clause
"""Pings of a VIP. The answer is the request turned round; its checksum is mended for the type alone,
so that a wrong one stays wrong (RFC 1624)."""
from scapy.layers.inet import IPOption

from scenario import *


def ping4(payload=b"", id=1, seq=1, checksum=None, **fields):
    return built(IP(**{"src": CLIENT4, "dst": VIP4, **fields}) / ICMP(
        type=8, id=id, seq=seq, chksum=checksum) / payload)


def ping6(payload=b"", id=1, seq=1, checksum=None, **fields):
    return built(IPv6(**{"src": CLIENT6, "dst": VIP6, **fields}) / ICMPv6EchoRequest(
        id=id, seq=seq, data=payload, cksum=checksum))


def answered(s, request, trailer=b""):
    s.frame(raw(to_balancer(request)) + trailer,
            reply(to_router(echoed(request)) / Raw(trailer), "echo"))


def is_right(packet):
    """Whether the checksum of an ICMP message over IPv4 is right (RFC 1071 section 1)."""
    message = raw(packet[ICMP])
    message += bytes(len(message) % 2)
    total = sum(int.from_bytes(message[i:i + 2], "big") for i in range(0, len(message), 2))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return total == 0xffff


def carries(s):
    # Sequence numbers that put the request's checksum to every place where a carry begins or ends.
    for edge in (0x0000, 0x07ff, 0x0800, 0x7fff, 0x8000, 0x80ff, 0x8100, 0xf7fe, 0xf7ff, 0xf800,
                 0xfffe):
        for near in (-2, -1, 0, 1, 2):
            for ping in (ping4, ping6):
                none = ping(seq=0, id=0)
                was = none[ICMP].chksum if ping is ping4 else none[ICMPv6EchoRequest].cksum
                request = ping(seq=(was - edge - near) % 0xffff, id=0)
                answered(s, request)
                assert ping is ping6 or is_right(echoed(request))
    # All zeros but for the type: the only answer whose checksum is 0xffff and can't be 0.
    for payload in (b"", bytes(56)):
        answered(s, ping4(payload, id=0, seq=0))
        assert echoed(ping4(payload, id=0, seq=0))[ICMP].chksum == 0xffff
        answered(s, ping6(payload, id=0, seq=0))


def wrong(s):
    right = ping4(b"data")[ICMP].chksum
    for checksum in (0, 1, 0x0800, 0xf7ff, 0xf7fe, 0xffff, right ^ 1, right ^ 0x8000,
                     right ^ 0x0800):
        request = ping4(b"data", checksum=checksum)
        answered(s, request)
        assert not is_right(request) and not is_right(echoed(request))
        answered(s, ping6(b"data", checksum=checksum))


def packets(s):
    for payload in (b"", b"x", b"\xff\xff", b"odd", bytes(range(56)), b"\xff" * 1400):
        answered(s, ping4(payload))
        answered(s, ping6(payload))
    carries(s)
    wrong(s)
    # Identification, DF, TOS (RFC 1349 section 5.1) and flow label stay; TTL and hop limit are new.
    for ttl in (1, 2, 63, 64, 65, 255):
        answered(s, ping4(b"ttl", ttl=ttl, id=ttl, flags="DF", tos=ttl))
        answered(s, ping4(b"ttl", ttl=ttl))
        answered(s, ping6(b"ttl", hlim=ttl, tc=ttl, fl=ttl << 8))
    for n in (1, 18):
        answered(s, ping4(b"padded"), b"\xa5" * n)
        answered(s, ping6(b"padded"), b"\xa5" * n)
    # Addresses and checksums of every VIP, whatever its services' way.
    for way in WAYS:
        answered(s, ping4(dst=address_of(way, False), src="192.0.2.255"))
        answered(s, ping6(dst=address_of(way, True), src="2001:db8:ffff::ffff"))

    # Who asks for more than an echo, or so that nobody may answer, gets none.
    s.frame(to_balancer(ping4(options=[IPOption(b"\x01" * 4)])), drop("icmp"))
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrDestOpt() / ICMPv6EchoRequest()),
            drop("icmp"))
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment() / ICMPv6EchoRequest()),
            drop("icmp"))
    for ping in (ping4(b"x"), ping6(b"x")):
        for source in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"):
            s.frame(Ether(src=source, dst=BALANCER) / ping, drop("icmp"))
        for group in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01"):
            s.frame(Ether(src=ROUTER, dst=group) / ping, drop("l2_group"))
    s.frame(to_balancer(ping4(src="127.0.0.1")), drop("martian"))
    s.frame(to_balancer(ping4(src="255.255.255.255")), drop("martian"))
    s.frame(to_balancer(ping6(src="ff02::1")), drop("martian"))
    s.frame(to_balancer(ping4(src=VIP4)), drop("land"))
    s.frame(to_balancer(ping6(src=VIP6)), drop("land"))
    s.frame(to_balancer(ping4(ttl=0)), drop("ttl_zero"))
    s.frame(to_balancer(ping6(hlim=0)), drop("ttl_zero"))
    s.frame(to_balancer(ping4(chksum=1)), drop("bad_csum"))
    s.frame(to_balancer(ping4(dst="192.0.2.1")), passed("other_address"))
    s.frame(to_balancer(ping6(dst="2001:db8::99")), passed("other_address"))
    # Another code; a request of seven bytes; in pieces.
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4) / ICMP(code=1)), drop("icmp"))
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6) / ICMPv6EchoRequest(code=1)), drop("icmp"))
    s.frame(raw(to_balancer(IP(src=CLIENT4, dst=VIP4, proto=1) / raw(ICMP())[:7])) + bytes(20),
            drop("icmp"))
    s.frame(raw(to_balancer(IPv6(src=CLIENT6, dst=VIP6, nh=58) / raw(ICMPv6EchoRequest())[:7])) +
            bytes(20), drop("icmp"))
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, flags="MF") / ICMP() / bytes(8)), drop("icmp"))
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, frag=2, proto=1) / bytes(8)), drop("icmp"))
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(m=1) /
                        ICMPv6EchoRequest()), drop("icmp"))
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(offset=1, nh=58) /
                        bytes(8)), drop("icmp"))
    # Nobody asked for these.
    for kind in (0, 4, 5, 9, 10, 13, 14, 15, 17, 30, 255):
        s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4) / ICMP(type=kind) / bytes(40)), drop("icmp"))
    for kind in (0, 5, 100, 127, 129, 130, 133, 134, 136, 137, 143, 255):
        s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6, nh=58) / Raw(bytes([kind]) + bytes(63))),
                drop("icmp"))
    # ICMP of the other family is no ICMP.
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, proto=58) / bytes(8)), drop("unmatched"))
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6, nh=1) / bytes(8)), drop("unmatched"))
