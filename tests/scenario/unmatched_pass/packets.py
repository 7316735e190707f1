# SPDX-License-Identifier: BSD-2-Clause
"""`unmatched: pass` leaves a VIP's other ports to the kernel, but nothing malformed."""
from scenario import *


def packets(s):
    v4 = IP(src=CLIENT4, dst=VIP4, flags="DF")
    web = v4 / TCP(sport=4242, dport=443, flags="S")
    s.frame(to_balancer(web), forward(to_gateway(ipip(built(web)))))
    s.frame(to_balancer(v4 / TCP(sport=4242, dport=22, flags="S")), passed("unmatched_pass"))
    s.frame(to_balancer(v4 / UDP(sport=4242, dport=443)), passed("unmatched_pass"))
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, ttl=0) / TCP(dport=22)), drop("ttl_zero"))
