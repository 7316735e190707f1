# SPDX-License-Identifier: BSD-2-Clause
"""IPIP in all four family pairs, with every DSCP and ECN value on the way (RFC 6040 section 4.1,
normal mode: the whole byte is copied), DF, ID, options and Ethernet padding."""
from scenario import *


def both(s, inner, **outer):
    s.frame(to_balancer(inner), forward(to_gateway(ipip(built(inner))), **outer))


def packets(s):
    tcp4 = IP(src=CLIENT4, dst=VIP4, flags="DF", id=7) / TCP(sport=4242, dport=443, flags="S")
    tcp6 = IPv6(src=CLIENT6, dst=VIP6) / TCP(sport=4242, dport=443, flags="S")
    udp4 = IP(src=CLIENT4, dst=VIP4, flags="DF") / UDP(sport=5353, dport=53) / b"question"
    udp6 = IPv6(src=CLIENT6, dst=VIP6) / UDP(sport=5353, dport=53) / b"question"

    s.frame(to_balancer(tcp4), forward(to_gateway(ipip(built(tcp4))), "web"))
    s.frame(to_balancer(tcp6), forward(to_gateway(ipip(built(tcp6))), "web6"))
    s.frame(to_balancer(udp4), forward(to_gateway(ipip(built(udp4), outer_v6=True)), "dns",
                                       BACKEND6, free=["IPv6.fl"]))
    s.frame(to_balancer(udp6), forward(to_gateway(ipip(built(udp6), outer_v6=True)), "dns6",
                                       BACKEND6, free=["IPv6.fl"]))

    # DSCP and ECN: every value of the byte would be 256 frames; each bit alone and all ECN pairs.
    for tos in (0, 1, 2, 3, 4, 8, 16, 32, 64, 128, 0xb8 | 3, 255):
        inner = IP(src=CLIENT4, dst=VIP4, tos=tos, flags="DF") / TCP(sport=1000 + tos, dport=443,
                                                                    flags="S")
        both(s, inner)
        inner = IPv6(src=CLIENT6, dst=VIP6, tc=tos) / TCP(sport=1000 + tos, dport=443, flags="S")
        both(s, inner, service="web6")
        inner = IPv6(src=CLIENT6, dst=VIP6, tc=tos) / UDP(sport=2000 + tos, dport=53)
        s.frame(to_balancer(inner), forward(to_gateway(ipip(built(inner), outer_v6=True)), "dns6",
                                            BACKEND6, free=["IPv6.fl"]))

    # Without DF the outer packet may be fragmented too, and its ID is not constant.
    for number in (1, 2, 65535):
        inner = IP(src=CLIENT4, dst=VIP4, id=number) / TCP(sport=4300, dport=443, flags="S")
        s.frame(to_balancer(inner), forward(to_gateway(ipip(built(inner))), free=["IP.id"]))

    # Options make the inner header longer, up to 60 bytes; they are payload to the outer one.
    from scapy.layers.inet import IPOption
    for words in range(1, 11):
        inner = IP(src=CLIENT4, dst=VIP4, flags="DF",
                   options=[IPOption(b"\x01" * (4 * words))]) / TCP(sport=4400 + words, dport=443,
                                                                   flags="S")
        both(s, inner)

    # Ethernet padding (a 40-byte packet fills a 60-byte frame) never becomes payload.
    short = built(IP(src=CLIENT4, dst=VIP4, flags="DF") / TCP(sport=4500, dport=443, flags="S"))
    s.frame(raw(to_balancer(short)) + b"\xaa" * 6, forward(to_gateway(ipip(short))))
    short6 = built(IPv6(src=CLIENT6, dst=VIP6) / UDP(sport=4501, dport=53))
    s.frame(raw(to_balancer(short6)) + b"\xaa" * 300,
            forward(to_gateway(ipip(short6, outer_v6=True)), "dns6", BACKEND6, free=["IPv6.fl"]))
