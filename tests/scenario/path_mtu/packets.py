# SPDX-License-Identifier: BSD-2-Clause
"""The largest packet that fits the path of 1500 bytes when wrapped, and one byte more."""
from scenario import *


def sized(packet, total):
    return built(packet / bytes(total - len(packet)))


def packets(s):
    tcp = TCP(sport=4242, dport=443, flags="S")
    fits = sized(IP(src=CLIENT4, dst=VIP4, flags="DF") / tcp, 1480)
    s.frame(to_balancer(fits), forward(to_gateway(ipip(fits))))
    s.frame(to_balancer(sized(IP(src=CLIENT4, dst=VIP4, flags="DF") / tcp, 1481)),
            drop("too_big_df", "web"))
    fits = sized(IP(src=CLIENT4, dst=VIP4) / tcp, 1480)
    s.frame(to_balancer(fits), forward(to_gateway(ipip(fits)), free=["IP.id"]))
    s.frame(to_balancer(sized(IP(src=CLIENT4, dst=VIP4) / tcp, 1481)), drop("too_big", "web"))

    # IPv6 is never fragmented on the way (RFC 8200 section 5).
    fits = sized(IPv6(src=CLIENT6, dst=VIP6) / UDP(sport=1, dport=53), 1460)
    s.frame(to_balancer(fits), forward(to_gateway(ipip(fits, outer_v6=True)), "dns6", BACKEND6,
                                       free=["IPv6.fl"]))
    s.frame(to_balancer(sized(IPv6(src=CLIENT6, dst=VIP6) / UDP(sport=2, dport=53), 1461)),
            drop("too_big_df", "dns6"))
