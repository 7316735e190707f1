# SPDX-License-Identifier: BSD-2-Clause
"""Fragments that come before their first one: a few of them wait for it, a quarter of a second."""
from scenario import *

HELD_MAX = 64


def fragment(way, six, ident, offset, more, sport=1000):
    data = raw(built(header_to(way, six) / UDP(sport=sport, dport=53, len=4096) / bytes(88)))[
        40 if six else 20:][:48]
    if six:
        return built(header_to(way, True) / IPv6ExtHdrFragment(
            nh=17, offset=offset // 8, m=more, id=ident) / Raw(data))
    return built(header_to(way, False, id=ident, flags="MF" if more else 0, frag=offset // 8,
                           proto=17) / Raw(data))


def out_of_order(s, way, six):
    def expect(packet, reason, by=None):
        expectation = to_backend(packet, way, "udp", reason)
        s.frame(to_balancer(packet), expectation if by is None else released(expectation, by))

    # They go after the first one, in the order in which they came.
    first = len(s.frames) + 2
    expect(fragment(way, six, 1, 96, False), "flow", first)
    expect(fragment(way, six, 1, 48, True), "flow", first)
    expect(fragment(way, six, 1, 0, True), "maglev")
    expect(fragment(way, six, 1, 48, True), "flow")
    # What belongs to another datagram waits on.
    now = len(s.frames)
    expect(fragment(way, six, 2, 48, False, 1001), "flow", now + 3)
    expect(fragment(way, six, 3, 48, False, 1001), "flow", now + 2)
    expect(fragment(way, six, 3, 0, True, 1001), "maglev")
    expect(fragment(way, six, 2, 0, True, 1001), "flow")
    # Longer than that nothing waits.
    s.frame(to_balancer(fragment(way, six, 4, 48, False)), drop("fragment"))
    s.wait(0.4)
    expect(fragment(way, six, 4, 0, True), "flow")
    expect(fragment(way, six, 4, 48, False), "flow")


def too_many(s, way, six):
    s.wait(1)
    now = len(s.frames)
    for n in range(HELD_MAX + 2):
        late = fragment(way, six, 100 + n, 48, False, 2000)
        s.frame(to_balancer(late), drop("fragment") if n >= HELD_MAX else released(
            to_backend(late, way, "udp", "flow"), now + HELD_MAX + 2 + n))
    for n in range(HELD_MAX + 2):
        first = fragment(way, six, 100 + n, 0, True, 2000)
        s.frame(to_balancer(first), to_backend(first, way, "udp", "flow" if n else "maglev"))


def packets(s):
    for six in (False, True):
        for way in WAYS:
            out_of_order(s, way, six)
        too_many(s, "ipip", six)
    # A first one that nobody serves lets the others go the same way.
    way = "ipip"
    now = len(s.frames)
    first = built(header_to(way, False, id=900, flags="MF") / UDP(dport=54, len=4096) / bytes(40))
    s.frame(to_balancer(fragment(way, False, 900, 48, False)), released(drop("unmatched"), now + 1))
    s.frame(to_balancer(first), drop("unmatched"))
