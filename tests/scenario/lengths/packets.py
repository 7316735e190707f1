# SPDX-License-Identifier: BSD-2-Clause
"""Lengths at their limits: no packet is so long that an outer length wraps around and says less."""
from scenario import *

OVERHEAD = {("ipip", False): 20, ("ipip", True): 20, ("gue", False): 32, ("gue", True): 52,
            ("l2", False): 0, ("l2", True): 0}


def packets(s):
    for way in WAYS:
        for six in (False, True):
            mtu = 9216 - OVERHEAD[way, six]
            df = {} if six else {"flags": "DF"}
            transport = UDP(sport=4242, dport=53)
            fits = sized(header_to(way, six, **df) / transport, mtu)
            s.frame(to_balancer(fits), to_backend(fits, way, "udp"))
            # The longest that the length field can say, and those whose wrapped length would
            # just fit 16 bits, or come out as next to nothing.
            longest = 65535 + (40 if six else 0)
            over = OVERHEAD[way, six] + (40 if six and way == "gue" else 0)
            for total in {mtu + 1, 65535 - over, 65536 - over, 65556 - over, 65535, longest}:
                if total > longest:
                    continue
                s.wait(1)
                packet = sized(header_to(way, six, **df) / transport, total)
                s.frame(to_balancer(packet),
                        reply(to_router(too_big(packet, mtu)), "path_mtu"))
                if not six:
                    free = sized(header_to(way, six) / transport, total)
                    s.frame(to_balancer(free), drop("too_big"))
    # And those that say more than came.
    for n in (65535, 65534, 40000):
        s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, len=n) / UDP(dport=53)), drop("bad_len"))
        s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6, plen=n) / UDP(dport=53)), drop("bad_len"))
