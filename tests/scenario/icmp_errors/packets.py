# SPDX-License-Identifier: BSD-2-Clause
"""ICMP errors about what a backend sent (RFC 792, RFC 4443): to the backend of the flow, which the
embedded header names, and only if the error went to that packet's sender."""
from scapy.layers.inet import IPOption

from scenario import *

ROUTER4, ROUTER6 = "192.0.2.254", "2001:db8:9::fe"
ERRORS4 = [(3, code) for code in range(16)] + [(11, 0), (11, 1), (12, 0)]
ERRORS6 = [(1, code) for code in range(8)] + [(2, 0), (3, 0), (3, 1), (4, 0), (4, 1), (4, 2)]


def answer(way, six, protocol="tcp", cport=4242, **fields):
    """What the backend sent, with the VIP's address (direct server return)."""
    transport = (TCP(sport=443, dport=cport, flags="A") if protocol == "tcp"
                 else UDP(sport=53, dport=cport))
    plain = header_to(way, six)
    header = plain.__class__(**{"src": plain.dst, "dst": plain.src, **fields})
    return built(header / transport / bytes(600))


def error(about, size=None, kind=None, to=None, checksum=None, **fields):
    """An error that embeds the first `size` bytes of `about` or of bytes."""
    embedded = raw(about)[:size]
    six = to is not None and ":" in to or to is None and is_v6(about)
    kind, code = kind or ((2, 0) if six else (3, 4))
    message = bytes([kind, code, 0, 0]) + (1400).to_bytes(4, "big") + embedded
    header = (IPv6(**{"src": ROUTER6, "dst": to or about.src, "nh": 58, **fields}) if six
              else IP(**{"src": ROUTER4, "dst": to or about.src, "proto": 1, **fields}))
    if checksum is None:
        checksum = (icmpv6_checksum(header, message) if six else icmp_checksum(message))
    return built(header / Raw(message[:2] + checksum.to_bytes(2, "big") + message[4:]))


def icmp_checksum(message, start=0):
    """RFC 1071."""
    message += bytes(len(message) % 2)
    total = start + sum(int.from_bytes(message[i:i + 2], "big")
                        for i in range(0, len(message), 2))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return 0xffff - total


def icmpv6_checksum(header, message):
    addresses = raw(header)[8:40]
    return icmp_checksum(addresses + message, len(message) + 58)


def every_way(s, way, six, protocol):
    cport = 4242
    least = 48 if six else 28

    def send(packet, trailer=b""):
        s.frame(raw(to_balancer(packet)) + trailer,
                to_backend(packet, way, protocol, "icmp_error"))

    # Nobody knows the flow yet: the error goes where the flow would, and leaves nothing behind.
    about = answer(way, six, protocol)
    send(error(about, least))
    client = built(header_to(way, six) / (TCP(sport=cport, dport=443, flags="A")
                                          if protocol == "tcp" else UDP(sport=cport, dport=53)))
    s.frame(to_balancer(client), to_backend(client, way, protocol, "maglev"))
    s.frame(to_balancer(client), to_backend(client, way, protocol, "flow"))
    for kind in ERRORS6 if six else ERRORS4:
        send(error(about, least, kind))
    for size in (least, least + 1, 100, 528, 640):
        send(error(about, size))
    for trailer in (1, 18):
        send(error(about, least), b"\xa5" * trailer)
    send(error(about, least, checksum=0x1234))  # the backend's to judge
    packet = error(about, least)
    s.frame(Ether(src=ROUTER, dst=BALANCER) / Dot1Q(vlan=7) / packet,
            to_backend(packet, way, protocol, "icmp_error"))
    s.frame(to_balancer(client), to_backend(client, way, protocol, "flow"))


def embedded_headers(s):
    def send(packet):
        s.frame(to_balancer(packet), to_backend(packet, "ipip", reason="icmp_error"))

    def refuse(packet, reason):
        s.frame(to_balancer(packet), drop(reason))

    # Options, in the packet and in the error.
    for words in range(1, 11):
        options = [IPOption(b"\x01" * (4 * words))]
        send(error(answer("ipip", False, options=options), 28 + 4 * words))
        send(error(answer("ipip", False), 28, options=options))
        refuse(error(answer("ipip", False, options=options), 27 + 4 * words), "icmp")
    # Extension headers. The first fragment has ports, and a later one none.
    for header in (IPv6ExtHdrDestOpt(), IPv6ExtHdrHopByHop(), IPv6ExtHdrFragment(id=9),
                   IPv6ExtHdrFragment(id=9, m=1), IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt()):
        about = built(IPv6(src=VIP6, dst=CLIENT6) / header / TCP(sport=443, dport=4242, flags="A") /
                      bytes(24))
        extra = len(raw(header))
        send(error(about, 48 + extra))
        refuse(error(about, 47 + extra), "icmp")
        refuse(error(about, 40 + extra), "icmp")
    refuse(error(built(IPv6(src=VIP6, dst=CLIENT6) / IPv6ExtHdrFragment(
        id=9, m=1, offset=3, nh=6) / Raw(bytes(40)))), "icmp")
    send(error(answer("ipip", False, flags="MF"), 28))
    for offset in (1, 3, 8191):
        refuse(error(answer("ipip", False, frag=offset), 28), "icmp")
    outer = error(answer("ipip", True), 48)
    outer = built(IPv6(src=ROUTER6, dst=VIP6) / IPv6ExtHdrDestOpt(nh=58) / Raw(raw(outer)[40:]))
    send(outer)


