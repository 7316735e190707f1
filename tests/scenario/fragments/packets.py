# SPDX-License-Identifier: BSD-2-Clause
"""Fragments (RFC 791 section 3.2, RFC 8200 section 4.5): the first leaves its ports to the later ones,
and all go where the flow's whole packets go. What RFC 1858, 5722, 6946 and 7112 warn of."""
from scenario import *


def cut(packet, places, ident):
    """The fragments of a packet, whose data are cut at these places."""
    six = is_v6(packet)
    data = raw(packet)[40 if six else 20:]
    ends = list(places) + [len(data)]
    pieces = []
    for start, end in zip([0] + ends, ends):
        pieces.append(piece(packet, data[start:end], start, end != len(data), ident))
    return pieces


def piece(packet, data, offset, more, ident, number=None):
    """One fragment with the addresses of `packet`, and its protocol unless another is named."""
    if is_v6(packet):
        return built(IPv6(src=packet.src, dst=packet.dst, tc=packet.tc) / IPv6ExtHdrFragment(
            nh=packet.nh if number is None else number, offset=offset // 8, m=more,
            id=ident) / Raw(data))
    return built(IP(src=packet.src, dst=packet.dst, tos=packet.tos, id=ident,
                    flags="MF" if more else 0, frag=offset // 8,
                    proto=packet.proto if number is None else number) / Raw(data))


def datagram(way, six, sport, size=100, dport=53, **fields):
    return built(header_to(way, six, **fields) / UDP(sport=sport, dport=dport) / bytes(size))


def segment(way, six, sport, flags="A", size=100, **fields):
    return built(header_to(way, six, **fields) / TCP(sport=sport, dport=443, flags=flags) /
                 bytes(size))


def follow(s, way, six):
    def send(packet, reason, protocol="udp"):
        s.frame(to_balancer(packet), to_backend(packet, way, protocol, reason))

    # In order: the first one makes the flow, or finds it.
    first, *later = cut(datagram(way, six, 1000), (8, 48), 1)
    send(first, "maglev")
    for fragment in later:
        send(fragment, "flow")
    send(datagram(way, six, 1000), "flow")
    send(datagram(way, six, 1001), "maglev")
    for number, fragment in enumerate(cut(datagram(way, six, 1001), range(8, 104, 8), 2)):
        send(fragment, "flow")
    # Later ones among each other in any order, and twice.
    first, second, third = cut(datagram(way, six, 1000, 1000), (400, 800), 3)
    for fragment in (first, third, second, third):
        send(fragment, "flow")
    # TCP: a SYN leaves no flow, in pieces as little as whole.
    for ident, flags in ((4, "A"), (5, "S")):
        first, second, third = cut(segment(way, six, 2000 + ident, flags), (24, 64), ident)
        send(first, "maglev", "tcp")
        send(second, "flow" if flags == "A" else "maglev", "tcp")
        send(third, "flow", "tcp")
    # Padding.
    first, second = cut(datagram(way, six, 1000, 9), (8,), 6)
    s.frame(raw(to_balancer(first)) + bytes(30), to_backend(first, way, "udp", "flow"))
    s.frame(raw(to_balancer(second)) + bytes(30), to_backend(second, way, "udp", "flow"))
    # VLAN tags.
    s.frame(Ether(src=ROUTER, dst=BALANCER) / Dot1Q(vlan=7) / second,
            to_backend(second, way, "udp", "flow"))


