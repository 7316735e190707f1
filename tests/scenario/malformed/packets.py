# SPDX-License-Identifier: BSD-2-Clause
"""Packets to a VIP whose headers are cut, lie, or name impossible senders."""
from scenario import *


def cut(packet, length):
    return raw(to_balancer(packet))[:14 + length]


def packets(s):
    tcp = TCP(sport=4242, dport=443, flags="S")
    udp = UDP(sport=4242, dport=53)
    v4, v6 = IP(src=CLIENT4, dst=VIP4), IPv6(src=CLIENT6, dst=VIP6)

    s.frame(b"\x02" * 13, drop("truncated"))
    s.frame(raw(Ether(src=ROUTER, dst=BALANCER, type=0x0800)), drop("truncated"))
    s.frame(cut(v4 / tcp, 19), drop("truncated"))
    s.frame(cut(v6 / tcp, 39), drop("truncated"))

    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, version=6) / tcp), drop("bad_version"))
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6, version=4) / tcp), drop("bad_version"))
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, ihl=4) / tcp), drop("bad_header_len"))
    s.frame(to_balancer(v4 / TCP(sport=1, dport=443, dataofs=4)), drop("bad_header_len"))

    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, len=41) / tcp), drop("bad_len"))
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, len=19) / tcp), drop("bad_len"))
    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, len=65535) / tcp), drop("bad_len"))
    s.frame(cut(v4 / tcp, 39), drop("bad_len"))
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6, plen=21) / tcp), drop("bad_len"))
    s.frame(to_balancer(v4 / TCP(sport=1, dport=443, dataofs=15)), drop("bad_len"))
    s.frame(to_balancer(v4 / UDP(sport=1, dport=53, len=9)), drop("bad_len"))
    s.frame(to_balancer(v4 / UDP(sport=1, dport=53, len=7)), drop("bad_len"))
    s.frame(to_balancer(v6 / UDP(sport=1, dport=53, len=100)), drop("bad_len"))

    # The IP packet itself ends inside the transport header; padding does not fill it up.
    s.frame(raw(to_balancer(IP(src=CLIENT4, dst=VIP4, len=39) / tcp)) + bytes(20),
            drop("truncated"))
    s.frame(raw(to_balancer(IP(src=CLIENT4, dst=VIP4, len=27) / udp)) + bytes(20),
            drop("truncated"))
    s.frame(raw(to_balancer(IPv6(src=CLIENT6, dst=VIP6, plen=19) / tcp)) + bytes(20),
            drop("truncated"))

    good = built(v4 / tcp)
    for wrong in (0, good.chksum ^ 1, good.chksum ^ 0x8000):
        s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, chksum=wrong) / tcp), drop("bad_csum"))

    s.frame(to_balancer(IP(src=CLIENT4, dst=VIP4, ttl=0) / tcp), drop("ttl_zero"))
    s.frame(to_balancer(IPv6(src=CLIENT6, dst=VIP6, hlim=0) / tcp), drop("ttl_zero"))

    # RFC 1122 section 3.2.1.3, RFC 4291 section 2.5 and 2.7.
    for source in ("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.0.1", "224.0.0.1",
                   "239.255.255.255", "240.0.0.1", "255.255.255.255"):
        s.frame(to_balancer(IP(src=source, dst=VIP4) / tcp), drop("martian"))
    for source in ("::", "::1", "ff02::1", "::ffff:198.51.100.7", "::198.51.100.7"):
        s.frame(to_balancer(IPv6(src=source, dst=VIP6) / tcp), drop("martian"))
    s.frame(to_balancer(IP(src=VIP4, dst=VIP4) / tcp), drop("land"))
    s.frame(to_balancer(IPv6(src=VIP6, dst=VIP6) / tcp), drop("land"))

    for group in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"):
        s.frame(Ether(src=ROUTER, dst=group) / v4 / tcp, drop("l2_group"))
        s.frame(Ether(src=ROUTER, dst=group) / v6 / tcp, drop("l2_group"))
