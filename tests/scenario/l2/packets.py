# SPDX-License-Identifier: BSD-2-Clause
"""L2: other Ethernet addresses, and after them the packet as it came, to the last bit."""
from scenario import *


def packets(s):
    def send(packet, *where, trailer=b"", **how):
        packet = built(packet)
        s.frame(raw(to_balancer(packet)) + trailer, forward(to_gateway(packet), *where, **how))

    # Options, identification, TTL, DSCP and ECN (RFC 2474, RFC 3168), flow label: nobody touches
    # them; the TTL neither, for no router forwards here.
    for n, payload in enumerate((b"", b"x", b"\xff" * 100, bytes(1400))):
        tcp = TCP(sport=4242 + n, dport=443, flags="S")
        send(IP(src=CLIENT4, dst=VIP4, flags="DF", ttl=1 + n, id=0xbee0 + n) / tcp / payload)
        send(IP(src=CLIENT4, dst=VIP4, id=0xbee8 + n, options=b"\x01" * 4 * n) / tcp / payload)
        send(IPv6(src=CLIENT6, dst=VIP6, hlim=1 + n, fl=0xabcd0 + n) / tcp / payload, "web6",
             BACKEND6)
        udp = UDP(sport=5353 + n, dport=53 + n)
        send(IP(src=CLIENT4, dst=VIP4) / udp / payload, "dns")
        send(IPv6(src=CLIENT6, dst=VIP6) / udp / payload, "dns6", BACKEND6)
    for tos in (0, 1, 2, 3, 0x2e << 2, 0x2e << 2 | 3, 0xff):
        tcp = TCP(sport=5000 + tos, dport=443, flags="S")
        send(IP(src=CLIENT4, dst=VIP4, flags="DF", tos=tos) / tcp)
        send(IPv6(src=CLIENT6, dst=VIP6, tc=tos) / tcp, "web6", BACKEND6)

    # A known flow goes the same way.
    ack = IP(src=CLIENT4, dst=VIP4, flags="DF") / TCP(sport=4300, dport=443, flags="A")
    send(ack)
    send(ack / b"more", reason="flow")

    # What stands behind the packet in its frame was never part of it (RFC 894, RFC 1042).
    for n in (1, 6, 40, 1000):
        tcp = TCP(sport=6000 + n, dport=443, flags="S")
        send(IP(src=CLIENT4, dst=VIP4, flags="DF") / tcp, trailer=b"\xa5" * n)
        send(IPv6(src=CLIENT6, dst=VIP6) / tcp, "web6", BACKEND6, trailer=b"\xa5" * n)

    # The path's 1500 bytes are all the packet's.
    df, free = (IP(src=CLIENT4, dst=VIP4, flags=flags) / TCP(sport=7000, dport=443, flags="S")
                for flags in ("DF", 0))
    six = IPv6(src=CLIENT6, dst=VIP6) / UDP(sport=7000, dport=53)
    send(sized(df, 1500))
    send(sized(free, 1500))
    send(sized(six, 1500), "dns6", BACKEND6)
    s.frame(to_balancer(sized(free, 1501)), drop("too_big", "web"))
    for packet in (sized(df, 1501), sized(six, 1501)):
        s.frame(to_balancer(packet), reply(to_router(too_big(packet, 1500)), "path_mtu"))
