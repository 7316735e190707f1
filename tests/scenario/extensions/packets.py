# SPDX-License-Identifier: BSD-2-Clause
"""IPv6 extension headers (RFC 8200 section 4, RFC 4302, RFC 6275, RFC 7401, RFC 5533): up to six are
stepped over, and the flow is that of the transport behind them."""
from scenario import *

HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION, MOBILITY, HIP, SHIM6 = (
    0, 43, 44, 51, 60, 135, 139, 140)
EVERY = (HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION, MOBILITY, HIP, SHIM6)


def header(number, following, total=None):
    """One header of `total` bytes; what it says is nobody's on the way."""
    if number == FRAGMENT:
        return bytes([following, 0, 0, 0]) + b"\xde\xad\xbe\xef"  # RFC 6946: atomic
    if number == AH:
        total = total or 24  # RFC 4302 section 2.2: in units of 4 bytes, less 2
        return bytes([following, total // 4 - 2]) + bytes(total - 2)
    total = total or 8
    return bytes([following, total // 8 - 1]) + bytes(total - 2)  # Pad1 options, if they are any


def chain(numbers, transport, last, totals=()):
    out = b""
    following = list(numbers[1:]) + [last]
    for n, number in enumerate(numbers):
        out += header(number, following[n], totals[n] if n < len(totals) else None)
    return out + transport


def packet(numbers, segment, way="ipip", totals=(), **fields):
    """`segment` is a scapy transport; its checksum is over the final addresses, whatever is between
    (RFC 8200 section 8.1)."""
    plain = built(header_to(way, True, **fields) / segment)
    return built(header_to(way, True, nh=numbers[0], **fields) /
                 Raw(chain(numbers, raw(plain)[40:], plain.nh, totals)))


def forwarded(s):
    syn, question = TCP(sport=4242, dport=443, flags="S"), UDP(sport=4242, dport=53) / b"?"
    for way in WAYS:
        for number in EVERY:
            inner = packet((number,), syn, way, tc=number)
            s.frame(to_balancer(inner), to_backend(inner, way))
        for numbers in (EVERY[:6], EVERY[2:], (HOP_BY_HOP,) + (DESTINATION,) * 5, (AH,) * 6):
            inner = packet(numbers, syn, way)
            s.frame(to_balancer(inner), to_backend(inner, way))
            s.frame(raw(to_balancer(inner)) + bytes(30), to_backend(inner, way))
        # Behind any number of them it is the same flow.
        plain = built(header_to(way, True) / question)
        s.frame(to_balancer(plain), to_backend(plain, way, "udp"))
        for number in EVERY:
            inner = packet((number,), question, way)
            s.frame(to_balancer(inner), to_backend(inner, way, "udp", "flow"))
    # Lengths: AH counts otherwise than all others; its ICV may be of any number of words.
    for total in (12, 16, 20, 24, 28, 44, 76, 1028):
        inner = packet((AH,), syn, totals=(total,))
        s.frame(to_balancer(inner), to_backend(inner, "ipip"))
        inner = packet((DESTINATION, AH, DESTINATION), syn, totals=(16, total, 24))
        s.frame(to_balancer(inner), to_backend(inner, "ipip"))
    for total in (16, 24, 264, 1032):
        for number in (HOP_BY_HOP, ROUTING, DESTINATION, MOBILITY, HIP, SHIM6):
            inner = packet((number,), syn, totals=(total,))
            s.frame(to_balancer(inner), to_backend(inner, "ipip"))


def dropped(s):
    syn = TCP(sport=4242, dport=443, flags="S")
    transport = raw(built(IPv6(src=CLIENT6, dst=VIP6) / syn))[40:]

    def refuse(numbers, reason, tail=transport, last=6, plen=None, trailer=b"", totals=()):
        body = chain(numbers, tail, last, totals)
        head = IPv6(src=CLIENT6, dst=VIP6, nh=numbers[0],
                    plen=len(body) if plen is None else plen)
        s.frame(raw(to_balancer(head / Raw(body))) + trailer, drop(reason))

    for numbers in ((DESTINATION,) * 7, EVERY[:7], EVERY, (AH,) * 7, (FRAGMENT,) * 7,
                    (DESTINATION,) * 30):
        refuse(numbers, "extensions")
    for number in EVERY:
        # The header is not there, not whole, or longer than the packet; padding is no part of it.
        refuse((DESTINATION, number), "truncated", plen=8, trailer=bytes(40))
        refuse((DESTINATION, number), "truncated", plen=12, trailer=bytes(40))
        if number != FRAGMENT:
            refuse((DESTINATION, number), "bad_len", plen=16, trailer=bytes(80), totals=(8, 32))
        # The transport header is not there, not whole, or in the padding.
        whole = len(header(number, 6))
        refuse((number,), "truncated", plen=whole, trailer=bytes(20))
        refuse((number,), "truncated", plen=whole + 19, trailer=bytes(20))
        refuse((number,), "truncated", plen=whole + 7, trailer=bytes(20), last=17)
        refuse((number,), "bad_len", plen=whole + 21)
        # Neither TCP nor UDP follows: none at all (59), ESP (50), IPv4, something unheard of.
        for last in (59, 50, 4, 253):
            refuse((number,), "unmatched", last=last)
    # RFC 2675: a jumbogram's length field is 0, and what is there is no jumbogram.
    jumbo = bytes([6, 0, 0xc2, 4]) + (8 + 20 + 65536).to_bytes(4, "big") + transport
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6, nh=0, plen=0) / Raw(jumbo)), drop("bad_len"))
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6, nh=60, plen=0) / Raw(jumbo)),
            drop("truncated"))
    # Whatever follows, it is of no concern to whom it isn't for.
    s.frame(to_balancer(IPv6(src=CLIENT6, dst="2001:db8::99", nh=60) /
                        Raw(chain((DESTINATION,) * 9, transport, 6))), passed("other_address"))
    # Over IPv4 these numbers are transports of their own.
    for number in EVERY:
        s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, proto=number) /
                            Raw(header(number, 6) + transport)), drop("unmatched"))


def packets(s):
    forwarded(s)
    # Who routes by segments (RFC 8754, or RFC 5095's deprecated type 0) is judged by the backend,
    # which has the address; so is a header in a place where RFC 8200 doesn't want it.
    body = raw(built(IPv6(src=CLIENT6, dst=VIP6) / TCP(sport=4242, dport=443, flags="S")))[40:]
    for kind in (0, 2, 4):
        inner = built(IPv6(src=CLIENT6, dst=VIP6, nh=ROUTING) / Raw(
            bytes([6, 2, kind, 1, 0, 0, 0, 0]) + bytes(16) + body))
        s.frame(to_balancer(inner), to_backend(inner, "ipip"))
    inner = packet((DESTINATION, HOP_BY_HOP), TCP(sport=4242, dport=443, flags="S"))
    s.frame(to_balancer(inner), to_backend(inner, "ipip"))
    dropped(s)
