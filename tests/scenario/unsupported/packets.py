# SPDX-License-Identifier: BSD-2-Clause
"""What this version cannot handle yet is dropped under its own reason, never forwarded wrongly."""
from scenario import *


def packets(s):
    tcp = TCP(sport=4242, dport=443, flags="S")
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, flags="MF") / tcp / bytes(24)),
            drop("fragment"))
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, frag=8, proto=6) / bytes(64)), drop("fragment"))
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(m=1) / tcp),
            drop("fragment"))
    for header in (IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(), IPv6ExtHdrRouting()):
        s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6) / header / tcp), drop("extension"))
    for number in (51, 135, 139, 140):
        s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6, nh=number) / bytes(16)),
                drop("extension"))
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4) / ICMP()), drop("icmp"))
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4) / ICMP(type=3, code=4)), drop("icmp"))
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6) / ICMPv6EchoRequest()), drop("icmp"))
