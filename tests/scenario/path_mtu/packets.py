# SPDX-License-Identifier: BSD-2-Clause
"""Packets that don't fit the path of 1500 bytes when wrapped. Who forbids fragments is told what fits
(RFC 1191, RFC 8201), and that does fit; but not ten times at once."""
from scenario import *

OVERHEAD = {("ipip", False): 20, ("ipip", True): 20, ("gue", False): 32, ("gue", True): 52,
            ("l2", False): 0, ("l2", True): 0}


def df(six):
    return {} if six else {"flags": "DF"}


def segment(way, six, total, flags="S", **fields):
    return sized(header_to(way, six, **{**df(six), **fields}) / TCP(sport=4242, dport=443,
                                                                   flags=flags), total)


def told(s, packet, mtu):
    s.frame(to_balancer(packet), reply(to_router(too_big(packet, mtu)), "path_mtu"))


def next_try_fits(s, way, six):
    mtu = 1500 - OVERHEAD[way, six]
    s.wait(1)
    told(s, segment(way, six, mtu + 1), mtu)
    fits = segment(way, six, mtu)
    s.frame(to_balancer(fits), to_backend(fits, way))
    for total in (1500, 1501, 2000):
        if total > mtu:
            s.wait(1)
            told(s, segment(way, six, total), mtu)
    # The flow is no less the flow for it.
    s.wait(1)
    told(s, segment(way, six, mtu + 1, "A", **({"tc": 3} if six else {"tos": 3})), mtu)
    fits = segment(way, six, mtu, "A")
    s.frame(to_balancer(fits), to_backend(fits, way, reason="flow"))
    datagram = sized(header_to(way, six, **df(six)) / UDP(sport=4242, dport=53), mtu + 1)
    s.wait(1)
    told(s, datagram, mtu)


def without_df(s, way):
    mtu = 1500 - OVERHEAD[way, False]
    for total in (mtu, mtu + 1):
        packet = sized(header_to(way, False) / TCP(sport=4243, dport=443, flags="S"), total)
        s.frame(to_balancer(packet),
                to_backend(packet, way) if total == mtu else drop("too_big", f"{way}4"))


def seldom(s, six):
    big = segment("ipip", six, 1481)
    other = segment("ipip", six, 1481, src="2001:db8:c::8" if six else "198.51.100.8")
    s.wait(1)
    told(s, big, 1480)
    s.frame(to_balancer(big), drop("too_big_df", "ipip6" if six else "ipip4"))
    told(s, other, 1480)
    for packet in (big, other, big):
        s.frame(to_balancer(packet), drop("too_big_df"))
    s.wait(0.03)
    s.frame(to_balancer(big), drop("too_big_df"))
    s.wait(0.2)
    told(s, big, 1480)
    told(s, other, 1480)
    s.frame(to_balancer(big), drop("too_big_df"))


def about_fragments(s, six):
    """The first may be too big; a later one has no ports, and over IPv4 no error of its own (RFC
    1122 section 3.2.2). Over IPv6 every one does (RFC 4443 section 2.4)."""
    if six:
        first, later = (built(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(
            nh=17, offset=offset, m=1, id=7) / Raw(raw(UDP(sport=1, dport=53, len=4000)) +
                                                    bytes(1440 - 8))) for offset in (0, 180))
    else:
        first, later = (built(IP(src=CLIENT4, dst=VIP4, id=7, proto=17, flags="MF+DF",
                                 frag=offset) / Raw(raw(UDP(sport=1, dport=53, len=4000)) +
                                                    bytes(1464 - 8))) for offset in (0, 183))
    s.wait(1)
    told(s, first, 1480)
    s.wait(1)
    if six:
        told(s, later, 1480)
    else:
        s.frame(to_balancer(later), drop("too_big_df"))


def packets(s):
    for way in WAYS:
        for six in (False, True):
            next_try_fits(s, way, six)
        without_df(s, way)
    for six in (False, True):
        seldom(s, six)
        about_fragments(s, six)
        s.wait(1)
        # A sender that can't be answered at layer 2.
        s.frame(Ether(src="03:00:00:00:00:aa", dst=BALANCER) / segment("ipip", six, 1481),
                drop("too_big_df"))
        # Options and extension headers are part of what goes back.
        s.wait(1)
        more = ({"nh": 60} if six else {"options": b"\x01" * 40})
        if six:
            inner = built(header_to("ipip", True, **more) / Raw(
                bytes([6, 0]) + bytes(6) + raw(segment("ipip", True, 1481))[40:]))
        else:
            inner = sized(header_to("ipip", False, **df(False), **more) / TCP(dport=443), 1481)
        told(s, inner, 1480)