def refused(s, six):
    about = answer("ipip", six)
    header = 40 if six else 20
    least = header + 8
    vip, other_vip = (VIP6, "2001:db8:a::20") if six else (VIP4, "203.0.113.20")
    client = CLIENT6 if six else CLIENT4

    def refuse(packet, reason, trailer=b""):
        s.frame(raw(to_balancer(packet)) + trailer, drop(reason))

    # Who makes an error up sends it to another address than the packet's sender.
    for source in (client, other_vip, "2001:db8::99" if six else "192.0.2.1"):
        spoofed = answer("ipip", six, src=source)
        refuse(error(spoofed, least, to=vip), "icmp_unrelated")
    turned = built(about.__class__(src=client, dst=vip) / TCP(sport=4242, dport=443))
    refuse(error(turned, least, to=vip), "icmp_unrelated")
    # No service of this address can have sent it.
    for transport in (TCP(sport=444, dport=4242), UDP(sport=443, dport=4242),
                      TCP(sport=0, dport=4242)):
        refuse(error(built(about.__class__(src=vip, dst=client) / transport), least),
               "icmp_unrelated")
    # No ports to go by.
    for size in (0, 1, header - 1, header, header + 4, header + 7):
        refuse(error(about, size), "icmp", bytes(30))
    for transport in ((ICMPv6EchoReply() if six else ICMP(type=0)), Raw(bytes(20))):
        refuse(error(built(about.__class__(src=vip, dst=client) / transport / bytes(8))), "icmp")
    bytes_of = raw(about)
    for first in (0x00, 0x50, 0x45 if six else 0x60):
        refuse(error(bytes([first]) + bytes_of[1:least], to=vip), "icmp")
    if not six:
        for first in (0x40, 0x44, 0x4f):
            refuse(error(bytes([first]) + bytes_of[1:least], to=vip), "icmp")
    # Neither an error nor a question to us; an error in pieces.
    for kind in ((0, 100, 127, 137, 255) if six else (0, 4, 5, 9, 13, 40, 255)):
        refuse(error(about, least, (kind, 0)), "icmp")
    packet = error(about, 96)
    message = raw(packet)[header:]
    for offset, more in ((0, 1), (5, 0)):
        if six:
            refuse(built(IPv6(src=ROUTER6, dst=vip) / IPv6ExtHdrFragment(
                nh=58, offset=offset, m=more, id=5) / Raw(message[offset * 8:][:56])), "icmp")
        else:
            refuse(built(IP(src=ROUTER4, dst=vip, proto=1, id=5, frag=offset, flags=more) /
                         Raw(message[offset * 8:][:56])), "icmp")
    # The error's own header is judged as any other.
    refuse(error(about, least, **({"hlim": 0} if six else {"ttl": 0})), "ttl_zero")
    refuse(error(about, least, src="::1" if six else "127.0.0.1"), "martian")
    refuse(error(about, least, src=vip), "land")
    s.frame(raw(to_balancer(error(about, least)))[:-1], drop("bad_len"))
    s.frame(Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff") / error(about, least), drop("l2_group"))
    if not six:
        refuse(error(about, least, chksum=1), "bad_csum")
    s.frame(to_balancer(error(about, least, to="2001:db8::99" if six else "192.0.2.1")),
            passed("other_address"))
    # One too large for the path is not answered with another (RFC 1122, RFC 4443 section 2.4).
    rest = bytes(1481 - header - 8 - len(raw(about)))
    refuse(error(raw(about) + rest, to=vip, **({} if six else {"flags": "DF"})), "too_big_df")


def leaves_no_trace(s, six):
    """An error is no sign of life: the flow's age (32 s here) runs on."""
    way = "gue"
    about = answer(way, six, "udp", 5000)
    client = built(header_to(way, six) / UDP(sport=5000, dport=53))
    s.frame(to_balancer(client), to_backend(client, way, "udp", "maglev"))
    for _ in range(3):
        s.wait(10)
        packet = error(about, 48 if six else 28)
        s.frame(to_balancer(packet), to_backend(packet, way, "udp", "icmp_error"))
    s.wait(4)
    s.frame(to_balancer(client), to_backend(client, way, "udp", "maglev"))


def packets(s):
    for six in (False, True):
        for protocol in ("tcp", "udp"):
            for way in WAYS:
                every_way(s, way, six, protocol)
        refused(s, six)
        leaves_no_trace(s, six)
    embedded_headers(s)