def tell_apart(s, six):
    way = "ipip"

    def send(packet, reason, protocol="udp"):
        s.frame(to_balancer(packet), to_backend(packet, way, protocol, reason))

    def refuse(packet, reason):
        s.frame(to_balancer(packet), drop(reason))

    first, later = cut(datagram(way, six, 3000), (48,), 100)
    another = "2001:db8:c::8" if six else "198.51.100.8"
    send(first, "maglev")
    # Another datagram; another sender's; to another address: their firsts are unknown.
    refuse(cut(datagram(way, six, 3000), (48,), 101)[1], "fragment")
    refuse(cut(datagram(way, six, 3000, src=another), (48,), 100)[1], "fragment")
    refuse(cut(datagram("gue", six, 3000), (48,), 100)[1], "fragment")
    if six:
        # RFC 8200 section 4.5: addresses and identification; the first one's next header counts.
        send(piece(later, raw(later)[48:], 48, False, 100, number=6), "flow")
        send(piece(later, raw(later)[48:], 48, False, 100, number=60), "flow")
        # Extension headers before the fragment header are each fragment's own.
        inner = built(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment(
            nh=17, offset=6, m=0, id=100) / Raw(bytes(60)))
        send(inner, "flow")
    else:
        # RFC 791 section 2.3: the protocol too.
        refuse(piece(later, raw(later)[20:], 48, False, 100, number=6), "fragment")
        s.frame(to_balancer(piece(later, raw(later)[20:], 48, False, 100, number=47)),
                drop("unmatched"))
    send(later, "flow")

    # Both senders' datagrams with one identification, of two flows.
    ours, theirs = (cut(segment(way, six, 3100, src=src), (24,), 102)
                    for src in (CLIENT6 if six else CLIENT4, another))
    send(ours[0], "maglev", "tcp")
    send(theirs[0], "maglev", "tcp")
    send(ours[1], "flow", "tcp")
    send(theirs[1], "flow", "tcp")

    # The first one again with other ports: the newest counts. Here they are nobody's.
    send(cut(datagram(way, six, 3200), (48,), 103)[0], "maglev")
    refuse(cut(datagram(way, six, 3200, dport=54), (48,), 103)[0], "unmatched")
    refuse(cut(datagram(way, six, 3200), (48,), 103)[1], "unmatched")
    send(cut(datagram(way, six, 3200), (48,), 103)[0], "flow")
    send(cut(datagram(way, six, 3200), (48,), 103)[1], "flow")

    # Known for 30 s and no longer.
    send(cut(datagram(way, six, 3300), (48,), 104)[0], "maglev")
    s.wait(29)
    send(cut(datagram(way, six, 3300), (48,), 104)[1], "flow")
    s.wait(2)
    refuse(cut(datagram(way, six, 3300), (48,), 104)[1], "fragment")
    send(cut(datagram(way, six, 3300), (48,), 105)[0], "flow")
    send(cut(datagram(way, six, 3300), (48,), 105)[1], "flow")


def hostile(s, six):
    way = "ipip"
    whole, tcp = datagram(way, six, 4000), segment(way, six, 4000)
    udp_data, tcp_data = (raw(packet)[40 if six else 20:] for packet in (whole, tcp))

    def refuse(packet, reason):
        s.frame(to_balancer(packet), drop(reason))

    # RFC 1858, RFC 7112: the first one has to show the transport header, options and all.
    for size in (0, 8, 16):
        refuse(piece(tcp, tcp_data[:size], 0, True, 200), "tiny_fragment")
    options = segment(way, six, 4000)
    options[TCP].dataofs = 8
    refuse(piece(tcp, raw(options)[40 if six else 20:][:24], 0, True, 201), "tiny_fragment")
    refuse(piece(whole, b"", 0, True, 202), "tiny_fragment")
    # RFC 1858 section 4, RFC 5722: nothing may overwrite what was looked at.
    s.frame(to_balancer(piece(tcp, tcp_data[:24], 0, True, 203)), to_backend(
        piece(tcp, tcp_data[:24], 0, True, 203), way))
    for offset in (8, 16):
        for more in (True, False):
            refuse(piece(tcp, bytes(16), offset, more, 203), "tiny_fragment")
    # Data that overlap are the receiver's affair (RFC 5722: it discards the datagram).
    overlap = piece(tcp, bytes(16), 24, False, 203)
    s.frame(to_balancer(overlap), to_backend(overlap, way, reason="flow"))
    s.frame(to_balancer(overlap), to_backend(overlap, way, reason="flow"))

    # All but the last are whole units of 8 bytes.
    for size in (9, 15, 33):
        refuse(piece(whole, udp_data[:size], 0, True, 204), "bad_len")
        refuse(piece(whole, bytes(size), 48, True, 204), "bad_len")
    # What no datagram can hold: a ping of death. The longest has 65,535 bytes, which an IPv6
    # header does not count.
    first = piece(whole, udp_data[:48], 0, True, 205)
    s.frame(to_balancer(first), to_backend(first, way, "udp"))
    place, room = (65528, 7) if six else (65512, 3)
    last = piece(whole, bytes(room), place, False, 205)
    s.frame(to_balancer(last), to_backend(last, way, "udp", "flow"))
    refuse(piece(whole, bytes(room + 1), place, False, 205), "bad_len")
    refuse(piece(whole, bytes(1400), 65528 - 1000, True, 205), "bad_len")
    refuse(piece(whole, bytes(1400), 65528, False, 205), "bad_len")

    # A first one alone may name another port, or another address; so does what follows it.
    for fragment in cut(datagram(way, six, 4000, dport=54), (48,), 206):
        refuse(fragment, "unmatched")
    stranger = datagram(way, six, 4000, dst="2001:db8::99" if six else "192.0.2.1")
    for fragment in cut(stranger, (48,), 207):
        s.frame(to_balancer(fragment), passed("other_address"))
    loop = datagram(way, six, 4000, src="::1" if six else "127.0.0.1")
    for fragment in cut(loop, (48,), 208):
        refuse(fragment, "martian")
    # ICMP has no ports.
    ping = built(header_to(way, six) / (ICMPv6EchoRequest(data=bytes(100)) if six
                                        else ICMP() / bytes(100)))
    for fragment in cut(ping, (48,), 209):
        refuse(fragment, "icmp")


