# SPDX-License-Identifier: BSD-2-Clause
"""GUE over IPv4 and IPv6, both families inside."""
from scenario import *


def packets(s):
    for n, payload in enumerate((b"", b"x", b"\xff" * 100, bytes(1400))):
        tcp4 = IP(src=CLIENT4, dst=VIP4, flags="DF", tos=0x2e << 2 | 1) / TCP(
            sport=4242 + n, dport=443, flags="A") / payload
        tcp6 = IPv6(src=CLIENT6, dst=VIP6, tc=3) / TCP(sport=4242 + n, dport=443,
                                                       flags="A") / payload
        udp4 = IP(src=CLIENT4, dst=VIP4, flags="DF") / UDP(sport=5353 + n, dport=53) / payload
        udp6 = IPv6(src=CLIENT6, dst=VIP6) / UDP(sport=5353 + n, dport=53) / payload
        s.frame(to_balancer(tcp4), forward(to_gateway(gue(built(tcp4))), free=["UDP.sport"]))
        s.frame(to_balancer(tcp6), forward(to_gateway(gue(built(tcp6))), "web6",
                                           free=["UDP.sport"]))
        for inner, service in ((udp4, "dns"), (udp6, "dns6")):
            s.frame(to_balancer(inner),
                    forward(to_gateway(gue(built(inner), outer_v6=True)), service, BACKEND6,
                            free=["UDP.sport", "IPv6.fl"]))
