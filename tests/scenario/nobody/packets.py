# SPDX-License-Identifier: BSD-2-Clause
"""Services that nobody serves, and ports that are no service's."""
from scenario import *


def packets(s):
    v4 = IP(src=CLIENT4, dst=VIP4)
    s.frame(to_balancer(v4 / TCP(sport=4242, dport=443, flags="S")), drop("no_backend", "web"))
    s.frame(to_balancer(v4 / TCP(sport=4242, dport=443, flags="A")), drop("no_backend", "web"))
    s.frame(to_balancer(v4 / TCP(sport=4242, dport=80, flags="S")),
            drop("no_backend", "draining"))
    s.frame(to_balancer(v4 / TCP(sport=4242, dport=8080, flags="S")), drop("unmatched"))
    s.frame(to_balancer(v4 / UDP(sport=4242, dport=443)), drop("unmatched"))
    s.frame(to_balancer(v4 / TCP(sport=4242, dport=0, flags="S")), drop("unmatched"))
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, proto=132) / bytes(32)), drop("unmatched"))
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, proto=0) / bytes(32)), drop("unmatched"))
    v6 = IPv6(src=CLIENT6, dst=VIP6)
    s.frame(to_balancer(v6 / UDP(sport=4242, dport=53) / bytes(20)), drop("no_backend", "drained6"))
    s.frame(to_balancer(v6 / TCP(sport=4242, dport=53, flags="S")), drop("unmatched"))