def ipv6_only(s):
    way = "ipip"
    # RFC 6946: a fragment that is a whole datagram is no fragment, and nobody's first.
    plain = datagram(way, True, 5000)
    for reason in ("maglev", "flow"):
        atomic = piece(plain, raw(plain)[40:], 0, False, 300)
        s.frame(to_balancer(atomic), to_backend(atomic, way, "udp", reason))
    s.frame(to_balancer(piece(plain, bytes(8), 48, False, 300)), drop("fragment"))
    # A fragment header's reserved bits are ignored (RFC 8200 section 4.5).
    atomic = built(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(
        nh=17, res1=0xff, res2=3, id=301) / Raw(raw(plain)[40:]))
    s.frame(to_balancer(atomic), to_backend(atomic, way, "udp", "flow"))

    # RFC 7112: all headers are in the first one.
    option = bytes([17, 1]) + bytes(14)
    first = built(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(nh=60, m=1, id=302) / Raw(
        option + raw(plain)[40:72]))
    s.frame(to_balancer(first), to_backend(first, way, "udp", "flow"))
    later = piece(plain, bytes(30), 48, False, 302)
    s.frame(to_balancer(later), to_backend(later, way, "udp", "flow"))
    for size in (0, 8, 16):
        s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(
            nh=60, m=1, id=303) / Raw((option + bytes(20))[:size])), drop("tiny_fragment"))


def packets(s):
    for six in (False, True):
        for way in WAYS:
            follow(s, way, six)
        s.wait(100)
        tell_apart(s, six)
        hostile(s, six)
    ipv6_only(s)
    # IPv4 with options: those that are not copied are in the first alone (RFC 791 section 3.1).
    whole = datagram("ipip", False, 6000)
    first = built(IP(src=CLIENT4, dst=VIP4, id=400, flags="MF", proto=17, options=b"\x01" * 8) /
                  Raw(raw(whole)[20:68]))
    s.frame(to_balancer(first), to_backend(first, "ipip", "udp"))
    later = piece(whole, raw(whole)[68:], 48, False, 400)
    s.frame(to_balancer(later), to_backend(later, "ipip", "udp", "flow"))
    # A datagram in pieces that must not be cut further: DF is for the outer header too.
    first = built(IP(src=CLIENT4, dst=VIP4, id=401, flags="MF+DF", proto=17) /
                  Raw(raw(whole)[20:68]))
    s.frame(to_balancer(first), to_backend(first, "ipip", "udp", "flow"))
